// Broadcast: channels, their topics, and what subscribing to them gives.
import type { FastifyRequest } from 'fastify'
import type { Position } from './broker.js'
import type { EventBuilder, EventUnion, PayloadsOf } from './event.js'
import type { ResetReason } from './reserved.js'
import type { Events } from './stream.js'

/** The names of the parameters in a channel's name: of `orders/:tenant`, `'tenant'`. */
export type ParamNames<Name extends string> =
  Name extends `${infer Segment}/${infer Rest}` ? ParamName<Segment> | ParamNames<Rest> : ParamName<Name>

type ParamName<Segment extends string> = Segment extends `:${infer Param}` ? Param : never

/** A value for each parameter in a channel's name. */
export type ChannelParams<Name extends string> = { readonly [Param in ParamNames<Name>]: string | number }

/** How much of each topic is kept for clients that come back. Each bound is upper; nothing else is promised than what the client is told. */
export interface ChannelHistory {
  /** Events. @default 1_000 */
  max?: number | undefined
  /** Bytes of their frames. An event that alone has more is refused. @default 1_048_576 */
  bytes?: number | undefined
  /** Milliseconds. @default 300_000 */
  ttl?: number | undefined
}

/** An event: to `key`, as it was given to `publish`; to `filter`, as it was read back from its frame, with dates as strings. */
export type ChannelEvent<Payloads> = {
  [Name in keyof Payloads & string]: { readonly event: Name, readonly data: Payloads[Name] }
}[keyof Payloads & string]

/** Who asks for which topic. */
export interface TopicContext<Name extends string = string> {
  readonly request: FastifyRequest
  /** The name of the topic: `orders/acme`. */
  readonly topic: string
  /** The values in it, as strings. */
  readonly params: string extends Name ? Readonly<Record<string, string>> : { readonly [Param in ParamNames<Name>]: string }
}

/** What a snapshot is called with. */
export interface SnapshotContext<Name extends string, Payloads> extends TopicContext<Name> {
  /** Aborts when the stream closes. */
  readonly signal: AbortSignal
  /** Constructors for the channel's events. Of an event with an `id`, a snapshot fails: where the client stands is told behind it. */
  readonly events: EventBuilder<Payloads>
}

export interface ChannelOptions<Name extends string = string, Schemas = Record<string, unknown>, Payloads = Record<string, unknown>> {
  /** Event name to the schema of its payload, as in a route's `schema.sse`. */
  events: Schemas
  /** What is kept for clients that come back; `false` keeps nothing beyond what connected clients still need. */
  history?: ChannelHistory | false | undefined
  /**
   * What a reader gets that is slower than the events. `'resume'`: every event, from history if need be. `'latest'`: of
   * the events that wait for it, the newest of each `key`. `'close'`: it is cut when it falls behind the recent events
   * that this node holds, and comes back by itself.
   * @default 'resume'
   */
  slow?: 'resume' | 'latest' | 'close' | undefined
  /** With `slow: 'latest'`: what a newer event supersedes. @default the event's name */
  key?: ((event: ChannelEvent<Payloads>) => string) | undefined
  /**
   * The state of a topic as events, for a client that has none: a newcomer, or one that was told `sse.reset`. Runs when the
   * client's place is fixed, so nothing is lost between the state and the events that follow; some may be in both.
   */
  snapshot?: ((context: SnapshotContext<Name, Payloads>) => Events<EventUnion<Payloads>> | Promise<Events<EventUnion<Payloads>>>) | undefined
  /**
   * Whether a request may have a topic. Asked before anything is sent, and again about every `heartbeat` ms as long as the
   * stream stands; where there is no heartbeat, and on `minimal` streams, before the first event that comes 15 s, or
   * `heartbeat` ms, after the last answer. Nothing is sent until it has answered, so it should not wait for ever.
   */
  authorize?: ((context: TopicContext<Name>) => boolean | Promise<boolean>) | undefined
}

export interface PublishOptions {
  /** Of two events of a topic with the same one, within two minutes, only the first is published. At most 256 characters. */
  dedupe?: string | undefined
}

