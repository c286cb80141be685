// An application with the plugin, on a real socket, that remembers how its streams closed.
import { EventEmitter, once } from 'node:events'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import sse, { type SseClosed, type SsePluginOptions } from '../../lib/index.js'

export interface Served {
  app: FastifyInstance
  port: number
  url: string
  closed: SseClosed[]
  /** What the stream that closed in this place, counted from 1, told `onClose`. */
  whenClosed (place?: number): Promise<SseClosed>
}

/** `retry: false` unless told otherwise, so that the prelude is the same each time: `:\n`. */
export async function serve (t: Test, routes: (app: FastifyInstance) => void, options: SsePluginOptions = {}, server: FastifyServerOptions = {}): Promise<Served> {
  const app = Fastify(server)
  t.teardown(() => app.close())
  const closed: SseClosed[] = []
  const news = new EventEmitter()
  await app.register(sse, {
    retry: false,
    ...options,
    onClose: (fact) => {
      closed.push(fact)
      options.onClose?.(fact)
      news.emit('closed')
    }
  })
  routes(app)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo // it listens on a port
  return {
    app,
    port,
    url: `http://127.0.0.1:${port}`,
    closed,
    async whenClosed (place = 1) {
      while (closed.length < place) await once(news, 'closed')
      return closed[place - 1] as SseClosed
    }
  }
}
