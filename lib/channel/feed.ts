// One stream that is fed by topics. It holds a cursor for each of them and no queue: what it is to write stands in the
// topics' windows, or in history.
import type { BrokerEntry, Position } from '../../types/broker.js'
import type { DisconnectWhere } from '../../types/channel.js'
import type { ResetReason } from '../../types/reserved.js'
import { SSE_ERR_EVENTS_LOST } from '../errors.js'
import type { SseStream } from '../stream/stream.js'
import type { Supply } from '../stream/supply.js'
import { Chunk } from '../wire/chunk.js'
import { claimsPosition } from '../wire/headers.js'
import { epochOf, formatCursor, isPosition, parseCursor } from '../wire/cursor.js'
import { Cursor } from './cursor.js'
import { cursorFrame, frameOf, minimalFrameOf, resetFrame, select, type Entries } from './frames.js'
import type { Hub } from './hub.js'
import { Permit } from './permit.js'
import type { HistoryPage } from './replay.js'
import { Snapshots, type SnapshotOwner } from './snapshots.js'
import { passes, type TopicSubscription } from './subscription.js'

/** Says the same as `sse.reset`, to clients that read the head of an answer. */
const RESET_HEADER = 'sse-reset'

/** Node's clients refuse heads of more than 16 KiB, and names of topics can be long. */
const MAX_HEADER_LENGTH = 1_024

const NONE: readonly never[] = []

export class Feed implements Supply, SnapshotOwner {
  readonly stream: SseStream
  readonly permit: Permit
  readonly #hub: Hub
  readonly #subscription: TopicSubscription
  #cursors: readonly Cursor[] = []
  /** Cursors whose place is not known yet. */
  #sought = 0
  /** Whether the client's places are found, so that events can follow. */
  #isPlaced = false
  /** Whether the client brought no position. */
  #isNewcomer = false
  /** The last id that the client was told. */
  #lastId = ''
  /** While they run, what comes waits behind them. */
  #snapshots: Snapshots | undefined
  /** Cursors that fell out of history under way, and are to be told. */
  #lost: readonly Cursor[] = NONE
  /** While a filter or a hook of a user's runs, which may end any stream: in the middle of a write nothing can be written. */
  #isCallingOut = false

  constructor (hub: Hub, stream: SseStream, subscription: TopicSubscription) {
    this.#hub = hub
    this.stream = stream
    this.#subscription = subscription
    this.permit = new Permit(hub, stream, subscription)
  }

  // ---- towards the stream

