// A channel's name: segments joined by `/`, of which those that begin with `:` are parameters.
import { describe, kindOf } from '../describe.js'
import { SSE_ERR_INVALID_CHANNEL, SSE_ERR_INVALID_PARAMS } from '../errors.js'

const MAX_NAME_LENGTH = 128

/** Of a parameter's value: a topic's name is a key of maps, here and in brokers, and stands in messages. */
const MAX_VALUE_LENGTH = 256

const FIXED = /^[A-Za-z0-9._~-]+$/
const PARAM = /^:[A-Za-z_][A-Za-z0-9_]*$/

/** It has no UTF-8 form, so no percent-encoding either. */
const LONE_SURROGATE = /\p{Surrogate}/u

/** Names that begin so are for the plugin and for brokers. */
const RESERVED = /^sse(?![A-Za-z0-9_])/

export class Pattern {
  readonly name: string
  readonly params: readonly string[]
  readonly #segments: readonly string[]

  /** @throws SSE_ERR_INVALID_CHANNEL */
  constructor (name: unknown) {
    if (typeof name !== 'string') throw new SSE_ERR_INVALID_CHANNEL(`Expected a channel's name to be a string, got ${kindOf(name)}`)
    const segments = name.split('/')
    if (name.length > MAX_NAME_LENGTH || RESERVED.test(name) || !segments.every((segment) => FIXED.test(segment) || PARAM.test(segment))) {
      throw new SSE_ERR_INVALID_CHANNEL(`Expected a channel's name to be segments of A-Z a-z 0-9 . _ ~ - or \`:parameter\`, joined by \`/\`, at most ${MAX_NAME_LENGTH} characters, the first of them not \`sse\`, got ${describe(name)}`)
    }
    this.name = name
    this.params = segments.filter((segment) => segment.startsWith(':')).map((segment) => segment.slice(1))
    if (new Set(this.params).size < this.params.length) throw new SSE_ERR_INVALID_CHANNEL(`Expected the parameters of channel \`${name}\` to have different names`)
    this.#segments = segments
  }

  /** Whether some topic could belong to both. */
  overlaps (other: Pattern): boolean {
    return this.#segments.length === other.#segments.length && this.#segments.every((segment, index) => {
      const others = other.#segments[index] as string // of the same length
      return segment === others || segment.startsWith(':') || others.startsWith(':')
    })
  }

  /**
   * The name of a topic. Values are percent-encoded, so that no value can leave its segment.
   *
   * @throws SSE_ERR_INVALID_PARAMS
   */
  topic (given: unknown): string {
    const values = this.values(given)
    const name = this.#segments.map((segment) => segment.startsWith(':') ? encodeURIComponent(values[segment.slice(1)] as string) : segment).join('/')
    if (RESERVED.test(name)) throw new SSE_ERR_INVALID_PARAMS(`Expected the first parameter of channel \`${this.name}\` to give names that do not begin with \`sse\`, which are reserved`)
    return name
  }

  /** The values as strings, one for each parameter. @throws SSE_ERR_INVALID_PARAMS */
  values (given: unknown): Record<string, string> {
    if (typeof given !== 'object' || given === null) throw new SSE_ERR_INVALID_PARAMS(`Expected the parameters of channel \`${this.name}\` to be ${this.#expected}, got ${kindOf(given)}`)
    for (const param of Object.keys(given)) {
      if (!this.params.includes(param)) throw new SSE_ERR_INVALID_PARAMS(`Channel \`${this.name}\` has no parameter ${describe(param)}. Expected ${this.#expected}`)
    }
    return Object.fromEntries(this.params.map((param) => [param, this.value(param, (given as Record<string, unknown>)[param])])) // an object
  }

  /** One of them as a string. @throws SSE_ERR_INVALID_PARAMS */
  value (param: string, value: unknown): string {
    const text = typeof value === 'number' && Number.isFinite(value) ? String(value) : value
    const got = typeof text !== 'string' ? kindOf(text) : LONE_SURROGATE.test(text) ? 'a string with a lone surrogate' : `a string of ${text.length}`
    if (typeof text !== 'string' || text === '' || text.length > MAX_VALUE_LENGTH || LONE_SURROGATE.test(text)) {
      throw new SSE_ERR_INVALID_PARAMS(`Expected parameter \`${param}\` of channel \`${this.name}\` to be a number or a string of 1 to ${MAX_VALUE_LENGTH} characters, got ${got}`)
    }
    return text
  }

  get #expected (): string {
    return `an object { ${this.params.join(', ')} }`
  }
}
