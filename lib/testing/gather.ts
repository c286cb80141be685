// Reads events until enough has come, and fails where that does not happen.
import { AssertionError } from 'node:assert'
import type { Readable } from 'node:stream'
import type { ReadEvent } from '../../types/testing.js'
import { within } from './deadline.js'
import { eventsIn } from './events.js'

const MAX_EVENTS = 1_000
export const WITHIN_MS = 5_000

/** How many of the last events a message names. */
const SHOWN = 10

export interface Gathering {
  /** For messages: as `the stream of GET /ticks`. */
  name: string
  /** Its time counts. */
  open (): Readable | Promise<Readable>
  schemas: Readonly<Record<string, unknown>> | undefined
  max?: number | undefined
  /** Milliseconds. */
  within?: number | undefined
  /** Waited for before the next event is looked at. */
  on?: (event: ReadEvent) => unknown
  /** Whether the event is the last that is wanted. Without it, the stream must end. */
  until?: ((event: ReadEvent, events: readonly ReadEvent[]) => boolean) | undefined
}

/**
 * Destroys the body, whatever happens.
 *
 * @throws (rejects) AssertionError, with the names and ids of what has come, and no payloads: logs of tests are read by many
 */
export async function gather ({ name, open, schemas, max = MAX_EVENTS, within: ms = WITHIN_MS, on, until }: Gathering): Promise<ReadEvent[]> {
  const events: ReadEvent[] = []
  let body: Readable | undefined

  const expected = until === undefined ? `Expected ${name} to end` : `Expected \`until\` to hold in ${name}`
  const failure = (how: string, cause?: unknown) => Object.assign(new AssertionError({ message: `${expected}${how}. ${tellSeen(events)}` }), { cause })
  const brokeOff = (error: unknown): never => { throw error instanceof AssertionError ? error : failure(', but it broke off', error) }

  const read = async (): Promise<ReadEvent[]> => {
    body = await open()
    const coming = eventsIn(body, schemas)
    for (let next; (next = await coming.next().catch(brokeOff)).done !== true;) {
      if (events.push(next.value) > max) throw failure(` within ${max} events`)
      await on?.(next.value)
      if (until?.(next.value, events) === true) return events
    }
    if (until !== undefined) throw failure(', but it ended')
    return events
  }

  try {
    return await within(ms, read(), () => failure(` within ${ms} ms`))
  } finally {
    body?.destroy()
  }
}

function tellSeen (events: readonly ReadEvent[]): string {
  if (events.length === 0) return 'No event came'
  const shown = events.slice(-SHOWN).map(({ event, id }) => id === undefined ? event : `${event} (id ${id})`)
  return `${events.length} came: ${events.length > SHOWN ? '…, ' : ''}${shown.join(', ')}`
}
