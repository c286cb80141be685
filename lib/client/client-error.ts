// What a client fails with: a class of its own, since @fastify/error needs Node.js.
import type { ClientError, ClientErrorCode, ClientErrorFacts } from '../../types/client-options.js'

export class SseClientError extends Error implements ClientError {
  override readonly name = 'SseClientError'
  readonly code: ClientErrorCode
  declare readonly status?: number
  declare readonly response?: Response
  declare readonly event?: string
  declare readonly issues?: readonly unknown[]
  declare readonly data?: unknown

  constructor (code: ClientErrorCode, message: string, facts?: ClientErrorFacts) {
    super(message, facts) // of which it takes the cause
    this.code = code
    Object.assign(this, facts)
  }
}

/** What failed on the way, where it is not one of ours already. */
export function disconnected (cause?: unknown): SseClientError {
  return cause instanceof SseClientError ? cause : new SseClientError('SSE_ERR_DISCONNECTED', 'The stream broke off', { cause })
}

export function silent (ms: number): SseClientError {
  return new SseClientError('SSE_ERR_SILENT', `Nothing came for ${ms} ms`)
}
