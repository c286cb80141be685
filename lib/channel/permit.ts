// Whether a stream may have its topics: asked before anything is sent, and again for as long as it stands.
import type { FastifyRequest } from 'fastify'
import { kindOf } from '../describe.js'
import { SSE_ERR_INVALID_OPTION } from '../errors.js'
import type { SseStream } from '../stream/stream.js'
import { authorizersOf, contextOf, type TopicSubscription } from './subscription.js'

/** How often it is asked where there is no heartbeat. */
const DEFAULT_RECHECK_MS = 15_000

export class Permit {
  readonly #clock: { readonly now: number }
  readonly #stream: SseStream
  readonly #subscription: TopicSubscription
  #grantedAt = 0
  #asking = false

  constructor (clock: { readonly now: number }, stream: SseStream, subscription: TopicSubscription) {
    this.#clock = clock
    this.#stream = stream
    this.#subscription = subscription
  }

  /** Whether an answer is awaited. Nothing of the topics is sent meanwhile. */
  get isAsking (): boolean {
    return this.#asking
  }

  /** Whether the last answer is too old. */
  get isDue (): boolean {
    if (!this.#subscription.isGuarded || this.#asking) return false
    const { heartbeat } = this.#stream.options
    return this.#clock.now - this.#grantedAt >= (heartbeat === false ? DEFAULT_RECHECK_MS : heartbeat)
  }

  /** Calls back at a yes, and ends the stream at a no. */
  ask (granted: () => void): void {
    if (!this.#subscription.isGuarded) {
      granted()
      return
    }
    this.#asking = true
    isGranted(this.#subscription, this.#stream.request).then((isGranted) => {
      if (!this.#stream.isOpen) return
      this.#asking = false
      this.#grantedAt = this.#clock.now
      if (isGranted) granted()
      else this.#stream.end('unauthorized')
    }).catch((error: unknown) => this.#stream.fail(error))
  }
}

/** Whether a request may have all topics of a subscription. Rejects with what an `authorize` fails with. */
export async function isGranted ({ parts }: TopicSubscription, request: FastifyRequest): Promise<boolean> {
  for (const part of parts) {
    for (const authorize of authorizersOf(part)) {
      const allowed: unknown = await authorize(contextOf(part, request))
      if (typeof allowed !== 'boolean') throw new SSE_ERR_INVALID_OPTION(`Expected \`authorize\` of \`${part.name}\` to return a boolean, got ${kindOf(allowed)}`)
      if (!allowed) return false
    }
  }
  return true
}
