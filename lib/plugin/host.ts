// What all streams of one Fastify instance share: the clock, the turns, the count, and the list of who is there.
import type { Http2ServerResponse } from 'node:http2'
import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'
import type { SsePluginOptions } from '../../types/options.js'
import type { SseStats } from '../../types/metrics.js'
import type { CloseReason, SseClosed } from '../../types/stream.js'
import type { ResetReason } from '../../types/reserved.js'
import type { ChannelCore } from '../channel/core.js'
import { Hub, type HubHost } from '../channel/hub.js'
import { memoryBroker } from '../channel/memory-broker.js'
import { Clock } from '../clock.js'
import { guard } from '../guard.js'
import { Meter } from '../metrics.js'
import { SchemaIds } from '../openapi/ids.js'
import { resolvePluginOptions, type ResolvedOptions } from '../options.js'
import type { Mismatch } from '../schema/encoder.js'
import type { SseStream, StreamHost } from '../stream/stream.js'
import { Turns } from '../stream/turns.js'
import { setHeaders, turnAway } from './answer.js'
import { Gate } from './gate.js'
import { isReplaced, release } from './pending.js'

export class Host implements StreamHost, HubHost {
  readonly clock = new Clock()
  readonly turns = new Turns()
  readonly gate = new Gate()
  readonly schemaIds = new SchemaIds()
  readonly setHeaders = setHeaders
  readonly options: ResolvedOptions
  readonly hub: Hub
  /** All that are defined, wherever in the application. */
  readonly channels: ChannelCore[] = []
  readonly #log: FastifyBaseLogger
  readonly #meter: Meter
  /** Streams whose connection stands, with what counts each out of its limit. */
  readonly #streams = new Map<SseStream, () => void>()
  /** Of those, how many have a source. */
  #open = 0
  #closing = false
  #whenEmpty = () => {}

  constructor (options: SsePluginOptions, log: FastifyBaseLogger) {
    this.options = resolvePluginOptions(options)
    this.hub = new Hub(this, options.broker ?? memoryBroker())
    this.#log = log
    this.#meter = new Meter(options.metrics)
  }

  get closing (): boolean {
    return this.#closing
  }

  opened (stream: SseStream, leave: () => void): void {
    this.#streams.set(stream, leave)
    this.#open++
    this.#meter.open(stream.request)
  }

  closed (stream: SseStream, fact: SseClosed): void {
    this.#open--
    const leave = this.#streams.get(stream) as () => void // a stream closes before it is gone
    leave()
    const { onClose } = stream.options
    if (onClose !== undefined) guard(fact.request, () => onClose(fact))
    this.#meter.close(fact)
  }

  gone (stream: SseStream): void {
    this.#streams.delete(stream)
    if (this.#streams.size === 0) this.#whenEmpty()
  }

  reset (request: FastifyRequest, topic: string, reason: ResetReason): void {
    this.#meter.reset(request, topic, reason)
  }

  brokerFailed (err: unknown, topic: string): void {
    this.#log.error({ err, topic }, 'the broker failed')
  }

  dropped (request: FastifyRequest, err: Mismatch): void {
    request.log.warn({ err }, 'event dropped')
    this.#meter.drop(request, err.event)
  }

  fail (reply: FastifyReply, error: Error): void {
    // In a later turn, when an async handler that failed to return the reply has made Fastify send `undefined`, which
    // must find the reply still reserved.
    setImmediate(() => {
      if (isReplaced(reply)) return // by the error of a handler that failed in the same turn, which an onError hook may still look at
      release(reply)
      if (!reply.sent && !reply.raw.headersSent) reply.send(error)
    })
  }

  refuse (reply: FastifyReply, options: ResolvedOptions, reason: 'maxConnections' | 'shutdown'): void {
    this.#meter.refuse(reply.request as FastifyRequest, reason) // the generic one
    turnAway(reply, options, reason)
  }

  turnAway (reply: FastifyReply, options: ResolvedOptions, reason: CloseReason): void {
    release(reply)
    turnAway(reply, options, reason)
  }

  stats (): SseStats {
    const { stats } = this.#meter
    let { events, bytes } = stats
    for (const stream of this.#streams.keys()) {
      if (!stream.isOpen) continue // counted when it closed
      events += stream.events
      bytes += stream.bytes
    }
    return { open: this.#open, ...stats, closed: { ...stats.closed }, events, bytes, channels: this.hub.currentStats() }
  }

  /** Ends all streams and resolves when their connections are done, or after `ms`, when what is left is cut. */
  async shutDown (ms: number): Promise<void> {
    this.#closing = true
    for (const stream of [...this.#streams.keys()]) {
      stream.end('shutdown')
      closeSession(stream.reply)
    }
    if (this.#streams.size === 0) return
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      this.#whenEmpty = resolve
      timer = setTimeout(resolve, ms)
    })
    clearTimeout(timer)
    for (const stream of this.#streams.keys()) stream.reply.raw.destroy()
  }
}

/** Over HTTP/2 a client would come back on the session that it has, where Fastify answers 503 by now. */
function closeSession ({ raw, request }: FastifyReply): void {
  if (request.raw.httpVersionMajor >= 2) (raw as unknown as Http2ServerResponse).stream.session?.close() // as the version says
}
