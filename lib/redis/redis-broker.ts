// Topics in Redis: history in streams, delivery by pub/sub, one script for each publish. Three things make it exact: each entry
// names the one before it; a link that was broken is followed by a look at all heads; and what Redis echoes has passed all that
// was published before.
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Broker, BrokerEvent, BrokerHealth, BrokerSink, Page, PageLimit, Position, Retention } from '../../types/broker.js'
import { SSE_ERR_BROKER_UNAVAILABLE, SSE_ERR_CLOSING, SSE_ERR_INVALID_OPTION, SSE_ERR_PUBLISH_UNCERTAIN } from '../errors.js'
import { CommandLink } from './command-link.js'
import { CommandLog } from './command-log.js'
import { duplicate, isCluster, type ClientOptions, type Connection, type Found } from './connection.js'
import { defer, type Deferred } from './deferred.js'
import { formatEntry, parsePage } from './entry.js'
import { Keys } from './keys.js'
import { resolveOptions, type RedisBrokerOptions } from './options.js'
import { isHarmless, isPassing, isRefusal, isUnknownScript } from './refusal.js'
import { DEDUPE_MS, REPEAT_MS } from './scripts.js'
import { Standings, type Standing } from './standing.js'
import { Subscriptions, type Wanted } from './subscriptions.js'
import { Turnstile } from './turnstile.js'
import { Watch } from './watch.js'

/** Of publishes that are under way: what a Redis that does not answer can make a node hold. */
const MAX_PENDING = 10_000
const MAX_PENDING_BYTES = 67_108_864

/** How long a start waits for Redis. If it is not there by then the application runs, and its health says so. */
const START_MS = 3_000

/** Between two attempts to read where a topic stands, while links break, and where Redis refuses for a while. */
const RETRY_MS = { broken: 20, refused: 1_000 }

/** Pages that are read at once. After an outage all topics read, and what they get stands in Redis' memory before it stands here. */
const READS_AT_ONCE = 32

/** How long a close waits for publishes that are under way. */
const CLOSE_MS = 1_000

/** For how long a publish that Redis has refused says that others would be: what passes by itself passes without a word, too. */
const REFUSED_MS = 5_000

/** What waiting cannot mend. */
const MISCONFIGURED = /^(WRONGPASS|NOAUTH|NOPERM|ERR AUTH|ERR invalid password|ERR Client sent AUTH)/

interface Publish {
  readonly topic: string
  readonly text: string
  /** Its bytes. */
  readonly size: number
  readonly dedupe: string | undefined
  readonly retention: Retention
  /** Who orders topics, as far as is known. */
  readonly server: string
  readonly standing: Standing | undefined
}

/**
 * Keeps topics in Redis, for applications of many processes: the same code as with the memory broker.
 *
 * While Redis is away, streams stay open, `publish()` rejects at once with `SSE_ERR_BROKER_UNAVAILABLE`, and `app.sse.health()` is
 * `'down'`. When it is back, what was missed is read from history; who cannot be told all of it gets `sse.reset`.
 *
 * @throws SSE_ERR_INVALID_OPTION
 * @example
 * ```ts
 * import { Redis } from 'ioredis'
 * import { redisBroker } from 'fastify-typed-sse/redis'
 *
 * await app.register(sse, { broker: redisBroker({ client: new Redis({ lazyConnect: true }) }) })
 * ```
 */
export function redisBroker (options: RedisBrokerOptions): Broker {
  return new RedisBroker(options)
}

class RedisBroker implements Broker {
  readonly #keys: Keys
  /** The channel that this node alone hears. */
  readonly #echo: string
  readonly #isCluster: boolean
  /** Publishes, and reads. */
  readonly #commands: CommandLink
  /** Hears what is published. */
  readonly #ears: Connection
  readonly #subscriptions: Subscriptions
  readonly #standings = new Standings()
  /** What new epochs are made of. */
  readonly #seed = randomBytes(18).toString('base64url')
  readonly #watch: Watch
  #sink: BrokerSink | undefined
  #isClosed = false
  #lastError: Error | undefined
  #refusedAt = -Infinity
  #pending = 0
  #pendingBytes = 0
  #whenIdle: (() => void) | undefined
  readonly #reads = new Turnstile(READS_AT_ONCE)
  /** Who waits for the link that asks. That link's own promise would keep those who have left. */
  readonly #waiting = new Map<Wanted, Deferred<void>>()
  readonly #log: CommandLog

