// Whether a reader that blocks reads at all.
import type { Http2ServerResponse } from 'node:http2'
import type { FastifyReply } from 'fastify'

/**
 * Looks at a blocked socket within the timeout. As many in a row must find it as it was: of the time by the clock alone, a
 * process that stood still knows nothing, and would cut readers who were waiting for it.
 */
const LOOKS = 4

/**
 * Watches a response from the moment when it blocks. Bytes that wait in its socket become fewer before 'drain' says that
 * all are gone, so one that reads slowly is told from one that does not read.
 */
export class StallWatch {
  readonly #reply: FastifyReply
  readonly #timeout: number
  /** Looks since it last moved. */
  #unmoved = 0
  #queued = Infinity
  /** When to look next, in ms of the clock. */
  lookAt: number

  constructor (reply: FastifyReply, timeout: number, now: number) {
    this.#reply = reply
    this.#timeout = timeout
    this.lookAt = now + timeout / LOOKS
  }

  /** Looks, and says whether it has taken nothing for the timeout. */
  isStalled (now: number): boolean {
    const queued = queuedBytes(this.#reply)
    // The first look has nothing to compare with: at the write itself the socket is still corked.
    // Where nothing waits, it is not the reader who is waited for, but a transform in between.
    this.#unmoved = queued === 0 || (queued < this.#queued && this.#queued !== Infinity) ? 0 : this.#unmoved + 1
    this.#queued = queued
    this.lookAt = now + this.#timeout / LOOKS
    return this.#unmoved === LOOKS
  }
}

/** Node's own socket timeout looks at the same number. */
function queuedBytes ({ raw, request }: FastifyReply): number {
  if (request.raw.httpVersionMajor >= 2) return (raw as unknown as Http2ServerResponse).stream.bufferSize // as the version says
  return (raw.socket as { _handle?: { writeQueueSize?: number } } | null)?._handle?.writeQueueSize ?? 1 // inject has no handle, and tells nothing
}
