// Users' callbacks run inside the stream; their failures must not become the stream's.
import type { FastifyRequest } from 'fastify'

/** Where a promise is no answer: its rejection, which nobody would catch, must not end the process. */
export function disown (answer: unknown): void {
  if (answer instanceof Promise) answer.catch(() => {})
}

/** For what a source throws when its stream is over, as in its `finally`: nobody but the log can be told. */
export function logLate (request: FastifyRequest): (error: unknown) => void {
  return (err) => request.log.warn({ err }, 'the source of an event stream failed when the stream was over')
}

/** Calls it, and logs what it throws or rejects with. */
export function guard (request: FastifyRequest, callback: () => unknown): void {
  const log = (err: unknown) => request.log.error({ err }, 'a callback of the event stream failed')
  try {
    const result = callback()
    if (result instanceof Promise) result.catch(log)
  } catch (err) {
    log(err)
  }
}