export interface SubscribeOptions<Payloads = Record<string, unknown>> {
  /**
   * Which events this stream gets, replayed ones too. Must answer at once; an error ends the stream. It is called for each
   * event and each stream, so it should be quick.
   */
  filter?: ((event: ChannelEvent<Payloads>, request: FastifyRequest) => boolean) | undefined
  /** As the channel's, and asked beside it. */
  authorize?: ((context: TopicContext) => boolean | Promise<boolean>) | undefined
  /**
   * Where a client begins that brings no position of its own: with what comes from now on, with the oldest event that is
   * kept, or behind a position, as `publish` returns it.
   * @default 'now'
   */
  from?: 'now' | 'oldest' | Position | undefined
  /** Whose stream this is, for `app.sse.disconnect({ key })`. */
  key?: string | undefined
}

declare const kEvents: unique symbol

/** One or several topics as a source for `reply.sse()`. It can be used for any number of streams. */
export interface Subscription<Event = unknown> {
  /** Names of the topics. */
  readonly topics: readonly string[]
  /** In types alone: what keeps a subscription from a route that has other events. */
  readonly [kEvents]?: Event
}

/** One flow of events. */
export interface Topic<Payloads = Record<string, unknown>> {
  /** As `orders/acme`. */
  readonly name: string
  /**
   * Checks the payload, encodes it once, and sends it to every stream that has the topic.
   *
   * @returns (resolves) the event's position
   * @throws (rejects) SSE_ERR_UNKNOWN_EVENT, SSE_ERR_INVALID_DATA, SSE_ERR_NOT_SERIALIZABLE, SSE_ERR_EVENT_TOO_LARGE;
   *   nothing is stored then
   */
  publish<Event extends keyof Payloads & string> (event: Event, data: Extract<ChannelEvent<Payloads>, { event: Event }>['data'], options?: PublishOptions): Promise<Position>
  /** A source for `reply.sse()`: what a client missed, by its Last-Event-ID, and then what comes. */
  subscribe (options?: SubscribeOptions<Payloads>): Subscription<ChannelEvent<Payloads>>
}

/** A kind of topics. One whose name has no parameters is its own only topic. */
export type Channel<Name extends string, Schemas, Payloads = PayloadsOf<unknown, Schemas>> = {
  readonly name: Name
  /** The schemas, to be the `schema.sse` of a route. */
  readonly events: Schemas
} & ([ParamNames<Name>] extends [never]
  ? Topic<Payloads>
  : {
      /** The topic with these values. @throws SSE_ERR_INVALID_PARAMS */
      at (params: ChannelParams<Name>): Topic<Payloads>
    })

/** The events of several topics. */
export type EventsIn<Subscriptions extends ReadonlyArray<Subscription | Topic<any>>> =
  { [Index in keyof Subscriptions]: Subscriptions[Index] extends Subscription<infer Event> ? Event : Subscriptions[Index] extends Topic<infer Payloads> ? ChannelEvent<Payloads> : never }[number]

/** Which streams to end: those to which all that is given applies. */
export interface DisconnectWhere {
  /** The name of a channel, as `orders/:tenant`. */
  channel?: string | undefined
  /** Values of some of its parameters. Needs `channel`. */
  params?: Readonly<Record<string, string | number>> | undefined
  /** As given to `subscribe({ key })`. */
  key?: string | undefined
}

/**
 * Of each round in which the streams of a topic were served: milliseconds from the arrival of its first event on this node
 * until the last stream that could take it had it. The way through the broker comes on top.
 */
export interface LagStats {
  /** Rounds. */
  count: number
  /** Milliseconds of all of them. */
  sum: number
  /** How many rounds took `le` ms or less; the last bucket is of `Infinity` and has all. */
  buckets: ReadonlyArray<{ le: number, count: number }>
}

/** Counts of what channels do on this node, since registration; `topics`, `subscribers` and `windowBytes` as they stand now. */
export interface ChannelStats {
  /** Topics that somebody is subscribed to. */
  topics: number
  /** Streams of topics; one that has several topics counts for each. */
  subscribers: number
  /** Bytes of the recent events that this node holds for them. */
  windowBytes: number
  /** Calls of `publish` on this node that resolved. */
  published: number
  /** Events written to streams. */
  delivered: number
  /** Writes that took them there: `delivered / writes` is how well they coalesce. */
  writes: number
  /** Clients that were told `sse.reset`, by reason. */
  resets: Record<ResetReason, number>
  /** How long events waited on this node. */
  lag: LagStats
  /** Reads of a topic's history. */
  reads: number
  /** Reads that looked for lost entries. */
  repairs: number
}
