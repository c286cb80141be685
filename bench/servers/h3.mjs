// h3's EventStream on its own server for Node.js.
import { once } from 'node:events'
import http from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { EventStream, H3, getQuery, toNodeHandler } from 'h3'

export const name = 'h3'
export const packages = ['h3']
// It has no heartbeat.
export const workloads = ['stream', 'tokens', 'topic', 'idle']

export async function start ({ payload }) {
  const app = new H3()
  const subscribers = new Set()
  const eventOf = (n) => ({ event: 'tick', data: JSON.stringify(payload(n)) })

  app.get('/stream', (event) => {
    const stream = new EventStream(event)
    const { n } = getQuery(event)
    const reader = { isHere: true }
    stream.onClosed(() => { reader.isHere = false })
    void (async () => {
      // A push to a reader that has gone resolves at once: without a look at it the loop would starve all others.
      for (let next = 0; next < Number(n) && reader.isHere; next++) await stream.push(eventOf(next))
      await stream.close()
    })()
    return stream
  })

  app.get('/tokens', (event) => {
    const stream = new EventStream(event)
    const { n, ms } = getQuery(event)
    const reader = { isHere: true }
    stream.onClosed(() => { reader.isHere = false })
    void (async () => {
      for (let next = 0; next < Number(n) && reader.isHere; next++) {
        await delay(Number(ms))
        await stream.push(eventOf(next))
      }
      await stream.close()
    })()
    return stream
  })

  app.get('/topic', (event) => {
    const stream = new EventStream(event)
    void stream.push({ event: 'hello', data: '' })
    subscribers.add(stream)
    stream.onClosed(() => subscribers.delete(stream))
    return stream
  })

  app.get('/idle', (event) => {
    const stream = new EventStream(event)
    void stream.push(eventOf(0))
    return stream
  })

  app.get('/other', () => 'ok')
  const server = http.createServer(toNodeHandler(app)).listen(0, '127.0.0.1', 20_000)
  await once(server, 'listening')
  return {
    port: server.address().port,
    async publish (from, count) {
      const events = []
      for (let n = from; n < from + count; n++) events.push(eventOf(n))
      await Promise.all([...subscribers].map((subscriber) => subscriber.push(events)))
    },
    close: () => server.close()
  }
}
