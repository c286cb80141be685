// One stream that is fed by topics. It holds a cursor for each of them and no queue: what it is to write stands in the
// topics' windows, or in history.
import type { Page, Position } from '../../types/broker.js'
import type { DisconnectWhere, ResetReason, TopicContext } from '../../types/channel.js'
import { kindOf } from '../describe.js'
import { SSE_ERR_EVENTS_LOST, SSE_ERR_FORBIDDEN, SSE_ERR_INVALID_EVENT, SSE_ERR_INVALID_OPTION } from '../errors.js'
import { readItem } from '../schema/item.js'
import { Puller } from '../stream/puller.js'
import type { SseStream } from '../stream/stream.js'
import type { Supply } from '../stream/supply.js'
import { claimsPosition } from '../wire/headers.js'
import { epochOf, formatCursor, isPosition, parseCursor } from '../wire/cursor.js'
import { cursorFrame, frameOf, minimalFrameOf, resetFrame, select, type Entries, type Selection } from './frames.js'
import type { Hub } from './hub.js'
import { HistoryPage } from './replay.js'
import { authorizersOf, type Part, type TopicSubscription } from './subscription.js'
import type { Reader, Topic } from './topic.js'

/** How often authorization is looked at where there is no heartbeat. */
const DEFAULT_RECHECK_MS = 15_000

const NONE: readonly never[] = []

/** Says the same as `sse.reset`, to clients that read the head of an answer. */
const RESET_HEADER = 'sse-reset'

/** Node's clients refuse heads of more than 16 KiB, and names of topics can be long. */
const MAX_HEADER_LENGTH = 1_024

type Phase =
  | 'starting' // the client's places are looked for
  | 'snapshot' // the state of a topic is on its way; what comes later waits behind it
  | 'open'
  | 'closed'

/** Where the stream stands in one topic. */
class Cursor implements Reader {
  readonly feed: Feed
  readonly part: Part
  readonly topic: Topic
  position: Position | '' = ''
  /** In the topic's window, or -1 where the position is looked for in history. */
  place = -1
  /** Whether the client knows of the position, so that it may stand in an id. */
  told = false
  reset: ResetReason | undefined

  constructor (feed: Feed, part: Part, topic: Topic) {
    this.feed = feed
    this.part = part
    this.topic = topic
  }

  flush (): void { this.feed.flush() }
  take (page: Page, index: number): void { this.feed.take(this, page as HistoryPage, index) } // Replay makes no others
  lose (reason: ResetReason): void { this.feed.lose(this, reason) }

  /** Stands where the topic's window has its position, if it has. */
  locate (place: number | undefined): boolean {
    if (place === undefined) return false
    this.place = place
    this.position = this.topic.window.positionAt(place)
    this.topic.replay.leave(this)
    return true
  }

  toHead (): void {
    this.locate(this.topic.window.next)
  }
}

export class Feed implements Supply {
  readonly stream: SseStream
  readonly #hub: Hub
  readonly #subscription: TopicSubscription
  #cursors: readonly Cursor[] = []
  #phase: Phase = 'starting'
  /** Cursors whose place is not known yet. */
  #sought = 0
  /** Whether the client brought no position. */
  #isNewcomer = false
  /** The last id that the client was told. */
  #told = ''
  #snapshots: readonly Cursor[] = NONE
  #puller: Puller | undefined
  #allowedAt = 0
  #asking = false

  constructor (hub: Hub, stream: SseStream, subscription: TopicSubscription) {
    this.#hub = hub
    this.stream = stream
    this.#subscription = subscription
  }

  // ---- towards the stream

