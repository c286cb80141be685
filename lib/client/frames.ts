// From the bytes of a body to frames, within bounds. They hold for what has been decompressed.
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { SseClientError } from './client-error.js'

/** What stands before the data of an event on its line, which the parser counts too. */
const FIELD = 'data: '

/**
 * @param maxSize characters of a line, and of the data of an event
 * @param onRetry is called with the milliseconds of a `retry`
 * @returns what makes frames of the next bytes; instead of one that is too large, and of what follows it, there is SSE_ERR_EVENT_TOO_LARGE
 */
export function frameReader (maxSize: number, onRetry: (ms: number) => void): (bytes: Uint8Array) => Array<EventSourceMessage | SseClientError> {
  const decoder = new TextDecoder()
  const frames: Array<EventSourceMessage | SseClientError> = []
  const refuse = () => frames.push(new SseClientError('SSE_ERR_EVENT_TOO_LARGE', `Expected events of at most ${maxSize} characters`))
  const parser = createParser({
    maxBufferSize: maxSize + FIELD.length,
    onEvent: (frame) => { frame.data.length > maxSize ? refuse() : frames.push(frame) },
    onError: ({ type }) => { if (type === 'max-buffer-size-exceeded') refuse() },
    onRetry
  })
  return (bytes) => {
    parser.feed(decoder.decode(bytes, { stream: true }))
    return frames.splice(0)
  }
}
