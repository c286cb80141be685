// One connection: pulls its source, gathers the frames, writes them, and closes once with one reason.
//
// It is a Readable, so that Fastify sends it like any other stream: onSend hooks run, headers of other plugins
// stay, an early failure is an ordinary HTTP error. Its pipe() writes straight to the response, because a
// Readable's own bookkeeping costs more than the frame it moves. Whoever reads it otherwise gets a plain Readable.
import type { Http2ServerResponse } from 'node:http2'
import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { CloseReason, SseClosed, SseContext } from '../../types/stream.js'
import type { Clock, Sleeper } from '../clock.js'
import { SSE_ERR_ALREADY_SENT, SSE_ERR_SOURCE_FAILED } from '../errors.js'
import type { ResolvedOptions } from '../options.js'
import { HEARTBEAT, prelude } from '../wire/encode.js'
import { errorFrame, farewell, spreadRetry } from './farewell.js'
import { discardSource, isThenable, openSource, type EventIterator } from './source.js'
import type { Turns, TurnTaker } from './turns.js'

/** Characters gathered before they are written within the turn: as much as a socket takes before it blocks. */
const FLUSH_AT = 16_384

/** A quantum is also over after this time, looked at every so many pulls: checks and sources can be slow. */
const QUANTUM_MS = 2
const PULLS_BETWEEN_LOOKS = 32

/** Looks at a blocked socket within `stallTimeout`. */
const LOOKS = 4

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

/** Makes frames of what a source yields. Throws coded errors; `''` is no frame. */
export interface Encoder<Events = unknown> {
  readonly events: Events
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

export class SseStream extends Readable implements Sleeper, TurnTaker {
  wakeAt = Infinity
  heapIndex = -1
  readonly reply: FastifyReply
  readonly options: ResolvedOptions
  readonly #host: StreamHost
  readonly #encoder: Encoder
  readonly #lastEventId: string | undefined
  /** Whether the client is an EventSource, which reconnects after any end but one. */
  readonly #reconnects: boolean
  readonly #openedAt: number

  #phase: Phase = 'opening'
  #iterator: EventIterator | undefined
  #controller: AbortController | undefined
  /** An error of an event, to be thrown at the yield that gave it. */
  #thrown: unknown
  #pulling = false
  #yielding = false
  #pulls = 0
  #quantumEnd = 0

  /** Frames of this turn, in one string. V8 links them and flattens once, at the write. */
  #buffer = ''
  #flushQueued = false
  #direct = false
  #endsResponse = true
  #blocked = true
  #lastWrite = 0
  #endAt = Infinity
  #lookAt = Infinity
  #stuckSince = 0
  #queued = Infinity

  #reason: CloseReason | undefined
  #ended = false
  #events = 0
  #bytes = 0

  constructor (host: StreamHost, reply: FastifyReply, options: ResolvedOptions, encoder: Encoder, lastEventId: string | undefined, reconnects: boolean) {
    super()
    this.#host = host
    this.reply = reply
    this.options = options
    this.#encoder = encoder
    this.#lastEventId = lastEventId
    this.#reconnects = reconnects
    this.#openedAt = host.clock.now
    reply.raw.once('close', this.#onResponseClose)
  }

  /** Whether there is a source; the connection may stand longer. */
  get isOpen (): boolean {
    return this.#reason === undefined
  }

  get events (): number {
    return this.#events
  }

  get bytes (): number {
    return this.#bytes
  }

  /** Starts the source. What it throws before the first event becomes an ordinary HTTP error. */
  start (source: unknown): void {
    const { openAfter } = this.options
    if (openAfter !== 0 && openAfter !== Infinity) this.#host.clock.wake(this, this.#openedAt + openAfter)
    this.#quantumEnd = this.#openedAt + QUANTUM_MS
    try {
      const iterator = openSource(source, this.#context())
      if (isThenable(iterator)) iterator.then(this.#adopt, this.#onThrow)
      else this.#adopt(iterator)
    } catch (error) {
      this.#onThrow(error)
    }
    if (openAfter === 0) this.#commit()
  }

  /** Ends the stream from outside, for good: the server goes down. */
  shutDown (): void {
    this.#close('shutdown')
  }

  // ---- the source

  #context (): SseContext<unknown> {
    const stream = this
    return {
      get signal () { return stream.#signal },
      lastEventId: this.#lastEventId,
      events: this.#encoder.events,
      request: this.reply.request as FastifyRequest
    }
  }

  // Made when it is asked for: most of what an idle stream weighs would be its controller.
  get #signal (): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort()
    }
    return this.#controller.signal
  }

  #adopt = (iterator: EventIterator): void => {
    this.#iterator = iterator
    if (this.#reason !== undefined) this.#release()
    else this.#pull()
  }

  #mayPull (): boolean {
    return this.#iterator !== undefined && !this.#pulling && !this.#yielding && (
      this.#phase === 'opening' || (this.#phase === 'flowing' && !this.#blocked)
    )
  }