  start (): void {
    if (this.#subscription.isGuarded) this.#ask(() => this.#enter())
    else this.#enter()
  }

  pull (): void {
    if (this.#phase === 'snapshot') this.#puller?.pull()
    else this.flush()
  }

  yield (): void {
    if (this.#phase === 'snapshot') this.#puller?.yield()
    else this.#hub.due(this)
  }

  heartbeat (): string | undefined {
    if (this.#phase !== 'open') return undefined
    if (this.#mustAsk) this.#ask(() => this.flush())
    const id = this.#id()
    if (id === this.#told || this.#shares) return undefined
    this.#told = id
    return cursorFrame(id)
  }

  release (): void {
    this.#phase = 'closed'
    this.#puller?.release()
    for (const cursor of this.#cursors) {
      cursor.topic.replay.leave(cursor)
      this.#hub.leave(cursor.topic, cursor)
    }
    this.#hub.closed(this)
  }

  /** Until it is known who may have the topics, the answer can still be another. */
  get mayOpen (): boolean {
    return this.#phase !== 'starting' || !this.#asking
  }

  // ---- who may

  get #mustAsk (): boolean {
    if (!this.#subscription.isGuarded || this.#asking) return false
    const { heartbeat } = this.stream.options
    return this.#hub.now - this.#allowedAt >= (heartbeat === false ? DEFAULT_RECHECK_MS : heartbeat)
  }

  #ask (then: () => void): void {
    this.#asking = true
    this.#isAllowed().then((allowed) => {
      if (this.#phase === 'closed') return
      this.#asking = false
      this.#allowedAt = this.#hub.now
      if (allowed) then()
      else if (this.#phase === 'starting') this.stream.fail(new SSE_ERR_FORBIDDEN())
      else this.stream.end('unauthorized')
    }).catch((error: unknown) => this.stream.fail(error))
  }

  async #isAllowed (): Promise<boolean> {
    for (const part of this.#subscription.parts) {
      for (const authorize of authorizersOf(part)) {
        const allowed: unknown = await authorize(this.#contextOf(part))
        if (typeof allowed !== 'boolean') throw new SSE_ERR_INVALID_OPTION(`Expected \`authorize\` of \`${part.name}\` to return a boolean, got ${kindOf(allowed)}`)
        if (!allowed) return false
      }
    }
    return true
  }

  #contextOf ({ name, params }: Part): TopicContext {
    return { request: this.stream.request, topic: name, params }
  }

  matches ({ channel, params = {}, key }: DisconnectWhere): boolean {
    return this.#subscription.parts.some((part) => (channel === undefined || part.channel.name === channel) && (key === undefined || part.key === key) &&
      Object.entries(params).every(([name, value]) => part.params[name] === String(value)))
  }

  // ---- where the client stands

  #enter (): void {
    this.#cursors = this.#subscription.parts.map((part) => {
      const topic = this.#hub.topicOf(part)
      const cursor = new Cursor(this, part, topic)
      this.#hub.enter(topic, cursor)
      return cursor
    })
    const attaching = this.#cursors.map(({ topic }) => topic.attaching).filter((one) => one !== undefined)
    if (attaching.length === 0) this.#seek()
    else Promise.all(attaching).then(() => this.#seek()).catch((error: unknown) => this.stream.fail(error))
  }

  #seek (): void {
    if (this.#phase === 'closed') return
    const { lastEventId, options } = this.stream
    const { headers, originalUrl } = this.stream.request
    const claims = !options.minimal && claimsPosition(headers['last-event-id'], originalUrl)
    const given = claims ? lastEventId ?? '' : undefined // what cannot even be read is no position either
    const positions = given === undefined ? undefined : parseCursor(given)
    this.#isNewcomer = given === undefined
    this.#sought = 1 // until all have been looked at
    for (const cursor of this.#cursors) {
      if (given !== undefined) this.#seekPosition(cursor, positions?.get(epochOf(cursor.topic.window.last)), positions === undefined ? 'unknown' : 'epoch')
      else if (isPosition(cursor.part.from)) this.#seekPosition(cursor, cursor.part.from, 'unknown')
      else if (cursor.part.from === 'oldest') this.#seekInHistory(cursor, '')
      else cursor.toHead()
    }
    this.#found()
  }

  #seekPosition (cursor: Cursor, position: Position | undefined, otherwise: ResetReason): void {
    if (position === undefined || epochOf(position) !== epochOf(cursor.topic.window.last)) {
      this.#hub.wasReset(this, cursor.topic, position === undefined ? otherwise : 'epoch')
      cursor.reset = position === undefined ? otherwise : 'epoch'
      cursor.toHead()
    } else if (!cursor.locate(cursor.topic.resume(position))) {
      this.#seekInHistory(cursor, position)
    }
  }

