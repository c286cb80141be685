// What a route does with one of its events: check the payload, write it. Made once for each route.
import { Kind, type TSchema } from '@sinclair/typebox'
import { TypeCompiler, type TypeCheck } from '@sinclair/typebox/compiler'
import type { ValueError } from '@sinclair/typebox/errors'
import type { StandardSchema } from '../../types/standard-schema.js'
import { describe } from '../describe.js'
import { SSE_ERR_INVALID_DATA, SSE_ERR_INVALID_SCHEMA, SSE_ERR_NOT_SERIALIZABLE } from '../errors.js'
import { eventLine } from '../wire/encode.js'
import { checkEventName } from '../wire/field.js'
import { FORMAT_PREFIX, normalize } from './normalize.js'
import { messageOf, REFINEMENT } from './refinement.js'
import { compileSerializer, stringifyAny, type Stringify } from './serialize.js'
import { isStandard, refusalOf } from './standard.js'
import { isText } from './text.js'

export interface CompiledEvent {
  readonly name: string
  /** Its `event` line, ready to write. */
  readonly line: string
  /** Whether the payload is text that goes out as it is, and not JSON. */
  readonly isText: boolean
  /** @throws SSE_ERR_INVALID_DATA that names the place and what was expected there */
  check (data: unknown): void
  readonly stringify: Stringify
}

export type CompiledEvents = ReadonlyMap<string, CompiledEvent>

/** Browsers deliver these to the handlers of the connection's own events. */
const TAKEN_BY_EVENTSOURCE = new Set(['open', 'error'])

/**
 * Looks at the names alone, which can be done before shared schemas are known.
 *
 * @param where what holds them, for messages: "schema.sse of GET /ticks"
 * @throws SSE_ERR_INVALID_SCHEMA
 */
export function checkEventNames (schemas: unknown, where: string): asserts schemas is Record<string, unknown> {
  if (typeof schemas !== 'object' || schemas === null || Array.isArray(schemas) || isSchema(schemas)) {
    throw new SSE_ERR_INVALID_SCHEMA(`Expected ${where} to be an object of event names and their schemas, got ${isSchema(schemas) ? 'a schema' : describe(schemas)}`)
  }
  for (const name of Object.keys(schemas)) {
    if (name === '') throw new SSE_ERR_INVALID_SCHEMA(`Expected the event names in ${where} not to be empty. Events without a name are called \`message\``)
    if (TAKEN_BY_EVENTSOURCE.has(name)) {
      throw new SSE_ERR_INVALID_SCHEMA(`Event \`${name}\` in ${where} would reach the client's on${name} handler, which is for the connection. Choose another name`)
    }
    try {
      checkEventName(name)
    } catch (cause) {
      throw new SSE_ERR_INVALID_SCHEMA(`Invalid event name ${describe(name)} in ${where}: ${(cause as Error).message}`, { cause }) // checkEventName throws errors
    }
  }
}

const isSchema = (value: unknown) => isStandard(value) || (typeof value === 'object' && value !== null && (Kind in value || '~kind' in value)) // that of TypeBox 1

/**
 * @param schemas with names that `checkEventNames` has passed
 * @param shared Fastify's shared schemas, by `$id`
 * @throws SSE_ERR_INVALID_SCHEMA
 */
export function compileEvents (schemas: Record<string, unknown>, shared: Readonly<Record<string, unknown>>, where: string): CompiledEvents {
  return new Map(Object.entries(schemas).map(([name, schema]) => [name, compileEvent(name, schema, shared, where)]))
}

function compileEvent (name: string, given: unknown, shared: Readonly<Record<string, unknown>>, where: string): CompiledEvent {
  if (isStandard(given)) return standardEvent(name, given, where)
  const { schema, references } = normalize(given, shared, `event \`${name}\` in ${where}`)
  let checker: TypeCheck<TSchema>
  try {
    checker = TypeCompiler.Compile(schema, [...references]) // it adds to what it is given
  } catch (cause) {
    throw new SSE_ERR_INVALID_SCHEMA(`The schema of event \`${name}\` in ${where} does not compile: ${(cause as Error).message}`, { cause }) // TypeBox throws errors
  }
  return {
    name,
    line: eventLine(name),
    isText: isText(schema),
    check: (data) => { if (!passes(checker, data)) throw mismatchOf(name, checker, data) },
    stringify: compileSerializer(schema, references)
  }
}

function standardEvent (name: string, schema: StandardSchema, where: string): CompiledEvent {
  return {
    name,
    line: eventLine(name),
    isText: false,
    check (data) {
      const refusal = attempt(() => refusalOf(schema, data, `event \`${name}\` in ${where}`))
      if (refusal === undefined) return
      // What others say of a value may quote it.
      const error = invalidData(name, refusal.path, `\`${refusal.vendor}\` refuses it, for reasons that are in \`issues\``)
      throw Object.defineProperty(error, 'issues', { value: refusal.issues }) // which loggers do not enumerate
    },
    stringify: stringifyAny
  }
}

function passes (checker: TypeCheck<TSchema>, data: unknown): boolean {
  return attempt(() => checker.Check(data))
}

function attempt<Result> (check: () => Result): Result {
  try {
    return check()
  } catch (cause) {
    if (cause instanceof SSE_ERR_INVALID_SCHEMA) throw cause
    throw new SSE_ERR_NOT_SERIALIZABLE('Expected `data` to be readable, got a value whose check failed: it holds itself, or a getter throws', { cause })
  }
}

function mismatchOf (event: string, checker: TypeCheck<TSchema>, data: unknown): Error {
  const { path, message, schema, value } = checker.Errors(data).First() as ValueError // Check has failed, so there is one
  return invalidData(event, path === '' ? '/' : path, schema[Kind] === REFINEMENT ? messageOf(schema, value) : message.replace(FORMAT_PREFIX, ''))
}

/** @param path JSON Pointer to what does not match */
export function invalidData (event: string, path: string, message: string): Error {
  return Object.assign(new SSE_ERR_INVALID_DATA(`Event \`${event}\` does not match its schema at ${path}: ${message}`), { event, path })
}
