// What redisBroker() is given.
import { describe, unknownName } from '../describe.js'
import { SSE_ERR_INVALID_OPTION } from '../errors.js'
import { checkClient, type RedisClient } from './connection.js'

export interface RedisBrokerOptions {
  /**
   * A client of ioredis, for Redis 6.2 and later or Valkey. The broker makes two links of its own with its options, by
   * `duplicate()`, and leaves it alone.
   */
  client: RedisClient
  /** What all keys and channels begin with. Applications that have the same one share their topics. @default 'sse' */
  namespace?: string
  /**
   * Milliseconds between two looks at whether what is published comes back. A link that is silent for two of them is made anew.
   * @default 2_000
   */
  probeInterval?: number
}

const DEFAULT_PROBE_MS = 2_000
const PROBE_MS = { least: 20, most: 60_000 }
const KNOWN = ['client', 'namespace', 'probeInterval']

/** @throws SSE_ERR_INVALID_OPTION */
export function resolveOptions (given: unknown): Required<RedisBrokerOptions> {
  if (typeof given !== 'object' || given === null) throw new SSE_ERR_INVALID_OPTION(`Expected the options of redisBroker() to be an object { client }, got ${describe(given)}`)
  const unknown = unknownName(given, KNOWN, 'of redisBroker()')
  if (unknown !== undefined) throw new SSE_ERR_INVALID_OPTION(unknown)
  const { client, namespace, probeInterval } = given as Record<keyof RedisBrokerOptions, unknown>
  checkClient(client)
  if (namespace !== undefined && (typeof namespace !== 'string' || !/^[\w.:-]{1,64}$/.test(namespace))) throw new SSE_ERR_INVALID_OPTION(`Expected \`namespace\` of redisBroker() to be 1 to 64 characters of A-Z, a-z, 0-9, _, ., : and -, got ${describe(namespace)}`)
  if (probeInterval !== undefined && !(typeof probeInterval === 'number' && probeInterval >= PROBE_MS.least && probeInterval <= PROBE_MS.most)) throw new SSE_ERR_INVALID_OPTION(`Expected \`probeInterval\` of redisBroker() to be ${PROBE_MS.least} to ${PROBE_MS.most} ms, got ${describe(probeInterval)}`)
  return { client, namespace: namespace ?? 'sse', probeInterval: probeInterval ?? DEFAULT_PROBE_MS }
}