  #pull (): void {
    while (this.#mayPull()) {
      const iterator = this.#iterator as EventIterator // #mayPull has looked
      this.#pulling = true
      let result
      try {
        if (this.#thrown === undefined) {
          result = iterator.next()
        } else {
          const thrown = this.#thrown
          this.#thrown = undefined
          if (iterator.throw === undefined) {
            this.#close('error', thrown)
            return
          }
          result = iterator.throw(thrown)
        }
      } catch (error) {
        this.#onThrow(error)
        return
      }
      if (isThenable<IteratorResult<unknown, unknown>>(result)) {
        result.then(this.#onResult, this.#onThrow)
        return
      }
      this.#settle(result)
    }
  }

  // Nobody awaits what this returns, so it must not throw.
  #onResult = (result: IteratorResult<unknown, unknown>): void => {
    try {
      this.#settle(result)
      this.#pull()
    } catch (error) {
      this.#onThrow(error)
    }
  }

  #onThrow = (error: unknown): void => {
    this.#iterator = undefined // an iterator that threw has ended
    this.#close('error', error)
  }

  #settle (result: IteratorResult<unknown, unknown>): void {
    this.#pulling = false
    if (this.#reason !== undefined) return
    if (result.done === true) {
      this.#iterator = undefined
      if (this.#phase === 'opening') this.#commit()
      this.#close('complete')
      return
    }
    let frame
    try {
      frame = this.#encoder.encode(result.value, this.options)
    } catch (error) {
      if (this.options.validate === 'drop' && this.#encoder.isMismatch(error)) this.#host.dropped(this, error)
      else this.#thrown = error
      this.#countPull()
      return
    }
    this.#events++
    this.#buffer += frame
    if (this.#phase === 'opening') this.#commit()
    if (this.#buffer.length >= FLUSH_AT) {
      this.#flush()
      this.#yield()
    } else {
      this.#flushAtTurnEnd()
      this.#countPull()
    }
  }

  #countPull (): void {
    if (++this.#pulls % PULLS_BETWEEN_LOOKS === 0 && this.#host.clock.now > this.#quantumEnd) this.#yield()
  }

  #yield (): void {
    if (this.#yielding || this.#reason !== undefined) return
    this.#yielding = true
    this.#host.turns.wait(this)
  }

  takeTurn (): void {
    this.#yielding = false
    if (this.#reason !== undefined) return
    this.#quantumEnd = this.#host.clock.now + QUANTUM_MS
    this.#pull()
  }

  // ---- the response

  /** From here on the answer is 200 and a stream. */
  #commit (): void {
    if (this.#phase !== 'opening' || this.#reason !== undefined) return
    const { reply, options } = this
    if (reply.sent || reply.raw.headersSent) {
      this.#close('error', new SSE_ERR_ALREADY_SENT('The reply was sent while its event stream was waiting for the first event'))
      return
    }
    this.#phase = 'committed'
    if (!options.minimal) this.#buffer = prelude(options.retry === false ? false : spreadRetry(options.retry)) + this.#buffer
    if (options.maxDuration !== false) this.#endAt = this.#host.clock.now + options.maxDuration * (0.8 + 0.2 * Math.random())
    this.#host.setHeaders(reply)
    reply.send(this)
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
    this.#flushAtTurnEnd()
    this.#pull()
  }

  #onDrain = (): void => {
    if (!this.#blocked || this.#phase !== 'flowing' || this.#reason !== undefined) return
    this.#blocked = false
    this.#lookAt = Infinity
    this.#flush()
    if (this.#blocked) return
    this.#host.clock.wake(this, this.#nextWake(this.#host.clock.now))
    this.#yield()
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
    const chunk = this.#takeBuffer()
    const { raw } = this.reply
    if (this.#direct && raw.destroyed) return // its 'close' is on the way
    this.#lastWrite = this.#host.clock.now
    if (!(this.#direct ? raw.write(chunk) : this.push(chunk))) this.#block()
  }

  #takeBuffer (): Buffer {
    const chunk = Buffer.from(this.#buffer)
    this.#buffer = ''
    this.#bytes += chunk.length
    return chunk
  }

  #block (): void {
    this.#blocked = true
    this.#watchForStall()
  }

  // The socket is looked at a few times in the span: a reader that is slow, but reads, is not stalled.
  #watchForStall (): void {
    this.#stuckSince = this.#host.clock.now
    this.#queued = Infinity
    this.#lookAt = this.#stuckSince + this.options.stallTimeout / LOOKS
    if (this.#lookAt < this.wakeAt) this.#host.clock.wake(this, this.#lookAt)
  }

  #isStalled (now: number): boolean {
    const queued = queuedBytes(this.reply)
    // The first look has nothing to compare with: at the write itself the socket is still corked.
    if (queued < this.#queued && this.#queued !== Infinity) this.#stuckSince = now
    this.#queued = queued
    const left = this.#stuckSince + this.options.stallTimeout - now
    this.#lookAt = now + Math.max(1, Math.min(left, this.options.stallTimeout / LOOKS))
    return left <= 0
  }

  wake (now: number): number {
    if (this.#phase === 'opening') {
      this.#commit()
    } else if (now >= this.#lookAt && this.#isStalled(now)) {
      this.#lookAt = Infinity
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
    if (this.#reason !== undefined) return this.#lookAt
    if (this.#phase !== 'flowing') return this.#endAt
    const { heartbeat, minimal } = this.options
    const beats = heartbeat !== false && !minimal && !this.#blocked
    return Math.min(beats ? Math.max(this.#lastWrite + heartbeat, now + 1) : Infinity, this.#endAt, this.#lookAt)
  }

  // ---- the end

  #onResponseClose = (): void => {
    const { raw } = this.reply
    raw.off('drain', this.#onDrain)
    this.#lookAt = Infinity
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
    if (this.#lookAt === Infinity) this.#host.clock.cancel(this)

    this.#controller?.abort()
    this.#release()
    this.#host.closed(this, {
      request: this.reply.request as FastifyRequest,
      reason,
      durationMs: this.#host.clock.now - this.#openedAt,
      events: this.#events,
      bytes: this.#bytes,
      error
    })
    if (this.#phase === 'opening') this.#answerUnopened(reason, error)
  }

  #lastFrames (reason: CloseReason, error: unknown): string {
    return reason === 'error'
      ? errorFrame(error, this.reply.request as FastifyRequest, this.options)
      : farewell(reason, this.options, this.#reconnects)
  }

  #writeEnd (): void {
    this.#ended = true
    if (!this.#direct) {
      if (this.#reason === 'client' || this.#reason === 'stalled') this.destroy()
      else if (this.#buffer !== '') this.push(this.#takeBuffer())
      this.push(null)
      return
    }
    const { raw } = this.reply
    if (this.#reason !== 'stalled' && !raw.destroyed) {
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
    if (reason === 'client' || reply.sent || reply.raw.headersSent) return
    if (reason === 'shutdown') this.#host.turnAway(reply, this.options, 'shutdown')
    else this.#host.fail(reply, error instanceof Error ? error : new SSE_ERR_SOURCE_FAILED('The source threw what is not an Error', { cause: error }))
  }

  // An iterator that waits for something does not hear return() before that something comes, so it is not
  // awaited: the abort signal is what can free it.
  #release (): void {
    const iterator = this.#iterator
    this.#iterator = undefined
    if (iterator !== undefined) discardSource(iterator)
  }
}

// Whether a blocked reader reads at all: bytes that wait in the socket become fewer before 'drain' says that
// all are gone. Node's own socket timeout looks at the same number.
function queuedBytes ({ raw, request }: FastifyReply): number {
  if (request.raw.httpVersionMajor >= 2) return (raw as unknown as Http2ServerResponse).stream.bufferSize
  return (raw.socket as { _handle?: { writeQueueSize?: number } } | null)?._handle?.writeQueueSize ?? 0 // inject has no handle
}
