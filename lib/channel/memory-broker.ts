// The broker of a single process: history in rings, delivery by a call.
import { createHash, randomBytes } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import type { Broker, BrokerEntry, BrokerEvent, BrokerHealth, BrokerSink, Page, PageLimit, Position, Retention } from '../../types/broker.js'
import { Clock, type Sleeper } from '../clock.js'
import { describe, unknownName } from '../describe.js'
import { SSE_ERR_CLOSING, SSE_ERR_INVALID_OPTION } from '../errors.js'
import { Ring } from './ring.js'

export interface MemoryBrokerOptions {
  /** Bytes of frames, in all histories together. Beyond it, the histories that were published to least recently go. @default 268_435_456 */
  maxBytes?: number
  /** Topics that are remembered. Beyond it, those that nobody is subscribed to go, the least recently used first. @default 100_000 */
  maxTopics?: number
}

/**
 * A publisher that awaits each event in a loop would never give the event loop back, and the readers' windows would roll on
 * before a byte is written. After so many it waits for the next turn.
 */
const PUBLISHED_A_TURN = 128

/** Topics that are looked at for one to drop. Where so many have subscribers, hardly any has none. */
const MAX_LOOKS = 16

/** As the interface says. */
const DEDUPE_MS = 120_000

/** Keys remembered at once; the oldest go first. About 20 MB of short ones. */
const MAX_DEDUPE_KEYS = 100_000

/**
 * Keeps topics in the memory of this process: nothing outlives it, and nothing leaves it.
 *
 * A topic with neither history nor subscribers weighs no more than its last position. That is kept, so that a client whose
 * quiet topic was empty for a while is not told of a loss that did not happen.
 */
export function memoryBroker (options: MemoryBrokerOptions = {}): Broker {
  return new MemoryBroker(options)
}

function checkOptions (given: unknown): MemoryBrokerOptions {
  if (typeof given !== 'object' || given === null) throw new SSE_ERR_INVALID_OPTION(`Expected the options of memoryBroker() to be an object { maxBytes, maxTopics }, got ${describe(given)}`)
  const unknown = unknownName(given, ['maxBytes', 'maxTopics'], 'of memoryBroker()')
  if (unknown !== undefined) throw new SSE_ERR_INVALID_OPTION(unknown)
  for (const [name, value] of Object.entries(given)) {
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 1)) throw new SSE_ERR_INVALID_OPTION(`Expected \`${name}\` of memoryBroker() to be an integer >= 1, got ${describe(value)}`)
  }
  return given
}

class MemoryTopic implements Sleeper {
  wakeAt = 0
  heapIndex = -1
  attached = false
  history: Ring | undefined
  readonly epoch: string
  last: Position
  readonly #broker: MemoryBroker

  constructor (broker: MemoryBroker, epoch: string) {
    this.#broker = broker
    this.epoch = epoch
    this.last = broker.nextPosition(epoch)
  }

  wake (now: number): number {
    return this.#broker.expire(this, now)
  }
}

