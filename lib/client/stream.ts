// The client by fetch: for any method, with headers and a body, and only as fast as it is iterated.
import type { ClientEvents, ReceivedEvent, WithCheck } from '../../types/client.js'
import type { StreamInit } from '../../types/client-options.js'
import { frameParser, type ParsedFrame } from '../wire/parse.js'
import { END } from '../wire/reserved.js'
import { disconnected, silent, SseClientError } from './client-error.js'
import { request } from './request.js'
import { isStream } from './response.js'
import { retriesOf } from './retries.js'
import { take } from './take.js'

/** Three of the server's heartbeats. */
const SILENCE_MS = 45_000

const MAX_SIZE = 8 * 2 ** 20

/** Why a connection is given up whose reader has left. */
const LEFT = {}

/**
 * Asks for a stream and gives its events one after another, over as many connections as it takes. The first request is made when the
 * first event is asked for; leaving the loop ends the one that is under way.
 *
 * It ends with `sse.end`, with `done`, with 204, and at the end of an answer to another method than GET. docs/client.md says when it comes back.
 *
 * @param given the URL
 * @param options those of fetch, and the client's own
 * @example
 * ```ts
 * for await (const { event, data, id } of stream<EventsOf<typeof schemas>>('/ticks')) console.log(event, data, id)
 * ```
 *
 * @throws TypeError at once, of fetch. (rejects, while it is iterated) SSE_ERR_NO_STREAM, SSE_ERR_INVALID_DATA,
 *   SSE_ERR_EVENT_TOO_LARGE; where it does not come back SSE_ERR_DISCONNECTED, SSE_ERR_SILENT and SSE_ERR_STREAM_FAILED too; the
 *   reason of `signal`
 */
export function stream<Events = unknown, Schemas extends object = {}> (given: string | URL, options?: StreamInit<Schemas> & WithCheck<Schemas>): AsyncIterableIterator<ClientEvents<Events, Schemas>> {
  // Closures and no class: their names are shortened, and pages load this.
  const init: StreamInit<object> = { ...options }
  const { headers, body = null, signal, done, onState } = init
  const { url, method } = new Request(given, { method: init.method ?? 'GET', body }) // which throws for what fetch does not take more than once
  const { reconnect = method === 'GET' && done === undefined, silence = reconnect !== false && SILENCE_MS, maxSize = MAX_SIZE } = init
  const retries = retriesOf({ ...init, reconnect })
  let lastEventId = init.lastEventId ?? ''
  /** Of the connection that stands, or is waited for. */
  let link = new AbortController()
  const events = run()
  const close = events.return.bind(events)
  // By itself it would wait for the event that is being waited for.
  events.return = () => {
    link.abort(LEFT)
    return close(undefined)
  }
  return events as AsyncGenerator<ReceivedEvent> as AsyncGenerator<ClientEvents<Events, Schemas>> // what the server's schemas say, or what has been checked

  async function * run (): AsyncGenerator<ReceivedEvent, undefined> {
    const onAbort = () => link.abort(signal?.reason)
    signal?.addEventListener('abort', onAbort)
    let failure: SseClientError | undefined
    try {
      throwIfLeft()
      for (;;) {
        try {
          return yield * connect()
        } catch (error) {
          throwIfLeft()
          if (!(error instanceof SseClientError)) throw error
          const delay = retries.delayAfter(error)
          throwIfLeft() // by what the caller was asked
          if (!delay) {
            failure = error
            throw error
          }
          link.abort()
          link = new AbortController()
          const waiting = new Promise((resolve) => {
            const timer = setTimeout(resolve, delay)
            link.signal.onabort = () => resolve(clearTimeout(timer))
          })
          onState?.('connecting', error)
          await waiting
          throwIfLeft()
        }
      }
    } catch (error) {
      if (error !== LEFT) throw error
    } finally {
      signal?.removeEventListener('abort', onAbort)
      if (!failure?.response) link.abort() // what was refused, its reader may want to read
      onState?.('closed', failure)
    }
  }

  /** Also where a callback left before a failure: then there is another link, and nobody would tell it. */
  function throwIfLeft (): void {
    signal?.throwIfAborted()
    if (link.signal.reason === LEFT) throw LEFT
  }

  async function * connect (): AsyncGenerator<ReceivedEvent, undefined> {
    const own = Object.fromEntries(new Headers(typeof headers === 'function' ? await watch(headers()) : headers))
    const response = await watch(request(init.fetch, url, { ...init as RequestInit, method, signal: link.signal }, own, lastEventId).catch(lost))
    if (!isStream(response)) return
    onState?.('open', undefined)
    const decoder = new TextDecoder()
    const frames: ParsedFrame[] = []
    const parse = frameParser({ onFrame: (frame) => frames.push(frame), onRetry: (ms) => { retries.told = ms }, lastEventId, maxSize })
    const reader = response.body?.getReader()
    try {
      for (let bytes; (bytes = reader && (await watch(reader.read().catch(lost))).value) !== undefined;) {
        const fits = parse(decoder.decode(bytes, { stream: true }))
        for (const { event, data, lastEventId: id } of frames.splice(0)) {
          if (data && data === done) return
          const received = data === undefined ? undefined : take(init, event, data, id)
          if (event === END) return
          lastEventId = id
          retries.failures = 0
          if (received) yield received
          throwIfLeft() // by whoever has got it
        }
        if (!fits) throw new SseClientError('SSE_ERR_EVENT_TOO_LARGE', `Expected events of at most ${maxSize} characters`)
      }
    } finally {
      reader?.cancel().catch(() => {}) // a fetch that does not heed the signal would keep the connection
    }
    if (done !== undefined || (method === 'GET' && reconnect !== false)) throw disconnected()
  }

  /** Of what the platform does for the connection. */
  function lost (cause: unknown): never {
    throw link.signal.aborted ? link.signal.reason : disconnected(cause)
  }

  /** What is waited for, but no longer than `silence` allows, nor when the connection is given up: the caller's own function may know of neither. */
  function watch<Value> (work: Value | PromiseLike<Value>): Promise<Value> {
    const timer = silence ? setTimeout(() => link.abort(silent(silence)), silence) : undefined
    const { signal } = link // before there is another one
    const givenUp = new Promise<never>((_resolve, reject) => {
      signal.onabort = () => reject(signal.reason)
      if (signal.aborted) reject(signal.reason)
    })
    return Promise.race([givenUp, work]).finally(() => clearTimeout(timer))
  }
}
