// Options: what may stand where, and the defaults. Checked once, where they are given, so that a stream can
// trust them.
import type { FastifyRequest } from 'fastify'
import type { ConnectionLimits, SseOptions, SsePluginOptions } from '../types/options.js'
import { describe, unknownName } from './describe.js'
import { SSE_ERR_INVALID_OPTION } from './errors.js'
import { MIN_RETRY } from './wire/field.js'

export interface ResolvedOptions {
  readonly heartbeat: number | false
  readonly retry: number | false
  readonly openAfter: number
  readonly validate: 'throw' | 'drop' | false
  readonly end: boolean
  readonly minimal: boolean
  readonly done: string | undefined
  readonly maxDuration: number | false
  readonly stallTimeout: number
  readonly maxConnections: Required<ConnectionLimits> | false
  readonly shutdown: { readonly spread: number }
  readonly onError: SseOptions['onError']
  readonly onClose: SseOptions['onClose']
}

export const DEFAULTS: ResolvedOptions = Object.freeze({
  heartbeat: 15_000, // the strictest proxy in common use cuts after 30 s without a byte
  retry: 3_000, // what browsers do without it
  openAfter: 100, // enough for a look-up that fails, short enough for `open` to feel immediate
  validate: 'throw', // a client must be able to rely on the schema
  end: true, // the other way, a job that is done runs again for ever
  minimal: false,
  done: undefined,
  maxDuration: false,
  stallTimeout: 30_000, // longer than a phone takes from one network to the next
  maxConnections: false,
  shutdown: Object.freeze({ spread: 5_000 }), // about as long as a process takes to start again
  onError: undefined,
  onClose: undefined
})

/** Node fires timers that are set for longer than this after 1 ms. */
export const MAX_MS = 2_147_483_647

interface Rule {
  expected: string
  holds (value: unknown): boolean
}

const isInteger = (value: unknown, min: number, max = Number.MAX_SAFE_INTEGER) =>
  Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max

const ms = (min: number): Rule => ({
  expected: `an integer from ${min} to ${MAX_MS} (ms)`,
  holds: (value) => isInteger(value, min, MAX_MS)
})

const orFalse = ({ expected, holds }: Rule): Rule => ({
  expected: `${expected} or false`,
  holds: (value) => value === false || holds(value)
})

const bool: Rule = { expected: 'a boolean', holds: (value) => typeof value === 'boolean' }
const func: Rule = { expected: 'a function', holds: (value) => typeof value === 'function' }
const count: Rule = { expected: 'an integer >= 1', holds: (value) => isInteger(value, 1) }

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const STREAM_RULES: Record<keyof SseOptions, Rule> = {
  heartbeat: orFalse(ms(1)),
  retry: orFalse(ms(MIN_RETRY)),
  openAfter: { expected: `${ms(0).expected} or Infinity`, holds: (value) => value === Infinity || ms(0).holds(value) },
  validate: { expected: "'throw', 'drop' or false", holds: (value) => value === 'throw' || value === 'drop' || value === false },
  end: bool,
  minimal: bool,
  done: { expected: 'a string of one line', holds: (value) => typeof value === 'string' && !/[\r\n]/.test(value) },
  maxDuration: orFalse(ms(1)),
  stallTimeout: ms(1),
  maxConnections: { expected: 'an integer >= 1, an object { total, perKey, key } or false', holds: (value) => value === false || count.holds(value) || isObject(value) },
  shutdown: { expected: 'an object { spread }', holds: isObject },
  onError: func,
  onClose: func
}

const LIMIT_RULES: Record<keyof ConnectionLimits, Rule> = { total: count, perKey: count, key: func }
const SHUTDOWN_RULES: Record<string, Rule> = { spread: ms(0) }
const METRICS_RULES: Record<string, Rule> = { open: func, close: func, drop: func, refuse: func, reset: func }

const BROKER_METHODS = ['open', 'publish', 'attach', 'detach', 'read', 'command', 'health', 'close']

const PLUGIN_RULES: Record<keyof SsePluginOptions, Rule> = {
  ...STREAM_RULES,
  metrics: { expected: 'an object { open, close, drop, refuse, reset }', holds: isObject },
  broker: { expected: `a broker with ${BROKER_METHODS.join(', ')}`, holds: (value) => isObject(value) && BROKER_METHODS.every((name) => typeof value[name] === 'function') }
}

