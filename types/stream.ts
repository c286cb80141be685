// One stream as its source and its operator see it.
import type { FastifyRequest } from 'fastify'
import type { ChannelEvent, Subscription } from './channel.js'
import type { AnySseEvent, EventBuilder, EventUnion, PayloadOf, PayloadsOf, SseMeta } from './event.js'

/**
 * Why a stream ended. `'client'`: it left. `'stalled'`: it stopped reading for `stallTimeout`. `'complete'`:
 * the source finished. `'error'`: the source, an event or the response failed. Of channels: `'disconnected'` by
 * `app.sse.disconnect()`, `'unauthorized'` since `authorize` says no, `'slow'` by `slow: 'close'`.
 */
export type CloseReason = 'complete' | 'client' | 'error' | 'stalled' | 'maxDuration' | 'shutdown' | 'disconnected' | 'unauthorized' | 'slow'

/** What a source that is a function gets. */
export interface SseContext<Builder = AnyEventBuilder> {
  /** Aborts when the stream closes, for whatever reason. Hand it to every await that may be long. */
  readonly signal: AbortSignal
  /**
   * Where a client that reconnects wants to go on: its `Last-Event-ID`, or the query's `lastEventId` or `last_event_id` where
   * there is no such header. It comes from outside: look it up, never trust it.
   */
  readonly lastEventId: string | undefined
  /** Constructors for the route's events: `yield events.tick({ n: 1 }, { id: '1' })`. */
  readonly events: Builder
  readonly request: FastifyRequest
}

/**
 * The context of a source that stands outside its route, by the route's schemas. Those of TypeBox 1 need its type provider.
 *
 * @example
 * ```ts
 * const schemas = { tick: Type.Object({ n: Type.Integer() }) }
 * function * one ({ events }: ContextOf<typeof schemas>): Generator<EventsOf<typeof schemas>> { yield events.tick({ n: 1 }) }
 * ```
 */
export type ContextOf<Schemas, Provider = unknown> = SseContext<EventBuilder<PayloadsOf<Provider, Schemas>>>

/** `any`, so that a function that takes a plain `SseContext` fits a route with schemas too. */
export type AnyEventBuilder = { readonly [name: string]: (data: any, meta?: SseMeta) => SseMeta & { event?: string | undefined, data: unknown, text?: undefined } }

/**
 * Anything that gives events one after another. A Readable in object mode and a web ReadableStream are
 * AsyncIterables; a union that named them would tell of them in every message about a wrong event. `object` leaves
 * out a string, which is an iterable of its characters.
 */
export type Events<Event> = AsyncIterable<Event> | (Iterable<Event> & object)

export type SseSource<Event = AnySseEvent, Context = SseContext> =
  | Events<Event>
  | ((context: Context) => Events<Event> | Promise<Events<Event>>)

/**
 * The sources that a route's `schema` and type provider allow. PayloadsOf is spelled out, since messages would
 * show its name and arguments in place of the payloads.
 */
export type SourceFor<Schema, Provider> = Schema extends { sse: infer Schemas }
  ? { [Name in keyof Schemas]: PayloadOf<Provider, Schemas[Name]> } extends infer Payloads
      ? SseSource<EventUnion<Payloads>, SseContext<EventBuilder<Payloads>>> | Subscription<ChannelEvent<Payloads>>
      : never
  : SseSource | Subscription

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
