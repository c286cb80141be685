// Instructions that a process needs, by `perf`: what does not depend on what else the machine does.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'

const EVENT = 'instructions:u'
/** perf does not say when it has begun to count. */
const ATTACH_MS = 500

const read = (output) => Number(new RegExp(`^(\\d+),,${EVENT}`, 'm').exec(output)?.[1])

/** Whether this machine has perf, its processor a counter, and this user the right to it. */
export const canCount = read(String(spawnSync('perf', ['stat', '-x,', '-e', EVENT, 'true']).stderr)) > 0

/** Of the process, while something is done. */
export async function instructionsOf (pid, work) {
  const perf = spawn('perf', ['stat', '-x,', '-e', EVENT, '-p', pid], { stdio: ['ignore', 'ignore', 'pipe'] })
  let output = ''
  perf.stderr.on('data', (chunk) => { output += chunk })
  const over = once(perf, 'close')
  await delay(ATTACH_MS)
  await work()
  perf.kill('SIGINT') // it says what it has counted
  await over
  const count = read(output)
  if (!(count > 0)) throw new Error(`perf has not counted: ${output.trim()}`)
  return count
}
