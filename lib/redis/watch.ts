// Whether what is published comes back, by the very way that entries take. Redis tells one link of everything in the order in which it was
// published, so when an echo comes back, everything before it has come too: an echo is a barrier. On a cluster, where entries come by
// other ways than the echo, it is nearly one: what is then taken for lost is read, and not lost.
import { comparePositions, epochOf } from '../wire/cursor.js'
import type { CommandLink } from './command-link.js'
import type { Connection } from './connection.js'
import type { Keys } from './keys.js'
import { META_MS, UNPUBLISHED_MS } from './scripts.js'
import { headOf } from './standing.js'
import type { Subscriptions } from './subscriptions.js'

/** A link that has been silent for so many intervals is broken. */
const PATIENCE = 2

/**
 * And one that so many echoes in a row have not come by, whatever else comes: it may hear another Redis than the one that is
 * published to, after a failover that half of the links have noticed.
 */
const ECHOES_LOST = 3

/**
 * Heads are looked at with each of so many probes, whatever happens: every half a minute, as the interval is by default. A cluster's
 * client changes links without a word, so there it is more often. A look also puts off when a topic is forgotten, so where the interval is
 * long it is twice in the least time for which one is remembered.
 */
const PROBES_BETWEEN_LOOKS = { single: 15, cluster: 3 }
const MOST_BETWEEN_LOOKS_MS = UNPUBLISHED_MS / 2

/** Heads that are asked for together. */
const HEADS_AT_ONCE = 256

interface Probe {
  readonly number: number
  /** Since when nothing has been heard of it. */
  since: number
  isPublished: boolean
  heads?: Heads
}

/** Of topics: the newest entry that was known here before, and Redis' own. */
type Heads = ReadonlyMap<string, { before: string, head: string | undefined }>

export interface WatchHost {
  readonly commands: CommandLink
  readonly ears: Connection
  readonly subscriptions: Subscriptions
  readonly keys: Keys
  readonly echo: string
  readonly isCluster: boolean
  /** Entries of the topic may have been lost on the way. */
  suspect (topic: string): void
  /** All heads have been looked at. */
  looked (): void
}

export class Watch {
  readonly #host: WatchHost
  readonly #interval: number
  readonly #probesBetweenLooks: number
  #timer: NodeJS.Timeout | undefined
  #probe: Probe | undefined
  #probes = 0
  #ticks = 0
  /** Whether the next probe looks at all heads. */
  #mustLook = false
  /** Whether the next tick looks, since Redis has refused to tell of a head. */
  #lookLater = false
  #heardAt = 0
  /** When Redis last answered to anything. */
  #answeredAt = 0
  /** Echoes that have not come, in a row. */
  #lost = 0
  /** Links that are connected and not up, and since when. */
  readonly #halfMade = new Map<Connection, number>()

  constructor (host: WatchHost, interval: number) {
    this.#host = host
    this.#interval = interval
    this.#probesBetweenLooks = Math.min(PROBES_BETWEEN_LOOKS[host.isCluster ? 'cluster' : 'single'], Math.floor(MOST_BETWEEN_LOOKS_MS / interval))
  }

