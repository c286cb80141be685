// The newest entries of a topic, bounded by count, bytes and age. Places in it are numbers that grow for ever, so that a
// reader who holds one sees at once whether what it stands before is still here.
import type { BrokerEntry, Position, Retention } from '../../types/broker.js'
import { comparePositions } from '../wire/cursor.js'

/** Slots at first, doubled as they fill: most topics are quiet. */
const MIN_SLOTS = 8

export class Ring {
  readonly #bounds: Retention
  // Three arrays of one kind each in place of one of objects: half of the memory.
  #entries: Array<BrokerEntry | undefined> = new Array(MIN_SLOTS).fill(undefined)
  #sizes: number[] = new Array(MIN_SLOTS).fill(0)
  #times: number[] = new Array(MIN_SLOTS).fill(0)
  #first = 0
  #next = 0
  #bytes = 0
  #base: Position
  #last: Position

  /** @param head the position that the first entry follows */
  constructor (bounds: Retention, head: Position) {
    this.#bounds = bounds
    this.#base = head
    this.#last = head
  }

  /** The place of the oldest entry. */
  get first (): number {
    return this.#first
  }

  /** The place behind the newest entry. */
  get next (): number {
    return this.#next
  }

  get size (): number {
    return this.#next - this.#first
  }

  /** Of the frames. */
  get bytes (): number {
    return this.#bytes
  }

  /** The position of the newest entry, kept or not. */
  get last (): Position {
    return this.#last
  }

  at (place: number): BrokerEntry {
    return this.#entries[place & (this.#entries.length - 1)] as BrokerEntry // callers stay within first and next
  }

  sizeAt (place: number): number {
    return this.#sizes[place & (this.#entries.length - 1)] as number
  }

  /** The newest entry stays whatever its size: somebody is about to send it. */
  append (entry: BrokerEntry, now: number): void {
    if (this.size === this.#entries.length) this.#grow()
    const slot = this.#next++ & (this.#entries.length - 1)
    const bytes = Buffer.byteLength(entry.frame)
    this.#entries[slot] = entry
    this.#sizes[slot] = bytes
    this.#times[slot] = now
    this.#bytes += bytes
    this.#last = entry.id
    while (this.size > this.#bounds.max || (this.#bytes > this.#bounds.bytes && this.size > 1)) this.#evict()
    this.expire(now)
  }

  /** Lets go of what is too old. */
  expire (now: number): void {
    const oldest = now - this.#bounds.ttl
    while (this.size > 0 && this.timeAt(this.#first) < oldest) this.#evict()
  }

  /** When the newest entry is too old, in ms of the clock. For a ring that has one. */
  get expiresAt (): number {
    return this.timeAt(this.#next - 1) + this.#bounds.ttl
  }

  /** When the entry there was appended, in ms of the clock. */
  timeAt (place: number): number {
    return this.#times[place & (this.#entries.length - 1)] as number
  }

  /** Lets go of all entries. */
  clear (): void {
    while (this.size > 0) this.#evict()
  }

  /** Lets go of all. What is appended next follows `head`. No place that was valid before is. */
  restart (head: Position): void {
    this.clear()
    this.#first = ++this.#next
    this.#base = head
    this.#last = head
  }

  /** The place of the entry that follows a position, in O(log n); undefined where the position is not in the chain of what is here. */
  placeAfter (position: Position): number | undefined {
    if (position === this.#last) return this.#next
    if (position === this.#base) return this.#first
    const place = this.placeBehind(position)
    return place > this.#first && this.at(place - 1).id === position ? place : undefined
  }

  /** The place of the first entry whose position is greater, whether the given one is here or not. */
  placeBehind (position: Position | ''): number {
    let low = this.#first
    let high = this.#next
    while (low < high) {
      const middle = low + ((high - low) >>> 1)
      if (comparePositions(this.at(middle).id, position) <= 0) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The position that a reader at this place has reached. */
  positionAt (place: number): Position {
    return place === this.#first ? this.#base : this.at(place - 1).id
  }

  #evict (): void {
    const slot = this.#first++ & (this.#entries.length - 1)
    this.#base = (this.#entries[slot] as BrokerEntry).id // there is one: callers look at the size
    this.#bytes -= this.#sizes[slot] as number
    this.#entries[slot] = undefined
  }

  #grow (): void {
    const slots = this.#entries.length * 2
    const entries: Array<BrokerEntry | undefined> = new Array(slots).fill(undefined)
    const sizes: number[] = new Array(slots).fill(0)
    const times: number[] = new Array(slots).fill(0)
    for (let place = this.#first; place < this.#next; place++) {
      const from = place & (slots / 2 - 1)
      const to = place & (slots - 1)
      entries[to] = this.#entries[from]
      sizes[to] = this.#sizes[from] as number
      times[to] = this.#times[from] as number
    }
    this.#entries = entries
    this.#sizes = sizes
    this.#times = times
  }
}
