// One connection: gathers frames, writes them, and closes once with one reason.
import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { CloseReason, SseClosed, SseContext } from '../../types/stream.js'
import type { Clock, Sleeper } from '../clock.js'
import { SSE_ERR_ALREADY_SENT, SSE_ERR_FORBIDDEN, SSE_ERR_SOURCE_FAILED } from '../errors.js'
import type { ResolvedOptions } from '../options.js'
import { Chunk } from '../wire/chunk.js'
import { HEARTBEAT, prelude } from '../wire/encode.js'
import { errorFrame, farewell, genericErrorFrame, spreadRetry } from './farewell.js'
import { Body, type BodyOwner } from './body.js'
import { isOver, wasDestroyed } from './over.js'
import type { Taker } from './puller.js'
import { shedHeaders } from './shed.js'
import { giveBack, take, takesSlabs } from './slab.js'
import { socketOf } from './socket.js'
import { StallWatch } from './stall.js'
import type { Supply } from './supply.js'
import type { Turns } from './turns.js'

/**
 * Characters gathered before they are written within the turn. Each write is a call of the kernel: with half of it an
 * always-ready stream costs a twentieth more, and twice as much is twice what a reader that blocks makes the process hold.
 */
const FLUSH_AT = 32_768

/** How often a stream that must not open yet is looked at. */
const WAIT_MS = 50

/** What a stream needs of the plugin that it runs in. */
export interface StreamHost {
  readonly clock: Clock
  readonly turns: Turns
  /** The source is over. Called once for each stream. */
  closed (stream: SseStream, closed: SseClosed): void
  /** The connection is over too, which may be later: a slow reader still reads. Called once. */
  gone (stream: SseStream): void
  /** At commit, and not before: an error's answer has none of them. */
  setHeaders (reply: FastifyReply): void
  /** The answer where the first event failed. */
  fail (reply: FastifyReply, error: Error): void
  /** The answer where the stream was ended before it opened, through no fault of its source's. */
  turnAway (reply: FastifyReply, options: ResolvedOptions, reason: CloseReason): void
}

type Phase =
  | 'opening' // the first event is awaited; nothing is sent
  | 'committed' // given to Fastify, whose hooks may still run
  | 'flowing' // the response or a reader takes what is written

const kStream = Symbol('fastify-typed-sse.stream')

/** One listener for all responses: with a closure of its own, each idle stream would weigh 100 bytes more. */
function onResponseClose (this: FastifyReply['raw'] & { [kStream]?: SseStream }): void {
  this[kStream]?.responseClosed()
}

/** Whether nothing more can reach the client. */
const isCut = (reason: CloseReason | undefined) => reason === 'client' || reason === 'stalled' || reason === 'slow'

export class SseStream implements Sleeper, Taker, BodyOwner {
  wakeAt = 0
  heapIndex = -1
  readonly reply: FastifyReply
  readonly request: FastifyRequest
  readonly options: ResolvedOptions
  readonly #host: StreamHost
  /** Where the client stands, as it says. */
  readonly lastEventId: string | undefined
  /** Whether the client is an EventSource, which reconnects after any end but one. */
  readonly #reconnects: boolean
  readonly #openedAt: number
  isGone = false
  #whenGone: (() => void) | undefined
  #supply: Supply | undefined
  #controller: AbortController | undefined

  #phase: Phase = 'opening'
  /** The turn of the event loop in which it was asked for. */
  readonly #turn: number
  /** What to do at the end of that turn, when the handler cannot fail any more: see #whenHandled. */
  #handled: (() => void) | undefined
  #reason: CloseReason | undefined

  /** Frames of this turn, in one string. V8 links them and flattens once, at the write. */
  #buffer = ''
  #flushQueued = false
  #blocked = true
  /** What was given to Fastify. Undefined again when it is not needed any more, since the stream writes to the response itself. */
  #body: Body | undefined
  /** Whether it writes to the response itself, and not to whoever reads the body. */
  #direct = false
  #ended = false

  /** Where chunks go past the response, as soon as they can. */
  #socket: Socket | undefined
  /** Whether there was a first write, which takes the head along. */
  #isUnderWay = false
  /** What is listened to for 'drain'. */
  #drains: FastifyReply['raw'] | Socket | undefined

  #lastWrite = 0
  #endAt: number | undefined
  #stall: StallWatch | undefined

  /** Events in the buffer. */
  #gathered = 0
  #events = 0
  #bytes = 0

