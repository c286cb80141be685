// The body of whatever tests have at hand, as a Readable: it can be destroyed while somebody waits for its next piece.
import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import type { StreamAnswer, StreamBody } from '../../types/testing.js'
import { kindOf } from '../describe.js'
import { SSE_ERR_INVALID_SOURCE } from '../errors.js'

type Injected = Extract<StreamAnswer, { stream: unknown }>

/** @throws SSE_ERR_INVALID_SOURCE */
export function bodyOf (given: StreamBody | StreamAnswer | null): Readable {
  if (given instanceof Readable) return given
  if (typeof given === 'string' || given instanceof Uint8Array) return Readable.from([given])
  if (given === null) return Readable.from([]) // the body of an answer that has none
  if (typeof given === 'object' && 'getReader' in given) return Readable.fromWeb(given as ReadableStream) // what has a reader is one
  if (typeof given === 'object' && 'stream' in given) return injected(streamed(given))
  if (typeof given === 'object' && 'body' in given) return bodyOf(streamed(given).body)
  throw new SSE_ERR_INVALID_SOURCE(`Expected what readEvents() is given to be an answer or its body, got ${kindOf(given)}`)
}

/** An answer of another type has no events, and a test that expects none would pass. 204 has no type. */
function streamed<Answer extends object> (answer: Answer): Answer {
  const { headers, status, statusCode = status } = answer as { headers?: Readonly<Record<string, unknown>> | Headers, status?: unknown, statusCode?: unknown }
  const type = headers instanceof Headers ? headers.get('content-type') : headers?.['content-type']
  if (typeof type !== 'string' || /^text\/event-stream\s*(;|$)/i.test(type)) return answer
  throw new SSE_ERR_INVALID_SOURCE(`Expected the answer that readEvents() is given to be a stream, got ${String(statusCode)} with ${type}`)
}

/** A server that is not told by `signal` would take a reader that has left for one that does not read. */
function injected ({ stream, raw }: Injected): Readable {
  const body = bodyOf(stream())
  body.once('close', () => { if (!body.readableEnded) raw?.res.destroy() })
  return body
}
