// A reply whose stream is on its way: it waits for the first event, or for hooks.
import type { FastifyReply } from 'fastify'
import { SseStream } from '../stream/stream.js'
import { unsetHeaders } from './answer.js'

/** Marks the reply as taken, until it is released. */
export function reserve (reply: FastifyReply): void {
  reply.send = send
}

export function isReserved (reply: FastifyReply): boolean {
  return reply.send === send
}

/** The stream came to nothing before its response was committed: the reply is the handler's again. */
export function release (reply: FastifyReply): void {
  reply.send = Object.getPrototypeOf(reply).send
}

/**
 * An async handler that neither returns nor awaits `reply.sse()` makes Fastify send `undefined`, which would be an
 * empty 200 in place of the stream: there is nothing in it to send. What is sent otherwise takes the stream's place,
 * as the error of an onSend hook does.
 */
function send (this: FastifyReply, payload?: unknown): FastifyReply {
  if (payload === undefined) return this
  if (!(payload instanceof SseStream) && !this.raw.headersSent) unsetHeaders(this)
  return Object.getPrototypeOf(this).send.call(this, payload)
}
