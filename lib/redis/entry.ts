// Entries of a topic as Redis has them, and as the rest of the package has them. A frame ends with a line feed; its key, where it
// has one, stands behind that as JSON, which has none: so an entry without a key is its frame, and nobody has to look for where that begins.
import type { BrokerEntry, Page, Position } from '../../types/broker.js'
import { EPOCH_LENGTH, FENCE_LENGTH, MS_LENGTH } from './scripts.js'

const LF = 10

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
    const at = message.indexOf(' ') + 1
    const offset = parseInt(message, 10)
    if (!message.startsWith(this.#name, at) || at <= MS_LENGTH + FENCE_LENGTH) return this.#begin(message, offset)
    const place = message.slice(0, at - 1 - MS_LENGTH)
    const text = message.slice(at + NAME_LENGTH + 1)
    // Characters may be more bytes, but then the last entry would end within this one, and offsets only grow.
    const prev = offset - text.length === this.#offset ? this.#id : before(this.#epoch, place, offset, text)
    return this.#told(offset, entryOf(this.#epoch + place, prev, text))
  }

  #begin (message: string, offset: number): BrokerEntry {
    const [header, place, name, epoch, prev] = (HEADER.exec(message) ?? []) as string[] // the expression has four groups
    if (header === undefined) throw new SyntaxError('Expected a message of a topic')
    this.#name = `${name} `
    this.#epoch = epoch as string
    const text = message.slice(header.length)
    return this.#told(offset, entryOf(`${epoch}${place}`, prev === undefined ? before(epoch as string, place as string, offset, text) : `${epoch}${prev}`, text))
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
    const place = id.slice(0, -MS_LENGTH)
    entries.push(entryOf(`${epoch}${place}`, prev === '' ? before(epoch, place, parseInt(place, 10), text) : `${epoch}${prev}`, text))
  }
  return { head: head as Position, entries }
}

export function formatEntry (frame: string, key: string | undefined): string {
  return key === undefined ? frame : frame + JSON.stringify(key)
}

/** Its bytes say where the one before it ends: but for the first one of another fence, which names that in full. */
function before (epoch: string, place: string, offset: number, text: string): Position {
  return `${epoch}${offset - Buffer.byteLength(text)}${place.slice(-FENCE_LENGTH - 1)}`
}

function entryOf (id: Position, prev: Position, text: string): BrokerEntry {
  if (text.charCodeAt(text.length - 1) === LF) return { id, prev, frame: text, key: undefined }
  const end = text.lastIndexOf('\n') + 1
  return { id, prev, frame: text.slice(0, end), key: JSON.parse(text.slice(end)) as string }
}
