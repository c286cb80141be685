// One connection: gathers frames, writes them, and closes once with one reason.
//
// It is a Readable, so that Fastify sends it like any other stream: onSend hooks run, headers of other plugins
// stay, an early failure is an ordinary HTTP error. Its pipe() writes straight to the response, because a
// Readable's own bookkeeping costs more than the frame it moves. Whoever reads it otherwise gets a plain Readable.
import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { CloseReason, SseClosed, SseContext } from '../../types/stream.js'
import type { Clock, Sleeper } from '../clock.js'
import { SSE_ERR_ALREADY_SENT, SSE_ERR_SOURCE_FAILED } from '../errors.js'
import type { ResolvedOptions } from '../options.js'
import { HEARTBEAT, prelude } from '../wire/encode.js'
import { errorFrame, farewell, genericErrorFrame, spreadRetry } from './farewell.js'
import { isDestroyed } from './gone.js'
import { Puller, type Taker } from './puller.js'
import { StallWatch } from './stall.js'
import type { Turns } from './turns.js'

/** Characters gathered before they are written within the turn: as much as a socket takes before it blocks. */
const FLUSH_AT = 16_384

/** What a stream needs of the plugin that it runs in. */
export interface StreamHost {
  readonly clock: Clock
  readonly turns: Turns
  /** The source is over. Called once for each stream. */
  closed (stream: SseStream, closed: SseClosed): void
  /** The connection is over too, which may be later: a slow reader still reads. Called once. */
  gone (stream: SseStream): void
  /** An event was left out. */
  dropped (stream: SseStream, error: Mismatch): void
  /** At commit, and not before: an error's answer has none of them. */
  setHeaders (reply: FastifyReply): void
  /** The answer where the first event failed. */
  fail (reply: FastifyReply, error: Error): void
  /** The answer to a newcomer, for a stream that never opened. */
  turnAway (reply: FastifyReply, options: ResolvedOptions, reason: 'shutdown'): void
}

/** Makes frames of what a source yields. */
export interface Encoder {
  readonly events: unknown
  /** @throws coded errors, with nothing half-made */
  encode (item: unknown, options: ResolvedOptions): string
  /** Whether an error of `encode` says that an event does not match its schema. */
  isMismatch (error: unknown): error is Mismatch
}

/** An error that names its event. */
export type Mismatch = Error & { event: string }

type Phase =
  | 'opening' // the first event is awaited; nothing is sent
  | 'committed' // given to Fastify, whose hooks may still run
  | 'flowing' // the response or a reader takes what is written

export class SseStream extends Readable implements Sleeper, Taker {
  wakeAt = Infinity
  heapIndex = -1
  readonly reply: FastifyReply
  readonly request: FastifyRequest
  readonly options: ResolvedOptions
  readonly #host: StreamHost
  readonly #encoder: Encoder
  readonly #puller: Puller
  readonly #lastEventId: string | undefined
  /** Whether the client is an EventSource, which reconnects after any end but one. */
  readonly #reconnects: boolean
  readonly #openedAt: number
  #controller: AbortController | undefined

  #phase: Phase = 'opening'
  #reason: CloseReason | undefined

  /** Frames of this turn, in one string. V8 links them and flattens once, at the write. */
  #buffer = ''
  #flushQueued = false
  #blocked = true
  /** Whether it writes to the response itself, and not to whoever reads it as a Readable. */
  #direct = false
  #endsResponse = true
  #ended = false

  #lastWrite = 0
  #endAt = Infinity
  #stall: StallWatch | undefined

  /** Events in the buffer. */
  #gathered = 0
  #events = 0
  #bytes = 0

