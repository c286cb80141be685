// Entries of a topic as Redis has them, and as the rest of the package has them. A frame ends with a line feed; its key, where it
// has one, stands behind that as JSON, which has none: so an entry without a key is its frame, and nobody has to look for where that begins.
import type { BrokerEntry, Page, Position } from '../../types/broker.js'

const HEADER = /^([\w-]{1,32}\.)(\d+-\d+) (\d+-\d+) /

/**
 * What PUBLISH tells of an entry: the position before, its own without the epoch, its frame and its key.
 *
 * @throws SyntaxError where it is none of ours
 */
export function parseMessage (message: string): BrokerEntry {
  const [header, epoch, prev, id] = (HEADER.exec(message) ?? []) as string[] // the expression has three groups
  if (header === undefined) throw new SyntaxError('Expected a message of a topic')
  return entryOf(`${epoch}${id}`, `${epoch}${prev}`, message.slice(header.length))
}

/** What READ gives. */
export function parsePage ([head, ...rest]: readonly string[]): Page {
  const entries: BrokerEntry[] = []
  const epoch = (head as string).slice(0, (head as string).indexOf('.') + 1) // written by READ, as are the three of each entry
  for (let index = 0; index < rest.length; index += 3) {
    const [id, prev, text] = rest.slice(index, index + 3) as [string, string, string]
    entries.push(entryOf(`${epoch}${id}`, prev, text))
  }
  return { head: head as Position, entries }
}

export function formatEntry (frame: string, key: string | undefined): string {
  return key === undefined ? frame : frame + JSON.stringify(key)
}

/** Of what META says of a topic. */
export function headOf (meta: string): Position {
  return meta.slice(meta.lastIndexOf(' ') + 1)
}

/** Whether anybody has ever published to the topic: only then a server has ordered it. */
export function isPublished (meta: string): boolean {
  return meta.split(' ')[6] !== '-'
}

function entryOf (id: Position, prev: Position, text: string): BrokerEntry {
  const end = text.lastIndexOf('\n') + 1
  if (end === text.length) return { id, prev, frame: text, key: undefined }
  return { id, prev, frame: text.slice(0, end), key: JSON.parse(text.slice(end)) as string }
}
