// The client by EventSource: the platform's own, made anew where it has given up.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#the-eventsource-interface
import type { WithCheck } from '../../types/client.js'
import type { ClientError, ClientState, ClientSubscription, EventSourceLike, SubscribeOptions } from '../../types/client-options.js'
import { BYE, CURSOR, END, ERROR, RESET } from '../wire/reserved.js'
import { disconnected, silent, SseClientError } from './client-error.js'
import { request } from './request.js'
import { isStream } from './response.js'
import { mayPass, retriesOf } from './retries.js'
import { take } from './take.js'

const OPEN = 1
const CLOSED = 2

/** ms that the question whether to come back may take. */
const ANSWER_MS = 30_000

/** What a server says that answers no HEAD, which says nothing of its GET. */
const NO_HEAD = [405, 501]

type EventSourceClass = new (url: string, init: { withCredentials: boolean }) => EventSourceLike

/**
 * Calls back for the events of a stream, for as long as it lasts: where the EventSource gives up, as it does at a proxy's 502,
 * another one takes its place and goes on behind the last event. docs/client.md says when.
 *
 * @param given a URL, or an EventSource, which is the subscription's from here on
 * @example
 * ```ts
 * const ticks = subscribe<EventsOf<typeof schemas>>('/ticks', { on: { tick ({ n }) { console.log(n) } } })
 * ticks.close()
 * ```
 *
 * @throws TypeError for a URL that is none
 */
export function subscribe<Events = unknown, Schemas extends object = {}> (given: string | URL | EventSourceLike, options: SubscribeOptions<Events, Schemas> & WithCheck<Schemas>): ClientSubscription {
  // Closures and no class: their names are shortened, and pages load this.
  const untyped = options as SubscribeOptions<unknown, object> // its callbacks get what the server's schemas say, or what has been checked
  const { on, silence, onState } = untyped
  const existing = 'close' in Object(given) ? given as EventSourceLike : undefined // no URL has it
  const { withCredentials = false } = existing ?? options
  const Kind = (existing?.constructor ?? globalThis.EventSource) as EventSourceClass // as all kinds are made
  const { connect = (url: string) => new Kind(url, { withCredentials }) } = options
  const url = existing?.url ?? new Request(given as string | URL).url // a relative one becomes absolute, where there is a page
  const retries = retriesOf(options)
  const handle = { state: existing?.readyState === OPEN ? 'open' : 'connecting', error: undefined, lastEventId: options.lastEventId ?? '', close: () => settle() } as { -readonly [Key in keyof ClientSubscription]: ClientSubscription[Key] } // which it stays for its owner
  let source: EventSourceLike | undefined
  /** Why the connection is about to end, as the server said. */
  let reason: SseClientError | undefined
  /** Of the silence, or of the wait for the next attempt. */
  let timer: ReturnType<typeof setTimeout> | undefined

  listen(existing ?? connect(here()))
  if (existing?.readyState === CLOSED) queueMicrotask(() => { if (source) onError() }) // when its owner has the handle
  return handle

  function listen (to: EventSourceLike): void {
    source = to
    // One function, so that it is called once where a name is listed twice.
    const hear = (event: MessageEvent) => {
      if (source !== to) return
      watch()
      if (event.type === 'open') tell('open')
      else if (event.type === 'error') onError()
      else onEvent(event)
    }
    for (const type of ['open', 'error', END, ERROR, BYE, CURSOR, RESET, ...Object.keys(on)]) to.addEventListener(type, hear)
    watch()
  }

  /** Anything that is heard is a sign of life. */
  function watch (): void {
    clearTimeout(timer)
    if (silence) timer = setTimeout(() => fail(silent(silence)), silence)
  }

  // What a callback throws is the platform's to report, as of any listener.
  function onEvent ({ type, data, lastEventId }: MessageEvent): void {
    // Empty where an EventSource is new, and where the package eventsource has an event without an id: that is no reset.
    if (lastEventId && type !== END) handle.lastEventId = lastEventId
    try {
      const received = take(untyped, type, data, handle.lastEventId)
      retries.failures = 0
      if (received) on[type]?.(received.data, received)
    } catch (error) {
      if (!(error instanceof SseClientError)) throw error
      if (mayPass(error)) reason = error
      else settle(error)
    } finally {
      if (type === END) settle()
    }
  }

  function onError (): void {
    const error = reason ?? disconnected()
    reason = undefined
    if (source?.readyState === CLOSED) fail(error)
    else if (retries.delayAfter(error)) tell('connecting', error) // it comes back by itself
    else settle(error)
  }

  /** It does not come back by itself. */
  function fail (error: SseClientError): void {
    settle(error, retries.delayAfter(error))
  }

  /** Ends it, for good or until it is time to ask. */
  function settle (error?: SseClientError, delay?: number): void {
    if (handle.state === 'closed') return
    clearTimeout(timer)
    source?.close()
    source = undefined
    if (delay) timer = setTimeout(ask, delay)
    tell(delay ? 'connecting' : 'closed', error)
  }

  /**
   * An EventSource does not say what status it gave up at: 204, 404 and a proxy's 502 are one to it. So the server is asked first,
   * for the head alone, which starts no source.
   */
  async function ask (): Promise<void> {
    let isThere: boolean | undefined
    let failure: SseClientError | undefined
    try {
      const response = await request(options.fetch, here(), { method: 'HEAD', credentials: withCredentials ? 'include' : 'same-origin', signal: AbortSignal.timeout(ANSWER_MS) })
      isThere = NO_HEAD.includes(response.status) || isStream(response)
    } catch (cause) {
      failure = disconnected(cause)
    }
    if (handle.state === 'closed') return
    if (failure) fail(failure)
    else if (isThere) listen(connect(here()))
    else settle()
  }

  // An EventSource cannot send a header of its own, so a new one says by its query where to go on.
  function here (): string {
    if (!handle.lastEventId) return url
    const other = url.replace(/&?lastEventId=[^&#]*|#.*/g, '') // to the letter, as it may be signed
    return `${other}${other.includes('?') ? '&' : '?'}lastEventId=${encodeURIComponent(handle.lastEventId)}`
  }

  function tell (state: ClientState, error?: ClientError): void {
    handle.state = state
    handle.error = error
    onState?.(state, error)
  }
}