  start (): void {
    // Nodes that started together do not ask together. Sockets keep the process, and not this.
    this.#timer = setTimeout(() => {
      this.#tick()
      this.#timer = setInterval(() => this.#tick(), this.#interval).unref()
    }, this.#interval * Math.random()).unref()
  }

  stop (): void {
    clearInterval(this.#timer) // of a timeout too
  }

  /** Whether the last probe has been on its way for too long. */
  get isLate (): boolean {
    return this.#lost > 0 || (this.#probe !== undefined && this.#isTooLong(this.#probe.since))
  }

  /** There is a new link to hear by. What was on its way to the old one will not come, nor will its echo. */
  linked (): void {
    this.#probe = undefined
    this.#lost = 0
    this.look()
  }

  /** Looks at all heads, with the next probe. */
  look (): void {
    this.#mustLook = true
    void this.#send()
  }

  /** Asks at once, if nothing is asked yet: there is a new link to ask by, and looks may be due. */
  probe (): void {
    void this.#send()
  }

  /** Something has come, so the link is not silent. */
  heard (): void {
    this.#heardAt = performance.now()
  }

  /** Something was answered, so the link that asks is not silent: a probe may stand behind large pages. */
  answered (): void {
    this.#answeredAt = performance.now()
  }

  /** What was published to the channel of this node. */
  echoed (number: string): void {
    const probe = this.#probe
    if (probe === undefined || String(probe.number) !== number) return
    this.#probe = undefined
    this.#lost = 0
    if (probe.heads !== undefined) {
      this.#compare(probe.heads)
      this.#host.looked()
    }
    if (this.#mustLook) void this.#send()
  }

  #tick (): void {
    if (++this.#ticks % this.#probesBetweenLooks === 0 || this.#lookLater) this.#mustLook = true
    this.#lookLater = false
    void this.#send()
    // Where the event loop was held up, answers may be waiting in the sockets: they come first.
    setImmediate(() => this.#dropSilent())
  }

  #dropSilent (): void {
    const { commands, ears, subscriptions } = this.#host
    this.#dropHalfMade(commands.connection, commands.isUp)
    this.#dropHalfMade(ears, subscriptions.isUp)
    const probe = this.#probe
    if (probe === undefined || !this.#isTooLong(probe.isPublished ? probe.since : Math.max(probe.since, this.#answeredAt))) return
    if (!probe.isPublished) commands.drop()
    else if (!subscriptions.isUp) return
    else if (++this.#lost === ECHOES_LOST || this.#isTooLong(this.#heardAt)) ears.disconnect(true)
    this.#probe = undefined
    this.#mustLook = true
  }

  // One that accepts and then says nothing, as a Redis that stands still does, is neither gone nor up, and no error tells of it.
  #dropHalfMade (connection: Connection, isUp: boolean): void {
    if (isUp || (connection.status !== 'connect' && connection.status !== 'ready')) {
      this.#halfMade.delete(connection)
      return
    }
    const since = this.#halfMade.get(connection)
    if (since === undefined) {
      this.#halfMade.set(connection, performance.now())
    } else if (this.#isTooLong(Math.max(since, connection === this.#host.ears ? this.#host.subscriptions.progressAt : 0))) {
      this.#halfMade.delete(connection)
      connection.disconnect(true)
    }
  }

  #isTooLong (since: number): boolean {
    return performance.now() - since > this.#interval * PATIENCE
  }

  async #send (): Promise<void> {
    const { commands, echo, subscriptions } = this.#host
    if (this.#probe !== undefined || !commands.isUp) return
    const probe: Probe = { number: ++this.#probes, since: performance.now(), isPublished: false }
    this.#probe = probe
    void commands.identify()
    try {
      if (this.#mustLook && subscriptions.isUp) {
        this.#mustLook = false
        probe.heads = await this.#heads(probe)
      }
      await commands.connection.publish(echo, String(probe.number))
      probe.isPublished = true
      probe.since = performance.now()
    } catch { // the link is gone, or refuses: the next tick tries again
      this.#mustLook = true
      if (this.#probe === probe) this.#probe = undefined
    }
  }

  async #heads (probe: Probe): Promise<Heads> {
    const { commands, keys, subscriptions } = this.#host
    const heads = new Map<string, { before: string, head: string | undefined }>()
    const topics = [...subscriptions.wanted.keys()]
    for (let from = 0; from < topics.length; from += HEADS_AT_ONCE) {
      await Promise.all(topics.slice(from, from + HEADS_AT_ONCE).map(async (topic) => {
        const one = subscriptions.wanted.get(topic)
        const before = one?.seen
        if (one === undefined || before === undefined) return // whoever finds out looks again
        const key = keys.of(topic).meta
        // In this order: whoever publishes behind the answer puts expiry off by itself.
        const [, meta] = await Promise.all([commands.connection.pexpire(key, one.isPublished ? META_MS : UNPUBLISHED_MS), commands.connection.hgetall(key)])
        this.#answeredAt = performance.now()
        const stand = headOf(meta)
        if (stand?.isPublished === true && !one.isPublished) {
          one.isPublished = true
          await commands.connection.pexpire(key, META_MS)
        }
        heads.set(topic, { before, head: stand?.head })
      }).map(async (one) => await one.catch(() => { this.#lookLater = true }))) // the echo is sent all the same, and nobody asks again at once what was refused
      probe.since = performance.now()
    }
    return heads
  }

  #compare (heads: Heads): void {
    const { subscriptions } = this.#host
    for (const [topic, { before, head }] of heads) {
      const one = subscriptions.wanted.get(topic)
      // Nobody wants it any more; or Redis had what was known here, and what it had has come.
      if (one?.seen === undefined || (head !== undefined && epochOf(head) === epochOf(one.seen) && comparePositions(before, head) <= 0 && comparePositions(head, one.seen) <= 0)) continue
      one.seen = head
      subscriptions.renew(topic)
      this.#host.suspect(topic)
    }
  }
}
