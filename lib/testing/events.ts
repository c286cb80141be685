// From the pieces of a body to events.
import { AssertionError } from 'node:assert'
import type { Readable } from 'node:stream'
import type { ReadEvent } from '../../types/testing.js'
import { isText } from '../schema/text.js'
import { frameParser, type ParsedFrame } from '../wire/parse.js'
import { RESERVED_PREFIX } from '../wire/reserved.js'

type Schemas = Readonly<Record<string, unknown>>

/**
 * @param schemas of the route, where they are known
 * @throws AssertionError for an event that is none of theirs
 */
export async function * eventsIn (body: Readable, schemas: Schemas | undefined): AsyncGenerator<ReadEvent> {
  const decoder = new TextDecoder()
  const parsed: ParsedFrame[] = []
  const parse = frameParser({ onFrame: (frame) => parsed.push(frame) })
  let isFirst = true
  let id: string | undefined // of a block without data, which is that of the next event
  for await (const chunk of body as AsyncIterable<string | Uint8Array>) { // as bodies give them
    // A decoder drops the byte order mark that a stream may begin with.
    parse(typeof chunk === 'string' ? isFirst ? chunk.replace(/^\ufeff/, '') : chunk : decoder.decode(chunk, { stream: true }))
    isFirst = false
    for (const { event, data, hasId, lastEventId } of parsed.splice(0)) {
      if (hasId) id = lastEventId
      if (data === undefined) continue
      yield { event, data: schemas === undefined ? decode(data) : decodeBy(schemas, event, data), ...id === undefined ? {} : { id } }
      id = undefined
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
