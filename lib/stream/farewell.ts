// The last words of a stream, by the reason for which it ends.
import type { FastifyRequest } from 'fastify'
import type { CloseReason } from '../../types/stream.js'
import type { ResolvedOptions } from '../options.js'
import { controlFrame, END_FRAME, escapeJson, toJson } from '../wire/encode.js'
import { MAX_RETRY, MIN_RETRY, textLines } from '../wire/field.js'
import { BYE, ERROR } from '../wire/reserved.js'

const GENERIC = { message: 'The stream failed' }

/** +-25 %. EventSource has a constant delay and no jitter: only the server can spread its clients. */
export function spreadRetry (retry: number): number {
  return Math.min(Math.max(MIN_RETRY, Math.round(retry * (0.75 + 0.5 * Math.random()))), MAX_RETRY)
}

/** Anywhere within the time that the operator grants to a whole crowd. */
export function retryWithin (spread: number): number {
  return MIN_RETRY + Math.floor(Math.random() * (Math.max(spread, MIN_RETRY) - MIN_RETRY + 1))
}

/** @param reconnects whether the client is an EventSource that asked by GET */
export function farewell (reason: CloseReason, options: ResolvedOptions, reconnects: boolean): string {
  if (options.minimal) return reason === 'complete' && options.done !== undefined ? `${textLines(options.done)}\n\n` : ''
  if (reason === 'complete') return reconnects && options.end ? END_FRAME : ''
  return controlFrame(BYE, { reason }, { retry: reason === 'shutdown' ? retryWithin(options.shutdown.spread) : reconnectDelay(options) })
}

/** The delay for a client that is sent away without fault of its own. */
export function reconnectDelay ({ retry }: ResolvedOptions): number {
  return spreadRetry(retry === false ? 3_000 : retry)
}

/**
 * `sse.error`, without an id: the client resumes after the last event that it got. Logs the error.
 *
 * @throws what a logger or an error that cannot be looked at throws
 */
export function errorFrame (error: unknown, request: FastifyRequest, options: ResolvedOptions): string {
  request.log.error({ err: error }, 'event stream failed')
  if (options.onError === undefined) return genericErrorFrame(options)
  try {
    const told = options.onError(error, request)
    if (told instanceof Promise) {
      told.catch(() => {})
      throw new TypeError('Expected `onError` to return its answer, got a promise of it')
    }
    if (told !== undefined) return failureFrame(typeof told === 'string' ? { message: told } : told, options)
  } catch (err) {
    request.log.error({ err }, '`onError` failed')
  }
  return genericErrorFrame(options)
}

export function genericErrorFrame (options: ResolvedOptions): string {
  return failureFrame(GENERIC, options)
}

// Clients of the OpenAI kind know no event names, but look for `error` in the data.
function failureFrame (data: unknown, { minimal }: ResolvedOptions): string {
  return minimal ? `data: ${escapeJson(toJson({ error: data }))}\n\n` : controlFrame(ERROR, data)
}