  constructor (host: StreamHost, reply: FastifyReply, options: ResolvedOptions, encoder: Encoder, lastEventId: string | undefined, reconnects: boolean) {
    super()
    this.#host = host
    this.reply = reply
    this.request = reply.request as FastifyRequest // the generic one: nothing here depends on a route's types
    this.options = options
    this.#encoder = encoder
    this.#puller = new Puller(host.clock, host.turns, this)
    this.#lastEventId = lastEventId
    this.#reconnects = reconnects
    this.#openedAt = host.clock.now
    reply.raw.once('close', this.#onResponseClose)
    // Of a pipelined request whose response waits behind another, Node tells nothing when the connection goes.
    if (reply.raw.socket === null) this.request.raw.socket.once('close', this.#onResponseClose)
  }

  /** Whether there is a source; the connection may stand longer. */
  get isOpen (): boolean {
    return this.#reason === undefined
  }

  /** Events written, without the plugin's own. */
  get events (): number {
    return this.#events
  }

  /** Bytes of the body written. */
  get bytes (): number {
    return this.#bytes
  }

  /** Starts the source. What it throws before the first event becomes an ordinary HTTP error. */
  start (source: unknown): void {
    const { openAfter, maxDuration } = this.options
    if (maxDuration !== false) this.#endAt = this.#openedAt + maxDuration * (0.8 + 0.2 * Math.random())
    if (openAfter !== 0) this.#host.clock.wake(this, Math.min(this.#openedAt + openAfter, this.#endAt))
    this.#puller.start(source, this.#context())
    if (openAfter === 0) this.#commit()
  }

  /** Another answer is sent in its place. */
  replace (): void {
    if (this.#phase === 'flowing') return
    this.#phase = 'committed' // there is an answer, though not this stream
    this.reply.log.warn('another response is sent in place of the event stream')
    this.#close('error', new SSE_ERR_ALREADY_SENT('Another response was sent in place of the event stream'))
  }

  /** Ends the stream from outside, for good: the server goes down. */
  shutDown (): void {
    this.#close('shutdown')
  }

  // ---- towards the source

  #context (): SseContext<unknown> {
    const stream = this
    return {
      get signal () { return stream.#signal },
      lastEventId: this.#lastEventId,
      events: this.#encoder.events,
      request: this.request
    }
  }

  // Made when it is asked for: on an idle stream it would weigh more than the rest.
  get #signal (): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort()
    }
    return this.#controller.signal
  }

  get wants (): boolean {
    return this.#phase === 'opening' || (this.#phase === 'flowing' && !this.#blocked)
  }

  accept (item: unknown): boolean {
    let frame
    try {
      frame = this.#encoder.encode(item, this.options)
    } catch (error) {
      if (this.options.validate !== 'drop' || !this.#encoder.isMismatch(error)) throw error
      this.#host.dropped(this, error)
      return false
    }
    this.#gathered++
    this.#buffer += frame
    if (this.#phase === 'opening') this.#commit()
    if (this.#buffer.length < FLUSH_AT) {
      this.#flushAtTurnEnd()
      return false
    }
    this.#flush()
    return true
  }

  finish (): void {
    if (this.#phase === 'opening') this.#commit()
    this.#close('complete')
  }

  fail (error: unknown): void {
    this.#close('error', error)
  }

  // ---- towards the response

  /** From here on the answer is 200 and a stream. */
  #commit (): void {
    if (this.#phase !== 'opening' || this.#reason !== undefined) return
    const { reply, options } = this
    if (reply.sent || reply.raw.headersSent) {
      this.#close('error', new SSE_ERR_ALREADY_SENT('The reply was sent, past reply.send(), while its event stream was waiting for the first event'))
      return
    }
    this.#phase = 'committed'
    if (!options.minimal) this.#buffer = prelude(options.retry === false ? false : spreadRetry(options.retry)) + this.#buffer
    this.#host.setHeaders(reply)
    try {
      reply.send(this)
    } catch (error) {
      this.#phase = 'opening' // a header of the handler's or a hook's that cannot be sent
      this.#close('error', error)
    }
  }

  override pipe<Destination extends NodeJS.WritableStream> (destination: Destination, options?: { end?: boolean }): Destination {
    // Only the response itself is known to take writes as this stream makes them. A transform in between (a
    // hook's) and a hook that listens for data get the Readable that they expect.
    const { raw } = this.reply
    if (destination as unknown !== raw || this.readableFlowing !== null) return super.pipe(destination, options)
    this.#direct = true
    this.#endsResponse = options?.end !== false
    raw.on('drain', this.#onDrain)
    this.#flow()
    return destination
  }

  override _read (): void {
    if (this.#direct) return
    if (this.#phase === 'committed') this.#flow()
    else this.#onDrain()
  }

  #flow (): void {
    this.#phase = 'flowing'
    this.#blocked = false
    this.#lastWrite = this.#host.clock.now
    if (this.#reason !== undefined) {
      this.#writeEnd()
      return
    }
    this.#host.clock.wake(this, this.#nextWake(this.#lastWrite))
    // A minimal stream has no prelude that would take the headers along.
    if (this.#buffer === '' && this.#direct) this.reply.raw.flushHeaders()
    this.#flushAtTurnEnd()
    this.#puller.pull()
  }

  #onDrain = (): void => {
    if (!this.#blocked || this.#phase !== 'flowing' || this.#reason !== undefined) return
    this.#blocked = false
    this.#stall = undefined
    this.#flush()
    if (this.#blocked) return
    this.#host.clock.wake(this, this.#nextWake(this.#host.clock.now))
    this.#puller.yield()
  }

  // A tick that is queued from a microtask runs when the microtasks are done: the end of the turn.
  #flushAtTurnEnd (): void {
    if (this.#flushQueued || this.#buffer === '') return
    this.#flushQueued = true
    process.nextTick(SseStream.#onTurnEnd, this)
  }

  static #onTurnEnd (stream: SseStream): void {
    stream.#flushQueued = false
    stream.#flush()
  }

  #flush (): void {
    if (this.#buffer === '' || this.#blocked || this.#ended || this.#phase !== 'flowing') return
    const { raw } = this.reply
    if (this.#direct && isDestroyed(raw)) return // its 'close' is on the way
    const chunk = this.#takeBuffer()
    this.#lastWrite = this.#host.clock.now
    if (this.#direct ? raw.write(chunk) : this.push(chunk)) return
    this.#blocked = true
    this.#watchForStall()
  }

  #takeBuffer (): Buffer {
    const chunk = Buffer.from(this.#buffer)
    this.#buffer = ''
    this.#bytes += chunk.length
    this.#events += this.#gathered
    this.#gathered = 0
    return chunk
  }

  // ---- time

  #watchForStall (): void {
    this.#stall = new StallWatch(this.reply, this.options.stallTimeout, this.#host.clock.now)
    if (this.#stall.lookAt < this.wakeAt) this.#host.clock.wake(this, this.#stall.lookAt)
  }

  wake (now: number): number {
    if (this.#phase === 'opening') {
      this.#commit()
    } else if (this.#stall !== undefined && now >= this.#stall.lookAt && this.#stall.isStalled(now)) {
      this.#stall = undefined
      this.#close('stalled')
      this.reply.raw.destroy()
      return Infinity
    }
    if (now >= this.#endAt) this.#close('maxDuration')
    if (this.#isIdle(now)) {
      this.#buffer = HEARTBEAT
      this.#flush()
    }
    return this.#nextWake(now)
  }

  #isIdle (now: number): boolean {
    const { heartbeat, minimal } = this.options
    return heartbeat !== false && !minimal && this.#reason === undefined && this.#phase === 'flowing' &&
      !this.#blocked && this.#buffer === '' && now - this.#lastWrite >= heartbeat
  }

  #nextWake (now: number): number {
    const lookAt = this.#stall?.lookAt ?? Infinity
    if (this.#reason !== undefined) return lookAt
    if (this.#phase !== 'flowing') return this.#endAt
    const { heartbeat, minimal } = this.options
    const beats = heartbeat !== false && !minimal && !this.#blocked
    return Math.min(beats ? Math.max(this.#lastWrite + heartbeat, now + 1) : Infinity, this.#endAt, lookAt)
  }

  // ---- the end

  #onResponseClose = (): void => {
    const { raw } = this.reply
    raw.off('drain', this.#onDrain)
    // HTTP/2 has no pipelining, and what it gives for a socket is not to be handled.
    if (this.request.raw.httpVersionMajor === 1) this.request.raw.socket.off('close', this.#onResponseClose)
    this.#stall = undefined
    if (raw.writableEnded) this.#close('error', new SSE_ERR_ALREADY_SENT('Another response was sent in place of the event stream'))
    else this.#close('client')
    this.#host.clock.cancel(this)
    this.#host.gone(this)
  }

  override _destroy (error: Error | null, callback: (error?: Error | null) => void): void {
    if (error !== null) this.#close('error', error)
    else this.#close('client')
    callback(error)
  }

  /** The one way to close. Only the first call counts. */
  #close (reason: CloseReason, error?: unknown): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    if (reason === 'client' || reason === 'stalled') this.#buffer = ''
    else if (this.#phase !== 'opening') this.#buffer += this.#lastFrames(reason, error)
    if (this.#phase === 'flowing') this.#writeEnd()
    if (this.#stall === undefined) this.#host.clock.cancel(this)

    this.#controller?.abort()
    this.#puller.release()
    this.#host.closed(this, {
      request: this.request,
      reason,
      durationMs: this.#host.clock.now - this.#openedAt,
      events: this.#events,
      bytes: this.#bytes,
      error
    })
    if (this.#phase === 'opening') this.#answerUnopened(reason, error)
  }

  #lastFrames (reason: CloseReason, error: unknown): string {
    if (reason !== 'error') return farewell(reason, this.options, this.#reconnects)
    try {
      return errorFrame(error, this.request, this.options)
    } catch {
      return genericErrorFrame(this.options) // not even logging it works
    }
  }

  #writeEnd (): void {
    this.#ended = true
    if (!this.#direct) {
      if (this.#reason === 'client' || this.#reason === 'stalled') this.destroy()
      else if (this.#buffer !== '') this.push(this.#takeBuffer())
      this.push(null)
      if (!this.destroyed) this.#watchForStall()
      return
    }
    const { raw } = this.reply
    if (this.#reason !== 'stalled' && !isDestroyed(raw)) {
      const chunk = this.#takeBuffer()
      // Not end(chunk): as the first write it would make Node send a content-length, and of a stream there is none.
      if (chunk.length > 0) raw.write(chunk)
      if (this.#endsResponse) raw.end()
      this.#watchForStall()
    }
    this.push(null)
    this.resume() // so that 'end' is emitted: nobody reads
  }

  #answerUnopened (reason: CloseReason, error: unknown): void {
    const { reply } = this
    if (reason === 'client') return
    if (reply.sent || reply.raw.headersSent) {
      reply.log.error({ err: error }, 'event stream failed')
      return
    }
    if (reason === 'shutdown') this.#host.turnAway(reply, this.options, 'shutdown')
    else this.#host.fail(reply, error instanceof Error ? error : new SSE_ERR_SOURCE_FAILED('The source threw what is not an Error', { cause: error }))
  }
}
