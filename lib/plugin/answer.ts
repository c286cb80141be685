// Answers to those who get no stream.
import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import type { CloseReason } from '../../types/stream.js'
import { SSE_ERR_CLOSING, SSE_ERR_ENDED, SSE_ERR_TOO_MANY_CONNECTIONS } from '../errors.js'
import type { ResolvedOptions } from '../options.js'
import { reconnectDelay, retryWithin } from '../stream/farewell.js'
import { controlFrame, prelude } from '../wire/encode.js'
import { acceptsEventStream, RESPONSE_HEADERS } from '../wire/headers.js'
import { BYE } from '../wire/reserved.js'

/** Headers of a stream, each where the handler has set none. */
export function setHeaders (reply: FastifyReply): void {
  for (const [name, value] of RESPONSE_HEADERS) {
    if (!reply.hasHeader(name)) reply.header(name, value)
  }
}

/** Takes back what `setHeaders` set: what is answered is no stream after all. */
export function unsetHeaders (reply: FastifyReply): void {
  for (const [name, value] of RESPONSE_HEADERS) {
    if (reply.getHeader(name) === value) reply.removeHeader(name)
  }
}

/** An EventSource, which reconnects after any end of a 200, and never after another status. */
export function isEventSource ({ request }: FastifyReply): boolean {
  return request.method === 'GET' && acceptsEventStream(request.headers.accept)
}

/** The headers alone: the source never starts. An empty stream, since Fastify calls an empty answer `content-length: 0`. */
export function answerHead (reply: FastifyReply): void {
  setHeaders(reply)
  reply.send(Readable.from([]))
}

/** The end for good: no other answer to a reconnecting EventSource is as quiet. */
export function answerEnded (reply: FastifyReply): void {
  reply.code(204).send()
}

/**
 * Come back later. An EventSource stops for good at any status but 200, so it gets 200, a delay, and the end;
 * others, and who asks for a minimal stream, get 503 with `Retry-After`.
 */
export function turnAway (reply: FastifyReply, options: ResolvedOptions, reason: CloseReason | 'maxConnections'): void {
  const retry = reason === 'shutdown' ? retryWithin(options.shutdown.spread) : reconnectDelay(options)
  // A kept-alive connection that falls idle after server.close() began would hold it for the keepAliveTimeout,
  // 72 s by default. HTTP/2 has no such header and no such wait.
  if (reason === 'shutdown' && reply.request.raw.httpVersionMajor === 1) reply.header('connection', 'close')
  if (isEventSource(reply) && !options.minimal) { // whoever reads data lines alone would take them for the answer
    setHeaders(reply)
    reply.code(200).send(prelude(retry) + controlFrame(BYE, { reason }))
  } else {
    reply.header('retry-after', Math.ceil(retry / 1000))
    reply.send(reason === 'shutdown' ? new SSE_ERR_CLOSING() : reason === 'maxConnections' ? new SSE_ERR_TOO_MANY_CONNECTIONS() : new SSE_ERR_ENDED())
  }
}
