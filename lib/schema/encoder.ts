// From what a source yields to its frame, by the schemas of its route or without any.
import { describe } from '../describe.js'
import { SSE_ERR_INVALID_DATA, SSE_ERR_UNKNOWN_EVENT } from '../errors.js'
import type { ResolvedOptions } from '../options.js'
import { encodeFrame, escapeJson, eventLine, toJson } from '../wire/encode.js'
import { checkEventName, checkId, checkRetry, commentLines, textLines } from '../wire/field.js'
import { anyEvents, buildEvents } from './builder.js'
import { invalidData, type CompiledEvent, type CompiledEvents } from './compile.js'
import { readItem, type Item } from './item.js'

/** Makes frames of what a source yields. */
export interface Encoder {
  /** Constructors of the route's events. */
  readonly events: unknown
  /** @throws coded errors, with nothing half-made */
  encode (item: unknown, options: ResolvedOptions): string
  /** Whether an error of `encode` says that an event does not match its schema. */
  isMismatch (error: unknown): error is Mismatch
}

/** An error that names its event. */
export type Mismatch = Error & { event: string }

/** `minimal` streams carry data alone, but what is left out is checked all the same. */
function toFrame (line: string, data: string, item: Item, { minimal }: ResolvedOptions): string {
  if (!minimal) return encodeFrame(line, data, item)
  if (item.id !== undefined) checkId(item.id)
  if (item.retry !== undefined) checkRetry(item.retry)
  if (item.comment !== undefined) commentLines(item.comment)
  return `${data}\n\n`
}

/** For routes without `schema.sse`. */
export class PlainEncoder implements Encoder {
  readonly events: unknown = anyEvents

  encode (given: unknown, options: ResolvedOptions): string {
    const item = readItem(given)
    const line = item.event === undefined ? '' : eventLine(checkEventName(item.event))
    const data = item.text === undefined ? `data: ${escapeJson(toJson(item.data))}` : textLines(item.text)
    return toFrame(line, data, item, options)
  }

  isMismatch (_error: unknown): _error is Mismatch {
    return false
  }
}

/** For routes with `schema.sse`. */
export class SchemaEncoder implements Encoder {
  readonly events: unknown
  readonly #events: CompiledEvents
  readonly #owner: string
  readonly #plain = new PlainEncoder()

  /** @param owner what has the events, for messages */
  constructor (events: CompiledEvents, owner = "The route's schema.sse") {
    this.#owner = owner
    this.#events = events
    this.events = buildEvents(events)
  }

  has (event: string): boolean {
    return this.#events.has(event)
  }

  encode (given: unknown, options: ResolvedOptions): string {
    const item = readItem(given)
    const name = item.event === undefined || item.event === '' ? 'message' : item.event
    const event = this.#events.get(name as string) // a name that is no string is not in it
    if (event === undefined) {
      checkEventName(name)
      if (options.validate === false) return this.#plain.encode(given, options)
      const known = [...this.#events.keys()].map((known) => `\`${known}\``).join(', ') || 'none'
      throw Object.assign(new SSE_ERR_UNKNOWN_EVENT(`Unknown event ${describe(name)}. ${this.#owner} has ${known}`), { event: name })
    }
    const data = options.validate === false ? encodeUnchecked(event, item) : encodeData(event, item)
    return toFrame(item.event === undefined || item.event === '' ? '' : event.line, data, item, options)
  }

  isMismatch (error: unknown): error is Mismatch {
    return error instanceof SSE_ERR_INVALID_DATA || error instanceof SSE_ERR_UNKNOWN_EVENT
  }
}

/** The payload's `data` lines, without the last line feed. @throws SSE_ERR_INVALID_DATA, SSE_ERR_NOT_SERIALIZABLE */
export function encodeData (event: CompiledEvent, item: Item): string {
  if (event.isText) {
    const text = item.text ?? item.data
    event.check(text)
    return textLines(text)
  }
  if (item.text !== undefined) throw invalidData(event.name, '/', "it is sent as JSON, so give it `data`. Text is for events whose schema is Type.String({ contentMediaType: 'text/plain' })")
  event.check(item.data)
  return 'data: ' + toJson(item.data, event.stringify)
}

function encodeUnchecked (event: CompiledEvent, item: Item): string {
  const text = item.text ?? (event.isText ? item.data : undefined)
  return typeof text === 'string' ? textLines(text) : 'data: ' + toJson(item.data, event.stringify)
}
