// A reply whose stream is on its way: it waits for the first event, or for hooks.
import type { FastifyReply } from 'fastify'
import type { SseStream } from '../stream/stream.js'
import { unsetHeaders } from './answer.js'

const kStream = Symbol('fastify-typed-sse.stream')
const kSend = Symbol('fastify-typed-sse.send')
const kIsReplaced = Symbol('fastify-typed-sse.isReplaced')

interface Reserved extends FastifyReply {
  [kStream]?: SseStream
  /** What somebody has put in place of Fastify's own, as tracers do. */
  [kSend]?: FastifyReply['send']
  [kIsReplaced]?: true
}

type Settle = (value?: undefined) => void

/** Marks the reply as taken, by a stream or by what decides whether there is one, until it is released. */
export function reserve (reply: FastifyReply, stream?: SseStream): void {
  if (Object.hasOwn(reply, 'send')) Object.assign(reply, { [kSend]: reply.send })
  reply.send = send
  if (stream === undefined) return
  (reply as Reserved)[kStream] = stream
  Object.assign(reply, { then }) // its type says that it is none of a user's business
}

export function isReserved (reply: FastifyReply): boolean {
  return reply.send === send
}

/** The stream came to nothing before its response was committed: the reply is the handler's again. */
export function release (reply: FastifyReply): void {
  if (isReserved(reply)) reply.send = sendOf(reply)
}

/** Whether another answer has been given in the stream's place, which hooks may still hold. */
export function isReplaced (reply: FastifyReply): boolean {
  return (reply as Reserved)[kIsReplaced] === true
}

function sendOf (reply: Reserved): FastifyReply['send'] {
  return reply[kSend] ?? Object.getPrototypeOf(reply).send
}

/**
 * An async handler that neither returns nor awaits `reply.sse()` makes Fastify send `undefined`, which would be an
 * empty 200 in place of the stream: there is nothing in it to send. What is sent otherwise takes the stream's place,
 * as the error of an onSend hook does.
 */
function send (this: Reserved, payload?: unknown): FastifyReply {
  if (payload === undefined) return this
  if (this[kStream]?.isBody(payload) === false && !this.raw.headersSent) {
    unsetHeaders(this)
    Object.assign(this, { [kIsReplaced]: true })
    this[kStream].replace()
  }
  return sendOf(this).call(this, payload)
}

/**
 * Settles when the response is over, as Fastify's own does, which watches the response by a dozen closures: on a stream that
 * is idle they would weigh more than the stream.
 */
function then (this: Reserved, fulfilled: Settle): void {
  if (this.sent || this[kStream]?.isGone === true) fulfilled()
  else this[kStream]?.whenGone(fulfilled)
}
