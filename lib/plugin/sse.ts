// `app.sse`.
import type { FastifyInstance } from 'fastify'
import type { Channel, ChannelOptions, DisconnectWhere, SubscribeOptions, Subscription } from '../../types/channel.js'
import type { Sse } from '../../types/sse.js'
import { faceOf, partsOf } from '../channel/channel.js'
import { ChannelCore } from '../channel/core.js'
import { mergeSubscriptions } from '../channel/subscription.js'
import { kindOf } from '../describe.js'
import { SSE_ERR_CHANNEL_DEFINED, SSE_ERR_INVALID_CHANNEL, SSE_ERR_INVALID_OPTION } from '../errors.js'
import type { Host } from './host.js'

const WHERE = ['channel', 'params', 'key']

/** Kinds of topics, not topics: more come from a channel() in a handler, which would never end. */
const MAX_CHANNELS = 1_000

/** What `app.sse` gives, for each instance its own: a channel finds the shared schemas of where it is defined. */
export function decorateInstance (host: Host, app: FastifyInstance): { getter (this: FastifyInstance): Sse } {
  // Compiles what has not been needed yet, so that a bad schema stops the start and not a request.
  app.addHook('onReady', async () => {
    for (const channel of host.channels) void channel.events
  })

  const known = new WeakMap<FastifyInstance, Sse>()
  return {
    getter () {
      const own = known.get(this) ?? sseOf(host, this)
      known.set(this, own)
      return own
    }
  }
}

function sseOf (host: Host, app: FastifyInstance): Sse {
  const { channels } = host
  const sse = {
    stats: () => host.stats(),
    health: () => host.hub.health,

    channel (name: string, options: ChannelOptions<string, any>): Channel<string, unknown> {
      const defined = channels.find((channel) => channel.isSame(name, options))
      if (defined !== undefined) return faceOf(host.hub, defined)
      const core = new ChannelCore(name, options, () => app.getSchemas())
      const other = channels.find((channel) => channel.pattern.overlaps(core.pattern))
      if (other !== undefined) {
        throw new SSE_ERR_CHANNEL_DEFINED(other.name === name
          ? `Channel \`${name}\` is defined already, with other events or options`
          : `Channel \`${name}\` would share topics with channel \`${other.name}\``)
      }
      if (channels.length === MAX_CHANNELS) throw new SSE_ERR_INVALID_CHANNEL(`Channel \`${name}\` is one more than the ${MAX_CHANNELS} that an application may have. What differs from request to request is a parameter of a channel: \`orders/:tenant\``)
      channels.push(core)
      return faceOf(host.hub, core)
    },

    subscribe: (given: unknown, options?: SubscribeOptions<any>): Subscription => mergeSubscriptions(given, (one) => partsOf(one, options)),

    async disconnect (where: DisconnectWhere): Promise<void> {
      checkWhere(where, channels)
      await host.hub.disconnect(where)
    }
  }
  return sse as unknown as Sse // its methods are typed by what they are called with
}

/** An order to end streams that says nothing of which would end them all. */
function checkWhere (where: unknown, channels: readonly ChannelCore[]): asserts where is DisconnectWhere {
  const refuse = (expected: string): never => { throw new SSE_ERR_INVALID_OPTION(`Expected what disconnect() is given to ${expected}`) }
  if (typeof where !== 'object' || where === null) return refuse(`be an object { channel, params, key }, got ${kindOf(where)}`)
  for (const name of Object.keys(where)) if (!WHERE.includes(name)) refuse(`have \`channel\`, \`params\` or \`key\`, got \`${name}\``)
  const { channel, params, key } = where as DisconnectWhere // looked at below
  if (channel === undefined && key === undefined) refuse('have `channel` or `key`, got neither')
  // A key that is given but missing would end everybody's streams in place of one user's.
  if ('key' in where && (typeof key !== 'string' || key === '')) refuse(`have a string as \`key\`, got ${key === '' ? 'an empty one' : kindOf(key)}`)
  if (channel === undefined) {
    if (params !== undefined) refuse('have `channel` where it has `params`')
    return
  }
  const pattern = channels.find(({ name }) => name === channel)?.pattern
  if (pattern === undefined) return refuse(`name a channel that is defined, got ${typeof channel === 'string' ? `\`${channel}\`` : kindOf(channel)}`)
  if ('params' in where && (typeof params !== 'object' || params === null || Array.isArray(params))) refuse(`have an object as \`params\`, got ${kindOf(params)}`)
  for (const [name, value] of Object.entries(params ?? {})) {
    if (!pattern.params.includes(name)) refuse(`have only parameters of channel \`${channel}\` in \`params\`, got \`${name}\``)
    pattern.value(name, value)
  }
}
