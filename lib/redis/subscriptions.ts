// What this node hears: the topics that are wanted, on one link that may break at any time.
import type { BrokerEntry, Position } from '../../types/broker.js'
import type { Connection } from './connection.js'
import { defer, type Deferred } from './deferred.js'
import { MessageReader } from './entry.js'
import { isRefusal } from './refusal.js'

/** Channels in one command. Ten thousand at once would hold up Redis, and everybody who uses it. */
const BATCH = 256

/** Until what was not answered is asked for again. */
const LATER_MS = 1_000

/** A topic that is wanted. */
export class Wanted {
  readonly topic: string
  readonly channel: string
  readonly #reader = new MessageReader()
  /** The newest entry that is known of here. */
  seen: Position | undefined
  /** Until Redis has said that it will tell, or nobody wants it any more. */
  readonly heard: Deferred<void> = defer()
  /** Whether Redis has ever said so. */
  isHeard = false
  /** Whether anybody is known to have published to it. */
  isPublished = false

  constructor (topic: string, channel: string) {
    this.topic = topic
    this.channel = channel
  }

  /** What the channel has told. @throws where it is no entry */
  next (message: string): BrokerEntry {
    const entry = this.#reader.read(message)
    this.seen = entry.id
    this.isPublished = true
    return entry
  }

  hear (): void {
    this.isHeard = true
    this.heard.resolve()
  }
}

export interface SubscriptionsHost {
  /** The name of a topic's channel. */
  channel (topic: string): string
  /** Channels that are always heard. */
  readonly always: readonly string[]
  /** Whether topics are told of by the shard that has them, and not by all of a cluster. */
  readonly isSharded: boolean
  /** All that is wanted is heard, again or for the first time. */
  up (): void
}

export class Subscriptions {
  readonly wanted = new Map<string, Wanted>()
  /** The same, by their channels. */
  readonly #channels = new Map<string, Wanted>()
  readonly #connection: Connection
  readonly #host: SubscriptionsHost
  /** Topics that this link has been asked for. */
  readonly #asked = new Set<string>()
  /** Of those, the ones that Redis has refused, which are asked for again. */
  readonly #late = new Set<string>()
  /** Topics that are wanted, or no more, since the last commands. */
  readonly #changed = new Set<string>()
  readonly #firstUp = defer<void>()
  /** So many there have been, so that what one has answered is not taken for another's. */
  links = 0
  #isLinked = false
  #isUp = false
  #isQueued = false
  /** When Redis last answered. */
  progressAt = 0
  #later: NodeJS.Timeout | undefined

