// Options of @fastify/swagger, for documents in which streams stand as they should.
import { MEDIA_TYPE, PLACEHOLDER } from './responses.js'
import { EXTENSION, type Transform } from './transform.js'

interface SwaggerOptions {
  readonly openapi?: object
  readonly swagger?: object
  readonly transform?: Transform | null
  readonly transformObject?: ((input: object) => unknown) | null
}

type Tree = Record<string, unknown>

/**
 * Options for @fastify/swagger, made of those that are given. Without it each route with `schema.sse` is documented all the
 * same; it does two things more:
 *
 * - A `transform` among the options is called for these routes too. They have one of their own, which would come in its place.
 * - In OpenAPI 3.2 they have `itemSchema` alone. @fastify/swagger itself demands a `schema` beside it, which is
 *   `{ type: 'array' }`, and there are tools that look at that and no further.
 *
 * @example
 * ```ts
 * await app.register(swagger, documentStreams({ openapi: { openapi: '3.2.0', info: { title: 'Ticks', version: '1.0.0' } } }))
 * ```
 */
export function documentStreams<Options extends object> (options: Options): Options {
  const { openapi, swagger, transform, transformObject }: SwaggerOptions = options
  const extended = { ...openapi ?? swagger, ...transform === undefined || transform === null ? {} : { [EXTENSION]: transform } }
  return {
    ...options,
    [openapi === undefined ? 'swagger' : 'openapi']: extended,
    transformObject (input: { openapiObject?: Tree, swaggerObject?: Tree }) {
      const document = (input.openapiObject ?? input.swaggerObject) as Tree // it is one or the other
      delete document[EXTENSION]
      removePlaceholders(document)
      return transformObject?.(input) ?? document
    }
  }
}

function removePlaceholders ({ paths }: Tree): void {
  for (const path of valuesOf(paths)) {
    for (const operation of [...valuesOf(path), ...valuesOf(path.additionalOperations)]) {
      for (const response of valuesOf(operation.responses)) {
        const media = (response.content as Tree | undefined)?.[MEDIA_TYPE] as Tree | undefined // as OpenAPI has it
        if (media?.itemSchema !== undefined && JSON.stringify(media.schema) === JSON.stringify(PLACEHOLDER)) delete media.schema
      }
    }
  }
}

function valuesOf (map: unknown): Tree[] {
  return Object.values(Object(map) as Tree).filter((value): value is Tree => typeof value === 'object' && value !== null)
}
