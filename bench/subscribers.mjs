// Ten thousand subscribers of one topic, in one process: what each of them weighs beside a bare response of node:http
// that is held open, and whether all of them get what is published. Run `npm run build` first, then
// `node bench/subscribers.mjs`. Each server is a process of its own; so are the clients. The sides alternate.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const SUBSCRIBERS = 10_000
const ROUNDS = 3
/** So many come and go before: what a process weighs without anybody, code and pools included, is not counted. */
const WARM_UP = 3_000
const AT_ONCE = 100
const BOUND = 1.2

const HEAD = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache, no-store, no-transform', 'x-accel-buffering': 'no' }

const servers = {
  async raw () {
    const open = new Set()
    const server = http.createServer((_request, response) => {
      response.writeHead(200, HEAD).write(':\n')
      open.add(response)
      response.on('close', () => open.delete(response))
    }).listen(0, '127.0.0.1', 20_000)
    await once(server, 'listening')
    return { port: server.address().port, count: () => open.size, publish: () => { for (const response of open) response.write('data: 1\n\n') } }
  },

  async channel () {
    const [{ default: Fastify }, { Type }, { default: sse }] = await Promise.all([import('fastify'), import('@sinclair/typebox'), import('../dist/esm/lib/index.js')])
    const app = Fastify()
    await app.register(sse)
    const news = app.sse.channel('news', { events: { tick: Type.Object({ n: Type.Integer() }) } })
    app.get('/', { schema: { sse: news.events } }, (_request, reply) => reply.sse(news.subscribe()))
    await app.listen({ port: 0, host: '127.0.0.1', backlog: 20_000 })
    return { port: app.server.address().port, count: () => app.sse.stats().open, publish: () => news.publish('tick', { n: 1 }) }
  }
}

async function serve (kind) {
  const server = await servers[kind]()
  process.on('message', async (asked) => {
    if (asked === 'weigh') {
      for (let round = 0; round < 3; round++) { globalThis.gc(); await delay(50) }
      const { rss, heapTotal, heapUsed } = process.memoryUsage()
      process.send({ memory: rss - heapTotal + heapUsed, heapUsed, count: server.count() }) // without the heap's free part
    } else {
      server.publish()
    }
  })
  process.send(server.port)
}

/** Connects so many, tells when each has its first bytes, and how many have got what is published. */
async function connect (port, count) {
  const sockets = []
  let published = 0
  const open = () => new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1')
    sockets.push(socket)
    socket.write('GET / HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n\r\n')
    let text = ''
    socket.on('error', reject).on('data', (chunk) => {
      text += chunk
      resolve()
      if (/data: (1|\{"n":1\})\n/.test(text)) {
        text = ''
        if (++published === count) process.send('published')
      }
    })
  })
  let opened = 0
  await Promise.all(Array.from({ length: AT_ONCE }, async () => { while (opened++ < count) await open() }))
  process.on('message', () => {
    for (const socket of sockets) socket.destroy()
    process.disconnect()
  })
  process.send('connected')
}

const ask = async (child, question) => {
  const answer = once(child, 'message')
  child.send(question)
  return (await answer)[0]
}

async function clientsOf (port, count) {
  const child = fork(self, ['connect', port, count])
  await once(child, 'message')
  return child
}

async function leave (clients, server) {
  clients.send('leave')
  await once(clients, 'exit')
  while ((await ask(server, 'weigh')).count > 0) await delay(50)
}

/** Bytes for each subscriber. */
async function measure (kind) {
  const server = fork(self, ['serve', kind], { execArgv: ['--expose-gc'] })
  const [port] = await once(server, 'message')
  await leave(await clientsOf(port, WARM_UP), server)
  const before = await ask(server, 'weigh')
  const clients = await clientsOf(port, SUBSCRIBERS)
  const after = await ask(server, 'weigh')
  if (after.count !== SUBSCRIBERS) throw new Error(`${after.count} of ${SUBSCRIBERS} are there`)
  const start = performance.now()
  const published = once(clients, 'message')
  server.send('publish')
  await published
  const ms = performance.now() - start
  clients.send('leave')
  await once(clients, 'exit')
  server.kill()
  return { memory: (after.memory - before.memory) / SUBSCRIBERS, heap: (after.heapUsed - before.heapUsed) / SUBSCRIBERS, ms }
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]
const kib = (bytes) => `${(bytes / 1024).toFixed(2)} KiB`

async function main () {
  console.log(`${SUBSCRIBERS} subscribers, heartbeat on, Node.js ${process.version}, ${ROUNDS} rounds, median`)
  const results = { raw: [], channel: [] }
  for (let round = 0; round < ROUNDS; round++) {
    for (const kind of ['raw', 'channel']) results[kind].push(await measure(kind))
  }
  const of = (kind, what) => median(results[kind].map((one) => one[what]))
  for (const kind of ['raw', 'channel']) console.log(`${kind.padEnd(8)} ${kib(of(kind, 'memory'))} of memory each, ${kib(of(kind, 'heap'))} of it heap; one event reached all of them in ${of(kind, 'ms').toFixed(0)} ms`)
  const ratio = of('channel', 'memory') / of('raw', 'memory')
  console.log(`ratio ${ratio.toFixed(3)}, bound ${BOUND}`)
  if (ratio > BOUND) process.exitCode = 1
}

const self = fileURLToPath(import.meta.url)
const [role, ...args] = process.argv.slice(2)
if (role === 'serve') await serve(args[0])
else if (role === 'connect') await connect(Number(args[0]), Number(args[1]))
else await main()
