// Whether a client comes back after a failure, and when: exponential back-off with full jitter, so that a crowd that was cut off at
// once does not come back at once.
import type { ClientError, ClientOptions } from '../../types/client-options.js'

/** ms. Whatever a server tells, nobody comes back in a tight loop. */
const LEAST = 100

/** ms, an hour. Whatever a server tells, nobody stays away for longer. */
const LONGEST = 3_600_000

/** Besides those of 500 and above: what a server says that is too busy, or a proxy before it. */
const PASSING_STATUSES = [408, 425, 429]

const PASSING_CODES = ['SSE_ERR_DISCONNECTED', 'SSE_ERR_SILENT', 'SSE_ERR_STREAM_FAILED']

export interface Retries {
  /** The server's `retry`, in ms. */
  told: number | undefined
  /** Since the last event. */
  failures: number
  /** Milliseconds to wait, or undefined where there is no coming back. */
  delayAfter (error: ClientError): number | undefined
}

export function retriesOf ({ reconnect = true, backoff: { first = 1_000, most = 30_000 } = {} }: ClientOptions<object>): Retries {
  return {
    told: undefined,
    failures: 0,
    delayAfter (error) {
      const failures = ++this.failures
      if (!mayPass(error) || !(typeof reconnect === 'function' ? reconnect(error, failures) : reconnect)) return undefined
      const { told } = this
      const start = Math.max(told ?? first, LEAST)
      // The server spreads what it tells, so that the first attempt needs no spreading.
      const delay = failures === 1 && told ? told : Math.random() * Math.min(start * 2 ** (failures - 1), Math.max(start, most))
      const retryAfter = Number(error.response?.headers.get('retry-after')) * 1_000 || 0 // a date, which it may be, is no number
      return Math.min(LONGEST, Math.max(LEAST, retryAfter, delay))
    }
  }
}

/** Whether it makes sense to try again. */
export function mayPass ({ code, status = 0 }: ClientError): boolean {
  return status >= 500 || PASSING_STATUSES.includes(status) || PASSING_CODES.includes(code)
}
