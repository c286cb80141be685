// What one event of a stream may be, as a schema. Every field is as it stands on the wire, where data is text.
// https://spec.openapis.org/oas/v3.2.0.html#server-sent-event-streams
import type { ResolvedOptions } from '../options.js'
import { isText } from '../schema/text.js'
import type { StreamFacts } from './facts.js'
import { constant, ID, json, MESSAGE, object, RETRY, type Schema } from './field.js'
import { payloadSchema, type Definitions } from './payload.js'
import { reservedEvents } from './reserved.js'
import type { Version } from './version.js'

/** @param definitions gets what the payloads refer to */
export function eventSchema (facts: StreamFacts, version: Version, definitions: Definitions): Schema {
  const { schemas, options: { minimal, onError } } = facts
  const own = schemas === undefined
    ? [minimal ? dataAlone({ title: 'event' }, TEXT) : ANY_EVENT]
    : Object.entries(schemas).map(([name, schema]) => {
      const { description } = Object(schema) as Schema // which may be `true`
      const about = { title: name, ...(description === undefined ? {} : { description }) }
      const payload = payloadSchema(schema, facts, name, version, definitions)
      const data = isText(schema) ? payload as Schema : json(payload, version) // of text it is an object
      return minimal ? dataAlone(about, data) : namedEvent(name, about, data)
    })
  // Without names, or with any name, an event can be of two kinds at once.
  if (minimal) return { anyOf: [...own, dataAlone({ title: 'error' }, json(errorOf(onError), version))] }
  return { [schemas === undefined ? 'anyOf' : 'oneOf']: [...own, ...reservedEvents(facts, version)] }
}

const TEXT: Schema = { type: 'string' }

const ANY_EVENT: Schema = { title: 'event', type: 'object', required: ['data'], properties: { event: TEXT, data: TEXT, id: ID, retry: RETRY } }

/** One without a name is what clients call `message`, and so do tools that parse it. */
function namedEvent (name: string, about: Schema, data: Schema): Schema {
  return {
    ...about,
    type: 'object',
    required: name === 'message' ? ['data'] : ['event', 'data'],
    properties: { event: constant(name), data, id: ID, retry: RETRY }
  }
}

function dataAlone (about: Schema, data: Schema): Schema {
  return { ...about, ...object({ data }) }
}

/** Clients of the OpenAI kind look for `error` in the data. */
function errorOf (onError: ResolvedOptions['onError']): Schema {
  return object({ error: onError === undefined ? MESSAGE : {} })
}
