// One stream as its source and its operator see it.
import type { ReadableStream } from 'node:stream/web'
import type { FastifyRequest } from 'fastify'
import type { AnySseEvent, EventBuilder, EventUnion, PayloadsOf, SseMeta } from './event.js'

/**
 * Why a stream ended. `'client'`: it left. `'stalled'`: it stopped reading for `stallTimeout`. `'complete'`:
 * the source finished. `'error'`: the source, an event or the response failed.
 */
export type CloseReason = 'complete' | 'client' | 'error' | 'stalled' | 'maxDuration' | 'shutdown'

/** What a source that is a function gets. */
export interface SseContext<Builder = AnyEventBuilder> {
  /** Aborts when the stream closes, for whatever reason. Hand it to every await that may be long. */
  readonly signal: AbortSignal
  /**
   * Where a client that reconnects wants to go on: its `Last-Event-ID`, or the query's `lastEventId` where
   * there is no such header. It comes from outside: look it up, never trust it.
   */
  readonly lastEventId: string | undefined
  /** Constructors for the route's events: `yield events.tick({ n: 1 }, { id: '1' })`. */
  readonly events: Builder
  readonly request: FastifyRequest
}

export type AnyEventBuilder = { readonly [name: string]: (data: unknown, meta?: SseMeta) => SseMeta & { event: string, data: unknown } }

/** Anything that gives events one after another. A Node.js Readable in object mode is an AsyncIterable. */
export type Events<Event> = AsyncIterable<Event> | Iterable<Event> | ReadableStream<Event>

export type SseSource<Event = AnySseEvent, Context = SseContext> =
  | Events<Event>
  | ((context: Context) => Events<Event> | Promise<Events<Event>>)

/** The sources that a route's `schema` and type provider allow. */
export type SourceFor<Schema, Provider> = Schema extends { sse: infer Schemas }
  ? PayloadsOf<Provider, Schemas> extends infer Payloads
    ? SseSource<EventUnion<Payloads>, SseContext<EventBuilder<Payloads>>>
    : never
  : SseSource

/** What `onClose` gets. `onResponse` does not fire when a client leaves; this does, on every stream. */
export interface SseClosed {
  request: FastifyRequest
  reason: CloseReason
  /** From `reply.sse()` to the end. */
  durationMs: number
  /** Events written, without the plugin's own. */
  events: number
  /** Bytes of the body written, before compression and chunking. */
  bytes: number
  /** What failed, where the reason is `'error'`. */
  error: unknown
}
