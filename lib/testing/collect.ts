// collect(): a client for as long as a test needs one.
import { AssertionError } from 'node:assert'
import type { CollectOptions, ReadEvent, ReadEventOf, TestedApp } from '../../types/testing.js'
import { RESERVED_PREFIX } from '../wire/reserved.js'
import { connect, type Connection } from './connect.js'
import { within } from './deadline.js'
import { gather, WITHIN_MS } from './gather.js'
import { checkOptions } from './options.js'
import { Watch } from './watch.js'

/**
 * Asks a route for its stream as an EventSource does, reads events until it has what it wants, leaves, and resolves with them
 * when the server has closed the stream, `onClose` included. It does not reconnect.
 *
 * @example
 * ```ts
 * const events = await collect(app, '/acme/orders', {
 *   events: orders.events,
 *   on: { 'sse.cursor': () => orders.at({ shop: 'acme' }).publish('placed', order) },
 *   until: 'placed'
 * })
 * ```
 *
 * @param url path and query
 * @throws (rejects) AssertionError where the answer is no stream, where the stream ends before `until` holds, and where that takes
 *   more than `max` events or `within` ms; SSE_ERR_INVALID_OPTION, also where the application does not listen, for `via: 'socket'`; what
 *   `until` or a function in `on` throws
 */
export async function collect<const Schemas extends Record<string, unknown> = Record<never, never>> (
  app: TestedApp,
  url: string,
  options: CollectOptions<Schemas> = {}
): Promise<Array<ReadEventOf<Schemas>>> {
  checkOptions(options, ['events', 'max', 'within', 'until', 'on', 'method', 'headers', 'body', 'lastEventId', 'via'], 'of collect()')
  const { events: schemas, within: ms = WITHIN_MS, max, on, until, ...asked } = options as object as CollectOptions // by whatever schemas: below here they are values
  const route = `${asked.method ?? 'GET'} ${url}`
  const leaving = new AbortController()
  const watch = new Watch()
  let connection: Connection | undefined

  const [gathered] = await Promise.allSettled([gather({
    name: `the stream of ${route}`,
    schemas,
    max,
    within: ms,
    async open () {
      connection = await connect(app, url, asked, leaving.signal)
      checkHead(connection, route)
      return connection.body
    },
    on: (event) => on?.[event.event]?.(event),
    until: until === undefined ? undefined : conditionOf(until)
  })])
  leaving.abort()
  const late = () => new AssertionError({ message: `Expected the server to close the stream of ${route} within ${ms} ms after the client left` })
  const [closed] = await Promise.allSettled([connection && within(ms, watch.closed(connection.key), late)])
  watch.stop()

  if (gathered.status === 'rejected') throw gathered.reason
  if (closed.status === 'rejected') throw closed.reason
  return gathered.value as Array<ReadEventOf<Schemas>> // `gather` has looked at the names; the server has checked the data
}

function checkHead ({ status, headers }: Connection, route: string): void {
  const type = String(headers['content-type'] ?? 'no content')
  if (status !== 200 || !type.startsWith('text/event-stream')) throw new AssertionError({ message: `Expected ${route} to answer 200 with text/event-stream, got ${status} with ${type}` })
}

function conditionOf (until: NonNullable<CollectOptions['until']>): (event: ReadEvent, events: readonly ReadEvent[]) => boolean {
  if (typeof until === 'function') return until
  if (typeof until === 'string') return ({ event }) => event === until
  return (_event, events) => events.filter(({ event }) => !event.startsWith(RESERVED_PREFIX)).length >= until
}
