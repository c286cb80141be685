// What is needed of ioredis. Its types are not imported: whoever brings the client brings its version too.
import { SSE_ERR_INVALID_OPTION } from '../errors.js'
import { kindOf } from '../describe.js'

/** A client of ioredis, 5.11 or later: `new Redis()`, `new Cluster()`, or `app.redis` of @fastify/redis. */
export interface RedisClient {
  duplicate (...options: never[]): unknown
  readonly options: object
}

/** Of a client's options, what counts here. */
export interface ClientOptions {
  keyPrefix?: string
  /** Of those that know of it, the database. Pub/sub does not. */
  db?: number
  /** Of a cluster: whether what is published reaches only the shard of its slot. */
  shardedSubscribers?: boolean
}

/** What the script that publishes gives where it has looked up how the topic stands, and time. */
export type Found = readonly [position: string, name: string, now: string]

/** As the client has it, which writes what the command says. */
export interface Command {
  readonly promise: Promise<unknown>
  toWritable (): string
}

/** One link to Redis. */
export interface Connection {
  readonly status: string
  on (event: 'ready' | 'close', listener: () => void): unknown
  on (event: 'error', listener: (error: Error) => void): unknown
  on (event: 'message' | 'smessage', listener: (channel: string, message: string) => void): unknown
  connect (): Promise<void>
  disconnect (reconnect?: boolean): void
  subscribe (...channels: string[]): Promise<unknown>
  unsubscribe (...channels: string[]): Promise<unknown>
  ssubscribe (channel: string): Promise<unknown>
  sunsubscribe (channel: string): Promise<unknown>
  publish (channel: string, message: string): Promise<number>
  sendCommand (command: Command, stream?: { write (text: string): void }): Promise<unknown>
  ping (): Promise<unknown>
  hgetall (key: string): Promise<Record<string, string>>
  pexpire (key: string, ms: number): Promise<unknown>
  info (section: string): Promise<string>
  /** Of a cluster's client. */
  nodes? (role: 'master'): ReadonlyArray<Pick<Connection, 'script'>>
  defineCommand (name: string, definition: { lua: string }): void
  evalsha (digest: string, keys: number, ...args: string[]): Promise<number | string | Found>
  eval (lua: string, keys: number, ...args: string[]): Promise<number | string | Found>
  sseCommand (keys: 1, key: string, channel: string, text: string): Promise<unknown>
  xrange (key: string, from: string, to: string): Promise<Array<[id: string, fields: string[]]>>
  xrevrange (key: string, from: string, to: string, count: 'COUNT', most: number): Promise<Array<[id: string, fields: string[]]>>
  script (command: 'LOAD', lua: string): Promise<unknown>
  sseRead (keys: number, ...args: Array<string | number>): Promise<string[]>
}

const MAX_RETRY_MS = 2_000

/** A link of our own, with the address, the password and whatever else the client has. It is not connected yet. */
export function duplicate (client: RedisClient, name: string, own: object = {}): Connection {
  const options = {
    ...own,
    connectionName: name,
    lazyConnect: true,
    // What cannot be sent now fails now, and what is under way when the link breaks fails then: sent again, it would come twice.
    // But a cluster's client sends it again all the same.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    autoResubscribe: false,
    commandTimeout: undefined, // whether a link answers is looked at here
    enableAutoPipelining: false,
    stringNumbers: false,
    retryStrategy: (attempt: number) => Math.min(2 ** attempt * 25, MAX_RETRY_MS) * (0.5 + Math.random() / 2),
    // A server that has become a replica keeps its clients, and refuses what they write.
    reconnectOnError: (error: Error) => error.message.includes('READONLY') // before 7.0 inside of what a script says
  }
  if (!isCluster(client)) return (client as { duplicate (options: object): Connection }).duplicate(options)
  const { redisOptions } = client.options as { redisOptions?: object }
  const all = { ...options, clusterRetryStrategy: options.retryStrategy, scaleReads: 'master', redisOptions: { ...redisOptions, ...options } }
  return (client as { duplicate (nodes: [], options: object): Connection }).duplicate([], all)
}

export function checkClient (client: unknown): asserts client is RedisClient {
  const isClient = typeof client === 'object' && client !== null && 'duplicate' in client && typeof client.duplicate === 'function' && 'options' in client
  if (!isClient) throw new SSE_ERR_INVALID_OPTION(`Expected \`client\` of redisBroker() to be a client of ioredis, got ${kindOf(client)}`) // an address may hold a password
  const { keyPrefix } = client.options as { keyPrefix?: unknown } // an object
  if (keyPrefix !== undefined && typeof keyPrefix !== 'string') throw new SSE_ERR_INVALID_OPTION(`Expected \`keyPrefix\` of the client to be a string, got ${kindOf(keyPrefix)}`)
}

export function isCluster (client: RedisClient): boolean {
  return (client as { isCluster?: unknown }).isCluster === true
}