function check (given: unknown, rules: Record<string, Rule>, where: string, prefix = ''): asserts given is Record<string, unknown> {
  if (!isObject(given)) throw new SSE_ERR_INVALID_OPTION(`Expected ${where} to be an object, got ${describe(given)}`)
  const unknown = unknownName(given, Object.keys(rules), `in ${where}`, prefix)
  if (unknown !== undefined) throw new SSE_ERR_INVALID_OPTION(unknown)
  for (const [name, value] of Object.entries(given)) {
    const rule = rules[name] as Rule // it is known
    if (value !== undefined && !rule.holds(value)) {
      throw new SSE_ERR_INVALID_OPTION(`Expected \`${prefix}${name}\` in ${where} to be ${rule.expected}, got ${describe(value)}`)
    }
  }
}

const ipOf = (request: FastifyRequest) => request.ip

function resolveLimits (given: SseOptions['maxConnections'], where: string): ResolvedOptions['maxConnections'] {
  if (given === false || given === undefined) return false
  if (typeof given === 'number') return { total: given, perKey: Infinity, key: ipOf }
  const limits: ConnectionLimits = given
  check(given, LIMIT_RULES, where, 'maxConnections.')
  const { total = Infinity, perKey = Infinity, key = ipOf } = limits
  if (limits.total === undefined && limits.perKey === undefined && limits.key === undefined) {
    throw new SSE_ERR_INVALID_OPTION(`\`maxConnections\` in ${where} needs \`total\` or \`perKey\``)
  }
  if (perKey !== Infinity && perKey > total) {
    throw new SSE_ERR_INVALID_OPTION(`\`maxConnections.perKey\` (${perKey}) in ${where} must not be more than \`maxConnections.total\` (${total})`)
  }
  if (limits.key !== undefined && limits.perKey === undefined) {
    throw new SSE_ERR_INVALID_OPTION(`\`maxConnections.key\` in ${where} needs \`maxConnections.perKey\`, the limit for each key`)
  }
  return { total, perKey, key }
}

/**
 * Options over those that they override, checked.
 *
 * @param where what holds them, for messages: "the plugin's options", "config.sse of GET /ticks"
 * @throws SSE_ERR_INVALID_OPTION
 */
export function resolveOptions (given: unknown, base: ResolvedOptions, where: string, rules: Record<string, Rule> = STREAM_RULES): ResolvedOptions {
  check(given, rules, where)
  const { maxConnections, metrics, broker: _, ...rest } = given as SsePluginOptions // `check` has seen each value
  if (metrics !== undefined) check(metrics, METRICS_RULES, where, 'metrics.')
  if (rest.shutdown !== undefined) {
    check(rest.shutdown, SHUTDOWN_RULES, where, 'shutdown.')
    rest.shutdown = { spread: rest.shutdown.spread ?? base.shutdown.spread }
  }

  const resolved: ResolvedOptions = Object.freeze({
    ...base,
    ...Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)),
    ...(maxConnections === undefined ? {} : { maxConnections: resolveLimits(maxConnections, where) })
  })

  if (rest.done !== undefined && !resolved.minimal) {
    throw new SSE_ERR_INVALID_OPTION(`\`done\` in ${where} needs \`minimal: true\`: other streams end with \`sse.end\``)
  }
  const { openAfter, maxDuration } = rest // where only one of them is given, the stream opens when it ends, at the latest
  if (openAfter !== undefined && openAfter !== Infinity && typeof maxDuration === 'number' && openAfter >= maxDuration) {
    throw new SSE_ERR_INVALID_OPTION(`\`openAfter\` (${openAfter}) in ${where} must be less than \`maxDuration\` (${maxDuration}), or the stream would end before it opens`)
  }
  return resolved
}

/** @throws SSE_ERR_INVALID_OPTION */
export function resolvePluginOptions (given: unknown): ResolvedOptions {
  return resolveOptions(withoutFastifys(given), DEFAULTS, "the plugin's options", PLUGIN_RULES)
}

/** What `register()` itself takes, and passes on to the plugin. */
function withoutFastifys (given: unknown): unknown {
  if (!isObject(given)) return given
  const { prefix, logLevel, logSerializers, ...own } = given
  return own
}
