// How topics stand, as scripts.ts has it, and what a node remembers of that: a publisher that knows it spares the script to look. It
// may be out of date at any time; the script finds out.
import type { Position, Retention } from '../../types/broker.js'
import type { Found } from './connection.js'
import type { Prepared } from './prepared.js'
import { EPOCH_LENGTH, PUT_OFF } from './scripts.js'

/**
 * Topics that are remembered, and characters of their names, which stand in it some six times: 10 MB, and 30 where all names are as long as that. Of
 * the others, each publish has it looked up.
 */
const MAX_KNOWN = 16_384
const MAX_NAME = 256

/** What is too much is removed when it exceeds the bytes that may be kept by such a part. */
const PUT_OFF_BYTES = 1 / 16

/** How a topic stands, until something is due: when it has grown up to an offset, or at a time. */
export interface Standing {
  readonly name: string
  /** A publish, ready but for its time and its entry. */
  readonly prepared: Prepared
  readonly server: string
  readonly retention: Retention
  /** The time in Redis when it was taken, in ms since 1970. Entries bear it, for their age. */
  now: number
  offset: number
  dueOffset: number
  dueAt: number
}

/** Of what the hash says of a topic; undefined where it says nothing. */
export function headOf (meta: Readonly<Record<string, string>>): { head: Position, isPublished: boolean } | undefined {
  const [name, , , , server] = meta.stand?.split(' ') ?? []
  if (name === undefined) return undefined
  return { head: positionOf(name, meta[name] as string), isPublished: server !== '-' } // written by a script, as one
}

export function positionOf (name: string, offset: number | string): Position {
  return `${name.slice(0, EPOCH_LENGTH + 1)}${offset}-${name.slice(EPOCH_LENGTH + 1)}`
}

export class Standings {
  readonly #known = new Map<string, Standing>()
  /** What Redis' clock is ahead of ours. */
  #ahead = 0

  /**
   * What is known of a topic, where nothing is due of it: to give an event of so many bytes its place by. Whoever is told of nothing
   * has it looked up, and does what is due.
   */
  take (topic: string, size: number, { max, bytes, ttl }: Retention, server: string): Standing | undefined {
    const one = this.#known.get(topic)
    if (one === undefined || one.server !== server || one.retention.max !== max || one.retention.bytes !== bytes || one.retention.ttl !== ttl) return undefined
    one.offset += size
    const now = performance.now()
    one.now = Math.floor(now + this.#ahead)
    if (one.offset <= one.dueOffset && now <= one.dueAt) return one
    putOff(one, now) // by this one: others that are under way at the same time need not
    return undefined
  }

  /** What a script has found. */
  learn (topic: string, retention: Retention, server: string, [position, name, now]: Found, prepare: (name: string) => Prepared): void {
    const at = performance.now()
    this.#ahead = Number(now) - at
    if (retention.max === 0 || topic.length > MAX_NAME) return // of none kept, something is always due: there must be no history
    const one: Standing = { name, prepared: prepare(name), server, retention, now: 0, offset: offsetOf(position), dueOffset: 0, dueAt: 0 }
    putOff(one, at)
    this.#known.delete(topic)
    if (this.#known.size >= MAX_KNOWN) this.#known.delete(this.#known.keys().next().value as string) // of those that there are, the one that was looked up longest ago
    this.#known.set(topic, one)
  }

  /** It has grown up to there, by what was published here and elsewhere. Gives the position. */
  reached (one: Standing, offset: number): Position {
    if (offset > one.offset) one.offset = offset
    return positionOf(one.name, offset)
  }

  forget (topic: string): void {
    this.#known.delete(topic)
  }
}

export function offsetOf (position: Position): number {
  return parseInt(position.slice(EPOCH_LENGTH + 1), 10)
}

function putOff (one: Standing, now: number): void {
  one.dueOffset = one.offset + one.retention.bytes * PUT_OFF_BYTES
  one.dueAt = now + Math.min(one.retention.ttl * PUT_OFF.time, PUT_OFF.ms)
}
