// Channels as their users see them.
import type { Channel, PublishOptions, SubscribeOptions, Subscription, Topic } from '../../types/channel.js'
import { SSE_ERR_INVALID_OPTION } from '../errors.js'
import type { ChannelCore } from './core.js'
import type { Hub } from './hub.js'
import { subscribeTo, TopicSubscription, type Part, type TopicRef } from './subscription.js'

export class ChannelTopic implements Topic, TopicRef {
  readonly name: string
  readonly channel: ChannelCore
  readonly params: Readonly<Record<string, string>>
  readonly #hub: Hub

  constructor (hub: Hub, channel: ChannelCore, name: string, params: Readonly<Record<string, string>>) {
    this.#hub = hub
    this.channel = channel
    this.name = name
    this.params = params
  }

  async publish (event: string, data: unknown, options?: PublishOptions): Promise<string> {
    const encoded = this.channel.encode(event, data, options)
    const position = await this.#hub.broker.publish(this.name, encoded, this.channel.retention)
    this.#hub.stats.published++
    return position
  }

  subscribe (options?: SubscribeOptions<any>): Subscription<any> {
    return options === undefined ? this.#hub.plainOf(this) : subscribeTo(this, options)
  }
}

/** The object that `app.sse.channel()` returns: of a name without parameters, its only topic too. */
export function faceOf (hub: Hub, core: ChannelCore): Channel<string, unknown> {
  const { pattern, options } = core
  const own = { name: core.name, events: options.events as unknown }
  const at = (params: unknown) => new ChannelTopic(hub, core, pattern.topic(params), pattern.values(params))
  const face = pattern.params.length > 0 ? { ...own, at } : Object.assign(at({}), own)
  return face as unknown as Channel<string, unknown> // which of the two it is, only the literal name tells
}

/**
 * The parts of a topic or a subscription; undefined of anything else.
 *
 * @param options of topics. Subscriptions have their own
 * @throws SSE_ERR_INVALID_OPTION
 */
export function partsOf (one: unknown, options?: SubscribeOptions<any>): readonly Part[] | undefined {
  if (one instanceof ChannelTopic) return subscribeTo(one, options).parts
  if (!(one instanceof TopicSubscription)) return undefined
  if (options !== undefined) throw new SSE_ERR_INVALID_OPTION('Expected topics where app.sse.subscribe() is given options, got a subscription, which has its own')
  return one.parts
}
