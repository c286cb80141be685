// What may stand in a field of an event, and how text becomes lines.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
//
// A value that would end its line early forges fields or whole events in somebody's stream (CWE-93).
// Such a value throws; it is never stripped, because a stripped id resumes at the wrong place in silence.
import { describe, kindOf } from '../describe.js'
import { SSE_ERR_INVALID_FIELD } from '../errors.js'
import { END_ID, RESERVED_PREFIX } from './reserved.js'

/** Longest `id`, in bytes. A client echoes it in a header, and Node answers 431 to 16 KiB of headers. */
export const MAX_ID_LENGTH = 1024

/** Shortest `retry`, in ms. Browsers take `retry: 0` at its word and reconnect every 2 to 3 ms, for ever. */
export const MIN_RETRY = 100

/** Longest `retry`, in ms: 24 days. Clients that wait by a timer come back at once where it is set for longer. */
export const MAX_RETRY = 2_147_483_647

const LINE_BREAKER = /[\r\n\0]/

// Visible ASCII, spaces inside only. Beyond that: control characters come back as a request that Node
// refuses with 400, edge spaces are trimmed by HTTP, and Node's clients never reconnect with non-ASCII.
const ID = /^(?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?$/

const LINE_END = /\r\n|\r|\n/

export function checkEventName (event: unknown): string {
  if (typeof event !== 'string') throw new SSE_ERR_INVALID_FIELD(`Expected \`event\` to be a string, got ${kindOf(event)}`)
  if (LINE_BREAKER.test(event)) throw new SSE_ERR_INVALID_FIELD('Expected `event` to be one line without CR, LF or NUL')
  if (event.startsWith(RESERVED_PREFIX)) throw new SSE_ERR_INVALID_FIELD(`Expected \`event\` not to start with \`${RESERVED_PREFIX}\`, which is reserved, got ${describe(event)}`)
  return event
}

/** The empty string is a value of its own: it makes the client forget its last event id. */
export function checkId (id: unknown): string {
  if (typeof id === 'number' && Number.isSafeInteger(id)) return String(id)
  if (typeof id !== 'string') throw new SSE_ERR_INVALID_FIELD(`Expected \`id\` to be a string or an integer, got ${describe(id)}`)
  if (id.length > MAX_ID_LENGTH) throw new SSE_ERR_INVALID_FIELD(`Expected \`id\` to have at most ${MAX_ID_LENGTH} characters, got ${id.length}`)
  if (!ID.test(id)) throw new SSE_ERR_INVALID_FIELD('Expected `id` to be visible ASCII without spaces at its edges')
  if (id === END_ID) throw new SSE_ERR_INVALID_FIELD(`Expected \`id\` not to be \`${END_ID}\`, which is reserved for the end of a stream`)
  return id
}

export function checkRetry (retry: unknown): number {
  if (!Number.isSafeInteger(retry) || (retry as number) < MIN_RETRY || (retry as number) > MAX_RETRY) {
    throw new SSE_ERR_INVALID_FIELD(`Expected \`retry\` to be an integer from ${MIN_RETRY} to ${MAX_RETRY} (ms), got ${describe(retry)}`)
  }
  return retry as number // isSafeInteger is no type guard
}

/**
 * Text as `data` lines. CRLF, CR and LF all end a line for a parser, so all three end one here; the
 * receiver gets LF for each. Text that is empty is one line with nothing on it, which is still an event. The last line has no LF.
 */
export function textLines (text: unknown): string {
  if (typeof text !== 'string') throw new SSE_ERR_INVALID_FIELD(`Expected \`text\` to be a string, got ${kindOf(text)}`)
  return `data: ${text.split(LINE_END).join('\ndata: ')}`
}

export function commentLines (comment: unknown): string {
  if (typeof comment !== 'string') throw new SSE_ERR_INVALID_FIELD(`Expected \`comment\` to be a string, got ${kindOf(comment)}`)
  return `: ${comment.split(LINE_END).join('\n: ')}\n`
}
