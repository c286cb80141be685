// What the plugin adds to Fastify's own types. A merged declaration may name a prefix of an interface's
// parameters; only their names and order must match.
import type { Sse } from './sse.js'
import type { SseOptions } from './options.js'
import type { SourceFor } from './stream.js'

declare module 'fastify' {
  interface FastifySchema {
    /** Event name to the schema of its payload. */
    sse?: Record<string, unknown>
  }

  interface FastifyContextConfig {
    /** Options of the route's streams. They override the plugin's. */
    sse?: SseOptions
  }

  // eslint-disable-next-line @typescript-eslint/no-unused-vars -- the names must match, used or not
  interface FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider> {
    readonly sse: Sse<TypeProvider>
  }

  // eslint-disable-next-line @typescript-eslint/no-unused-vars -- the names must match, used or not
  interface FastifyReply<RouteGeneric, RawServer, RawRequest, RawReply, ContextConfig, SchemaCompiler, TypeProvider> {
    /**
     * Answers with a stream of the source's events.
     *
     * The source is pulled once before anything is sent: if that fails within `openAfter`, the answer is an
     * ordinary HTTP error. When the stream closes, `context.signal` aborts and the source's iterator is returned.
     *
     * @param source an async iterable, an iterable, a Readable in object mode, a web ReadableStream, a
     *   function `(context) => ` any of these, or a subscription to topics
     * @param options override the route's and the plugin's
     * @returns the reply; return it from an async handler
     * @throws SSE_ERR_INVALID_SOURCE, SSE_ERR_INVALID_OPTION, SSE_ERR_ALREADY_SENT,
     *   SSE_ERR_UNKNOWN_EVENT where a topic has events that the route's `schema.sse` has not
     */
    sse(source: SourceFor<SchemaCompiler, TypeProvider>, options?: SseOptions): this
  }
}
