// Limits of open streams, counted for the scope that set them. A newcomer over a limit is turned away; nobody is
// evicted, since a client that is evicted comes back and evicts the next.
import type { FastifyRequest } from 'fastify'
import { kindOf } from '../describe.js'
import { SSE_ERR_INVALID_OPTION } from '../errors.js'
import type { ResolvedOptions } from '../options.js'

export class Gate {
  #total = 0
  /** One for all: with a closure of its own, each idle stream would weigh 100 bytes more. */
  readonly #leave = () => { this.#total-- }
  readonly #perKey = new Map<string, number>()

  /** Counts the request in and gives what counts it out again, or undefined where it is one too many. */
  admit ({ maxConnections }: ResolvedOptions, request: FastifyRequest): (() => void) | undefined {
    if (maxConnections !== false && this.#total >= maxConnections.total) return undefined
    if (maxConnections === false || maxConnections.perKey === Infinity) {
      this.#total++
      return this.#leave
    }
    const { perKey, key } = maxConnections
    const given: unknown = key(request)
    const name = typeof given === 'number' ? String(given) : given
    if (name instanceof Promise) name.catch(() => {}) // it is refused below, and nobody else would hear of its rejection
    if (typeof name !== 'string') throw new SSE_ERR_INVALID_OPTION(`Expected \`maxConnections.key\` to return a string or a number, got ${kindOf(name)}`)
    const held = this.#perKey.get(name) ?? 0
    if (held >= perKey) return undefined
    this.#total++
    this.#perKey.set(name, held + 1)
    return () => {
      this.#total--
      const left = (this.#perKey.get(name) as number) - 1 // counted in above, and out only once
      if (left === 0) this.#perKey.delete(name)
      else this.#perKey.set(name, left)
    }
  }
}
