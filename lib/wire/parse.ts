// From the text of a stream to its frames, as a browser reads it, byte by byte if need be.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
//
// Ours, and not a package's: those that we tried hold an event back that ends with a CR until the next byte comes, forget an id
// that stands in a block without data, or bound a line only where it comes in pieces.

/** A block of lines, up to its blank line. */
export interface ParsedFrame {
  /** `message` where the block names none. */
  readonly event: string
  /** Undefined of a block that sets an id, and is no event. */
  readonly data: string | undefined
  /** Whether the block itself has an id. */
  readonly hasId: boolean
  /** The last one that was told, in this block or before. */
  readonly lastEventId: string
}

export interface ParserOptions {
  onFrame (frame: ParsedFrame): void
  /** @param ms of a `retry` */
  onRetry? (ms: number): void
  /** Where the text begins: what the client knows already. @default '' */
  lastEventId?: string
  /** Characters that a line, without its field's name, and the data of a frame may have. @default Infinity */
  maxSize?: number
}

/** What stands before the longest of values on its line. */
const FIELD = 'data: '.length

/**
 * @returns takes the next piece of the text, cut anywhere, without the byte order mark that it may begin with. False where a line or a frame is too long: there is no going on behind that
 */
export function frameParser ({ onFrame, onRetry, lastEventId = '', maxSize = Infinity }: ParserOptions): (text: string) => boolean {
  // Closures and no class: their names are shortened, and pages load this.
  let endedWithCr = false
  /** A line that has not ended. */
  let line = ''
  let event = ''
  let data: string | undefined
  let hasId = false
  let told = lastEventId

  function take (line: string): void {
    if (line === '') {
      if (data !== undefined || told !== lastEventId) onFrame({ event: event || 'message', data, hasId, lastEventId: told })
      lastEventId = told
      event = ''
      data = undefined
      hasId = false
      return
    }
    const colon = line.indexOf(':')
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (name === 'data') data = data === undefined ? value : `${data}\n${value}`
    if (name === 'event') event = value
    if (name === 'id' && !value.includes('\0')) {
      hasId = true
      told = value
    }
    if (name === 'retry' && /^\d+$/.test(value)) onRetry?.(Number(value))
  }

  return (text) => {
    if (text === '') return true
    if (endedWithCr && text[0] === '\n') text = text.slice(1) // a CRLF that was cut in two
    endedWithCr = text.endsWith('\r')
    const lines = text.split(/\r\n|\r|\n/)
    for (const [index, piece] of lines.entries()) {
      line += piece
      if (line.length > maxSize + FIELD) return false
      if (index === lines.length - 1) break
      take(line)
      line = ''
      if (data !== undefined && data.length > maxSize) return false
    }
    return true
  }
}
