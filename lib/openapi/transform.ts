// What @fastify/swagger asks of a route when it makes a document: the route's schema, with its streams in it. Not before:
// the version of the document is known by then, and Fastify itself sees nothing of it, which would compile a serializer for each
// response that is declared and check the headers of requests.
import type { StreamFacts } from './facts.js'
import { MAX_ID_LENGTH } from '../wire/field.js'
import { responsesOf, type Responses } from './responses.js'
import { versionOf } from './version.js'

/** Under which the document holds a `transform` of the user's while it is made. */
export const EXTENSION = 'x-fastify-typed-sse'

interface Document { readonly openapi?: unknown, readonly [EXTENSION]?: Transform }

interface Documented {
  readonly response?: Responses
  readonly headers?: unknown
  readonly produces?: readonly string[]
}

/** As @fastify/swagger calls it; with a `swaggerObject` for Swagger 2.0. */
export interface TransformInput { readonly schema?: Documented, readonly url: string, readonly openapiObject?: Document, readonly swaggerObject?: Document }
export type Transform = (input: TransformInput) => { schema?: Documented, url?: string }

/** @param own the route's own transform, in place of the document's */
export function transformOf (facts: () => StreamFacts, own: Transform | undefined): Transform {
  return (input) => {
    const { openapiObject, swaggerObject } = input
    const transform = own ?? (openapiObject ?? swaggerObject)?.[EXTENSION]
    const { schema = input.schema, url = input.url } = transform?.(input) ?? {}
    return { url, schema: openapiObject === undefined ? schema ?? {} : documented(schema ?? {}, facts(), openapiObject) }
  }
}

function documented (schema: Documented, facts: StreamFacts, { openapi }: Document): Documented {
  const { response = {}, headers, produces = ['application/json'] } = schema
  return {
    ...schema,
    ...facts.options.minimal ? {} : { headers: headers === undefined ? LAST_EVENT_ID : { allOf: [LAST_EVENT_ID, headers] } }, // the later one counts, where it has the same
    response: responsesOf(response, produces, facts, versionOf(openapi))
  }
}

/** In small letters, as users declare headers in Fastify. */
const LAST_EVENT_ID = {
  type: 'object',
  properties: {
    'last-event-id': {
      type: 'string',
      maxLength: MAX_ID_LENGTH,
      description: 'The id of the last event that the client got, to go on behind it. Where there is no such header, `lastEventId` in the query counts'
    }
  }
}
