// Our parser and two that nobody here wrote, as functions from bytes to events.
import { createRequire } from 'node:module'
import type { Transform } from 'node:stream'
import { createParser } from 'eventsource-parser'
import { frameParser } from '../../lib/wire/parse.js'

export interface ParsedEvent { type: string, data: string, id: string | undefined }
export interface Parsed { events: ParsedEvent[], retry: number | undefined }

/** @param chunks bytes cut anywhere, inside characters too */
export type Parse = (chunks: Uint8Array[]) => Parsed

export const withEventsourceParser: Parse = (chunks) => {
  const parsed: Parsed = { events: [], retry: undefined }
  const decoder = new TextDecoder()
  const parser = createParser({
    onEvent: ({ event = 'message', data, id }) => parsed.events.push({ type: event, data, id }),
    onRetry: (retry) => { parsed.retry = retry }
  })
  for (const chunk of chunks) parser.feed(decoder.decode(chunk, { stream: true }))
  return parsed
}

export const withOurs: Parse = (chunks) => {
  const parsed: Parsed = { events: [], retry: undefined }
  const decoder = new TextDecoder()
  const parse = frameParser({
    onFrame: ({ event, data, lastEventId }) => { if (data !== undefined) parsed.events.push({ type: event, data, id: lastEventId }) },
    onRetry: (retry) => { parsed.retry = retry }
  })
  for (const chunk of chunks) parse(decoder.decode(chunk, { stream: true }))
  return parsed
}

interface UndiciStream {
  new (options: { eventSourceSettings: object, push: (event: { type: string, options: { data: string, lastEventId: string } }) => void }): Transform
}

// Not a part of undici's public surface, but the parser behind its EventSource, which works on bytes.
const { EventSourceStream } = createRequire(import.meta.url)('undici/lib/web/eventsource/eventsource-stream.js') as { EventSourceStream: UndiciStream }

export const withUndici: Parse = (chunks) => {
  const parsed: Parsed = { events: [], retry: undefined }
  const settings: { lastEventId: string, reconnectionTime?: number } = { lastEventId: '' }
  const stream = new EventSourceStream({
    eventSourceSettings: settings,
    push: ({ type, options }) => parsed.events.push({ type, data: options.data, id: options.lastEventId })
  })
  for (const chunk of chunks) stream.write(chunk)
  parsed.retry = settings.reconnectionTime
  return parsed
}
