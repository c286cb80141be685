// reply.sse(): from a source to an answer.
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { SseOptions } from '../../types/options.js'
import { SSE_ERR_ALREADY_SENT } from '../errors.js'
import { resolveOptions } from '../options.js'
import { checkSource, discardSource } from '../stream/source.js'
import { SseStream } from '../stream/stream.js'
import { readLastEventId } from '../wire/headers.js'
import { answerEnded, answerHead, isEventSource } from './answer.js'
import type { Host } from './host.js'
import { isReserved, reserve } from './pending.js'
import { hasEnded, routeOf } from './route.js'

export function decorateReply (host: Host) {
  return function sse (this: FastifyReply, source: unknown, given?: SseOptions): FastifyReply {
    const { request } = this
    checkSource(source)
    if (this.sent || this.raw.headersSent || isReserved(this)) {
      throw new SSE_ERR_ALREADY_SENT('reply.sse() was called on a reply that has been sent already')
    }
    const route = routeOf(host, this)
    const options = given === undefined ? route.options : resolveOptions(given, route.options, 'the options of reply.sse()')

    if (request.method === 'HEAD') {
      discardSource(source)
      answerHead(this)
      return this
    }
    if (options.end && !options.minimal && hasEnded(request as FastifyRequest)) {
      discardSource(source)
      answerEnded(this)
      return this
    }
    const { encoder } = route
    const leave = host.closing ? undefined : route.gate.admit(options, request as FastifyRequest)
    if (leave === undefined) {
      discardSource(source)
      host.turnAway(this, options, host.closing ? 'shutdown' : 'maxConnections')
      return this
    }

    reserve(this)
    // @fastify/compress leaves a response alone where its request has this header; a route's `compress: false`
    // reaches it only where it was registered after this plugin.
    request.raw.headers['x-no-compression'] ??= '1'
    const lastEventId = readLastEventId(request.headers['last-event-id'], request.originalUrl)
    const stream = new SseStream(host, this, options, encoder, lastEventId, isEventSource(this))
    host.opened(stream, leave)
    stream.start(source)
    return this
  }
}