  constructor (connection: Connection, host: SubscriptionsHost) {
    this.#connection = connection
    this.#host = host
    connection.on('ready', () => { void this.#begin() })
    connection.on('close', () => this.#end())
  }

  /** Whether all that was wanted when the link came is heard. */
  get isUp (): boolean {
    return this.#isUp
  }

  /** Resolves when it is up for the first time; rejects when Redis does not allow it. */
  get firstUp (): Promise<void> {
    return this.#firstUp.promise
  }

  want (topic: string): Wanted {
    let one = this.wanted.get(topic)
    if (one === undefined) {
      one = new Wanted(topic, this.#host.channel(topic))
      this.wanted.set(topic, one)
      this.#channels.set(one.channel, one)
      this.#change(topic)
    }
    return one
  }

  /** Whoever waits to hear it goes on. */
  drop (topic: string): Wanted | undefined {
    const one = this.wanted.get(topic)
    one?.heard.resolve()
    if (this.#forget(one)) this.#change(topic)
    return one
  }

  /** Of a channel; undefined where it is another one, or nobody wants it any more. */
  of (channel: string): Wanted | undefined {
    return this.#channels.get(channel)
  }

  #forget (one: Wanted | undefined): boolean {
    if (one === undefined) return false
    this.#channels.delete(one.channel)
    return this.wanted.delete(one.topic)
  }

  /** Asks for it again: it may not be heard any more. */
  renew (topic: string): void {
    if (this.wanted.has(topic)) this.#change(topic)
  }

  close (error: Error): void {
    clearTimeout(this.#later)
    for (const { heard } of this.wanted.values()) heard.reject(error)
    this.wanted.clear()
    this.#channels.clear()
  }

  // Calls of one turn become one command.
  #change (topic: string): void {
    this.#changed.add(topic)
    if (this.#isQueued) return
    this.#isQueued = true
    process.nextTick(() => {
      this.#isQueued = false
      this.#flush()
    })
  }

  #flush (): void {
    if (!this.#isLinked) { // all is asked for when the link is back
      this.#changed.clear()
      return
    }
    const more: string[] = []
    const less: string[] = []
    for (const topic of this.#changed) {
      if (!this.wanted.has(topic)) this.#late.delete(topic)
      // One that was dropped and is wanted again is asked for again: only the answer says that it is heard.
      if (this.wanted.has(topic)) more.push(topic)
      else if (this.#asked.delete(topic)) less.push(topic)
    }
    this.#changed.clear()
    for (let from = 0; from < less.length; from += BATCH) this.#unsubscribe(less.slice(from, from + BATCH))
    for (let from = 0; from < more.length; from += BATCH) void this.#ask(more.slice(from, from + BATCH))
  }

  async #ask (topics: readonly string[]): Promise<void> {
    const link = this.links
    const asked = topics.map((topic) => [topic, this.wanted.get(topic)] as const)
    for (const topic of topics) this.#asked.add(topic)
    try {
      await this.#subscribe(topics)
    } catch (error) {
      if (link !== this.links) return // the next link asks again
      if (topics.length > 1) { // one of them may be to blame
        for (const topic of topics) if (this.wanted.has(topic)) await this.#ask([topic])
        return
      }
      for (const [topic, one] of asked) {
        if (isRefusal(error) && one?.isHeard === false) this.#refuse(topic, one, error)
        else this.#askLater(topic)
      }
      return
    }
    this.progressAt = performance.now()
    let wasLate = false
    for (const [topic, one] of asked) {
      wasLate = this.#late.delete(topic) || wasLate
      one?.hear()
    }
    if (wasLate && this.#isUp) this.#host.up() // what came meanwhile was not heard
  }

  #refuse (topic: string, one: Wanted, error: Error): void {
    one.heard.reject(error)
    this.#asked.delete(topic)
    if (this.wanted.get(topic) === one) this.#forget(one)
  }

  // Readers have it: it is not forgotten, whatever Redis says.
  #askLater (topic: string): void {
    this.#late.add(topic)
    this.#changed.add(topic)
    this.#later ??= setTimeout(() => {
      this.#later = undefined
      this.#flush()
    }, LATER_MS).unref()
  }

  // Channels of different slots cannot be in one command.
  async #subscribe (topics: readonly string[]): Promise<void> {
    const channels = topics.map((topic) => this.#host.channel(topic))
    if (this.#host.isSharded) await Promise.all(channels.map((channel) => this.#connection.ssubscribe(channel)))
    else await this.#connection.subscribe(...channels)
  }

  #unsubscribe (topics: readonly string[]): void {
    const channels = topics.map((topic) => this.#host.channel(topic))
    const left = this.#host.isSharded ? channels.map((channel) => this.#connection.sunsubscribe(channel)) : [this.#connection.unsubscribe(...channels)]
    for (const one of left) one.catch(() => {}) // with the link, all of them are gone
  }

  async #begin (): Promise<void> {
    const link = ++this.links
    this.#isLinked = true
    // A cluster's client has asked by itself for all that it was asked for before.
    const left = [...this.#asked].filter((topic) => !this.wanted.has(topic))
    if (left.length > 0) this.#unsubscribe(left)
    this.#asked.clear()
    this.#changed.clear()
    try {
      await this.#connection.subscribe(...this.#host.always)
    } catch (error) {
      if (isRefusal(error)) this.#firstUp.reject(error)
      return // a link that does not come up is given up
    }
    for (const batch of this.#batches()) {
      await this.#ask(batch)
      if (link !== this.links) return
    }
    this.#isUp = true
    this.#firstUp.resolve()
    this.#host.up()
  }

  /** Of what is wanted and has not been asked for, also of what is wanted meanwhile. */
  * #batches (): Generator<string[]> {
    let batch: string[] = []
    for (const topic of this.wanted.keys()) {
      if (this.#asked.has(topic) || batch.push(topic) < BATCH) continue
      yield batch
      batch = []
    }
    if (batch.length > 0) yield batch
  }

  #end (): void {
    this.links++
    this.#isLinked = false
    this.#isUp = false
  }
}
