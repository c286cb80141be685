// One hundred readers that do not read, under 200 MiB of broadcast, beside one hundred that do: what the server's memory
// grows by, and whether the good ones lose anything. Run `npm run build` first, then `node bench/stalled.mjs`.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const READERS = 100
const EVENTS = 12_800
const BYTES = 16_384
const MIB = 1_048_576
const WARM_UP = 256
/** Events that the publisher may be ahead of the slowest good reader. */
const AHEAD = 32

/**
 * What Node.js holds for a socket that blocks: one write of at most 64 KiB, and as much as it takes before it blocks. The
 * rest is in the kernel, which counts for no process.
 */
const SOCKET_BYTES = 65_536 + 16_384
/** The topic itself (history, window), and what garbage a heap has at any time. */
const FIXED_BYTES = 32 * MIB

async function serve () {
  const [{ default: Fastify }, { Type }, { default: sse }] = await Promise.all([import('fastify'), import('@sinclair/typebox'), import('fastify-typed-sse')])
  const app = Fastify()
  await app.register(sse, { stallTimeout: 600_000 })
  const log = app.sse.channel('log', { events: { line: Type.Object({ n: Type.Integer(), text: Type.String() }) }, history: { max: 1_000 } })
  app.get('/', { schema: { sse: log.events } }, (_request, reply) => reply.sse(log.subscribe()))
  await app.listen({ port: 0, host: '127.0.0.1' })
  process.send(app.server.address().port)
  const text = 'x'.repeat(BYTES)
  // No faster than the good readers read: they are to lose nothing because they are good, not because history is long.
  const good = { reached: 0 }
  const publish = async (n) => {
    await log.publish('line', { n, text })
    while (good.reached < n - AHEAD) await turn()
  }
  const weigh = () => { globalThis.gc(); return process.memoryUsage().rss }
  process.on('message', async (message) => {
    if ('reached' in message) {
      good.reached = message.reached
      return
    }
    for (let n = 0; n < WARM_UP; n++) await publish(n)
    const before = weigh()
    let peak = before
    for (let n = WARM_UP; n < WARM_UP + EVENTS; n++) {
      await publish(n)
      if (n % 256 === 0) peak = Math.max(peak, weigh())
    }
    process.send({ before, peak, after: weigh(), stats: app.sse.stats() })
  })
}

async function connect (port, reads) {
  let opened = 0
  const seen = new Array(READERS).fill(-1)
  let least = 0
  const wrong = []
  let finished = 0
  for (let reader = 0; reader < READERS; reader++) {
    const socket = net.connect(port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n\r\n')
    let tail = ''
    let isOpen = false
    socket.setEncoding('latin1').on('data', (part) => {
      if (!isOpen) {
        isOpen = true
        if (!reads) socket.pause()
        if (++opened === READERS) process.send('open')
      }
      if (!reads) return
      const text = tail + part
      let end = 0
      for (const match of text.matchAll(/data: \{"n":(-?\d+),|event: sse\.(reset|error|bye)/g)) {
        end = match.index + match[0].length
        const n = Number(match[1])
        if (n !== ++seen[reader]) wrong.push(`reader ${reader}: ${match[0]} where ${seen[reader]} was due`)
        if (n === WARM_UP + EVENTS - 1 && ++finished === READERS) process.send({ wrong })
      }
      const reached = Math.min(...seen)
      if (reached >= least + AHEAD / 4) process.send({ reached: least = reached })
      tail = text.slice(Math.max(end, text.length - 40))
    })
  }
}

const self = fileURLToPath(import.meta.url)
const [role, ...args] = process.argv.slice(2)
if (role === 'serve') await serve()
else if (role === 'connect') await connect(Number(args[0]), args[1] === 'reads')
else {
  const server = fork(self, ['serve'], { execArgv: ['--expose-gc'] })
  const [port] = await once(server, 'message')
  const open = async (how) => {
    const child = fork(self, ['connect', port, how])
    await once(child, 'message')
    return child
  }
  const [good, stalled] = [await open('reads'), await open('stalls')]
  const read = new Promise((resolve) => good.on('message', (message) => 'wrong' in message ? resolve(message) : server.send(message)))
  const told = once(server, 'message')
  server.send({})
  const [{ wrong }, [{ before, peak, after, stats }]] = await Promise.all([read, told])
  const grown = peak - before
  const bound = FIXED_BYTES + READERS * SOCKET_BYTES
  console.log(`${READERS} stalled and ${READERS} good readers, ${(EVENTS * BYTES / MIB).toFixed(0)} MiB of broadcast, Node.js ${process.version}`)
  console.log(`memory grew by ${(grown / MIB).toFixed(1)} MiB at most, by ${((after - before) / MIB).toFixed(1)} in the end; bound ${(bound / MIB).toFixed(1)}: ${READERS} x ${SOCKET_BYTES / 1024} KiB of sockets and ${FIXED_BYTES / MIB} MiB`)
  console.log(`good readers: ${wrong.length} wrong ${wrong.slice(0, 3).join('; ')}; ${stats.channels.delivered} events in ${stats.channels.writes} writes; still open ${stats.open}`)
  if (grown > bound || wrong.length > 0) process.exitCode = 1
  for (const child of [good, stalled, server]) child.kill()
}
