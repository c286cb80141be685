// What `subscribe()` returns: topics, and on what terms a stream has them.
import type { FastifyRequest } from 'fastify'
import type { SubscribeOptions, Subscription, TopicContext } from '../../types/channel.js'
import { describe, kindOf, unknownName } from '../describe.js'
import { disown } from '../guard.js'
import { SSE_ERR_INVALID_OPTION, SSE_ERR_INVALID_SOURCE } from '../errors.js'
import { isPosition, MAX_TOPICS } from '../wire/cursor.js'
import type { ChannelCore } from './core.js'

/** A topic as `at()` gives it. */
export interface TopicRef {
  readonly channel: ChannelCore
  readonly name: string
  readonly params: Readonly<Record<string, string>>
}

export interface Part extends TopicRef {
  readonly filter: SubscribeOptions['filter']
  readonly authorize: SubscribeOptions['authorize']
  readonly from: string
  readonly key: string | undefined
}

export class TopicSubscription implements Subscription {
  readonly parts: readonly Part[]
  /** One topic and all of its events: what is written is the same for all such streams. */
  readonly isPlain: boolean
  /** Whether somebody is to be asked who may have it. */
  readonly isGuarded: boolean

  /** @throws SSE_ERR_INVALID_SOURCE */
  constructor (parts: readonly Part[]) {
    if (parts.length === 0 || parts.length > MAX_TOPICS) throw new SSE_ERR_INVALID_SOURCE(`Expected 1 to ${MAX_TOPICS} topics on one stream, got ${parts.length}: a client's position in all of them must fit into one id`)
    // In an order of its own, so that a stream's ids do not depend on the order in which the topics were named.
    this.parts = [...parts].sort((a, b) => a.name < b.name ? -1 : 1)
    const twice = this.parts.find(({ name }, index) => this.parts[index + 1]?.name === name)
    if (twice !== undefined) throw new SSE_ERR_INVALID_SOURCE(`Expected the topics of one stream to be different, got \`${twice.name}\` twice`)
    this.isPlain = parts.length === 1 && parts.every(({ filter }) => filter === undefined)
    this.isGuarded = parts.some((part) => authorizersOf(part).length > 0)
  }

  get topics (): readonly string[] {
    return this.parts.map(({ name }) => name)
  }
}

const KNOWN = ['filter', 'authorize', 'from', 'key']

/** @throws SSE_ERR_INVALID_OPTION */
export function subscribeTo (topic: TopicRef, given: SubscribeOptions<any> = {}): TopicSubscription {
  const where = `the options of subscribe() to \`${topic.name}\``
  if (typeof given !== 'object' || given === null) throw new SSE_ERR_INVALID_OPTION(`Expected ${where} to be an object, got ${kindOf(given)}`)
  const refuse = (name: string, expected: string) => { throw new SSE_ERR_INVALID_OPTION(`Expected \`${name}\` in ${where} to be ${expected}, got ${describe(given[name as keyof SubscribeOptions])}`) }
  const unknown = unknownName(given, KNOWN, `in ${where}`)
  if (unknown !== undefined) throw new SSE_ERR_INVALID_OPTION(unknown)
  const { filter, authorize, from = 'now', key } = given
  if (filter !== undefined && typeof filter !== 'function') refuse('filter', 'a function')
  if (authorize !== undefined && typeof authorize !== 'function') refuse('authorize', 'a function')
  if (typeof from !== 'string' || !(from === 'now' || from === 'oldest' || isPosition(from))) refuse('from', "'now', 'oldest' or a position that publish() returned")
  if (key !== undefined && (typeof key !== 'string' || key === '')) refuse('key', 'a string that is not empty')
  return new TopicSubscription([{ channel: topic.channel, name: topic.name, params: topic.params, filter, authorize, from, key }])
}

/**
 * @param partsOf the parts of a topic or a subscription; undefined of anything else
 * @throws SSE_ERR_INVALID_SOURCE, SSE_ERR_INVALID_OPTION
 */
export function mergeSubscriptions (given: unknown, partsOf: (one: unknown) => readonly Part[] | undefined): TopicSubscription {
  if (!Array.isArray(given)) throw new SSE_ERR_INVALID_SOURCE(`Expected topics or subscriptions in an array, got ${kindOf(given)}`)
  return new TopicSubscription(given.flatMap((one: unknown) => {
    const parts = partsOf(one)
    if (parts === undefined) throw new SSE_ERR_INVALID_SOURCE(`Expected topics or subscriptions in the array, got ${kindOf(one)}`)
    return parts
  }))
}

export function contextOf ({ name, params }: Part, request: FastifyRequest): TopicContext {
  return { request, topic: name, params }
}

/** Whether its filter lets an event through. @throws SSE_ERR_INVALID_OPTION, and what the filter throws */
export function passes ({ name, filter }: Part, event: { event: unknown, data: unknown }, request: FastifyRequest): boolean {
  if (filter === undefined) return true
  const answer: unknown = filter(event as never, request) // typed by the channel's events
  disown(answer)
  if (typeof answer !== 'boolean') throw new SSE_ERR_INVALID_OPTION(`Expected \`filter\` of \`${name}\` to return a boolean, got ${kindOf(answer)}`)
  return answer
}

/** All who must agree that a request has a topic. */
export function authorizersOf ({ channel, authorize }: Part): Array<(context: TopicContext) => boolean | Promise<boolean>> {
  return [channel.options.authorize, authorize].filter((one) => one !== undefined)
}
