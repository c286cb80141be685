// Whether what a server has answered is a stream.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model
import { SseClientError } from './client-error.js'

/** False where the server says that it is over: 204. @throws SSE_ERR_NO_STREAM */
export function isStream (response: Response): boolean {
  const { status, headers } = response
  const type = headers.get('content-type') ?? 'no type'
  if (status === 200 && /^text\/event-stream\s*(;|$)/i.test(type)) return true
  if (status === 204) return false
  throw new SseClientError('SSE_ERR_NO_STREAM', `Expected a stream, got ${status || 'a redirect'} with ${type}`, { status, response }) // a browser hides where a redirect leads, and its status
}
