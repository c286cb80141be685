// One topic on this node: the window of its newest entries, in one unbroken chain, and the cursors that read it.
import type { Broker, BrokerEntry, Page, Position, Retention } from '../../types/broker.js'
import type { ChannelStats } from '../../types/channel.js'
import type { ResetReason } from '../../types/reserved.js'
import type { Clock, Sleeper } from '../clock.js'
import { comparePositions, epochOf } from '../wire/cursor.js'
import { eventOf, join, type Join } from './frames.js'
import { Replay, type HistoryPage } from './replay.js'
import { Ring } from './ring.js'
import type { TopicSubscription } from './subscription.js'

/** Entries and bytes of a window at most: enough for a reader that blocks for a moment, so that it needs no history. */
const WINDOW_ENTRIES = 1_024
const WINDOW_BYTES = 1_048_576

/** What is in a window may be so old at least, whatever history says: twice as long as a reader may block. */
const WINDOW_MS = 60_000

/** Joins of one turn that are remembered. Nearly all readers stand at one or two places. */
const MAX_JOINS = 8

/** One stream's stand in a topic. */
export interface Reader {
  readonly position: Position | ''
  /** Something may be behind its position. */
  flush (): void
  /** What follows its position begins at this index of a page. */
  take (page: HistoryPage, index: number): void
  /** Its position does not hold. */
  lose (reason: ResetReason): void
}

/** Of what `app.sse.stats()` gives, what is counted one by one. */
export type ChannelCounts = Omit<ChannelStats, 'lag'>

/** What all topics of a node share. */
export interface TopicHost {
  readonly broker: Broker
  readonly stats: ChannelCounts
  readonly now: number
  readonly clock: Clock
  /** Of pages that replays keep. */
  keptBytes: number
  /** Its readers have something to write, or to look for. */
  changed (topic: Topic): void
  /** Its window has another entry. */
  grown (topic: Topic): void
  /** Calls `forget` when the turn is over. */
  remembers (topic: Topic): void
  /** Calls back in a while, unless the hub closes before. */
  retry (attempt: number, callback: () => void): void
  /** The broker failed; it is logged. */
  failed (error: unknown, topic: string): void
}

export interface TopicOptions {
  readonly retention: Retention
  /** Whether of the entries that wait for a reader only the newest of each key counts. */
  readonly latest: boolean
  isText (event: string): boolean
}

export class Topic implements Sleeper {
  wakeAt = 0
  heapIndex = -1
  readonly name: string
  readonly options: TopicOptions
  readonly readers = new Set<Reader>()
  readonly replay: Replay
  /** Until the sink is told of all that comes. */
  attaching: Promise<void> | undefined
  /** When the first of what its readers have not been served came. */
  changedAt = 0
  /** Of those who want all of its events and nothing else: one for all of their streams. */
  plain: TopicSubscription | undefined
  readonly window: Ring
  readonly #host: TopicHost
  readonly #joins = new Map<number, Join>()
  readonly #events = new Map<BrokerEntry, { event: string, data: unknown }>()
  #started = false
  #closed = false
  #repairing = false
  /** Whether something may have been lost that no read was sent behind. */
  #suspected = false
  /** An entry that did not follow the last one, since the last read was sent. */
  #missing: Position | undefined

  constructor (host: TopicHost, name: string, options: TopicOptions) {
    this.#host = host
    this.name = name
    this.options = options
    const { max, bytes, ttl } = options.retention
    this.window = new Ring({ max: WINDOW_ENTRIES, bytes: Math.min(max === 0 ? WINDOW_BYTES : bytes, WINDOW_BYTES), ttl: Math.max(max === 0 ? 0 : ttl, WINDOW_MS) }, '')
    this.replay = new Replay(host, this)
    this.attaching = this.#attach()
  }

