// fastify-sse-v2, as its README shows it. Its `data` is a string.
import { setTimeout as delay } from 'node:timers/promises'
import Fastify from 'fastify'
import { FastifySSEPlugin } from 'fastify-sse-v2'

export const name = 'fastify-sse-v2'
export const packages = ['fastify-sse-v2', 'fastify']
// It has no heartbeat.
export const workloads = ['stream', 'tokens', 'topic', 'idle']

export async function start ({ payload }) {
  const app = Fastify()
  await app.register(FastifySSEPlugin)

  app.get('/stream', (request, reply) => {
    reply.sse((async function * () {
      const count = Number(request.query.n)
      for (let n = 0; n < count; n++) yield { event: 'tick', data: JSON.stringify(payload(n)) }
    })())
  })

  app.get('/tokens', (request, reply) => {
    reply.sse((async function * () {
      const [count, ms] = [Number(request.query.n), Number(request.query.ms)]
      for (let n = 0; n < count; n++) {
        await delay(ms)
        yield { event: 'tick', data: JSON.stringify(payload(n)) }
      }
    })())
  })

  const subscribers = new Set()
  app.get('/topic', (request, reply) => {
    reply.sse({ event: 'hello', data: '' })
    subscribers.add(reply)
    request.raw.on('close', () => subscribers.delete(reply))
  })

  app.get('/idle', (_request, reply) => { reply.sse({ event: 'tick', data: JSON.stringify(payload(0)) }) })

  app.get('/other', () => 'ok')
  await app.listen({ port: 0, host: '127.0.0.1', backlog: 20_000 })
  return {
    port: app.server.address().port,
    publish (from, count) {
      for (let n = from; n < from + count; n++) {
        const event = { event: 'tick', data: JSON.stringify(payload(n)) }
        for (const subscriber of subscribers) subscriber.sse(event)
      }
    },
    close: () => app.close()
  }
}
