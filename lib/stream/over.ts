// How it stands with a response that somebody else may have ended.
import type { FastifyReply } from 'fastify'

/**
 * Whether it can no longer be written to. HTTP/2's compatibility layer has no `destroyed` of its own. Behind the end of a response the
 * bytes would be read as the next one.
 */
export function isOver (raw: FastifyReply['raw']): boolean {
  return raw.destroyed === true || raw.writableEnded || ('stream' in raw && (raw.stream as { destroyed: boolean }).destroyed) // of HTTP/2
}

/** Whether this side has cut it for a reason of its own, as Fastify does at a handlerTimeout. */
export function wasDestroyed ({ errored }: FastifyReply['raw']): boolean {
  return errored instanceof Error && (errored as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE' // by which pipes tell that the client left
}
