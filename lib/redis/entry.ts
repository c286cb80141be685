// Entries of a topic as Redis has them, and as the rest of the package has them.
import type { BrokerEntry, Page, Position } from '../../types/broker.js'

const HEADER = /^([\w-]+) (\d+-\d+) (\d+-\d+) ([^\n]*)\n/

/**
 * What PUBLISH tells of an entry: `epoch prev id key` and, behind a line feed, the frame. A key is JSON, without line breaks.
 *
 * @throws SyntaxError where it is none of ours
 */
export function parseMessage (message: string): BrokerEntry {
  const [header, epoch, prev, id, key] = (HEADER.exec(message) ?? []) as string[] // the expression has four groups
  if (header === undefined) throw new SyntaxError('Expected a message of a topic')
  return entryOf(epoch as string, id as string, prev as string, key as string, message.slice(header.length))
}

/** What READ gives. */
export function parsePage ([epoch, head, ...rest]: readonly string[]): Page {
  const entries: BrokerEntry[] = []
  for (let index = 0; index < rest.length; index += 4) {
    const [id, prev, key, frame] = rest.slice(index, index + 4) as [string, string, string, string] // written by READ
    entries.push(entryOf(epoch as string, id, prev, key, frame))
  }
  return { head: `${epoch}.${head}`, entries }
}

export function formatKey (key: string | undefined): string {
  return key === undefined ? '' : JSON.stringify(key)
}

/** Of what META says of a topic. */
export function headOf (meta: string): Position {
  const [epoch, head] = meta.split(' ', 2)
  return `${epoch}.${head}`
}

/** Whether anybody has ever published to the topic: only then a server has ordered it. */
export function isPublished (meta: string): boolean {
  return meta.split(' ')[8] !== '-'
}

function entryOf (epoch: string, id: string, prev: string, key: string, frame: string): BrokerEntry {
  return { id: `${epoch}.${id}`, prev: `${epoch}.${prev}`, frame, key: key === '' ? undefined : JSON.parse(key) as string }
}
