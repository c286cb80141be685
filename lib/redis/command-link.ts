// The link that publishes and reads. It is up when Redis has said who it is.
import { createHash } from 'node:crypto'
import { SSE_ERR_BROKER_UNAVAILABLE } from '../errors.js'
import type { Connection, Found } from './connection.js'
import { defer } from './deferred.js'
import { PreparedPublisher } from './prepared.js'
import { isRefusal, isUnknownScript } from './refusal.js'
import { COMMAND, publishBy, READ, SERVER_LENGTH } from './scripts.js'

/** Of Redis: ranges that leave out their beginning, and streams that are trimmed by ids. */
const LEAST_VERSION = { major: 6, minor: 2 }

const REPLICATION_ID = new RegExp(`^master_replid:(\\w{${SERVER_LENGTH}})`, 'm')

export class CommandLink {
  readonly connection: Connection
  /** The replication id of the one that answers. Of a cluster there are several: the script asks. */
  server = ''
  isUp = false
  readonly #isCluster: boolean
  readonly #publish: string
  /** Its name in Redis. */
  readonly #digest: string
  readonly #onUp: () => void
  /** Of a single server. */
  readonly prepared: PreparedPublisher
  #up = defer<void>()
  #isRefused = false
  /** Counts links, so that what one has answered is not taken for another's. */
  #link = 0

  /** @param up it is up, again or for the first time */
  constructor (connection: Connection, { isCluster, isSharded, keyPrefix }: { isCluster: boolean, isSharded: boolean, keyPrefix: string }, up: () => void) {
    this.connection = connection
    this.#onUp = up
    this.#isCluster = isCluster
    this.#publish = publishBy(isSharded ? 'SPUBLISH' : 'PUBLISH')
    this.#digest = createHash('sha1').update(this.#publish).digest('hex')
    this.prepared = new PreparedPublisher(connection, this.#digest, keyPrefix)
    connection.defineCommand('sseRead', { lua: READ })
    connection.defineCommand('sseCommand', { lua: COMMAND })
    connection.on('ready', () => { void this.#begin() })
    connection.on('close', () => this.#end())
  }

  /** Resolves when it is up; rejects when it is closed for good, or Redis cannot be used. */
  get whenUp (): Promise<void> {
    return this.#up.promise
  }

  /** Publishes. Gives the offset, what the script has found, or the position of what was published with that key before. The client's own scripts take twice as long to be written. */
  async publish (keys: readonly string[], args: readonly string[]): Promise<number | string | Found> {
    const { connection } = this
    try {
      return await connection.evalsha(this.#digest, keys.length, ...keys, ...args)
    } catch (error) {
      if (!isUnknownScript(error)) throw error
      return await connection.eval(this.#publish, keys.length, ...keys, ...args)
    }
  }

  /**
   * Asks who orders topics. It may change while the link stands: a master that is made a replica keeps its clients, and when it is master
   * again it may have less.
   */
  async identify (): Promise<void> {
    if (this.#isCluster) return
    const link = this.#link
    const info = await this.connection.info('replication').catch(() => '') // without the right to, the script finds that it may not, either
    if (link === this.#link) this.server = REPLICATION_ID.exec(info)?.[1] ?? ''
  }

  fail (error: Error): void {
    this.#up.reject(error)
  }

  /** It does not answer. What is under way fails when the link has been given up. */
  drop (): void {
    this.#end()
    this.connection.disconnect(true)
  }

  async #begin (): Promise<void> {
    const link = ++this.#link
    if (!this.#isCluster) {
      const info = await this.connection.info('server').catch((error: unknown) => isRefusal(error) ? '' : undefined)
      if (info === undefined || link !== this.#link) return // the link is gone
      const old = tooOld(info)
      if (old !== undefined) {
        this.#isRefused = true
        this.#up.reject(new SSE_ERR_BROKER_UNAVAILABLE(`Expected Redis ${LEAST_VERSION.major}.${LEAST_VERSION.minor} or later, got ${old}`))
        return
      }
    }
    await this.identify()
    // A script that Redis does not know is sent again, behind what was published meanwhile.
    const nodes = this.connection.nodes?.('master') ?? [this.connection]
    await Promise.all(nodes.map(async (node) => await node.script('LOAD', this.#publish).catch(() => {}))) // without the right to, so be it
    if (link !== this.#link) return
    this.isUp = true
    this.#up.resolve()
    this.#onUp()
  }

  #end (): void {
    this.#link++
    if (this.isUp || this.#isRefused) this.#up = defer() // whoever waits for the next one
    this.#isRefused = false
    this.isUp = false
  }
}

/** Its version, where that is not enough. */
function tooOld (info: string): string | undefined {
  const [, version, major, minor] = /redis_version:((\d+)\.(\d+)\S*)/.exec(info) ?? []
  if (version === undefined) return undefined // it does not say
  const isEnough = Number(major) > LEAST_VERSION.major || (Number(major) === LEAST_VERSION.major && Number(minor) >= LEAST_VERSION.minor)
  return isEnough ? undefined : version
}
