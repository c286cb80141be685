// A contestant in a process of its own. It says what CPU and memory it has used, and publishes when it is told to.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises'
import { payloadOf } from './payload.mjs'

const { file, bytes, kind, heartbeat } = JSON.parse(process.argv[2])
const contestant = await import(`../servers/${file}.mjs`)
const payload = payloadOf(bytes, kind)
const { port, publish } = await contestant.start({ payload, heartbeat })

const require = createRequire(import.meta.url)

/** Of a package whose `exports` may hide its package.json. */
function versionOf (name) {
  for (const folder of require.resolve.paths(name)) {
    try {
      return JSON.parse(readFileSync(`${folder}/${name}/package.json`, 'utf8')).version
    } catch {} // it is in another one
  }
  return 'unknown'
}

const commands = {
  usage () {
    const { user, system } = process.cpuUsage()
    return { cpu: user + system, at: performance.now() }
  },

  // Not the heap's free part, which grows and shrinks as V8 sees fit, and more than what is measured.
  async weigh () {
    for (let round = 0; round < 3; round++) { globalThis.gc(); await delay(50) }
    const { rss, heapTotal, heapUsed } = process.memoryUsage()
    return { memory: rss - heapTotal + heapUsed, heap: heapUsed }
  },

  /** So many events in one turn. */
  async publish ({ from, count }) {
    await turn()
    await publish(from, count)
  }
}

process.on('message', async ({ id, command, ...given }) => {
  process.send({ id, answer: await commands[command](given) })
})
process.on('disconnect', () => process.exit())
process.send({ port, versions: Object.fromEntries(contestant.packages.map((name) => [name, versionOf(name)])) })