  start (): void {
    this.#hub.began(this)
    this.permit.ask(() => this.#enter())
  }

  pull (): void {
    if (this.#snapshots !== undefined) this.#snapshots.pull()
    else this.flush()
  }

  yield (): void {
    if (this.#snapshots !== undefined) this.#snapshots.yield()
    else this.#hub.due(this)
  }

  // What was published before goes out before: its reader may not be let in again, or find this node gone.
  settle (): void {
    if (!this.#isCallingOut) this.flush()
  }

  #callOut<Answer> (callback: () => Answer): Answer {
    this.#isCallingOut = true
    try {
      return callback()
    } finally {
      this.#isCallingOut = false
    }
  }

  heartbeat (): string | undefined {
    if (!this.#isPlaced) return undefined
    if (this.permit.isDue) this.recheck()
    if (this.permit.isAsking || this.#lost.length > 0) return undefined // where it stands is behind what it has not been told
    const id = this.#id()
    if (id === this.#lastId || this.#shares || this.#snapshots !== undefined) return undefined
    this.#lastId = id
    return cursorFrame(id)
  }

  release (): void {
    this.#snapshots?.release()
    for (const cursor of this.#cursors) {
      cursor.topic.replay.leave(cursor)
      this.#hub.leave(cursor.topic, cursor)
    }
    this.#hub.ended(this)
  }

  /** Until it is known who may have the topics, the answer can still be another. */
  get mayOpen (): boolean {
    return this.#isPlaced || !this.permit.isAsking
  }

  recheck (): void {
    this.permit.ask(() => {
      this.#tellLost()
      if (this.#snapshots !== undefined) this.#snapshots.goOn()
      else this.flush()
    })
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
    if (!this.stream.isOpen) return // it left while a topic was attached
    const { lastEventId, options } = this.stream
    const { headers, originalUrl } = this.stream.request
    const claims = !options.minimal && claimsPosition(headers['last-event-id'], originalUrl)
    const given = claims ? lastEventId ?? '' : undefined // what cannot even be read is no position either
    const positions = given === undefined ? undefined : parseCursor(given)
    const missing = this.#reasonFor(positions)
    this.#isNewcomer = given === undefined
    this.#sought = 1 // until all have been looked at
    for (const cursor of this.#cursors) {
      if (given !== undefined) this.#seekPosition(cursor, positions?.get(epochOf(cursor.topic.window.last)), missing)
      else if (isPosition(cursor.part.from)) this.#seekPosition(cursor, cursor.part.from, 'unknown')
      else if (cursor.part.from === 'oldest') this.#seekInHistory(cursor, '')
      else cursor.toHead()
    }
    this.#found()
  }

  /** Why a topic has no position in what the client brought: where all that it has are of other topics here, this one is new to it. */
  #reasonFor (positions: ReadonlyMap<string, Position> | undefined): ResetReason {
    const epochs = this.#cursors.map(({ topic }) => epochOf(topic.window.last))
    return positions === undefined || [...positions.keys()].every((epoch) => epochs.includes(epoch)) ? 'unknown' : 'epoch'
  }

  #seekPosition (cursor: Cursor, position: Position | undefined, otherwise: ResetReason): void {
    if (position === undefined) cursor.miss(otherwise)
    else if (epochOf(position) !== epochOf(cursor.topic.window.last)) cursor.miss('epoch')
    else if (!cursor.locate(cursor.topic.resume(position))) this.#seekInHistory(cursor, position)
  }

  #seekInHistory (cursor: Cursor, position: Position | ''): void {
    cursor.position = position
    this.#sought++
    cursor.topic.replay.wait(cursor)
  }

  #found (): void {
    if (--this.#sought === 0) this.#begin()
  }

  /** From history: what follows the cursor's position begins at this index of the page. */
  take (cursor: Cursor, page: HistoryPage, index: number): void {
    if (!this.#isPlaced) {
      cursor.position = index < page.next ? page.at(index).prev : page.head
      this.#found()
    }
    if (!this.#isPlaced || this.#snapshots !== undefined || cursor.place !== -1) return
    if (this.permit.isDue || this.permit.isAsking || !this.stream.ready()) {
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
    cursor.miss(reason)
    if (!this.#isPlaced) {
      this.#found()
    } else if (this.stream.options.minimal) {
      this.stream.fail(new SSE_ERR_EVENTS_LOST())
    } else if (cursor.part.channel.options.slow === 'close') {
      this.stream.end('slow')
    } else {
      this.#lost = [...this.#lost, cursor]
      if (this.permit.isDue) this.recheck()
      else if (!this.permit.isAsking) this.#tellLost()
    }
  }

  // ---- what it is told of that

  #begin (): void {
    this.#isPlaced = true
    const { minimal } = this.stream.options
    const resets = this.#cursors.filter(({ reset }) => reset !== undefined)
    if (minimal && resets.length > 0) {
      this.stream.fail(new SSE_ERR_EVENTS_LOST())
      return
    }
    const fresh = this.#isNewcomer ? this.#cursors.filter(({ reset, part }) => reset === undefined && part.from === 'now' && part.channel.options.snapshot !== undefined) : []
    for (const cursor of this.#cursors) cursor.isTold = cursor.reset === undefined && !fresh.includes(cursor)
    this.#setResetHeader(resets)
    let text = ''
    if (!minimal && this.#cursors.some(({ isTold }) => isTold)) text = cursorFrame(this.#lastId = this.#id())
    this.#tell(resets, text, fresh)
  }

  #setResetHeader (resets: readonly Cursor[]): void {
    const { reply } = this.stream
    const value = resets.map(({ topic, reset }) => `${topic.name};${reset}`).join(', ')
    if (value !== '' && value.length <= MAX_HEADER_LENGTH && !reply.raw.headersSent) reply.header(RESET_HEADER, value)
  }

  #tellLost (): void {
    const lost = this.#lost
    this.#lost = NONE
    if (lost.length > 0) this.#tell(lost)
  }

  /** A reset has an id only where no snapshot follows. A client that is cut off inside a snapshot asks for all of it again. */
  #tell (resets: readonly Cursor[], before = '', fresh: readonly Cursor[] = []): void {
    let text = before
    for (const cursor of resets) {
      cursor.isTold = cursor.part.channel.options.snapshot === undefined
      if (cursor.isTold) this.#lastId = this.#id()
      const reason = cursor.reset as ResetReason // which is why it is told
      text += resetFrame(cursor.topic.name, reason, cursor.isTold ? this.#lastId : undefined)
      cursor.reset = undefined
      this.#callOut(() => this.#hub.wasReset(this, cursor.topic, reason))
    }
    if (!this.stream.isOpen) return // a hook that was told of it has ended it
    const parts = [...fresh, ...resets.filter(({ isTold }) => !isTold)].map(({ part }) => part)
    const started = parts.length > 0 && this.#snapshots === undefined ? this.#snapshots = new Snapshots(this.#hub, this, parts) : undefined
    if (started === undefined) this.#snapshots?.add(parts)
    if (text !== '' || this.#snapshots === undefined) this.stream.accept(text, 0)
    if (!this.stream.isOpen) return // its head could not be sent
    if (started !== undefined) started.start()
    else this.flush()
  }

  snapshotsDone (): void {
    this.#snapshots = undefined
    for (const cursor of this.#cursors) cursor.isTold = true
    this.stream.accept(this.stream.options.minimal ? '' : cursorFrame(this.#lastId = this.#id()), 0)
    this.flush()
  }

  /** The id that says where the client stands in all topics of which it knows. */
  #id (): string {
    return formatCursor(this.#cursors.filter(({ isTold }) => isTold).map(({ position }) => position))
  }

  // ---- what is written

  /** Whether what is written is the same for all streams of the topic. */
  get #shares (): boolean {
    return this.#subscription.isPlain && !this.stream.options.minimal
  }

  flush (): void {
    if (!this.#isPlaced || this.#snapshots !== undefined || this.permit.isAsking) return
    if (!this.stream.ready()) this.#dropIfSlow()
    else if (this.permit.isDue) this.recheck()
    else for (const cursor of this.#cursors) this.#flushCursor(cursor)
  }

  #flushCursor (cursor: Cursor): void {
    const { window } = cursor.topic
    const until = window.next // what a filter publishes comes in another turn
    if (cursor.place < window.first && !this.#relocate(cursor)) return
    while (cursor.place < until && cursor.place >= window.first) {
      if (!this.stream.ready()) return
      this.#sendWindow(cursor)
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
    } else if (this.stream.isOpen) {
      cursor.place = -1
      topic.replay.wait(cursor)
    }
    return false
  }

  #sendWindow (cursor: Cursor): void {
    const { window } = cursor.topic
    if (!this.#shares) {
      this.#sendOwn(cursor, window, cursor.place)
      return
    }
    const { chunk, events, next, position } = cursor.topic.join(cursor.place)
    this.#write(chunk, events)
    cursor.place = next
    cursor.position = position
  }

  #sendPage (cursor: Cursor, page: HistoryPage, index: number): void {
    if (!this.#shares) {
      this.#sendOwn(cursor, page, index)
      cursor.place = -1 // of the page, it means nothing in the window
      return
    }
    const { chunk, events, position } = page.join(index, cursor.topic.options.latest)
    this.#write(chunk, events)
    cursor.position = position
  }

  /** Frames that are this stream's alone: filtered, with a cursor of several topics, or data lines only. */
  #sendOwn (cursor: Cursor, entries: Entries, from: number): void {
    const { topic, part } = cursor
    const { minimal } = this.stream.options
    let failure: { error: unknown } | undefined
    const filter = part.filter && ((entry: BrokerEntry) => {
      if (failure !== undefined || !this.stream.isOpen) return false
      try {
        return passes(part, topic.eventOf(entry), this.stream.request)
      } catch (error) {
        failure = { error }
        return false
      }
    })
    const selection = this.#callOut(() => select(entries, from, topic.options.latest, filter))
    let text = ''
    for (const entry of selection.chosen) {
      cursor.position = entry.id
      text += minimal ? minimalFrameOf(entry) : frameOf(entry, this.#lastId = this.#id())
    }
    cursor.place = selection.next
    cursor.position = selection.position
    if (text !== '') this.#write(new Chunk(text), selection.chosen.length)
    if (failure !== undefined) this.stream.fail(failure.error) // behind what came before: the client stands there when it is back
  }

  #write (chunk: Chunk, events: number): void {
    if (!this.stream.isOpen) return // a filter has ended it
    this.#hub.delivered(events)
    this.stream.write(chunk, events)
  }
}
