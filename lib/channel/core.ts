// A channel behind its typed face: its pattern, its options, and how its events become frames.
import { isDeepStrictEqual } from 'node:util'
import type { BrokerEvent, Retention } from '../../types/broker.js'
import type { ChannelOptions, PublishOptions } from '../../types/channel.js'
import { describe, kindOf, unknownName } from '../describe.js'
import { disown } from '../guard.js'
import { SSE_ERR_EVENT_TOO_LARGE, SSE_ERR_INVALID_CHANNEL, SSE_ERR_INVALID_OPTION, SSE_ERR_UNKNOWN_EVENT } from '../errors.js'
import { checkEventNames, compileEvents, type CompiledEvent, type CompiledEvents } from '../schema/compile.js'
import { encodeData, SchemaEncoder } from '../schema/encoder.js'
import { REFINEMENTS } from '../schema/refinement.js'
import { isStandard } from '../schema/standard.js'
import { checkEventName } from '../wire/field.js'
import type { TopicOptions } from './topic.js'
import { Pattern } from './pattern.js'

/** Reconnections within minutes are exact, and a topic weighs at most a MiB. */
const DEFAULT_HISTORY: Retention = { max: 1_000, bytes: 1_048_576, ttl: 300_000 }

const NO_HISTORY: Retention = { ...DEFAULT_HISTORY, max: 0 }

/** Node fires timers that are set for longer after 1 ms. */
const MAX_TTL = 2_147_483_647

const MAX_DEDUPE_LENGTH = 256

const KNOWN = ['events', 'history', 'slow', 'key', 'snapshot', 'authorize']

export class ChannelCore implements TopicOptions {
  readonly pattern: Pattern
  readonly options: ChannelOptions<string, any>
  readonly retention: Retention
  readonly latest: boolean
  readonly #compile: () => CompiledEvents
  #compiled: CompiledEvents | undefined
  #encoder: SchemaEncoder | undefined

  /** @throws SSE_ERR_INVALID_CHANNEL, SSE_ERR_INVALID_SCHEMA */
  constructor (name: unknown, given: unknown, shared: () => Readonly<Record<string, unknown>>) {
    this.pattern = new Pattern(name)
    const where = `channel \`${this.pattern.name}\``
    this.options = checkOptions(given, where)
    const { events, history, slow } = this.options
    this.retention = retentionOf(history)
    this.latest = slow === 'latest'
    checkEventNames(events, `the events of ${where}`)
    this.#compile = () => compileEvents(events, shared(), `the events of ${where}`)
  }

  get name (): string {
    return this.pattern.name
  }

