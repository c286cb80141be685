// An application whose streams have a prelude that is the same each time, and that remembers how they closed.
import { EventEmitter, once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import type { SseClosed } from '../../lib/index.js'
import { startApp, type Started, type StartOptions } from './start-app.js'

export interface Served extends Started {
  port: number
  closed: SseClosed[]
  /** What the stream that closed in this place, counted from 1, told `onClose`. */
  whenClosed (place?: number): Promise<SseClosed>
}

/** `retry: false` unless told otherwise: the prelude is then `:\n`. */
export async function serve (t: Test, routes: (app: FastifyInstance) => void, options: StartOptions = {}): Promise<Served> {
  const closed: SseClosed[] = []
  const news = new EventEmitter()
  const onClose = (fact: SseClosed) => {
    closed.push(fact)
    news.emit('closed')
  }
  const started = await startApp(t, { retry: false, onClose, ...options }, routes)
  return {
    ...started,
    port: (started.app.server.address() as AddressInfo).port, // it listens on a port
    closed,
    async whenClosed (place = 1) {
      while (closed.length < place) await once(news, 'closed')
      return closed[place - 1] as SseClosed
    }
  }
}
