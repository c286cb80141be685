// One hundred readers that do not read, under 200 MiB of broadcast, beside one hundred that do: how much more memory the
// server needs than for the good ones alone, and whether those lose anything. With small and with large events too. Run
// `npm run build` first, then `node bench/stalled.mjs`.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const READERS = 100
const MIB = 1_048_576

/** Bytes of each event, and of how many: the first is what the bound is promised for. */
const WORKLOADS = [[16_384, 12_800], [1_024, 8_192], [MIB, 64]]

/** Bytes that the publisher may be ahead of the slowest good reader. */
const AHEAD_BYTES = MIB / 2

/**
 * What Node.js holds for a socket that blocks: one write, of 64 KiB or one event, and as much as it takes before it blocks.
 * The rest is in the kernel, which counts for no process.
 */
const socketBytes = (bytes) => Math.max(65_536, bytes) + 16_384
/** What garbage a heap has more at one time than at another. */
const NOISE_BYTES = 16 * MIB

async function serve (bytes, events) {
  const [{ default: Fastify }, { Type }, { default: sse }] = await Promise.all([import('fastify'), import('@sinclair/typebox'), import('../dist/esm/lib/index.js')])
  const app = Fastify()
  await app.register(sse, { stallTimeout: 600_000 })
  const log = app.sse.channel('log', { events: { line: Type.Object({ n: Type.Integer(), text: Type.String() }) }, history: { max: 1_000, bytes: Math.max(MIB, 16 * bytes) } })
  app.get('/', { schema: { sse: log.events } }, (_request, reply) => reply.sse(log.subscribe()))
  await app.listen({ port: 0, host: '127.0.0.1' })
  process.send(app.server.address().port)
  const text = 'x'.repeat(bytes)
  const ahead = aheadOf(bytes)
  const warmUp = warmUpOf(events)
  // No faster than the good readers read: they are to lose nothing because they are good, not because history is long.
  const good = { reached: 0 }
  const publish = async (n) => {
    await log.publish('line', { n, text })
    while (good.reached < n - ahead) await turn()
  }
  const weigh = () => { globalThis.gc(); return process.memoryUsage().rss }
  process.on('message', async (message) => {
    if ('reached' in message) {
      good.reached = message.reached
      return
    }
    for (let n = 0; n < warmUp; n++) await publish(n)
    const before = weigh()
    let peak = before
    for (let n = warmUp; n < warmUp + events; n++) {
      await publish(n)
      if (n % Math.ceil(events / 50) === 0) peak = Math.max(peak, weigh())
    }
    process.send({ before, peak, after: weigh(), stats: app.sse.stats() })
  })
}

const aheadOf = (bytes) => Math.max(2, AHEAD_BYTES / bytes)
const warmUpOf = (events) => Math.ceil(events / 16)

async function connect (port, reads, bytes, events) {
  const lives = setInterval(() => {}, 1_000) // sockets that do not read keep no process alive
  process.on('disconnect', () => clearInterval(lives))
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
        if (n === warmUpOf(events) + events - 1 && ++finished === READERS) process.send({ wrong })
      }
      const reached = Math.min(...seen)
      if (reached >= least + Math.max(1, aheadOf(bytes) / 4)) process.send({ reached: least = reached })
      tail = text.slice(Math.max(end, text.length - 40))
    })
  }
}

/** One server with good readers, and stalled ones beside them or not. */
async function run (stalled, bytes, events) {
  const server = fork(self, ['serve', bytes, events], { execArgv: ['--expose-gc'] })
  const [port] = await once(server, 'message')
  const children = [server]
  for (const how of stalled ? ['reads', 'stalls'] : ['reads']) {
    const child = fork(self, ['connect', port, how, bytes, events])
    children.push(child)
    await once(child, 'message')
  }
  const read = new Promise((resolve) => children[1].on('message', (message) => 'wrong' in message ? resolve(message) : server.send(message)))
  const told = once(server, 'message')
  server.send({})
  const [{ wrong }, [{ before, peak, stats }]] = await Promise.all([read, told])
  for (const child of children) child.kill()
  return { wrong, grown: peak - before, stats }
}

const self = fileURLToPath(import.meta.url)
const [role, ...args] = process.argv.slice(2)
if (role === 'serve') await serve(Number(args[0]), Number(args[1]))
else if (role === 'connect') await connect(Number(args[0]), args[1] === 'reads', Number(args[2]), Number(args[3]))
else {
  const mib = (bytes) => `${(bytes / MIB).toFixed(1)} MiB`
  console.log(`${READERS} stalled and ${READERS} good readers, Node.js ${process.version}`)
  for (const [bytes, events] of WORKLOADS) {
    const [alone, beside] = [await run(false, bytes, events), await run(true, bytes, events)]
    const more = beside.grown - alone.grown
    const bound = READERS * socketBytes(bytes) + NOISE_BYTES
    const wrong = [...alone.wrong, ...beside.wrong]
    console.log(`${mib(bytes * events)} in events of ${bytes / 1_024} KiB: memory grew by ${mib(beside.grown)}, by ${mib(alone.grown)} without stalled readers; ${mib(more)} more, bound ${mib(bound)}`)
    console.log(`  good readers: ${wrong.length} wrong ${wrong.slice(0, 3).join('; ')}; ${beside.stats.channels.delivered} events in ${beside.stats.channels.writes} writes; still open ${beside.stats.open}`)
    if (more > bound || wrong.length > 0 || beside.stats.open < 2 * READERS) process.exitCode = 1
  }
}
