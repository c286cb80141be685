// Hono's streamSSE on @hono/node-server.
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { streamSSE } from 'hono/streaming'

export const name = 'Hono'
export const packages = ['hono', '@hono/node-server']
// It has no heartbeat.
export const workloads = ['stream', 'tokens', 'topic', 'idle']

export async function start ({ payload }) {
  const app = new Hono()
  const subscribers = new Set()
  const open = (stream) => new Promise((resolve) => stream.onAbort(resolve))

  // A write to a reader that has gone resolves at once: without a look at `aborted` the loop would starve all others.
  app.get('/stream', (context) => streamSSE(context, async (stream) => {
    const count = Number(context.req.query('n'))
    for (let n = 0; n < count && !stream.aborted; n++) await stream.writeSSE({ event: 'tick', data: JSON.stringify(payload(n)) })
  }))

  app.get('/tokens', (context) => streamSSE(context, async (stream) => {
    const [count, ms] = [Number(context.req.query('n')), Number(context.req.query('ms'))]
    for (let n = 0; n < count && !stream.aborted; n++) {
      await delay(ms)
      await stream.writeSSE({ event: 'tick', data: JSON.stringify(payload(n)) })
    }
  }))

  app.get('/topic', (context) => streamSSE(context, async (stream) => {
    await stream.writeSSE({ event: 'hello', data: '' })
    subscribers.add(stream)
    await open(stream)
    subscribers.delete(stream)
  }))

  app.get('/idle', (context) => streamSSE(context, async (stream) => {
    await stream.writeSSE({ event: 'tick', data: JSON.stringify(payload(0)) })
    await open(stream)
  }))

  app.get('/other', (context) => context.text('ok'))
  const server = createAdaptorServer({ fetch: app.fetch }).listen(0, '127.0.0.1', 20_000)
  await once(server, 'listening')
  return {
    port: server.address().port,
    async publish (from, count) {
      const sent = []
      for (let n = from; n < from + count; n++) {
        const data = JSON.stringify(payload(n))
        for (const subscriber of subscribers) sent.push(subscriber.writeSSE({ event: 'tick', data }))
      }
      await Promise.all(sent)
    },
    close: () => server.close()
  }
}
