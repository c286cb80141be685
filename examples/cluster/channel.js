// What all processes of the cluster have in common: a broker on one Redis, and a channel.
import { Type } from '@sinclair/typebox'
import { Redis } from 'ioredis'
import { redisBroker } from 'fastify-typed-sse/redis'

export const brokerOn = (port) => redisBroker({ client: new Redis({ port, lazyConnect: true }), probeInterval: 500 })

export const defineTicks = (app) => app.sse.channel('ticks', {
  events: { tick: Type.Object({ n: Type.Integer(), at: Type.Number() }) },
  history: { max: 10_000, bytes: 4_194_304, ttl: 600_000 }
})
