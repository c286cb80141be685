// Redis, three processes of one application, a load balancer in front, and a publisher. Nodes can be restarted in turn, as a
// deployment does, or killed; a client sees every number once.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import { fileURLToPath } from 'node:url'
import { roundRobin } from './proxy.js'
import { startPublisher } from './publisher.js'
import { startRedis } from './redis.js'

const NODES = 3
const page = readFileSync(new URL('page.html', import.meta.url))

class Node {
  constructor (id, redisPort) {
    this.id = id
    this.redisPort = redisPort
    this.starts = 0
  }

  get isUp () {
    return this.port !== undefined
  }

  /** One restart at a time. */
  restart (signal) {
    this.restarting = (this.restarting ?? Promise.resolve()).then(async () => {
      await this.stop(signal)
      await this.start()
    })
    return this.restarting
  }

  async start () {
    this.process = fork(fileURLToPath(new URL('node.js', import.meta.url)), [JSON.stringify({ id: this.id, redisPort: this.redisPort })])
    this.process.on('exit', () => { this.port = undefined })
    const [message] = await Promise.race([once(this.process, 'message'), once(this.process, 'exit')])
    this.port = message?.port // undefined where it has ended
    this.starts++
  }

  /** @param signal 'SIGTERM' to let it say goodbye to its streams, 'SIGKILL' not to */
  async stop (signal = 'SIGTERM') {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const over = once(this.process, 'exit')
    this.process.kill(signal)
    await over
  }
}

/**
 * @param options.everyMs milliseconds between two numbers
 * @returns the address of the load balancer, and a function that stops everything
 */
export async function startCluster ({ port = 0, everyMs = 100 } = {}) {
  const redis = await startRedis()
  const nodes = Array.from({ length: NODES }, (_, index) => new Node(index + 1, redis.port))
  await Promise.all(nodes.map((node) => node.start()))
  const stopPublisher = await startPublisher({ redisPort: redis.port, everyMs })
  const forward = roundRobin(() => nodes.filter(({ isUp }) => isUp).map(({ port }) => port))

  const server = http.createServer((request, response) => {
    const [, id, what] = /^\/nodes\/(\d)\/(kill|restart)$/.exec(request.url) ?? []
    const node = nodes.find((node) => String(node.id) === id)
    if (request.method === 'POST' && node !== undefined) {
      // A node says goodbye to its streams when it is asked to end, and does not when it is killed.
      void node.restart(what === 'kill' ? 'SIGKILL' : 'SIGTERM').finally(() => response.writeHead(204).end())
    } else if (request.url === '/') {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page)
    } else if (request.url === '/nodes') {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(nodes.map(({ id, isUp, starts }) => ({ id, isUp, starts }))))
    } else {
      forward(request, response)
    }
  }).listen(port, '127.0.0.1')
  await once(server, 'listening')

  return {
    url: `http://127.0.0.1:${server.address().port}`,
    async stop () {
      await stopPublisher()
      server.close()
      server.closeAllConnections()
      await Promise.all(nodes.map((node) => node.stop()))
      await redis.stop()
    }
  }
}
