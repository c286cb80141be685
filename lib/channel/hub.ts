// All topics of this node. Between the broker, which tells of entries one by one, and the streams, which are written to
// once a turn.
import type { FastifyRequest } from 'fastify'
import type { Broker, BrokerEntry, BrokerHealth, BrokerSink } from '../../types/broker.js'
import type { ChannelStats, DisconnectWhere } from '../../types/channel.js'
import type { ResetReason } from '../../types/reserved.js'
import type { Clock, Sleeper } from '../clock.js'
import type { Turns } from '../stream/turns.js'
import type { Feed } from './feed.js'
import { LagHistogram } from './lag.js'
import { Quantum } from './quantum.js'
import { subscribeTo, type Part, type TopicRef, type TopicSubscription } from './subscription.js'
import { Topic, type ChannelCounts, type Reader, type TopicHost } from './topic.js'

/** Bytes of all windows. Beyond it, the topics that have been quiet for longest let go of theirs. */
export const WINDOWS_BYTES = 268_435_456

/**
 * Between attempts to read history from a broker that fails, doubled each time. Nobody hears that it is back, so this is also how long a
 * topic may stand still then; a broker that knows that it cannot be reached fails at once, which costs nothing.
 */
const FIRST_RETRY_MS = 250
const MAX_RETRY_MS = 3_000

/** What the hub needs of the plugin that it runs in. */
export interface HubHost {
  readonly clock: Clock
  readonly turns: Turns
  /** A client was told that it missed something. */
  reset (request: FastifyRequest, topic: string, reason: ResetReason): void
  brokerFailed (error: unknown, topic: string): void
}

class Retry implements Sleeper {
  wakeAt = 0
  heapIndex = -1
  readonly #callback: () => void

  constructor (callback: () => void) {
    this.#callback = callback
  }

  wake (): number {
    this.#callback()
    return Infinity
  }
}

export class Hub implements BrokerSink, TopicHost {
  readonly broker: Broker
  readonly clock: Clock
  readonly turns: Turns
  keptBytes = 0
  readonly stats: ChannelCounts = { topics: 0, subscribers: 0, windowBytes: 0, published: 0, delivered: 0, writes: 0, resets: { unknown: 0, epoch: 0, ahead: 0, lost: 0 }, reads: 0, repairs: 0 }
  readonly #host: HubHost
  readonly #lag = new LagHistogram()
  readonly #topics = new Map<string, Topic>()
  /** From the first question whether they may to their end. */
  readonly #feeds = new Set<Feed>()
  /** Topics with something new, in the order in which they are served. */
  readonly #changed = new Set<Topic>()
  /** Topics that have something in their windows, the ones that have been quiet for longest first. */
  readonly #windows = new Set<Topic>()
  /** Streams that go on after they were blocked. */
  #due = new Set<Feed>()
  /** Who is served, from where it was left off. */
  #serving: Iterator<Reader | Feed> | undefined
  /** When the oldest of what these are served came. */
  #servingSince: number | undefined
  readonly #remembering = new Set<Topic>()
  readonly #retries = new Set<Retry>()
  #queued = false
  #closed = false

  constructor (host: HubHost, broker: Broker) {
    this.#host = host
    this.clock = host.clock
    this.turns = host.turns
    this.broker = broker
  }

  get now (): number {
    return this.clock.now
  }

  get health (): BrokerHealth {
    return this.broker.health()
  }

  async open (): Promise<void> {
    await this.broker.open(this)
  }

