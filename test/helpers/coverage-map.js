// What tests cover is lib: the demo runs too, but nobody counts its branches.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

// Where there is no Redis, its tests are left out.
const hasRedis = spawnSync('redis-server', ['--version']).status === 0 || process.env.CI !== undefined
const files = readdirSync('lib', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts') && (hasRedis || !file.startsWith('redis'))).map((file) => join('lib', file))

export default () => files