  /** Compiled when it is first asked for: shared schemas may come after the channel. */
  get events (): CompiledEvents {
    return (this.#compiled ??= this.#compile())
  }

  /** For the events of a snapshot. */
  get encoder (): SchemaEncoder {
    return (this.#encoder ??= new SchemaEncoder(this.events, `Channel \`${this.name}\``))
  }

  isText (event: string): boolean {
    return this.events.get(event)?.isText === true
  }

  /** Checked and encoded, once for all who will get it. @throws coded errors */
  encode (name: unknown, data: unknown, options: PublishOptions = {}): BrokerEvent {
    const event = this.#eventOf(name)
    const { dedupe } = checkPublishOptions(options)
    if (dedupe !== undefined && (typeof dedupe !== 'string' || dedupe === '' || dedupe.length > MAX_DEDUPE_LENGTH)) {
      throw new SSE_ERR_INVALID_OPTION(`Expected \`dedupe\` to be a string of 1 to ${MAX_DEDUPE_LENGTH} characters, got ${kindOf(dedupe)}`)
    }
    const frame = (event.name === 'message' ? '' : event.line) + encodeData(event, { data }) + '\n'
    const bytes = Buffer.byteLength(frame)
    if (bytes > this.retention.bytes) {
      const allowed = this.retention.max === 0 ? `the ${this.retention.bytes} that an event may have where there is no history` : `\`history.bytes\` (${this.retention.bytes}) allows for all events of a topic together`
      throw new SSE_ERR_EVENT_TOO_LARGE(`Event \`${event.name}\` of channel \`${this.name}\` has ${bytes} bytes, more than ${allowed}`)
    }
    return { frame, key: this.latest ? this.#keyOf(event.name, data) : undefined, dedupe }
  }

  #eventOf (name: unknown): CompiledEvent {
    const event = typeof name === 'string' ? this.events.get(name) : undefined
    if (event !== undefined) return event
    checkEventName(name)
    const known = [...this.events.keys()].map((known) => `\`${known}\``).join(', ') || 'none'
    throw Object.assign(new SSE_ERR_UNKNOWN_EVENT(`Unknown event ${describe(name)}. Channel \`${this.name}\` has ${known}`), { event: name })
  }

  #keyOf (event: string, data: any): string {
    const key: unknown = this.options.key === undefined ? event : this.options.key({ event, data })
    disown(key)
    if (typeof key !== 'string') throw new SSE_ERR_INVALID_OPTION(`Expected \`key\` of channel \`${this.name}\` to return a string, got ${kindOf(key)}`)
    return key
  }

  /** Whether a second definition says the same. */
  isSame (name: unknown, given: unknown): boolean {
    if (name !== this.name || typeof given !== 'object' || given === null) return false
    const other = given as ChannelOptions<string, any>
    const terms = ({ history, slow = 'resume' }: ChannelOptions<string, any>) => [retentionOf(history), slow]
    return isDeepStrictEqual(terms(this.options), terms(other)) && haveSameSchemas(this.options.events, other.events) &&
      this.options.key === other.key && this.options.snapshot === other.snapshot && this.options.authorize === other.authorize
  }
}

function haveSameSchemas (some: Readonly<Record<string, unknown>>, others: Readonly<Record<string, unknown>>): boolean {
  const names = Object.keys(some)
  return isDeepStrictEqual(names, Object.keys(others)) && names.every((name) => areSame(some[name], others[name]))
}

/**
 * A JSON Schema is what it says. Schemas of other kinds and functions keep to themselves what they check, and TypeBox 1 hides conditions
 * from those who enumerate: a schema that has any of them is only itself.
 */
function areSame (one: unknown, other: unknown): boolean {
  return one === other || (hidesNothing(one) && isDeepStrictEqual(one, other))
}

function hidesNothing (value: unknown, seen = new Set<unknown>()): boolean {
  if (typeof value !== 'object' || value === null || seen.has(value)) return typeof value !== 'function'
  seen.add(value)
  return !isStandard(value) && !Object.hasOwn(value, REFINEMENTS) && Object.values(value).every((child) => hidesNothing(child, seen))
}

function retentionOf (history: ChannelOptions['history']): Retention {
  return history === false ? NO_HISTORY : { ...DEFAULT_HISTORY, ...withoutUndefined(history ?? {}) }
}

function checkPublishOptions (given: unknown): PublishOptions {
  if (typeof given !== 'object' || given === null) throw new SSE_ERR_INVALID_OPTION(`Expected the options of publish() to be an object { dedupe }, got ${kindOf(given)}`)
  const unknown = unknownName(given, ['dedupe'], 'of publish()')
  if (unknown !== undefined) throw new SSE_ERR_INVALID_OPTION(unknown)
  return given
}

function checkOptions (given: unknown, where: string): ChannelOptions<string, any> {
  if (typeof given !== 'object' || given === null) throw new SSE_ERR_INVALID_CHANNEL(`Expected the options of ${where} to be an object { events }, got ${kindOf(given)}`)
  const unknown = unknownName(given, KNOWN, `of ${where}`)
  if (unknown !== undefined) throw new SSE_ERR_INVALID_CHANNEL(unknown)
  const options = given as Record<keyof ChannelOptions, unknown>
  const refuse = (name: string, expected: string, got: unknown) => { throw new SSE_ERR_INVALID_CHANNEL(`Expected \`${name}\` of ${where} to be ${expected}, got ${describe(got)}`) }
  const { slow, history } = options
  if (slow !== undefined && slow !== 'resume' && slow !== 'latest' && slow !== 'close') refuse('slow', "'resume', 'latest' or 'close'", slow)
  for (const name of ['key', 'snapshot', 'authorize'] as const) {
    if (options[name] !== undefined && typeof options[name] !== 'function') refuse(name, 'a function', options[name])
  }
  if (options.key !== undefined && slow !== 'latest') throw new SSE_ERR_INVALID_CHANNEL(`\`key\` of ${where} needs \`slow: 'latest'\``)
  if (history !== undefined && history !== false) {
    if (typeof history !== 'object' || history === null) refuse('history', 'an object { max, bytes, ttl } or false', history)
    const unknown = unknownName(history as object, Object.keys(DEFAULT_HISTORY), `of ${where}`, 'history.')
    if (unknown !== undefined) throw new SSE_ERR_INVALID_CHANNEL(unknown)
    for (const [name, value] of Object.entries(history as object)) {
      const most = name === 'ttl' ? MAX_TTL : Number.MAX_SAFE_INTEGER
      if (value !== undefined && !(Number.isSafeInteger(value) && value >= 1 && value <= most)) refuse(`history.${name}`, `an integer from 1 to ${most}`, value)
    }
  }
  return given as ChannelOptions<string, any> // `events` is looked at by checkEventNames
}

function withoutUndefined<Given extends object> (given: Given): { [Name in keyof Given]?: Exclude<Given[Name], undefined> } {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as { [Name in keyof Given]?: Exclude<Given[Name], undefined> } // that is what is left
}
