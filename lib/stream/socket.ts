// The short way to a client. Node's response frames each write as a chunk in three pieces, corks the socket, and writes in a
// later tick: more than a quarter of the CPU of a delivery. A chunk that is framed already can go to the socket as it is.
import { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { FastifyReply } from 'fastify'

/** What Node keeps of a response that its types do not tell. */
interface Sending {
  /** The response whose turn it is on a connection. */
  readonly _httpMessage?: unknown
}

/**
 * The socket that a response is being sent on, where what is written to it is the same as what is written to the response: the
 * body is chunked, nothing waits in the response, and nobody has put a `write` of their own in the way, as compression for
 * Express does: that of its own, for one patched into the prototype is everybody's. Not so over HTTP/2, HTTP/1.0 and inject. To be
 * asked before each write until it is found, but not before the first, which takes the head along: from Node 26 on, what is
 * written waits in the response until the end of the turn.
 */
export function socketOf ({ raw }: FastifyReply): Socket | undefined {
  const { socket } = raw
  if (!(socket instanceof Socket) || raw.write !== ServerResponse.prototype.write) return undefined
  const isItsTurn = (socket as Sending)._httpMessage === raw && raw.writableLength === socket.writableLength
  return isItsTurn && raw.chunkedEncoding ? socket : undefined
}
