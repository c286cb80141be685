// A piece of a body as bytes: bare, and framed as a chunk of HTTP/1.1, in one allocation.
// https://www.rfc-editor.org/rfc/rfc9112#section-7.1

/** Room for the size in hexadecimal digits, and the line end behind it. No string of V8 needs more digits. */
const HEAD = 10

const CR = 0x0d
const LF = 0x0a
const DIGITS = [...'0123456789abcdef'].map((digit) => digit.charCodeAt(0))

export class Chunk {
  /** Size, CRLF, bytes, CRLF: to be written to a socket. */
  readonly framed: Buffer
  /** Of the bytes, without their frame. */
  readonly length: number
  #bytes: Buffer | undefined

  /**
   * @param text not empty: a chunk of none would end the body
   * @param allocate gives at least so many bytes
   */
  constructor (text: string, allocate: (size: number) => Buffer = Buffer.allocUnsafe) {
    const length = Buffer.byteLength(text)
    const size = HEAD + length + 2
    const all = allocate(size)
    // ASCII has as many bytes as characters, and its latin1 form, which Node copies several times faster, is the same.
    all.write(text, HEAD, length === text.length ? 'latin1' : 'utf8')
    all[HEAD + length] = CR
    all[HEAD + length + 1] = LF
    all[HEAD - 1] = LF
    all[HEAD - 2] = CR
    let start = HEAD - 2
    for (let rest = length; rest > 0; rest >>>= 4) all[--start] = DIGITS[rest & 15] as number // one of 16
    this.framed = all.subarray(start, size)
    this.length = length
  }

  /** For whatever frames bodies in its own way. */
  get bytes (): Buffer {
    return (this.#bytes ??= this.framed.subarray(this.framed.length - this.length - 2, this.framed.length - 2))
  }
}
