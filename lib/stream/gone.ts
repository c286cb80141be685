// Whether a response can still be written to. HTTP/2's compatibility layer has no `destroyed` of its own.
import type { FastifyReply } from 'fastify'

export function isDestroyed (raw: FastifyReply['raw']): boolean {
  return raw.destroyed === true || ('stream' in raw && (raw.stream as { destroyed: boolean }).destroyed) // of HTTP/2
}
