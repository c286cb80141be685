// What stands at `app.sse`.
import type { BrokerHealth } from './broker.js'
import type { Channel, ChannelOptions, DisconnectWhere, EventsIn, SubscribeOptions, Subscription, Topic } from './channel.js'
import type { PayloadsOf } from './event.js'
import type { SseStats } from './metrics.js'

export interface Sse<Provider = unknown> {
  /** Streams, events, bytes and channels, counted since registration. */
  stats(): SseStats

  /**
   * Defines a kind of topics. What is published to a topic reaches every stream that is subscribed to it.
   *
   * Defining it again with the same events and options gives the same topics.
   *
   * @param name segments joined by `/`; those that begin with `:` are parameters, as in `orders/:tenant`
   * @throws SSE_ERR_INVALID_CHANNEL, SSE_ERR_CHANNEL_DEFINED, SSE_ERR_INVALID_SCHEMA
   */
  channel<const Name extends string, Schemas extends Record<string, unknown>> (
    name: Name,
    options: ChannelOptions<Name, Schemas, PayloadsOf<Provider, Schemas>>
  ): Channel<Name, Schemas, PayloadsOf<Provider, Schemas>>

  /**
   * Several topics on one stream, at most 16. Events of one topic keep their order; those of different topics have none.
   *
   * @param options for each of them, where all are topics: subscriptions have their own
   * @throws SSE_ERR_INVALID_SOURCE, SSE_ERR_INVALID_OPTION
   */
  subscribe<const Topics extends ReadonlyArray<Topic<any>>> (topics: Topics, options: SubscribeOptions<any>): Subscription<EventsIn<Topics>>
  subscribe<const Subscriptions extends ReadonlyArray<Subscription | Topic<any>>> (subscriptions: Subscriptions): Subscription<EventsIn<Subscriptions>>

  /**
   * Ends streams on all nodes, each with `sse.bye`. A client that may come back does, with its position; what keeps it
   * out is `authorize`.
   *
   * @returns (resolves) when the nodes have been told
   * @throws (rejects) SSE_ERR_INVALID_OPTION where nothing is given, or a key that is none; SSE_ERR_INVALID_PARAMS
   */
  disconnect (where: DisconnectWhere): Promise<void>

  /** Of the broker: for a readiness probe. */
  health (): BrokerHealth
}
