// What other routes pay for streams that are always ready: latency of GET /ping alone, beside one such stream, and beside
// a hundred. Server, readers and probe are processes of their own. The bound is 20 ms at p99.
//
//   npm run build && node bench/latency.mjs
import { fork } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import os from 'node:os'
import { fileURLToPath } from 'node:url'

const PROBES = 1_000
const self = fileURLToPath(import.meta.url)
const [role = 'server', ...args] = process.argv.slice(2)

const roles = {
  async server () {
    const { default: Fastify } = await import('fastify')
    const { Type } = await import('@sinclair/typebox')
    const { default: sse } = await import('../dist/esm/lib/index.js')
    const Tick = Type.Object({ n: Type.Integer(), text: Type.String() })
    const app = Fastify()
    await app.register(sse)
    app.get('/ping', () => 'pong')
    app.get('/hot', { schema: { sse: { tick: Tick } } }, (_request, reply) => reply.sse(async function * ({ events }) {
      for (let n = 0; ; n++) yield events.tick({ n, text: 'always ready' }, { id: String(n) })
    }))
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address()

    console.log(`${os.cpus()[0].model}, ${os.availableParallelism()} cores, Node ${process.version}, Fastify ${app.version}`)
    console.log('streams  p50 ms  p99 ms  max ms  events/s  us of CPU an event')
    for (const streams of [0, 1, 100]) {
      const readers = fork(self, ['readers', port, streams])
      await once(readers, 'message')
      const before = { events: app.sse.stats().events, cpu: process.cpuUsage(), at: performance.now() }
      const [times] = await once(fork(self, ['probe', port]), 'message')
      const events = app.sse.stats().events - before.events
      const { user, system } = process.cpuUsage(before.cpu)
      readers.kill()
      const row = [times[PROBES / 2], times[PROBES * 0.99], times[PROBES - 1]].map((ms) => ms.toFixed(2).padStart(6))
      const rates = streams === 0 ? [] : [Math.round(events / (performance.now() - before.at) * 1_000), ((user + system) / events).toFixed(2)]
      console.log([String(streams).padStart(7), ...row, ...rates.map((rate) => String(rate).padStart(8))].join('  '))
    }
    await app.close()
  },

  async readers (port, count) {
    const sockets = Array.from({ length: Number(count) }, () => {
      const socket = net.connect(Number(port), '127.0.0.1')
      socket.write('GET /hot HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n\r\n')
      return socket.resume()
    })
    await Promise.all(sockets.map((socket) => once(socket, 'data')))
    process.send('reading')
  },

  async probe (port) {
    const agent = new http.Agent({ keepAlive: true })
    const ask = async () => {
      const [response] = await once(http.get({ port, path: '/ping', agent }), 'response')
      await once(response.resume(), 'end')
    }
    for (let warm = 0; warm < 100; warm++) await ask()
    const times = []
    for (let n = 0; n < PROBES; n++) {
      const start = performance.now()
      await ask()
      times.push(performance.now() - start)
    }
    agent.destroy()
    process.send(times.sort((a, b) => a - b), () => process.disconnect())
  }
}

await roles[role](...args)