class MemoryBroker implements Broker {
  readonly #maxBytes: number
  readonly #maxTopics: number
  readonly #secret = randomBytes(16)
  /** Of topics, so far. */
  #lives = 0
  /** For histories that grow old. It keeps no process alive. */
  readonly #clock = new Clock({
    now: () => performance.now(),
    setTimeout: (callback, ms) => setTimeout(callback, ms).unref(),
    clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout) // what setTimeout above gave
  })

  /** The least recently used first. */
  readonly #topics = new Map<string, MemoryTopic>()
  /** Those that have history, the least recently published to first. */
  readonly #kept = new Set<MemoryTopic>()
  readonly #dedupes = new Map<string, { position: Position, until: number }>()
  #sink: BrokerSink | undefined
  #bytes = 0
  #published = 0
  #ms = 0
  #seq = 0

  constructor (options: MemoryBrokerOptions) {
    const { maxBytes = 268_435_456, maxTopics = 100_000 } = checkOptions(options)
    this.#maxBytes = maxBytes
    this.#maxTopics = maxTopics
  }

  open (sink: BrokerSink): void {
    if (this.#sink !== undefined) throw new SSE_ERR_INVALID_OPTION('This memory broker is open already: give each application its own')
    this.#sink = sink
  }

  async publish (name: string, { frame, key, dedupe }: BrokerEvent, retention: Retention): Promise<Position> {
    if (this.#sink === undefined) throw new SSE_ERR_CLOSING()
    const now = this.#clock.now
    const known = dedupe === undefined ? undefined : this.#known(`${name} ${dedupe}`, now)
    if (known !== undefined) return known
    const topic = this.#touch(name)
    const entry: BrokerEntry = { id: this.nextPosition(topic.epoch), prev: topic.last, frame, key }
    if (dedupe !== undefined) this.#remember(`${name} ${dedupe}`, entry.id, now)
    topic.last = entry.id
    this.#keep(topic, entry, retention, now)
    if (topic.attached) this.#sink.entry(name, entry)
    if (++this.#published % PUBLISHED_A_TURN === 0) await turn()
    return entry.id
  }

  async attach (name: string): Promise<Position> {
    const topic = this.#touch(name)
    topic.attached = true
    return topic.last
  }

  async detach (name: string): Promise<void> {
    const topic = this.#topics.get(name)
    if (topic !== undefined) topic.attached = false
  }

  async read (name: string, after: Position | '', { entries: limit, bytes }: PageLimit): Promise<Page> {
    const { last, history } = this.#touch(name)
    const entries: BrokerEntry[] = []
    if (history !== undefined) {
      this.#changeHistory(history, () => history.expire(this.#clock.now))
      let size = 0
      for (let place = history.placeBehind(after); place < history.next && entries.length < limit; place++) {
        size += history.sizeAt(place)
        if (size > bytes && entries.length > 0) break
        entries.push(history.at(place))
      }
    }
    return { head: last, entries }
  }

  async command (text: string): Promise<void> {
    this.#sink?.command(text)
  }

  health (): BrokerHealth {
    return { state: this.#sink === undefined ? 'down' : 'live' }
  }

  close (): void {
    this.#sink = undefined
    for (const topic of this.#topics.values()) this.#clock.cancel(topic)
    this.#topics.clear()
    this.#kept.clear()
    this.#dedupes.clear()
  }

  /** Its history has grown old, or a part of it. Returns when to look again. */
  expire (topic: MemoryTopic, now: number): number {
    const { history } = topic
    if (history === undefined) return Infinity
    this.#changeHistory(history, () => history.expire(now))
    if (history.size > 0) return history.expiresAt + 1
    this.#forget(topic)
    return Infinity
  }

  #keep (topic: MemoryTopic, entry: BrokerEntry, retention: Retention, now: number): void {
    if (retention.max === 0) return
    const history = (topic.history ??= new Ring(retention, entry.prev))
    this.#changeHistory(history, () => history.append(entry, now))
    if (topic.heapIndex === -1) this.#clock.wake(topic, history.expiresAt + 1)
    this.#kept.delete(topic)
    this.#kept.add(topic)
    for (const oldest of this.#kept) {
      if (this.#bytes <= this.#maxBytes) break
      this.#forget(oldest)
    }
  }

  #changeHistory (history: Ring, change: () => void): void {
    const before = history.bytes
    change()
    this.#bytes += history.bytes - before
  }

  #forget (topic: MemoryTopic): void {
    this.#bytes -= topic.history?.bytes ?? 0
    topic.history = undefined
    this.#kept.delete(topic)
    this.#clock.cancel(topic)
  }

  /** The topic, as the most recently used. */
  #touch (name: string): MemoryTopic {
    const topic = this.#topics.get(name) ?? new MemoryTopic(this, this.#newEpoch())
    this.#topics.delete(name)
    this.#topics.set(name, topic)
    if (this.#topics.size > this.#maxTopics) this.#dropTopic(topic)
    return topic
  }

  #dropTopic (except: MemoryTopic): void {
    let looks = 0
    for (const [name, topic] of this.#topics) {
      if (++looks > MAX_LOOKS || topic === except) break
      if (topic.attached) { // it is in use, though nobody publishes to it: the next look is to find others
        this.#topics.delete(name)
        this.#topics.set(name, topic)
        continue
      }
      this.#forget(topic)
      this.#topics.delete(name)
      break
    }
  }

  /** Unique in this broker, and greater than all before, whatever the system's clock does. */
  nextPosition (epoch: string): Position {
    const ms = Date.now()
    if (ms > this.#ms) {
      this.#ms = ms
      this.#seq = 0
    } else {
      this.#seq++
    }
    return `${epoch}.${this.#ms}-${this.#seq}`
  }

  /** Nobody can guess the epoch of a topic that they have not been given. */
  #newEpoch (): string {
    return createHash('sha256').update(this.#secret).update(String(++this.#lives)).digest('base64url').slice(0, 8)
  }

  #known (key: string, now: number): Position | undefined {
    const known = this.#dedupes.get(key)
    return known === undefined || known.until < now ? undefined : known.position
  }

  #remember (key: string, position: Position, now: number): void {
    this.#dedupes.delete(key)
    this.#dedupes.set(key, { position, until: now + DEDUPE_MS })
    for (const [oldest, { until }] of this.#dedupes) {
      if (until >= now && this.#dedupes.size <= MAX_DEDUPE_KEYS) break
      this.#dedupes.delete(oldest)
    }
  }
}
