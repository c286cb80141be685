// better-sse on node:http, with its channels and, as its guide to batching shows it, event buffers.
import { once } from 'node:events'
import http from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { createChannel, createEventBuffer, createSession } from 'better-sse'

export const name = 'better-sse'
export const packages = ['better-sse']
export const workloads = ['stream', 'tokens', 'topic', 'idle', 'heartbeat']

export async function start ({ payload, heartbeat }) {
  const options = { keepAlive: heartbeat === false ? null : heartbeat }
  const topic = createChannel()
  const routes = {
    // Its `push` does not say whether the reader keeps up, but its response does.
    async '/stream' (session, response, { n }) {
      for (let next = 0; next < n; next++) {
        if (!session.isConnected) return // a push would throw
        session.push(payload(next), 'tick')
        if (response.writableNeedDrain) await once(response, 'drain')
      }
      response.end()
    },
    async '/tokens' (session, response, { n, ms }) {
      for (let next = 0; next < n; next++) {
        await delay(ms)
        if (!session.isConnected) return // a push would throw
        session.push(payload(next), 'tick')
      }
      response.end()
    },
    async '/topic' (session) {
      topic.register(session)
    },
    async '/idle' (session) {
      session.push(payload(0), 'tick')
    }
  }
  const server = http.createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://bench')
    if (pathname === '/other') {
      response.end('ok')
      return
    }
    await routes[pathname](await createSession(request, response, options), response, { n: Number(searchParams.get('n')), ms: Number(searchParams.get('ms')) })
  }).listen(0, '127.0.0.1', 20_000)
  await once(server, 'listening')
  return {
    port: server.address().port,
    publish (from, count) {
      // Its `broadcast` would serialize, and write, each event once for each session.
      const events = createEventBuffer()
      for (let n = from; n < from + count; n++) events.push(payload(n), 'tick')
      for (const session of topic.activeSessions) session.batch(events)
    },
    close: () => server.close()
  }
}
