// How the stream stands in an OpenAPI document: OpenAPI 3.2's `itemSchema` describes one parsed event.
// https://spec.openapis.org/oas/v3.2.0.html#server-sent-event-streams
import type { FastifySchema } from 'fastify'
import { MIN_RETRY } from '../wire/field.js'

/**
 * The schema with a documented 200, unless the user has documented one. Fastify demands a `schema` for each media
 * type, and a string is what the body as a whole is.
 */
export function documentStream (schema: FastifySchema | undefined, events: Record<string, unknown>): FastifySchema {
  const response = (schema?.response ?? {}) as Record<string, unknown>
  if ('200' in response || '2xx' in response || 'default' in response) return { ...schema }
  const items = Object.entries(events).map(([name, event]) => ({
    type: 'object',
    required: name === 'message' ? ['data'] : ['event', 'data'],
    properties: {
      ...(name === 'message' ? {} : { event: { const: name } }),
      data: isText(event) ? event : { type: 'string', contentMediaType: 'application/json', contentSchema: event },
      id: { type: 'string' },
      retry: { type: 'integer', minimum: MIN_RETRY }
    }
  }))
  const content = { 'text/event-stream': { schema: { type: 'string' }, ...(items.length === 0 ? {} : { itemSchema: { oneOf: items } }) } }
  return { ...schema, response: { ...response, 200: { description: 'A stream of server-sent events', content } } }
}

const isText = (event: unknown) => typeof event === 'object' && event !== null && 'contentMediaType' in event && event.contentMediaType === 'text/plain'
