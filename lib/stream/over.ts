// Whether a response can still be written to. HTTP/2's compatibility layer has no `destroyed` of its own. Behind the end of
// a response that somebody else has ended, the bytes would be read as the next one.
import type { FastifyReply } from 'fastify'

export function isOver (raw: FastifyReply['raw']): boolean {
  return raw.destroyed === true || raw.writableEnded || ('stream' in raw && (raw.stream as { destroyed: boolean }).destroyed) // of HTTP/2
}
