// Entries of a topic as Redis has them, and as the rest of the package has them. A frame ends with a line feed; its key, where it
// has one, stands behind that as JSON, which has none: so an entry without a key is its frame, and nobody has to look for where that begins.
import type { BrokerEntry, Page, Position } from '../../types/broker.js'
import { EPOCH_LENGTH, FENCE_LENGTH, MS_LENGTH } from './scripts.js'

const LF = 10
const ZERO = 48

const NAME_LENGTH = EPOCH_LENGTH + 1 + FENCE_LENGTH

/** Of a message: place, time, name with its epoch, and sometimes the place before. */
const HEADER = /^(\d{13,14}-\d{6})\d{13} (([\w-]{12}\.)\d{6})(?:<(\d{13,14}-\d{6}))? /

/**
 * The entries of a topic, one after the other, as PUBLISH tells of them: `id name frame`, or `id name<place frame` with the place of the
 * entry before.
 *
 * Mostly the name is that of the last one, and the entry begins where that ended: then nothing needs to be taken apart, counted or made again.
 */
export class MessageReader {
  /** Of the last entry, with a space. */
  #name = ' '
  #epoch = ''
  #offset = 0
  #id = ''

  /** @throws SyntaxError where it is none of ours */
  read (message: string): BrokerEntry {
    // By hand: where entries come now and then, what a processor has in its cache is not what a built-in function needs.
    let offset = 0
    let digits = 0
    for (let code = message.charCodeAt(0); code >= ZERO && code < ZERO + 10; code = message.charCodeAt(++digits)) offset = offset * 10 + code - ZERO
    const place = digits + 1 + FENCE_LENGTH
    const name = place + MS_LENGTH + 1
    if (!message.startsWith(this.#name, name)) return this.#begin(message, offset)
    const id = this.#epoch + message.slice(0, place)
    const text = message.slice(name + NAME_LENGTH + 1)
    // Characters may be more bytes, but then the last entry would end within this one, and offsets only grow.
    const prev = offset - text.length === this.#offset ? this.#id : before(id, offset, text)
    return this.#told(offset, entryOf(id, prev, text))
  }

  #begin (message: string, offset: number): BrokerEntry {
    const [header, place, name, epoch, prev] = (HEADER.exec(message) ?? []) as string[] // the expression has four groups
    if (header === undefined) throw new SyntaxError('Expected a message of a topic')
    this.#name = `${name} `
    this.#epoch = epoch as string
    const id = `${epoch}${place}`
    const text = message.slice(header.length)
    return this.#told(offset, entryOf(id, prev === undefined ? before(id, offset, text) : `${epoch}${prev}`, text))
  }

  #told (offset: number, entry: BrokerEntry): BrokerEntry {
    this.#offset = offset
    this.#id = entry.id
    return entry
  }
}

/** What READ gives. */
export function parsePage ([head, ...rest]: readonly string[]): Page {
  const entries: BrokerEntry[] = []
  const epoch = (head as string).slice(0, (head as string).indexOf('.') + 1) // written by READ, as are the three of each entry
  for (let index = 0; index < rest.length; index += 3) {
    const [id, prev, text] = rest.slice(index, index + 3) as [string, string, string]
    const position = `${epoch}${id.slice(0, -MS_LENGTH)}`
    entries.push(entryOf(position, prev === '' ? before(position, parseInt(id, 10), text) : `${epoch}${prev}`, text))
  }
  return { head: head as Position, entries }
}

export function formatEntry (frame: string, key: string | undefined): string {
  return key === undefined ? frame : frame + JSON.stringify(key)
}

/** Its bytes say where the one before it ends: but for the first one of another fence, which names that in full. */
function before (id: Position, offset: number, text: string): Position {
  return `${id.slice(0, EPOCH_LENGTH + 1)}${offset - Buffer.byteLength(text)}${id.slice(-FENCE_LENGTH - 1)}`
}

function entryOf (id: Position, prev: Position, text: string): BrokerEntry {
  if (text.charCodeAt(text.length - 1) === LF) return { id, prev, frame: text, key: undefined }
  const end = text.lastIndexOf('\n') + 1
  return { id, prev, frame: text.slice(0, end), key: JSON.parse(text.slice(end)) as string }
}
