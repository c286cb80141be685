// What the text of an event becomes: the plugin's own are for the client, the others for its user, checked where there is
// something to check them by.
import type { ReceivedEvent } from '../../types/client.js'
import type { CheckOptions } from '../../types/client-options.js'
import type { StandardSchema } from '../../types/standard-schema.js'
import { BYE, ERROR, RESERVED_PREFIX } from '../wire/reserved.js'
import { SseClientError } from './client-error.js'

interface TakeOptions extends CheckOptions<object> {
  readonly on?: Readonly<Record<string, ((data: any, event: any) => void) | undefined>> | undefined // each is typed by its event
}

interface Verdict {
  readonly value?: unknown
  readonly issues?: readonly unknown[] | undefined
}

/**
 * @returns the event, if it is for the user
 * @throws SSE_ERR_INVALID_DATA; where the server tells of a failure, that
 */
export function take ({ on, events, check, text: named = [] }: TakeOptions, event: string, text: string, id: string): ReceivedEvent | undefined {
  const invalid = (expected: string, issues?: Verdict['issues']) => new SseClientError('SSE_ERR_INVALID_DATA', `Expected the data of \`${event}\` to be ${expected}`, { event, issues })
  const isOwn = event.startsWith(RESERVED_PREFIX)
  if (events && !isOwn && !Object.hasOwn(events, event)) return undefined
  const schema = (events as Readonly<Record<string, unknown>> | undefined)?.[event] // which it has
  const { '~standard': standard, contentMediaType } = Object(schema) as Partial<StandardSchema & { contentMediaType: unknown }> // a function can have them, too
  let data: unknown = text
  if (isOwn || !(named === true || named.includes(event) || contentMediaType === 'text/plain')) {
    try {
      data = JSON.parse(text)
    } catch { // not as the cause: its message quotes the text
      throw invalid('JSON, or named in `text`')
    }
  }
  if (isOwn) {
    on?.[event]?.(data, { event, data, id })
    if (event === ERROR) throw new SseClientError('SSE_ERR_STREAM_FAILED', 'The stream failed', { data })
    if (event === BYE) throw new SseClientError('SSE_ERR_DISCONNECTED', 'The server ended the stream', { data })
    return undefined
  }
  if (schema) {
    const holds = typeof schema === 'function' ? schema : check?.bind(undefined, schema as never) // `check` is for these schemas
    const verdict = (standard?.validate(data) ?? (holds?.(data) === true ? { value: data } : {})) as Verdict // a promise has neither
    if (!('value' in verdict) || verdict.issues) throw invalid('as its schema says', verdict.issues)
    data = verdict.value
  }
  return { event, data, id }
}