  constructor (options: RedisBrokerOptions) {
    const { client, namespace, probeInterval } = resolveOptions(options)
    const own = client.options as ClientOptions
    const keys = new Keys(namespace, own)
    const node = randomBytes(9).toString('base64url')
    const echo = keys.echo(node)
    this.#isCluster = isCluster(client)
    const isSharded = own.shardedSubscribers === true
    const commands = new CommandLink(duplicate(client, `${namespace}:commands`), { isCluster: this.#isCluster, isSharded, keyPrefix: own.keyPrefix ?? '' }, () => this.#whenUp())
    const ears = duplicate(client, `${namespace}:ears`, { keyPrefix: '' }) // some commands would put it before channels that have it
    this.#keys = keys
    this.#log = new CommandLog(keys.log, (text) => this.#sink?.command(text))
    this.#echo = echo
    this.#commands = commands
    this.#ears = ears
    this.#subscriptions = new Subscriptions(ears, {
      channel: (topic) => keys.of(topic).channel,
      always: [keys.commands, echo],
      isSharded,
      up: () => {
        this.#watch.linked()
        void this.#catchUp()
      }
    })
    this.#watch = new Watch({
      commands,
      ears,
      echo,
      isCluster: this.#isCluster,
      keys,
      subscriptions: this.#subscriptions,
      suspect: (topic) => this.#sink?.suspect(topic),
      looked: () => { void this.#catchUp() } // a cluster's client may have changed its link without a word
    }, probeInterval)
    for (const event of ['message', 'smessage'] as const) ears.on(event, (channel, message) => this.#hear(channel, message))
    for (const connection of [commands.connection, ears]) connection.on('error', (error) => { this.#lastError = error })
  }

  async open (sink: BrokerSink): Promise<void> {
    if (this.#sink !== undefined || this.#isClosed) throw new SSE_ERR_INVALID_OPTION('This Redis broker has been opened already: give each application its own')
    this.#sink = sink
    let late: NodeJS.Timeout | undefined
    const connections = [this.#commands.connection, this.#ears]
    const isHere = Promise.all([this.#commands.whenUp, this.#subscriptions.firstUp, ...connections.map((connection) => connection.connect())])
    const isLate = new Promise<void>((resolve) => { late = setTimeout(resolve, START_MS) })
    try {
      await Promise.race([isHere, isLate])
    } catch (error) {
      const cause = isRefusal(error) ? error : this.#lastError ?? error as Error // of a promise that rejects with errors alone
      if (error instanceof SSE_ERR_BROKER_UNAVAILABLE || MISCONFIGURED.test(cause.message)) {
        this.#disconnect(new SSE_ERR_CLOSING())
        throw error instanceof SSE_ERR_BROKER_UNAVAILABLE ? error : Object.assign(new SSE_ERR_BROKER_UNAVAILABLE(`Redis does not let this node in: ${cause.message}`), { cause })
      }
    } finally {
      clearTimeout(late)
      isHere.catch(() => {}) // what comes later, the links themselves try again
    }
    if (!this.#isClosed) this.#watch.start()
  }

  async publish (topic: string, { frame, key, dedupe }: BrokerEvent, retention: Retention): Promise<Position> {
    if (this.#sink === undefined || this.#isClosed) throw new SSE_ERR_CLOSING()
    const commands = this.#commands
    if (!commands.isUp) throw this.#unavailable('Redis cannot be reached: nothing was published')
    const text = formatEntry(frame, key)
    const size = Buffer.byteLength(text)
    if (this.#pending >= MAX_PENDING || this.#pendingBytes + size > MAX_PENDING_BYTES) throw this.#unavailable(`Redis has not answered to ${this.#pending} events, which is as many as may wait: nothing was published`)
    const { server } = commands
    const standing = this.#standings.take(topic, size, retention, server)
    this.#pending++
    this.#pendingBytes += size
    try {
      const whole = () => this.#publishWhole({ topic, text, size, dedupe, retention, server, standing })
      const answer = standing !== undefined && dedupe === undefined
        ? await commands.prepared.publish(standing.prepared, standing.now, text, size, this.#pending === 1).catch((error: unknown) => {
          if (!isUnknownScript(error)) throw error
          return whole()
        })
        : await whole()
      this.#refusedAt = -Infinity
      if (typeof answer === 'number') return this.#standings.reached(standing as Standing, answer) // of a name that was thought to hold
      if (typeof answer === 'string') return answer // of what was published before
      if (server !== '') {
        this.#standings.learn(topic, retention, server, answer, (name) => commands.prepared.prepare(this.#keys.of(topic), this.#unchanging(name, retention, server)))
      }
      return answer[0]
    } catch (error) {
      this.#standings.forget(topic) // what was due may not have been done
      if (isRefusal(error) && isPassing(error)) this.#refusedAt = performance.now()
      if (isRefusal(error) && isHarmless(error)) throw refused(error)
      throw Object.assign(new SSE_ERR_PUBLISH_UNCERTAIN(), { cause: error })
    } finally {
      this.#published(size)
    }
  }

  /** Likewise, with all arguments. */
  async #publishWhole ({ topic, text, size, dedupe, retention, server, standing }: Publish): Promise<number | string | Found> {
    const { history, meta, channel } = this.#keys.of(topic)
    const keys = [history, meta]
    const args = [channel, ...this.#unchanging(standing?.name ?? '', retention, server), standing === undefined ? '' : `${standing.prepared.fence}${standing.now}`, text, String(size)]
    if (dedupe !== undefined) {
      keys.push(this.#keys.dedupe(topic, dedupe))
      args.push(String(DEDUPE_MS))
    } else if (this.#isCluster) { // its client sends again what may have been done
      keys.push(this.#keys.repeat(topic, randomBytes(12).toString('base64url')))
      args.push(String(REPEAT_MS))
    }
    return await this.#commands.publish(keys, args)
  }

  /** Of the arguments of a publish, those that go for all of a topic until something changes. */
  #unchanging (name: string, { max, bytes, ttl }: Retention, server: string): [name: string, max: string, rest: string] {
    return [name, `${max}`, `${bytes} ${ttl} ${server} ${this.#seed}`]
  }

  #published (size: number): void {
    this.#watch.answered()
    this.#pendingBytes -= size
    if (--this.#pending === 0) this.#whenIdle?.()
  }

  async attach (topic: string): Promise<Position> {
    if (this.#isClosed) throw new SSE_ERR_CLOSING()
    const one = this.#subscriptions.want(topic)
    await one.heard.promise.catch((error: unknown) => { throw isRefusal(error) ? refused(error) : error })
    const { links } = this.#subscriptions
    const head = await this.#headOf(topic, one)
    if (links !== this.#subscriptions.links) this.#watch.look() // what was looked at for the new link could not be this one
    return head
  }

  async detach (topic: string): Promise<void> {
    const one = this.#subscriptions.drop(topic)
    if (one === undefined) return
    this.#waiting.get(one)?.resolve()
    this.#waiting.delete(one)
  }

  async read (topic: string, after: Position | '', { entries, bytes }: PageLimit): Promise<Page> {
    const offset = after === '' ? '0' : after.slice(after.indexOf('.') + 1, after.lastIndexOf('-'))
    const { history, meta } = this.#keys.of(topic)
    const page = parsePage(await this.#reads.pass(() => this.#send(() => this.#commands.connection.sseRead(2, history, meta, offset, this.#seed, entries, bytes))))
    this.#watch.answered()
    const one = this.#subscriptions.wanted.get(topic)
    if (one !== undefined) one.seen ??= page.head
    return page
  }

  async command (text: string): Promise<void> {
    await this.#send(() => this.#commands.connection.sseCommand(1, this.#keys.log, this.#keys.commands, text))
  }

  health (): BrokerHealth {
    if (this.#isClosed || !this.#commands.isUp || performance.now() - this.#refusedAt < REFUSED_MS) return { state: 'down' }
    return { state: this.#subscriptions.isUp && !this.#watch.isLate ? 'live' : 'degraded' }
  }

  async close (): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    if (this.#pending > 0 && this.#commands.isUp) {
      let late: NodeJS.Timeout | undefined
      await Promise.race([
        new Promise<void>((resolve) => { this.#whenIdle = resolve }),
        new Promise<void>((resolve) => { late = setTimeout(resolve, CLOSE_MS) })
      ])
      clearTimeout(late)
    }
    this.#disconnect(new SSE_ERR_CLOSING())
  }

  #disconnect (error: Error): void {
    this.#isClosed = true
    this.#watch.stop()
    this.#commands.fail(error)
    for (const waiting of this.#waiting.values()) waiting.reject(error)
    this.#waiting.clear()
    this.#subscriptions.close(error)
    this.#commands.connection.disconnect()
    this.#ears.disconnect()
  }

  /** Anybody may publish anything there: what is no message of ours ends nobody's process. */
  #hear (channel: string, message: string): void {
    this.#watch.heard()
    if (channel === this.#echo) {
      this.#watch.echoed(message)
      return
    }
    const one = this.#subscriptions.of(channel)
    try {
      if (one !== undefined) this.#sink?.entry(one.topic, one.next(message))
      else if (channel === this.#keys.commands) this.#log.hear(message)
    } catch (error) {
      this.#lastError = error as Error // of JSON.parse
      if (one !== undefined) this.#sink?.suspect(one.topic)
    }
  }

  /** The link that asks is up, again or for the first time. */
  #whenUp (): void {
    for (const waiting of this.#waiting.values()) waiting.resolve()
    this.#waiting.clear()
    this.#watch.probe()
    void this.#catchUp()
  }

  /** It is asked for again where the link breaks, as long as somebody wants the topic. */
  async #headOf (topic: string, one: Wanted): Promise<Position> {
    for (;;) {
      while (!this.#commands.isUp && !this.#isClosed) {
        if (this.#subscriptions.wanted.get(topic) !== one) throw this.#unavailable('Nobody wants the topic any more')
        const waiting = this.#waiting.get(one) ?? defer()
        this.#waiting.set(one, waiting)
        await waiting.promise
      }
      try {
        return (await this.read(topic, '', { entries: 0, bytes: 0 })).head
      } catch (error) {
        const { cause } = error as Error // of errors alone
        if (this.#isClosed || (isRefusal(cause) && !isPassing(cause)) || this.#subscriptions.wanted.get(topic) !== one) throw error
        await delay(isRefusal(cause) ? RETRY_MS.refused : RETRY_MS.broken, undefined, { ref: false }) // the link may not know yet that it is broken
      }
    }
  }

  async #catchUp (): Promise<void> {
    const { connection, isUp } = this.#commands
    if (!isUp || !this.#subscriptions.isUp) return // the other link's turn
    try {
      await this.#log.catchUp(connection)
    } catch (error) {
      this.#lastError = error as Error // of the link, which will be up again, or of what is no command of ours
    }
  }

  async #send<T> (ask: () => Promise<T>): Promise<T> {
    if (!this.#commands.isUp) throw this.#unavailable('Redis cannot be reached')
    try {
      return await ask()
    } catch (error) {
      throw Object.assign(new SSE_ERR_BROKER_UNAVAILABLE(`Redis has not answered: ${(error as Error).message}`), { cause: error }) // ioredis rejects with errors alone
    }
  }

  #unavailable (message: string): Error {
    return Object.assign(new SSE_ERR_BROKER_UNAVAILABLE(message), this.#lastError === undefined ? {} : { cause: this.#lastError })
  }
}

function refused (cause: Error): Error {
  return Object.assign(new SSE_ERR_BROKER_UNAVAILABLE(`Redis has refused: ${cause.message}`), { cause })
}
