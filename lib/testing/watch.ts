// Which streams open and close in this process, by the plugin's diagnostics channels.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { EventEmitter, once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { FastifyRequest } from 'fastify'

const OPEN = 'fastify-typed-sse:open'
const CLOSE = 'fastify-typed-sse:close'

export class Watch {
  /** Requests by themselves and by their ports, which are forgotten when a connection is over. */
  readonly #opened = new Map<unknown, IncomingMessage>()
  readonly #closed = new Set<IncomingMessage>()
  readonly #news = new EventEmitter()

  constructor () {
    subscribe(OPEN, this.#onOpen)
    subscribe(CLOSE, this.#onClose)
  }

  stop (): void {
    unsubscribe(OPEN, this.#onOpen)
    unsubscribe(CLOSE, this.#onClose)
  }

  /**
   * Resolves when the stream of a request has closed, `onClose` included; at once where it was given none.
   *
   * @param key the request as the server has it, or `portsOf` its connection
   */
  async closed (key: unknown): Promise<void> {
    const request = this.#opened.get(key)
    if (request === undefined) return
    while (!this.#closed.has(request)) await once(this.#news, 'closed')
  }

  readonly #onOpen = (fact: unknown): void => {
    const { request: { raw } } = fact as { request: FastifyRequest } // as the plugin publishes it
    this.#opened.set(raw, raw).set(portsOf(raw.socket.remotePort, raw.socket.localPort), raw)
  }

  readonly #onClose = (fact: unknown): void => {
    const { request: { raw } } = fact as { request: FastifyRequest } // as the plugin publishes it
    this.#closed.add(raw)
    this.#news.emit('closed')
  }
}

/** Tells a connection from all others of this machine that stand at the same time. */
export function portsOf (client: number | undefined, server: number | undefined): string {
  return `${client} to ${server}`
}
