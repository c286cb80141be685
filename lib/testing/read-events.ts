// readEvents(): the events of an answer.
import type { EventReader, ReadEvent, ReadEventOf, ReadOptions, StreamAnswer, StreamBody } from '../../types/testing.js'
import { bodyOf } from './body.js'
import { checkOptions } from './options.js'
import { eventsIn } from './events.js'
import { gather } from './gather.js'

/**
 * Parses the events of an answer of `app.inject()`, with `payloadAsStream` or without, of `fetch()`, or of anything else that has a
 * `body`; or of that itself: text, bytes, a stream of Node.js, a web stream.
 *
 * Awaited, it gives all events when the stream has ended, and fails with an AssertionError where that takes more than `max`
 * events or `within` ms, or where the stream breaks off. In a `for await` it gives them as they come, without bounds; to leave the
 * loop is to leave the stream.
 *
 * @example
 * ```ts
 * const response = await app.inject('/ticks')
 * const events = await readEvents(response, { events: schema.sse })
 * ```
 *
 * @throws SSE_ERR_INVALID_SOURCE where it is given none of these, or an answer that is no stream; SSE_ERR_INVALID_OPTION
 */
export function readEvents<const Schemas extends Record<string, unknown> = Record<never, never>> (
  source: StreamAnswer | StreamBody | null,
  options: ReadOptions<Schemas> = {}
): EventReader<ReadEventOf<Schemas>> {
  checkOptions(options, ['events', 'max', 'within'], 'of readEvents()')
  const { events: schemas, ...bounds } = options
  const body = bodyOf(source)
  const reader = new Reader(() => gather({ ...bounds, name: 'the stream', open: () => body, schemas }), () => eventsIn(body, schemas))
  return reader as EventReader<ReadEvent> as EventReader<ReadEventOf<Schemas>> // `eventsIn` has looked at the names; the server has checked the data
}

/** A promise that does nothing before it is awaited: until then, the events may be wanted one by one. */
class Reader implements EventReader<ReadEvent> {
  readonly [Symbol.toStringTag] = 'EventReader'
  readonly [Symbol.asyncIterator]: () => AsyncGenerator<ReadEvent> = () => this.#iterate()
  readonly #read: () => Promise<ReadEvent[]>
  readonly #iterate: () => AsyncGenerator<ReadEvent>
  #all: Promise<ReadEvent[]> | undefined

  constructor (read: () => Promise<ReadEvent[]>, iterate: () => AsyncGenerator<ReadEvent>) {
    this.#read = read
    this.#iterate = iterate
  }

  get #events (): Promise<ReadEvent[]> {
    return (this.#all ??= this.#read())
  }

  then: Promise<ReadEvent[]>['then'] = (fulfilled, rejected) => this.#events.then(fulfilled, rejected)
  catch: Promise<ReadEvent[]>['catch'] = (rejected) => this.#events.catch(rejected)
  finally: Promise<ReadEvent[]>['finally'] = (settled) => this.#events.finally(settled)
}
