// One process of the application.
import Fastify from 'fastify'
import sse from 'fastify-typed-sse'
import { brokerOn, defineTicks } from './channel.js'

const { id, redisPort } = JSON.parse(process.argv[2])

const app = Fastify({ forceCloseConnections: 'idle' })
await app.register(sse, { broker: brokerOn(redisPort), retry: 250, heartbeat: 5_000 })
const ticks = defineTicks(app)

app.get('/ticks', { schema: { sse: ticks.events } }, (_request, reply) => {
  reply.header('set-cookie', `node=${id}; path=/`) // so that the page can say who serves it
  return reply.sse(ticks.subscribe())
})

process.on('SIGTERM', () => app.close())
process.on('disconnect', () => app.close())

await app.listen({ host: '127.0.0.1', port: 0 })
process.channel.unref() // it alone does not keep the process
process.send({ port: app.server.address().port })
