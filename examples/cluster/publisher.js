// Publishes a number every so often, and insists: whatever happens, the next one follows when this one is in Redis, once.
import { setTimeout as delay } from 'node:timers/promises'
import Fastify from 'fastify'
import sse from 'fastify-typed-sse'
import { brokerOn, defineTicks } from './channel.js'

/** @returns a function that stops it */
export async function startPublisher ({ redisPort, everyMs }) {
  const app = Fastify()
  await app.register(sse, { broker: brokerOn(redisPort) })
  const ticks = defineTicks(app)
  await app.ready()
  const running = new AbortController()
  let n = 0

  async function insist () {
    while (!running.signal.aborted) {
      try {
        return await ticks.publish('tick', { n, at: Date.now() }, { dedupe: `${process.pid} ${n}` })
      } catch {
        await delay(20)
      }
    }
  }

  const publishing = (async () => {
    while (!running.signal.aborted) {
      n++
      await insist()
      await delay(everyMs)
    }
  })()

  return async () => {
    running.abort()
    await publishing
    await app.close()
  }
}
