// Entries as bytes for streams, and back as events for filters.
import type { BrokerEntry, Position } from '../../types/broker.js'
import type { ResetReason } from '../../types/reserved.js'
import { Chunk } from '../wire/chunk.js'
import { controlFrame } from '../wire/encode.js'
import { CURSOR, RESET } from '../wire/reserved.js'

/** Bytes of one write at most, unless a single event has more: what one reader can make this process hold. */
export const CHUNK_BYTES = 65_536

/** The same bytes for every stream that stands at the same place. */
export interface Join {
  readonly chunk: Chunk
  readonly events: number
  /** The place, in a ring or a page, behind what is in it, and the position there. */
  readonly next: number
  readonly position: Position
}

/** Where entries are taken from: a window, or a page of history. */
export interface Entries {
  /** The place of the oldest entry. */
  readonly first: number
  /** The place behind the newest one. */
  readonly next: number
  at (place: number): BrokerEntry
  sizeAt (place: number): number
}

export function frameOf (entry: BrokerEntry, id: string): string {
  return `${entry.frame}id: ${id}\n\n`
}

/** Data lines alone. */
export function minimalFrameOf ({ frame }: BrokerEntry): string {
  return `${frame.slice(frame.startsWith('event: ') ? frame.indexOf('\n') + 1 : 0)}\n`
}

/** Tells where the client stands. */
export function cursorFrame (id: string): string {
  return controlFrame(CURSOR, {}, { id })
}

/** Tells that events were missed. It has no id where a snapshot follows: only when that is whole does the client stand anywhere. */
export function resetFrame (channel: string, reason: ResetReason, id: string | undefined): string {
  return controlFrame(RESET, { channel, reason }, { id })
}

/** The entries of one write, and where its reader stands behind it. */
export interface Selection {
  readonly chosen: readonly BrokerEntry[]
  readonly next: number
  readonly position: Position
}

/**
 * @param from a place that has an entry
 * @param latest whether only the newest of each key counts
 * @param passes a filter; what it hides is gone past
 */
export function select (entries: Entries, from: number, latest: boolean, passes: (entry: BrokerEntry) => boolean = all): Selection {
  // A filter may publish to the topic that it filters. What that adds comes in another write, and what it takes away
  // from the end of the window is looked for elsewhere.
  const end = entries.next
  let position = entries.at(from).prev
  const newest = latest ? newestByKey(entries, from, end, passes) : undefined
  const chosen: BrokerEntry[] = []
  let bytes = 0
  let place = from
  for (; place < end && place >= entries.first; place++) {
    const entry = entries.at(place)
    const size = entries.sizeAt(place)
    if (bytes + size > CHUNK_BYTES && chosen.length > 0) break // before a filter is asked, which would be asked again
    if (newest === undefined ? passes(entry) : newest.get(keyOf(entry)) === entry) {
      bytes += size
      chosen.push(entry)
    }
    position = entry.id
  }
  return { chosen, next: place, position }
}

const all = () => true

function newestByKey (entries: Entries, from: number, end: number, passes: (entry: BrokerEntry) => boolean): Map<string, BrokerEntry> {
  const newest = new Map<string, BrokerEntry>()
  for (let place = from; place < end && place >= entries.first; place++) {
    const entry = entries.at(place)
    if (passes(entry)) newest.set(keyOf(entry), entry)
  }
  return newest
}

const keyOf = ({ key, id }: BrokerEntry) => key ?? id

/** @param from a place that has an entry */
export function join (entries: Entries, from: number, latest: boolean): Join {
  const { chosen, next, position } = select(entries, from, latest)
  let text = ''
  for (const entry of chosen) text += frameOf(entry, entry.id)
  return { chunk: new Chunk(text), events: chosen.length, next, position }
}

/** What was published. Our own encoder wrote the frame, so there is but one form to read. */
export function eventOf ({ frame }: BrokerEntry, channel: { isText (event: string): boolean }): { event: string, data: unknown } {
  const nameEnd = frame.startsWith('event: ') ? frame.indexOf('\n') : -1
  const event = nameEnd === -1 ? 'message' : frame.slice('event: '.length, nameEnd)
  const data = frame.slice(nameEnd + 1 + 'data: '.length, -1)
  return { event, data: channel.isText(event) ? data.replaceAll('\ndata: ', '\n') : JSON.parse(data) }
}
