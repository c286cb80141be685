// Anything that gives events, as one iterator.
import { Readable } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import { describe, kindOf } from '../describe.js'
import { SSE_ERR_INVALID_SOURCE } from '../errors.js'

/** `next` may answer at once or by promise. `throw` and `return` as in the iteration protocols of ECMAScript. */
export interface EventIterator {
  next (): MaybePromise<IteratorResult<unknown, unknown>>
  throw? (error: unknown): MaybePromise<IteratorResult<unknown, unknown>>
  return? (): unknown
}

export type MaybePromise<Value> = Value | PromiseLike<Value>

const KINDS = 'an async iterable, an iterable, a Readable, a ReadableStream, a function that returns one of these, or what `subscribe()` of a topic returns'

export function isThenable<Value> (value: unknown): value is PromiseLike<Value> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

/** @throws SSE_ERR_INVALID_SOURCE */
export function checkSource (source: unknown): void {
  if (typeof source !== 'function') checkIterable(source)
}

function checkIterable (source: unknown): asserts source is Partial<AsyncIterable<unknown> & Iterable<unknown>> {
  // A string is an iterable of its characters, which nobody means.
  if (typeof source !== 'object' || source === null || !(Symbol.asyncIterator in source || Symbol.iterator in source)) {
    throw new SSE_ERR_INVALID_SOURCE(`Expected the source to be ${KINDS}, got ${describe(source)}`)
  }
}

/** Starts the source: calls it if it is a function, and takes the iterator of what there is. */
export function openSource (source: unknown, context: unknown): MaybePromise<EventIterator> {
  const given: unknown = typeof source === 'function' ? source(context) : source
  return isThenable(given) ? given.then(toIterator) : toIterator(given)
}

function toIterator (source: unknown): EventIterator {
  checkIterable(source)
  if (source instanceof Readable) return fromReadable(source)
  if (source instanceof ReadableStream) return fromReadableStream(source)
  const iterator: unknown = typeof source[Symbol.asyncIterator] === 'function' ? source[Symbol.asyncIterator]?.() : source[Symbol.iterator]?.()
  if (typeof iterator !== 'object' || iterator === null || typeof (iterator as Partial<EventIterator>).next !== 'function') {
    throw new SSE_ERR_INVALID_SOURCE(`Expected the iterator of the source to have next(), got ${kindOf(iterator)}`)
  }
  return iterator as EventIterator
}

// A Readable's own iterator is an async generator: its return() queues behind a pending next(), so a stream
// that is silent would stay open until its next chunk. Destroying it works at once.
function fromReadable (source: Readable): EventIterator {
  const iterator = source[Symbol.asyncIterator]()
  return {
    next: () => iterator.next(),
    return: () => letGo(source)
  }
}

// Likewise: cancel() settles a pending read().
function fromReadableStream (source: ReadableStream<unknown>): EventIterator {
  const reader = source.getReader()
  return {
    next: () => reader.read() as Promise<IteratorResult<unknown, unknown>>, // { done, value }, as an iterator gives
    return: () => reader.cancel()
  }
}

// A file that cannot be opened says so after it was destroyed, and nobody would listen: that ends a process.
function letGo (source: Readable): void {
  source.on('error', () => {})
  source.destroy()
}

/**
 * Lets go of a source that is not going to be asked again, so that nothing it holds leaks.
 *
 * @param failed is told of what it throws
 */
export function discardSource (source: unknown, failed?: (error: unknown) => void): void {
  try {
    if (source instanceof Readable) letGo(source)
    else if (source instanceof ReadableStream) source.cancel().catch(() => {})
    else if (typeof source === 'object' && source !== null && 'return' in source && typeof source.return === 'function') {
      const returned: unknown = source.return()
      if (isThenable(returned)) returned.then(undefined, (error) => failed?.(error))
    }
  } catch (error) {
    failed?.(error)
  }
}
