// What node:http can do when somebody writes by hand: one write an event, which waits where the reader is slow. What is
// broadcast is made once. Nothing is checked.
import { once } from 'node:events'
import http from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

export const name = 'node:http, one write an event'
export const packages = []
export const workloads = ['stream', 'tokens', 'topic', 'idle', 'heartbeat']

const HEAD = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache, no-store, no-transform', 'x-accel-buffering': 'no' }

export const frameOf = (payload) => `event: tick\ndata: ${JSON.stringify(payload)}\n\n`

/** @param ways how the routes of a stream are answered */
export async function listen ({ payload, heartbeat }, ways) {
  const topic = new Set()
  const routes = {
    ...ways,
    '/topic' (_query, response) {
      response.write(':\n')
      topic.add(response)
      response.on('close', () => topic.delete(response))
      beat(response)
    },
    '/idle' (_query, response) {
      response.write(frameOf(payload(0)))
      beat(response)
    }
  }

  function beat (response) {
    if (heartbeat === false) return
    const timer = setInterval(() => response.write(':\n'), heartbeat)
    response.on('close', () => clearInterval(timer))
  }

  const server = http.createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://bench')
    if (pathname === '/other') {
      response.end('ok')
      return
    }
    response.writeHead(200, HEAD)
    routes[pathname]({ n: Number(searchParams.get('n')), ms: Number(searchParams.get('ms')) }, response)
  }).listen(0, '127.0.0.1', 20_000)
  await once(server, 'listening')
  return { port: server.address().port, topic, close: () => server.close() }
}

export async function start (given) {
  const { payload } = given
  const server = await listen(given, {
    async '/stream' ({ n }, response) {
      for (let next = 0; next < n; next++) {
        if (!response.write(frameOf(payload(next)))) await once(response, 'drain')
      }
      response.end()
    },
    async '/tokens' ({ n, ms }, response) {
      for (let next = 0; next < n; next++) {
        await delay(ms)
        response.write(frameOf(payload(next)))
      }
      response.end()
    }
  })
  return {
    ...server,
    publish (from, count) {
      for (let n = from; n < from + count; n++) {
        const frame = Buffer.from(frameOf(payload(n)))
        for (const response of server.topic) response.write(frame)
      }
    }
  }
}