  constructor (host: StreamHost, reply: FastifyReply, options: ResolvedOptions, lastEventId: string | undefined, reconnects: boolean) {
    this.#host = host
    this.reply = reply
    this.request = reply.request as FastifyRequest // the generic one: nothing here depends on a route's types
    this.options = options
    this.lastEventId = lastEventId
    this.#reconnects = reconnects
    this.#openedAt = Math.floor(host.clock.now)
    this.#turn = host.turns.current
    Object.assign(reply.raw, { [kStream]: this }).on('close', onResponseClose)
    // Of a pipelined request whose response waits behind another, Node tells nothing when the connection goes.
    if (reply.raw.socket === null) {
      const { socket } = this.request.raw
      const onSocketClose = () => this.responseClosed()
      socket.once('close', onSocketClose)
      reply.raw.once('close', () => socket.off('close', onSocketClose))
    }
  }

  /** Whether there is a source; the connection may stand longer. */
  get isOpen (): boolean {
    return this.#reason === undefined
  }

  /** Calls back when the connection is over; what was to be called before is called first. */
  whenGone (callback: () => void): void {
    const earlier = this.#whenGone
    this.#whenGone = earlier === undefined ? callback : () => { earlier(); callback() }
  }

  /** Events written, without the plugin's own. */
  get events (): number {
    return this.#events
  }

  /** Bytes of the body written. */
  get bytes (): number {
    return this.#bytes
  }

  /** Starts what gives the frames. A failure before the first one becomes an ordinary HTTP error. */
  start (supply: Supply): void {
    this.#supply = supply
    const { openAfter, maxDuration } = this.options
    if (maxDuration !== false) this.#endAt = Math.floor(this.#openedAt + maxDuration * (0.8 + 0.2 * Math.random()))
    if (openAfter !== 0) this.#host.clock.wake(this, Math.min(this.#openedAt + openAfter, this.#endAt ?? Infinity))
    supply.start()
    if (openAfter === 0 && this.wants) this.#whenHandled(() => this.#host.clock.wake(this, this.wake(this.#openedAt)))
  }

