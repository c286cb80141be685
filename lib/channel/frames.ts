// Entries as bytes for streams, and back as events for filters.
import type { BrokerEntry } from '../../types/broker.js'
import type { ResetReason } from '../../types/channel.js'
import { controlFrame } from '../wire/encode.js'

/** Bytes of one write at most, unless a single event has more: what one reader can make this process hold. */
export const CHUNK_BYTES = 65_536

/** The same bytes for every stream that stands at the same place. */
export interface Join {
  readonly chunk: Buffer
  readonly events: number
  /** The place, in a ring or a page, behind what is in it. */
  readonly next: number
}

/** Where entries are taken from: a window, or a page of history. */
export interface Entries {
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
  return controlFrame('cursor', {}, { id })
}

/** Tells that events were missed. It has no id where a snapshot follows: only when that is whole does the client stand anywhere. */
export function resetFrame (channel: string, reason: ResetReason, id: string | undefined): string {
  return controlFrame('reset', { channel, reason }, { id })
}

/** The places of the entries of one write, and the place behind all that it stands for. */
export interface Selection {
  readonly places: readonly number[]
  readonly next: number
}

/**
 * @param latest whether only the newest of each key counts
 * @param passes a filter; what it hides is gone past
 */
export function select (entries: Entries, from: number, latest: boolean, passes: (entry: BrokerEntry) => boolean = all): Selection {
  const newest = latest ? newestByKey(entries, from, passes) : undefined
  const places: number[] = []
  let bytes = 0
  for (let place = from; place < entries.next; place++) {
    const entry = entries.at(place)
    if (newest === undefined ? !passes(entry) : newest.get(keyOf(entry)) !== place) continue
    bytes += entries.sizeAt(place)
    if (bytes > CHUNK_BYTES && places.length > 0) return { places, next: place }
    places.push(place)
  }
  return { places, next: entries.next }
}

const all = () => true

function newestByKey (entries: Entries, from: number, passes: (entry: BrokerEntry) => boolean): Map<string, number> {
  const newest = new Map<string, number>()
  for (let place = from; place < entries.next; place++) {
    const entry = entries.at(place)
    if (passes(entry)) newest.set(keyOf(entry), place)
  }
  return newest
}

const keyOf = ({ key, id }: BrokerEntry) => key ?? id

/** @param from a place that has an entry */
export function join (entries: Entries, from: number, latest: boolean): Join {
  const { places, next } = select(entries, from, latest)
  let text = ''
  for (const place of places) {
    const entry = entries.at(place)
    text += frameOf(entry, entry.id)
  }
  return { chunk: Buffer.from(text), events: places.length, next }
}

/** What was published. Our own encoder wrote the frame, so there is but one form to read. */
export function eventOf ({ frame }: BrokerEntry, channel: { isText (event: string): boolean }): { event: string, data: unknown } {
  const nameEnd = frame.startsWith('event: ') ? frame.indexOf('\n') : -1
  const event = nameEnd === -1 ? 'message' : frame.slice('event: '.length, nameEnd)
  const data = frame.slice(nameEnd + 1 + 'data: '.length, -1)
  return { event, data: channel.isText(event) ? data.replaceAll('\ndata: ', '\n') : JSON.parse(data) }
}