  async #attach (): Promise<void> {
    const head = await this.#host.broker.attach(this.name)
    if (this.#closed) return
    if (!this.#started) this.#startAt(head)
    else if (this.window.placeAfter(head) === undefined) this.repair() // entries came before the answer
    if (this.#suspected) this.repair()
    this.attaching = undefined
  }

  /** For good: nobody has the topic any more. The broker keeps its history. */
  close (): void {
    this.#closed = true
    this.replay.close()
    this.#host.clock.cancel(this)
    this.#host.stats.windowBytes -= this.window.bytes
  }

  #startAt (head: Position): void {
    this.#started = true
    this.#restart(head)
  }

  /** An entry from the broker. */
  receive (entry: BrokerEntry): void {
    if (!this.#started) this.#startAt(entry.prev)
    if (entry.prev === this.window.last) {
      this.#append(entry)
    } else if (this.window.placeAfter(entry.id) === undefined) {
      this.#missing = entry.id
      this.repair()
    }
  }

  #append (entry: BrokerEntry): void {
    const { now, clock } = this.#host
    this.#changeWindow(() => this.window.append(entry, now))
    if (this.heapIndex === -1) clock.wake(this, this.window.expiresAt + 1)
    this.#joins.clear()
    this.#host.changed(this)
    this.#host.grown(this)
  }

  #restart (head: Position): void {
    this.#changeWindow(() => this.window.restart(head))
    this.#joins.clear()
  }

  #changeWindow (change: () => void): void {
    const before = this.window.bytes
    change()
    if (!this.#closed) this.#host.stats.windowBytes += this.window.bytes - before
  }

  /** There is no room for its window. */
  clear (): void {
    this.#changeWindow(() => this.window.clear())
  }

  /** What is in the window has grown old, or a part of it. */
  wake (now: number): number {
    this.#changeWindow(() => this.window.expire(now))
    return this.window.size === 0 ? Infinity : this.window.expiresAt + 1
  }

  /** Where a client that comes goes on. Undefined where its position is not in the window, or further back than history reaches. */
  resume (position: Position): number | undefined {
    const { window, options: { retention } } = this
    const place = window.placeAfter(position)
    if (place === undefined || place === window.next) return place
    return window.next - place <= retention.max && window.timeAt(place) >= this.#host.now - retention.ttl ? place : undefined
  }

  /** What is written from a place that has an entry. */
  join (place: number): Join {
    let found = this.#joins.get(place)
    if (found === undefined) {
      found = join(this.window, place, this.options.latest)
      this.#host.remembers(this)
      if (this.#joins.size < MAX_JOINS) this.#joins.set(place, found)
    }
    return found
  }

  /** The event in an entry, read once a turn for all filters. */
  eventOf (entry: BrokerEntry): { event: string, data: unknown } {
    let event = this.#events.get(entry)
    if (event === undefined) {
      event = eventOf(entry, this.options)
      this.#host.remembers(this)
      this.#events.set(entry, event)
    }
    return event
  }

  /** Drops what was worth remembering for a turn. */
  forget (): void {
    this.#joins.clear()
    this.#events.clear()
  }

  /** Reads what may have been lost on the way. One read at a time, whatever calls meanwhile. */
  repair (): void {
    this.#suspected = true
    if (this.#repairing || !this.#started || this.#closed) return
    this.#repairing = true
    void this.#repair(0)
  }

  async #repair (attempt: number): Promise<void> {
    if (this.#closed) return
    try {
      for (let done = false; !done || this.#suspected;) {
        this.#missing = undefined
        this.#suspected = false
        const { last: asked, next: place } = this.window
        this.#host.stats.repairs++
        const page = await this.#host.broker.read(this.name, asked, { entries: WINDOW_ENTRIES, bytes: WINDOW_BYTES })
        if (this.#closed) return
        // Where live entries followed the last one meanwhile, the page tells of what is known by now.
        if (this.window.last === asked) this.#mend(page)
        const missing = this.#missing as Position | undefined // may have been set while the answer was awaited
        done = this.#hasReached(page.head, place) && (missing === undefined || this.#hasReached(missing, place))
      }
      this.#repairing = false
    } catch (error) {
      if (this.#closed) return
      this.#host.failed(error, this.name)
      this.#host.retry(attempt, () => { void this.#repair(attempt + 1) })
    }
  }

  /** Whether the window holds a position, or has held it and rolled on by more than all that it had at `place`. */
  #hasReached (position: Position, place: number): boolean {
    if (this.window.placeAfter(position) !== undefined) return true
    const oldest = this.window.positionAt(this.window.first)
    return this.window.first > place && epochOf(position) === epochOf(oldest) && comparePositions(position, oldest) < 0
  }

  /**
   * Where the chain does not hold, the broker has lost entries that this node has sent, or dropped entries that it has
   * not. The window begins anew, and each reader finds out by its own position whether it missed something.
   */
  #mend ({ head, entries }: Page): void {
    for (const entry of entries) {
      if (entry.prev !== this.window.last) this.#restart(entry.prev)
      this.#append(entry)
    }
    if (entries.length === 0 && head !== this.window.last) {
      this.#restart(head)
      this.#host.changed(this)
    }
  }
}
