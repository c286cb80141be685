// What the headers of a stream say: of the response, and of the request.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header
import { MAX_ID_LENGTH } from './field.js'

/**
 * Set at commit, each only where the handler has set none. `no-store` keeps a stream out of shared caches,
 * `no-transform` stops compression where proxies honour it, `x-accel-buffering` stops nginx from holding
 * the stream back. Never `connection` or `transfer-encoding`: HTTP/2 refuses both.
 */
export const RESPONSE_HEADERS: ReadonlyArray<readonly [name: string, value: string]> = [
  ['content-type', 'text/event-stream; charset=utf-8'],
  ['cache-control', 'no-cache, no-store, no-transform'],
  ['x-accel-buffering', 'no']
]

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

// eslint-disable-next-line no-control-regex -- C0, DEL and C1 are what this looks for
const CONTROL = /[\x00-\x1f\x7f-\x9f]/

/**
 * The position that a client claims, or undefined where it claims none that could be one. It is input from
 * outside: any page can send any value to any origin by a redirect.
 *
 * @param header as Node gives it, which reads the bytes as latin1; clients send UTF-8
 * @param url where there is no header, the query's `lastEventId` or `last_event_id` counts: EventSource polyfills send one or the other
 */
export function readLastEventId (header: string | string[] | undefined, url: string): string | undefined {
  const claimed = claimedPosition(header, url)
  if (claimed === '') return undefined
  if (Buffer.byteLength(claimed) > MAX_ID_LENGTH || CONTROL.test(claimed)) return undefined
  return claimed
}

/** Whether a client claims a position, readable or not. */
export function claimsPosition (header: string | string[] | undefined, url: string): boolean {
  return claimedPosition(header, url) !== ''
}

function claimedPosition (header: string | string[] | undefined, url: string): string {
  return header === undefined ? fromQuery(url) ?? '' : fromLatin1(String(header))
}

function fromLatin1 (header: string): string {
  try {
    return utf8.decode(Buffer.from(header, 'latin1'))
  } catch {
    return header // Node's own clients do send latin1: the byte E9 for é
  }
}

function fromQuery (url: string): string | undefined {
  const start = url.indexOf('?')
  if (start === -1 || !/last(?:EventId|_event_id)=/.test(url)) return undefined
  const query = new URLSearchParams(url.slice(start + 1))
  return query.get('lastEventId') ?? query.get('last_event_id') ?? undefined
}

/** Whether the client takes `text/event-stream` by name, as every EventSource does. `*\/*` does not count. */
export function acceptsEventStream (accept: string | undefined): boolean {
  return accept !== undefined && /(?:^|,)\s*text\/event-stream\s*(?:,|$|;(?!\s*q=0(?:\.0*)?\s*(?:,|$)))/i.test(accept)
}
