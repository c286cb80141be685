// From the pieces of a body to events: the one parser of streams in this package, which is not ours.
import { AssertionError } from 'node:assert'
import type { Readable } from 'node:stream'
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import type { ReadEvent } from '../../types/testing.js'
import { isText } from '../schema/text.js'
import { RESERVED_PREFIX } from '../wire/reserved.js'

type Schemas = Readonly<Record<string, unknown>>

/**
 * @param schemas of the route, where they are known
 * @throws AssertionError for an event that is none of theirs
 */
export async function * eventsIn (body: Readable, schemas: Schemas | undefined): AsyncGenerator<ReadEvent> {
  const decoder = new TextDecoder()
  const parsed: EventSourceMessage[] = []
  const parser = createParser({ onEvent: (event) => parsed.push(event) })
  for await (const chunk of body as AsyncIterable<string | Uint8Array>) { // as bodies give them
    parser.feed(typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true }))
    for (const { event = 'message', data, id } of parsed.splice(0)) {
      yield { event, data: schemas === undefined ? decode(data) : decodeBy(schemas, event, data), ...id === undefined ? {} : { id } }
    }
  }
}

function decode (data: string): unknown {
  try {
    return JSON.parse(data)
  } catch {
    return data
  }
}

function decodeBy (schemas: Schemas, event: string, data: string): unknown {
  const isOwn = Object.hasOwn(schemas, event)
  if (!isOwn && !event.startsWith(RESERVED_PREFIX)) {
    throw new AssertionError({ message: `Unknown event \`${event}\`. \`events\` has ${Object.keys(schemas).map((name) => `\`${name}\``).join(', ') || 'none'}` })
  }
  if (isOwn && isText(schemas[event])) return data
  try {
    return JSON.parse(data)
  } catch {
    throw new AssertionError({ message: `Expected the data of event \`${event}\` to be JSON, got text` })
  }
}
