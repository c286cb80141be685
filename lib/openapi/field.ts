// Fields of an event, as schemas.
import { MAX_ID_LENGTH, MIN_RETRY } from '../wire/field.js'
import type { Version } from './version.js'

/** A schema, as far as a document goes. */
export type Schema = Readonly<Record<string, unknown>>

export const ID: Schema = { type: 'string', maxLength: MAX_ID_LENGTH }
export const RETRY: Schema = { type: 'integer', minimum: MIN_RETRY }

/** What clients are told of a failure, where no `onError` tells something else. */
export const MESSAGE: Schema = object({ message: { type: 'string' } })

/** All properties are required. */
export function object (properties: Readonly<Record<string, Schema>>): Schema {
  return { type: 'object', required: Object.keys(properties), properties }
}

export function constant (...values: readonly string[]): Schema {
  return { type: 'string', enum: values }
}

/** Text that holds JSON, as far as the version can say that. */
export function json (schema: unknown, version: Version): Schema {
  return version === '3.0'
    ? { type: 'string', description: 'JSON, by the schema in `x-contentSchema`', 'x-contentMediaType': 'application/json', 'x-contentSchema': schema }
    : { type: 'string', contentMediaType: 'application/json', contentSchema: schema }
}