  /** Another answer is sent in its place. */
  replace (): void {
    if (this.#phase === 'flowing') return
    this.#phase = 'committed' // there is an answer, though not this stream
    this.reply.log.warn('another response is sent in place of the event stream')
    this.#close('error', new SSE_ERR_ALREADY_SENT('Another response was sent in place of the event stream'))
  }

  /** Ends the stream from outside, on an event boundary. */
  end (reason: 'shutdown' | 'disconnected' | 'unauthorized' | 'slow'): void {
    if (reason === 'shutdown' || reason === 'disconnected') this.#supply?.settle?.()
    this.#close(reason)
    if (reason === 'slow') this.reply.raw.destroy() // no farewell would reach a reader that does not read
  }

  // ---- towards the source

  /** What a source that is a function is called with. */
  context (events: unknown): SseContext<unknown> {
    const stream = this
    return {
      get signal () { return stream.signal },
      lastEventId: this.lastEventId,
      events,
      request: this.request
    }
  }

  // Made when it is asked for: on an idle stream it would weigh more than the rest.
  get signal (): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort()
    }
    return this.#controller.signal
  }

  get wants (): boolean {
    return this.#reason === undefined && this.#handled === undefined && (this.#phase === 'opening' || (this.#phase === 'flowing' && !this.#blocked))
  }

  accept (frame: string, events = 1): boolean {
    if (this.#reason !== undefined) return false // what a payload's toJSON() calls may have ended it
    this.#gathered += events
    this.#buffer += frame
    if (this.#phase === 'opening') this.#whenHandled(() => this.#commit())
    if (this.#buffer.length < FLUSH_AT) {
      this.#flushAtTurnEnd()
      return false
    }
    this.#flush()
    return true
  }

  /** Whether `write` can be called. What was gathered is written first. */
  ready (): boolean {
    if (this.#phase !== 'flowing' || this.#reason !== undefined) return false
    this.#flush()
    return !this.#blocked && !(this.#direct && isOver(this.reply.raw))
  }

  /** Writes at once what other streams may write too. */
  write (chunk: Chunk, events: number): void {
    this.#bytes += chunk.length
    this.#events += events
    this.#send(chunk)
  }

  finish (): void {
    const finish = () => {
      if (this.#phase === 'opening') this.#commit()
      this.#close('complete')
    }
    if (this.#phase === 'opening') this.#whenHandled(finish)
    else finish()
  }

  fail (error: unknown): void {
    this.#close('error', error)
  }

  // ---- towards the response

  /**
   * A handler may still throw behind reply.sse(), or reject: its error is the answer then, as long as there is none. So what is ready in
   * the very turn of the handler waits for the end of that turn.
   */
  #whenHandled (work: () => void): void {
    if (this.#host.turns.current !== this.#turn) {
      this.#handled = undefined
      work()
      return
    }
    this.#handled = work
    setImmediate(SseStream.#onHandled, this)
  }

  static #onHandled (stream: SseStream): void {
    // A microtask, as a handler's answer is: what hooks do by promises then comes before what Node's streams do by ticks.
    queueMicrotask(() => {
      const work = stream.#handled
      stream.#handled = undefined
      if (stream.#reason === undefined) work?.()
    })
  }

  /** Nothing has come yet, and the client has waited long enough. */
  #openIfAllowed (): void {
    if (this.#supply?.mayOpen !== false && this.#handled === undefined) this.#commit()
  }

  /** From here on the answer is 200 and a stream. */
  #commit (): void {
    const { reply, options } = this
    if (reply.sent || reply.raw.headersSent) {
      this.#close('error', new SSE_ERR_ALREADY_SENT('The reply was sent, past reply.send(), while its event stream was waiting for the first event'))
      return
    }
    this.#phase = 'committed'
    if (!options.minimal) this.#buffer = prelude(options.retry === false ? false : spreadRetry(options.retry)) + this.#buffer
    this.#host.setHeaders(reply)
    try {
      reply.send(this.#body = new Body(this))
    } catch (error) {
      this.#phase = 'opening' // a header of the handler's or a hook's that cannot be sent
      this.#close('error', error)
    }
  }

  /** Whether that is what Fastify was given to send. */
  isBody (payload: unknown): boolean {
    return this.#body !== undefined && payload === this.#body
  }

  // Only the response itself is known to take writes as this stream makes them.
  isResponse (destination: unknown): boolean {
    return destination === this.reply.raw
  }

  // Fastify considers a reply sent once it was hijacked, or its response has ended, and not where a body is being piped.
  get isHijacked (): boolean {
    return this.reply.sent
  }

  flowDirectly (endsResponse: boolean): void {
    this.#direct = true
    if (endsResponse) this.#body = undefined
    if (this.request.raw.httpVersionMajor === 1) shedHeaders(this.reply) // HTTP/2 sends the head at once
    this.#flow()
  }

  read (): void {
    if (this.#direct) return
    if (this.#phase === 'committed') this.#flow()
    else this.#drained()
  }

  abandoned (error: Error | null): void {
    if (error !== null) this.#close('error', error)
    else this.#close('client')
  }

  #flow (): void {
    this.#phase = 'flowing'
    this.#blocked = false
    this.#lastWrite = Math.floor(this.#host.clock.now)
    if (this.#reason !== undefined) {
      this.#writeEnd()
      return
    }
    this.#host.clock.wake(this, this.#nextWake(this.#lastWrite))
    // A minimal stream has no prelude that would take the headers along.
    if (this.#buffer === '' && this.#direct) this.reply.raw.flushHeaders()
    this.#flushAtTurnEnd()
    this.#supply?.pull()
  }

  #drained (): void {
    if (!this.#blocked || this.#phase !== 'flowing' || this.#reason !== undefined) return
    this.#blocked = false
    this.#stall = undefined
    this.#flush()
    this.#host.clock.wake(this, this.#nextWake(this.#host.clock.now))
    this.#supply?.yield()
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
    if (this.#direct && isOver(raw)) return // its 'close' is on the way
    this.#send(this.#takeBuffer())
  }

  #send (chunk: Chunk): void {
    this.#lastWrite = Math.floor(this.#host.clock.now)
    if (this.#push(chunk)) return
    this.#blocked = true
    if (this.#direct) this.#listenForDrain() // few streams ever block
    this.#watchForStall()
  }

  /** Whether more is taken. */
  #push (chunk: Chunk): boolean {
    if (!this.#direct) return this.#body?.push(chunk.bytes) === true
    if (this.#isUnderWay) this.#socket ??= socketOf(this.reply)
    this.#isUnderWay = true
    if (this.#socket === undefined) return this.reply.raw.write(chunk.bytes)
    const isFree = this.#socket.write(chunk.framed)
    giveBack(chunk.framed, this.#socket)
    return isFree
  }

  #listenForDrain (): void {
    const { raw } = this.reply
    const blocks = raw.writableNeedDrain ? raw : this.#socket ?? raw
    if (this.#drains === blocks) return
    this.#drains = blocks
    const onDrain = () => this.#drained()
    blocks.on('drain', onDrain)
    if (blocks !== raw) raw.on('close', () => blocks.off('drain', onDrain)) // the socket may serve others after
  }

  #takeBuffer (): Chunk {
    const chunk = new Chunk(this.#buffer, this.#socket !== undefined && takesSlabs(this.#socket) ? take : undefined)
    this.#buffer = ''
    this.#bytes += chunk.length
    this.#events += this.#gathered
    this.#gathered = 0
    return chunk
  }

  // ---- time

  #watchForStall (): void {
    this.#stall = new StallWatch(this.reply, this.options.stallTimeout, this.#host.clock.now)
    if (this.heapIndex === -1 || this.#stall.lookAt < this.wakeAt) this.#host.clock.wake(this, this.#stall.lookAt)
  }

  wake (now: number): number {
    if (this.#phase === 'opening') {
      this.#openIfAllowed()
    } else if (this.#stall !== undefined && now >= this.#stall.lookAt && this.#stall.isStalled(now)) {
      this.#stall = undefined
      this.#close('stalled')
      this.reply.raw.destroy()
      return Infinity
    }
    if (now >= (this.#endAt ?? Infinity)) this.#close('maxDuration')
    if (this.#isIdle(now)) {
      this.#buffer = this.#supply?.heartbeat?.() ?? HEARTBEAT
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
    if (this.#phase !== 'flowing') return Math.min(this.#phase === 'opening' ? now + WAIT_MS : Infinity, this.#endAt ?? Infinity)
    const { heartbeat, minimal } = this.options
    const beats = heartbeat !== false && !minimal && !this.#blocked
    return Math.min(beats ? Math.max(this.#lastWrite + heartbeat, now + 1) : Infinity, this.#endAt ?? Infinity, lookAt)
  }

  // ---- the end

  /** For the listener of its response. */
  responseClosed (): void {
    this.isGone = true
    const { raw } = this.reply
    this.#stall = undefined
    if (raw.writableEnded) this.#close('error', new SSE_ERR_ALREADY_SENT('Another response was sent in place of the event stream'))
    else if (wasDestroyed(raw)) this.#close('error', raw.errored)
    else this.#close('client')
    this.#host.clock.cancel(this)
    this.#host.gone(this)
    this.#whenGone?.()
  }

  /** The one way to close. Only the first call counts. */
  #close (reason: CloseReason, error?: unknown): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    if (isCut(reason)) this.#buffer = ''
    else if (this.#phase !== 'opening') this.#buffer += this.#lastFrames(reason, error)
    if (this.#phase === 'flowing') this.#writeEnd()
    if (this.#stall === undefined) this.#host.clock.cancel(this)

    this.#controller?.abort()
    this.#supply?.release()
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
      const body = this.#body as Body // it flows through it
      if (isCut(this.#reason)) body.destroy()
      else if (this.#buffer !== '') body.push(this.#takeBuffer().bytes)
      body.push(null)
      if (!body.destroyed) this.#watchForStall()
      return
    }
    const { raw } = this.reply
    if (!isCut(this.#reason) && !isOver(raw)) {
      // Not end(chunk): as the first write it would make Node send a content-length, and of a stream there is none.
      if (this.#buffer !== '') this.#push(this.#takeBuffer())
      if (this.#body === undefined) raw.end()
      this.#watchForStall()
    }
    this.#body?.push(null)
    this.#body?.resume() // so that 'end' is emitted, at which Fastify sends its trailers: nobody reads
  }

  #answerUnopened (reason: CloseReason, error: unknown): void {
    const { reply } = this
    if (reason === 'client') return
    if (reply.sent || reply.raw.headersSent) {
      reply.log.error({ err: error }, 'event stream failed')
      return
    }
    if (reason === 'unauthorized') this.#host.fail(reply, new SSE_ERR_FORBIDDEN())
    else if (reason !== 'error') this.#host.turnAway(reply, this.options, reason)
    else this.#host.fail(reply, error instanceof Error ? error : new SSE_ERR_SOURCE_FAILED('The source threw what is not an Error', { cause: error }))
  }
}
