// Where a client stands, as text: the id of the frames of topics, which it brings back as its Last-Event-ID. One
// position for each topic of the stream, `epoch.ms-seq`, joined by `~`. The epoch says which topic is meant, since no two
// topics share one.
import type { Position } from '../../types/broker.js'

/** Topics of one stream. Their positions stand in every id, so this bounds what an event costs. */
export const MAX_TOPICS = 16

/** Longest position: so many as MAX_TOPICS, with what joins them, just fit into the 1 KiB of an id. */
export const MAX_POSITION_LENGTH = 63

const POSITION = /^[A-Za-z0-9_-]{1,32}\.\d{1,15}-\d{1,12}$/

const SEPARATOR = '~'

export function isPosition (text: string): boolean {
  return text.length <= MAX_POSITION_LENGTH && POSITION.test(text)
}

export function epochOf (position: Position): string {
  return position.slice(0, position.indexOf('.'))
}

function msOf (position: Position): number {
  return parseInt(position.slice(position.indexOf('.') + 1), 10)
}

function seqOf (position: Position): number {
  return Number(position.slice(position.lastIndexOf('-') + 1))
}

/** Below 0 where the first is earlier; of two positions of one epoch. `''` is before all. */
export function comparePositions (a: Position | '', b: Position | ''): number {
  if (a === b) return 0
  if (a === '') return -1
  if (b === '') return 1
  return msOf(a) - msOf(b) || seqOf(a) - seqOf(b)
}

export function formatCursor (positions: readonly Position[]): string {
  return positions.length === 1 ? positions[0] as Position : positions.join(SEPARATOR)
}

/** Its positions by their epochs; undefined where the text is no cursor. */
export function parseCursor (text: string): ReadonlyMap<string, Position> | undefined {
  const positions = text.split(SEPARATOR, MAX_TOPICS + 1)
  if (positions.length > MAX_TOPICS || !positions.every(isPosition)) return undefined
  return new Map(positions.map((position) => [epochOf(position), position]))
}
