// How it stands with a response that somebody else may have ended.
import type { FastifyReply } from 'fastify'

/**
 * Whether it can no longer be written to. HTTP/2's compatibility layer has no `destroyed` of its own. Behind the end of a response the
 * bytes would be read as the next one.
 */
export function isOver (raw: FastifyReply['raw']): boolean {
  const isWaiting = raw.socket === null // behind another response, of which Node before 24 does not mark it when their connection goes
  return raw.destroyed === true || raw.writableEnded || (isWaiting && raw.req.socket.destroyed) || ('stream' in raw && (raw.stream as { destroyed: boolean }).destroyed) // of HTTP/2
}

/** By which pipes, and Node from 24 on for responses that wait behind another on their connection, tell that the client left. */
const CLIENT_LEFT: ReadonlyArray<string | undefined> = ['ERR_STREAM_PREMATURE_CLOSE', 'ECONNRESET']

/** Whether this side has cut it for a reason of its own, as Fastify does at a handlerTimeout. */
export function wasDestroyed ({ errored }: FastifyReply['raw']): boolean {
  return errored instanceof Error && !CLIENT_LEFT.includes((errored as NodeJS.ErrnoException).code)
}
