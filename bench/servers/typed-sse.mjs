// This plugin, as its README shows it: payloads checked and serialized by their schema. But the delay between tokens is as all
// others have it: Node's timer costs twice as much where it listens to a signal.
import { setTimeout as delay } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import sse from '../../dist/esm/lib/index.js'

export const name = 'fastify-typed-sse'
export const packages = ['fastify', '@sinclair/typebox']
export const workloads = ['stream', 'tokens', 'topic', 'idle', 'heartbeat']

export async function start ({ payload, heartbeat }) {
  const app = Fastify()
  await app.register(sse, { heartbeat })
  const events = { tick: Type.Object({ n: Type.Integer(), text: Type.String() }) }
  const schema = { sse: events, querystring: Type.Object({ n: Type.Integer(), ms: Type.Optional(Type.Integer()) }) }

  app.get('/stream', { schema }, (request, reply) => reply.sse(async function * ({ events }) {
    for (let n = 0; n < request.query.n; n++) yield events.tick(payload(n))
  }))

  app.get('/tokens', { schema }, (request, reply) => reply.sse(async function * ({ events }) {
    for (let n = 0; n < request.query.n; n++) {
      await delay(request.query.ms)
      yield events.tick(payload(n))
    }
  }))

  const topic = app.sse.channel('topic', { events })
  app.get('/topic', { schema: { sse: events } }, (_request, reply) => reply.sse(topic.subscribe()))

  app.get('/idle', { schema: { sse: events } }, (_request, reply) => reply.sse(async function * ({ events }) {
    yield events.tick(payload(0))
    await new Promise(() => {})
  }))

  app.get('/other', () => 'ok')
  await app.listen({ port: 0, host: '127.0.0.1', backlog: 20_000 })
  return {
    port: app.server.address().port,
    async publish (from, count) {
      const published = []
      for (let n = from; n < from + count; n++) published.push(topic.publish('tick', payload(n)))
      await Promise.all(published)
    },
    close: () => app.close()
  }
}
