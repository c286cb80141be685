// The answers of a route that streams, beside those that its user has declared.
import { eventSchema } from './events.js'
import type { StreamFacts } from './facts.js'
import type { Schema } from './field.js'
import type { Definitions } from './payload.js'
import type { Version } from './version.js'

/** By status, `2xx` or `default`, as in a route's schema. */
export type Responses = Readonly<Record<string, unknown>>

export const MEDIA_TYPE = 'text/event-stream'

/** @fastify/swagger drops a media type without `schema`. To 3.2 a stream as a whole is an array of its events. */
export const PLACEHOLDER: Schema = { type: 'array' }

/** What Fastify's own error handler makes of an error. Who has another one declares the responses. */
const ERROR: Schema = {
  type: 'object',
  required: ['statusCode', 'error', 'message'],
  properties: { statusCode: { type: 'integer' }, code: { type: 'string' }, error: { type: 'string' }, message: { type: 'string' } }
}

const RESET_HEADER = { 'sse-reset': { type: 'string', description: 'Topics of which events were missed, each with the reason, as `sse.reset` tells them' } }

/** @param produces media types of what is declared without one */
export function responsesOf (declared: Responses, produces: readonly string[], facts: StreamFacts, version: Version): Responses {
  const answers = Object.entries(otherAnswers(facts)).filter(([status]) => !isDeclared(declared, status))
  const success = '200' in declared ? '200' : Object.keys(declared).find((status) => /^2xx$/i.test(status)) ?? '200'
  return { ...declared, ...Object.fromEntries(answers), [success]: withStream(declared[success], produces, facts, version) }
}

/** A range counts, and for errors `default` does. */
function isDeclared (declared: Responses, status: string): boolean {
  const own = [status, `${status.charAt(0)}xx`, ...status.startsWith('2') ? [] : ['default']]
  return Object.keys(declared).some((key) => own.includes(key.toLowerCase()))
}

/** A 200 that is declared stands beside the stream: many routes give the one or the other, as the request asks. */
function withStream (declared: unknown, produces: readonly string[], facts: StreamFacts, version: Version): unknown {
  const given = Object(declared) as { content?: Schema, headers?: Schema } & Schema // as Fastify takes it
  if (given.content !== undefined && MEDIA_TYPE in given.content) return declared
  const { headers, ...schema } = given
  const isBare = declared !== undefined && given.content === undefined && given.type !== 'null'
  const definitions: Definitions = new Map()
  const event = eventSchema(facts, version, definitions)
  const tellsResets = facts.hasTopics && !facts.options.minimal
  return {
    description: given['x-response-description'] ?? given.description ?? descriptionOf(facts, version),
    ...tellsResets || headers !== undefined ? { headers: { ...tellsResets ? RESET_HEADER : {}, ...headers } } : {},
    content: {
      ...isBare ? Object.fromEntries(produces.map((type) => [type, { schema }])) : given.content,
      [MEDIA_TYPE]: version === '3.2' ? { schema: PLACEHOLDER, itemSchema: event } : { schema: event }
    },
    // Not for the document: here @fastify/swagger looks for schemas that have an `$id`, and in what a string holds it does not.
    ...definitions.size > 0 ? { anyOf: [...definitions.values()] } : {}
  }
}

function descriptionOf ({ options: { minimal, done } }: StreamFacts, version: Version): string {
  return [
    'A stream of server-sent events.',
    ...version === '3.2' ? [] : ['The schema is that of one event.'],
    ...minimal ? ['They are data alone.'] : [],
    ...done === undefined ? [] : [`The last one is \`${done}\`.`]
  ].join(' ')
}

function otherAnswers ({ ends, hasTopics, options: { minimal } }: StreamFacts): Responses {
  const error = (description: string) => ({ description, content: { 'application/json': { schema: ERROR } } })
  return {
    ...ends ? { 204: { description: 'The stream has ended: to a client that brings the id of `sse.end`', type: 'null' } } : {},
    ...hasTopics ? { 403: error('The client may not have this stream (`SSE_ERR_FORBIDDEN`)') } : {},
    ...hasTopics && minimal ? { 410: error('Events that came before are not kept any more (`SSE_ERR_EVENTS_LOST`)') } : {},
    503: {
      ...error('No stream now: too many are open (`SSE_ERR_TOO_MANY_CONNECTIONS`), the server shuts down (`SSE_ERR_CLOSING`), or it was ended before it began (`SSE_ERR_ENDED`). An EventSource is answered 200 and told to come back'),
      headers: { 'retry-after': { type: 'integer', description: 'Seconds' } }
    }
  }
}