  async close (): Promise<void> {
    this.#closed = true
    for (const retry of this.#retries) this.clock.cancel(retry)
    this.#retries.clear()
    await this.broker.close()
  }

  // ---- from the broker

  entry (name: string, entry: BrokerEntry): void {
    this.#topics.get(name)?.receive(entry)
  }

  suspect (name?: string): void {
    if (name !== undefined) this.#topics.get(name)?.repair()
    else for (const topic of this.#topics.values()) topic.repair()
  }

  command (text: string): void {
    const where = JSON.parse(text) as DisconnectWhere // written by `disconnect` of some node
    for (const feed of [...this.#feeds]) if (feed.matches(where)) feed.stream.end('disconnected')
  }

  async disconnect (where: DisconnectWhere): Promise<void> {
    await this.broker.command(JSON.stringify(where))
  }

  failed (error: unknown, topic: string): void {
    this.#host.brokerFailed(error, topic)
  }

  retry (attempt: number, callback: () => void): void {
    if (this.#closed) return
    const retry = new Retry(() => {
      this.#retries.delete(retry)
      callback()
    })
    this.#retries.add(retry)
    this.clock.wake(retry, this.now + Math.min(FIRST_RETRY_MS * 2 ** attempt, MAX_RETRY_MS))
  }

  // ---- topics and who reads them

  /** What all streams share that want a topic and nothing else. */
  plainOf (ref: TopicRef): TopicSubscription {
    const topic = this.#topics.get(ref.name)
    return topic === undefined ? subscribeTo(ref) : (topic.plain ??= subscribeTo(ref))
  }

  topicOf (part: Part): Topic {
    let topic = this.#topics.get(part.name)
    if (topic === undefined) this.#topics.set(part.name, topic = new Topic(this, part.name, part.channel))
    return topic
  }

  enter (topic: Topic, reader: Reader): void {
    topic.readers.add(reader)
    this.stats.subscribers++
  }

  /** A topic without readers is let go of; the broker keeps its history. */
  leave (topic: Topic, reader: Reader): void {
    topic.readers.delete(reader)
    this.stats.subscribers--
    if (topic.readers.size > 0) return
    topic.close()
    this.#topics.delete(topic.name)
    this.#changed.delete(topic)
    this.#windows.delete(topic)
    void this.#detach(topic.name)
  }

  async #detach (name: string): Promise<void> {
    try {
      await this.broker.detach(name)
    } catch (error) {
      this.failed(error, name)
    }
  }

  began (feed: Feed): void {
    this.#feeds.add(feed)
  }

  ended (feed: Feed): void {
    this.#feeds.delete(feed)
    this.#due.delete(feed)
  }

  /** Counts it, and tells the user's hooks, which may end any stream. */
  wasReset ({ stream }: Feed, topic: Topic, reason: ResetReason): void {
    this.stats.resets[reason]++
    this.#host.reset(stream.request, topic.name, reason)
  }

  delivered (events: number): void {
    this.stats.delivered += events
    this.stats.writes++
  }

  currentStats (): ChannelStats {
    return { ...this.stats, topics: this.#topics.size, resets: { ...this.stats.resets }, lag: this.#lag.stats }
  }

  // ---- once a turn

  changed (topic: Topic): void {
    if (!this.#changed.has(topic)) {
      this.#changed.add(topic)
      topic.changedAt = this.now
    }
    this.#queue()
  }

  grown (topic: Topic): void {
    this.#windows.delete(topic)
    this.#windows.add(topic)
    for (const quiet of this.#windows) {
      if (this.stats.windowBytes <= WINDOWS_BYTES) break
      if (this.#changed.has(quiet)) continue // its readers have not had their turn
      quiet.clear()
      this.#windows.delete(quiet)
    }
  }

  /** Has something to write, or to look for, in a turn of its own. */
  due (feed: Feed): void {
    this.#due.add(feed)
    this.#queue()
  }

  remembers (topic: Topic): void {
    this.#remembering.add(topic)
    this.#queue()
  }

  // The check phase comes when the poll phase has done all of its callbacks: whatever was published in them goes out in
  // one write a stream.
  #queue (): void {
    if (this.#queued) return
    this.#queued = true
    setImmediate(this.#serve)
  }

  #serve = (): void => {
    this.#queued = false
    const isDone = this.#serveFor(new Quantum(this))
    for (const topic of this.#remembering) topic.forget()
    this.#remembering.clear()
    if (!isDone) this.#queue()
  }

  /** Serves one crowd to its end before the next one. What comes meanwhile puts its topic behind the others. */
  #serveFor (quantum: Quantum): boolean {
    for (this.#serving ??= this.#next(); this.#serving !== undefined; this.#serving = this.#next()) {
      for (let next = this.#serving.next(); next.done !== true; next = this.#serving.next()) {
        next.value.flush()
        if (quantum.isOver()) return false
      }
      if (this.#servingSince !== undefined) this.#lag.add(this.now - this.#servingSince)
    }
    return true
  }

  #next (): Iterator<Reader | Feed> | undefined {
    this.#servingSince = undefined
    if (this.#due.size > 0) {
      const due = this.#due
      this.#due = new Set()
      return due.values()
    }
    const [topic] = this.#changed
    if (topic === undefined) return undefined
    this.#changed.delete(topic)
    this.#servingSince = topic.changedAt
    return topic.readers.values()
  }
}