  #seekInHistory (cursor: Cursor, position: Position | ''): void {
    cursor.position = position
    this.#sought++
    cursor.topic.replay.wait(cursor)
  }

  #found (): void {
    if (--this.#sought === 0) this.#open()
  }

  /** From history: what follows the cursor's position begins at this index of the page. */
  take (cursor: Cursor, page: HistoryPage, index: number): void {
    if (this.#phase === 'starting') {
      cursor.position = index < page.next ? page.at(index).prev : page.head
      this.#found()
    }
    if (this.#phase !== 'open' || cursor.place !== -1) return
    if (this.#mustAsk || this.#asking || !this.stream.ready()) {
      this.flush() // which asks who may, and waits for a page again
      return
    }
    cursor.topic.replay.leave(cursor) // opening has made it wait again
    if (index < page.next) this.#sendPage(cursor, page, index)
    else if (cursor.topic.window.placeAfter(cursor.position as Position) === undefined) cursor.topic.repair() // the window is behind the broker
    this.flush()
  }

  /** Of history: nothing follows the cursor's position, or what follows is gone. */
  lose (cursor: Cursor, reason: ResetReason): void {
    const { topic, part } = cursor
    this.#hub.wasReset(this, topic, reason)
    cursor.reset = reason
    cursor.toHead()
    if (this.#phase === 'starting') this.#found()
    else if (this.stream.options.minimal) this.stream.fail(new SSE_ERR_EVENTS_LOST())
    else if (part.channel.options.slow === 'close') this.stream.end('slow')
    else this.#tellReset([cursor])
  }

  // ---- what it is told of that

  #open (): void {
    this.#phase = 'open'
    const { minimal } = this.stream.options
    const resets = this.#cursors.filter(({ reset }) => reset !== undefined)
    if (minimal && resets.length > 0) {
      this.stream.fail(new SSE_ERR_EVENTS_LOST())
      return
    }
    const fresh = this.#isNewcomer ? this.#cursors.filter(({ reset, part }) => reset === undefined && part.from === 'now' && part.channel.options.snapshot !== undefined) : []
    for (const cursor of this.#cursors) cursor.told = cursor.reset === undefined && !fresh.includes(cursor)
    this.#setResetHeader(resets)
    let text = ''
    if (!minimal && this.#cursors.some(({ told }) => told)) text = cursorFrame(this.#told = this.#id())
    this.#tellReset(resets, text, fresh)
  }

  #setResetHeader (resets: readonly Cursor[]): void {
    const { reply } = this.stream
    const value = resets.map(({ topic, reset }) => `${topic.name};${reset}`).join(', ')
    if (value !== '' && value.length <= MAX_HEADER_LENGTH && !reply.raw.headersSent) reply.header(RESET_HEADER, value)
  }

  /** A reset has an id only where no snapshot follows. A client that is cut off inside a snapshot asks for all of it again. */
  #tellReset (resets: readonly Cursor[], before = '', fresh: readonly Cursor[] = []): void {
    let text = before
    for (const cursor of resets) {
      cursor.told = cursor.part.channel.options.snapshot === undefined
      if (cursor.told) this.#told = this.#id()
      text += resetFrame(cursor.topic.name, cursor.reset as ResetReason, cursor.told ? this.#told : undefined)
      cursor.reset = undefined
    }
    this.#snapshots = [...this.#snapshots, ...fresh, ...resets.filter(({ told }) => !told)]
    if (this.#snapshots.length === 0) this.#snapshots = NONE
    const isRunning = this.#phase === 'snapshot'
    if (this.#snapshots.length > 0) this.#phase = 'snapshot'
    if (text !== '' || this.#phase === 'open') this.stream.accept(text, 0)
    if (isRunning || this.isClosed) return
    if (this.#snapshots.length > 0) this.#nextSnapshot()
    else this.flush()
  }

  get isClosed (): boolean {
    return this.#phase === 'closed'
  }

  #nextSnapshot (): void {
    const cursor = this.#snapshots[0]
    if (cursor === undefined) {
      this.#phase = 'open'
      this.#puller = undefined
      for (const one of this.#cursors) one.told = true
      this.stream.accept(this.stream.options.minimal ? '' : cursorFrame(this.#told = this.#id()), 0)
      this.flush()
      return
    }
    const { stream } = this
    const { channel, filter } = cursor.part
    const context = { ...this.#contextOf(cursor.part), events: channel.encoder.events as never, get signal () { return stream.signal } }
    this.#puller = new Puller(this.#hub, {
      get wants () { return stream.wants },
      accept: (frame) => stream.accept(frame),
      fail: (error) => stream.fail(error),
      finish: () => {
        this.#snapshots = this.#snapshots.slice(1)
        this.#nextSnapshot()
      }
    }, {
      source: () => channel.options.snapshot?.(context),
      context: undefined,
      encode: (item) => {
        if (typeof item === 'object' && item !== null && 'id' in item && item.id !== undefined) throw new SSE_ERR_INVALID_EVENT(`Expected the events of a snapshot to have no \`id\`: where the client stands in \`${cursor.topic.name}\` is told behind them`)
        const { event, data, text } = readItem(item)
        if (filter !== undefined && !this.#passes(cursor.part, { event: event ?? 'message', data: data ?? text })) return undefined
        return channel.encoder.encode(item, stream.options)
      }
    })
    this.#puller.start()
  }

  /** The id that says where the client stands in all topics of which it knows. */
  #id (): string {
    return formatCursor(this.#cursors.filter(({ told }) => told).map(({ position }) => position))
  }

  // ---- what is written

  /** Whether what is written is the same for all streams of the topic. */
  get #shares (): boolean {
    return this.#subscription.isPlain && !this.stream.options.minimal
  }

  flush (): void {
    if (this.#phase !== 'open' || this.#asking) return
    if (!this.stream.ready()) {
      this.#dropIfSlow()
      return
    }
    if (this.#mustAsk) {
      this.#ask(() => this.flush())
      return
    }
    for (const cursor of this.#cursors) {
      if (this.isClosed) return
      const { topic } = cursor
      if (cursor.place < topic.window.first && !this.#relocate(cursor)) continue
      if (cursor.place === topic.window.next) continue
      do this.#sendWindow(cursor)
      while (this.stream.ready() && cursor.place < topic.window.next)
      if (!this.stream.ready()) return
    }
  }

  /** A reader that blocks is not asked where it stands, so its fall out of the window is looked for. */
  #dropIfSlow (): void {
    if (this.stream.isOpen && this.#cursors.some((cursor) => this.#isLeftBehind(cursor))) this.stream.end('slow')
  }

  #isLeftBehind ({ place, topic, part }: Cursor): boolean {
    return part.channel.options.slow === 'close' && place !== -1 && place < topic.window.first
  }

  /** The window has rolled on, or begun anew. */
  #relocate (cursor: Cursor): boolean {
    const { topic } = cursor
    if (cursor.locate(topic.window.placeAfter(cursor.position as Position))) return true
    if (this.#isLeftBehind(cursor)) {
      this.stream.end('slow')
      return false
    }
    cursor.place = -1
    topic.replay.wait(cursor)
    return false
  }

  #sendWindow (cursor: Cursor): void {
    const { topic } = cursor
    if (this.#shares) {
      const { chunk, events, next } = topic.join(cursor.place)
      this.#write(chunk, events)
      cursor.place = next
      cursor.position = topic.window.positionAt(next)
    } else {
      const next = this.#sendOwn(cursor, topic.window, cursor.place)
      if (next !== undefined) cursor.place = next
    }
  }

  #sendPage (cursor: Cursor, page: HistoryPage, index: number): void {
    const { latest } = cursor.topic.options
    if (this.#shares) {
      const { chunk, events, next } = page.join(index, latest)
      this.#write(chunk, events)
      cursor.position = page.at(next - 1).id
    } else {
      this.#sendOwn(cursor, page, index)
    }
  }

  /** Frames that are this stream's alone: filtered, with a cursor of several topics, or data lines only. Returns the place behind them. */
  #sendOwn (cursor: Cursor, entries: Entries, from: number): number | undefined {
    const { topic, part } = cursor
    const { minimal } = this.stream.options
    let text = ''
    let selection: Selection
    try {
      selection = select(entries, from, topic.options.latest, part.filter && ((entry) => this.#passes(part, topic.eventOf(entry))))
    } catch (error) {
      this.stream.fail(error)
      return undefined
    }
    const { places, next } = selection
    for (const place of places) {
      const entry = entries.at(place)
      cursor.position = entry.id
      text += minimal ? minimalFrameOf(entry) : frameOf(entry, this.#told = this.#id())
    }
    cursor.position = entries.at(next - 1).id
    if (text !== '') this.#write(Buffer.from(text), places.length)
    return next
  }

  #write (chunk: Buffer, events: number): void {
    this.#hub.delivered(events)
    this.stream.write(chunk, events)
  }

  #passes (part: Part, event: { event: unknown, data: unknown }): boolean {
    const passes: unknown = part.filter?.(event as never, this.stream.request) // typed by the channel's events
    if (typeof passes !== 'boolean') throw new SSE_ERR_INVALID_OPTION(`Expected \`filter\` of \`${part.name}\` to return a boolean, got ${kindOf(passes)}`)
    return passes
  }
}
