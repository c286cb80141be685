// What tests cover is lib: the demo runs too, but nobody counts its branches.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const files = readdirSync('lib', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts')).map((file) => join('lib', file))

export default () => files
