// reply.sse(): from a source to an answer.
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { SseOptions } from '../../types/options.js'
import { Feed } from '../channel/feed.js'
import { isGranted } from '../channel/permit.js'
import { TopicSubscription } from '../channel/subscription.js'
import { SSE_ERR_ALREADY_SENT, SSE_ERR_FORBIDDEN, SSE_ERR_UNKNOWN_EVENT } from '../errors.js'
import { logLate } from '../guard.js'
import { resolveOptions } from '../options.js'
import { SchemaEncoder, type Encoder } from '../schema/encoder.js'
import { isOver } from '../stream/over.js'
import { Puller } from '../stream/puller.js'
import { checkSource, discardSource } from '../stream/source.js'
import { SseStream } from '../stream/stream.js'
import { readLastEventId } from '../wire/headers.js'
import { answerEnded, answerHead, isEventSource } from './answer.js'
import type { Host } from './host.js'
import { isReserved, release, reserve } from './pending.js'
import { hasEnded, routeOf } from './route.js'

export function decorateReply (host: Host) {
  return function sse (this: FastifyReply, source: unknown, given?: SseOptions): FastifyReply {
    if (!(source instanceof TopicSubscription)) checkSource(source)
    try {
      if (!start(host, this, source, given)) discardSource(source)
    } catch (error) {
      discardSource(source)
      throw error
    }
    return this
  }
}

/** Whether the source has been started. If not, the reply has been answered otherwise. */
function start (host: Host, reply: FastifyReply, source: unknown, given: SseOptions | undefined): boolean {
  const request = reply.request as FastifyRequest // the generic one: nothing here depends on the route's types
  if (reply.sent || reply.raw.headersSent || isReserved(reply)) {
    throw new SSE_ERR_ALREADY_SENT('reply.sse() was called on a reply that has been sent already, or has a stream')
  }
  const route = routeOf(host, reply)
  const options = given === undefined ? route.options : resolveOptions(given, route.options, 'the options of reply.sse()')
  if (isOver(reply.raw)) return false // the client left while the handler was busy: its 'close' will not come again

  if (options.end && !options.minimal && hasEnded(request)) {
    answerEnded(reply)
    return false
  }
  if (request.method === 'HEAD') {
    if (source instanceof TopicSubscription && source.isGuarded) answerHeadIfGranted(reply, isGranted(source, request))
    else answerHead(reply)
    return false
  }
  const { encoder } = route
  if (source instanceof TopicSubscription) checkEvents(source, encoder)
  const leave = host.closing ? undefined : route.gateOf(options).admit(options, request)
  if (leave === undefined) {
    host.refuse(reply, options, host.closing ? 'shutdown' : 'maxConnections')
    return false
  }

  // @fastify/compress leaves a response alone where its request has this header; a route's `compress: false`
  // reaches it only where it was registered after this plugin.
  request.raw.headers['x-no-compression'] ??= '1'
  const lastEventId = readLastEventId(request.headers['last-event-id'], request.originalUrl)
  const stream = new SseStream(host, reply, options, lastEventId, isEventSource(reply))
  reserve(reply, stream)
  host.opened(stream, leave)
  stream.start(source instanceof TopicSubscription ? new Feed(host.hub, stream, source) : pullerOf(host, stream, source, encoder))
  return true
}

/** Whether a stream would be given is told by the head alone, too. */
function answerHeadIfGranted (reply: FastifyReply, granted: Promise<boolean>): void {
  reserve(reply)
  granted.then((isGranted) => {
    release(reply)
    if (isGranted) answerHead(reply)
    else reply.send(new SSE_ERR_FORBIDDEN())
  }).catch((error: unknown) => {
    release(reply)
    reply.send(error)
  })
}

function pullerOf (host: Host, stream: SseStream, source: unknown, encoder: Encoder): Puller {
  const { request, options } = stream
  return new Puller(host, stream, {
    source,
    context: stream.context(encoder.events),
    encode (item) {
      try {
        return encoder.encode(item, options)
      } catch (error) {
        if (options.validate !== 'drop' || !encoder.isMismatch(error)) throw error
        host.dropped(request, error)
        return undefined
      }
    },
    failedLate: logLate(request)
  })
}

/** The compiler has seen that already, unless nobody asked it. */
function checkEvents ({ parts }: TopicSubscription, encoder: Encoder): void {
  if (!(encoder instanceof SchemaEncoder)) return
  for (const { channel } of parts) {
    for (const event of channel.events.keys()) {
      if (!encoder.has(event)) throw Object.assign(new SSE_ERR_UNKNOWN_EVENT(`Event \`${event}\` of channel \`${channel.name}\` is not in the route's schema.sse`), { event })
    }
  }
}
