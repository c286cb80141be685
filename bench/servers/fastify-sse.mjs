// @fastify/sse, as its README shows it.
import { setTimeout as delay } from 'node:timers/promises'
import fastifySse from '@fastify/sse'
import Fastify from 'fastify'

export const name = '@fastify/sse'
export const packages = ['@fastify/sse', 'fastify']
export const workloads = ['stream', 'tokens', 'topic', 'idle', 'heartbeat']

export async function start ({ payload, heartbeat }) {
  const app = Fastify()
  await app.register(fastifySse, heartbeat === false ? {} : { heartbeatInterval: heartbeat })
  const sse = heartbeat === false ? { kind: 'only', heartbeat: false } : 'only'

  app.get('/stream', { sse }, (request, reply) => reply.sse.send((async function * () {
    const count = Number(request.query.n)
    for (let n = 0; n < count; n++) yield { event: 'tick', data: payload(n) }
  })()))

  app.get('/tokens', { sse }, (request, reply) => reply.sse.send((async function * () {
    const [count, ms] = [Number(request.query.n), Number(request.query.ms)]
    for (let n = 0; n < count; n++) {
      await delay(ms)
      yield { event: 'tick', data: payload(n) }
    }
  })()))

  const subscribers = new Set()
  app.get('/topic', { sse }, async (_request, reply) => {
    reply.sse.keepAlive()
    await reply.sse.send({ event: 'hello', data: '' })
    subscribers.add(reply.sse)
    reply.sse.onClose(() => subscribers.delete(reply.sse))
  })

  app.get('/idle', { sse }, async (_request, reply) => {
    reply.sse.keepAlive()
    await reply.sse.send({ event: 'tick', data: payload(0) })
  })

  app.get('/other', () => 'ok')
  await app.listen({ port: 0, host: '127.0.0.1', backlog: 20_000 })
  return {
    port: app.server.address().port,
    async publish (from, count) {
      const sent = []
      for (let n = from; n < from + count; n++) {
        const data = payload(n)
        for (const subscriber of subscribers) sent.push(subscriber.send({ event: 'tick', data }))
      }
      await Promise.all(sent)
    },
    close: () => app.close()
  }
}
