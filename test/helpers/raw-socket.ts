// A client that sees every byte and can be as rude as a client can be.
import { EventEmitter, once } from 'node:events'
import net from 'node:net'

interface Asked {
  method?: string
  headers?: Record<string, string>
  body?: string
}

export class RawSocket {
  readonly socket: net.Socket
  #parts: Buffer[] = []
  #ended = false
  readonly #news = new EventEmitter()

  private constructor (socket: net.Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#parts.push(chunk)
      this.#news.emit('news')
    })
    socket.on('error', () => {}) // a reset is what some tests are about
    socket.on('close', () => {
      this.#ended = true
      this.#news.emit('news')
    })
  }

  /** Connects and asks. */
  static async request (base: string, path: string, asked?: Asked): Promise<RawSocket> {
    const { hostname, port } = new URL(base)
    const socket = net.connect(Number(port), hostname)
    await once(socket, 'connect')
    const client = new RawSocket(socket)
    client.ask(path, asked)
    return client
  }

  /** Sends a request; `accept: text/event-stream`, as an EventSource does, unless other headers are given. */
  ask (path: string, { method = 'GET', headers = { accept: 'text/event-stream' }, body = '' }: Asked = {}): void {
    const lines = Object.entries({ host: 'test', ...(body === '' ? {} : { 'content-length': String(Buffer.byteLength(body)) }), ...headers })
    this.socket.write(`${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`)
  }

  get #bytes (): Buffer {
    if (this.#parts.length > 1) this.#parts = [Buffer.concat(this.#parts)]
    return this.#parts[0] ?? Buffer.alloc(0)
  }

  /** All that has come, heads and chunk sizes too. */
  get text (): string {
    return this.#bytes.toString()
  }

  get head (): string {
    return this.#bytes.toString('latin1').split('\r\n\r\n')[0] ?? ''
  }

  get status (): number {
    return Number(this.head.split(' ')[1])
  }

  /** The chunks of a chunked body, as the server wrote them, as far as they are here. */
  get chunks (): string[] {
    const chunks: string[] = []
    let at = this.#bytes.indexOf('\r\n\r\n') + 4
    for (;;) {
      const lineEnd = this.#bytes.indexOf('\r\n', at)
      const size = lineEnd === -1 ? 0 : parseInt(this.#bytes.toString('latin1', at, lineEnd), 16)
      if (!(size > 0) || this.#bytes.length < lineEnd + 2 + size) return chunks
      chunks.push(this.#bytes.toString('utf8', lineEnd + 2, lineEnd + 2 + size))
      at = lineEnd + 2 + size + 2
    }
  }

  get body (): string {
    return this.chunks.join('')
  }

  /** Whether the body came to its regular end. */
  get complete (): boolean {
    return this.#bytes.toString('latin1').endsWith('0\r\n\r\n')
  }

  /** Resolves when that is so; rejects when the connection ends before. */
  async until (holds: string | ((client: this) => boolean)): Promise<void> {
    const isSo = typeof holds === 'string' ? () => this.body.includes(holds) : () => holds(this)
    while (!isSo()) {
      if (this.#ended) throw new Error(`The connection ended first, after ${JSON.stringify(this.#bytes.toString().slice(-300))}`)
      await once(this.#news, 'news')
    }
  }

  async ended (): Promise<void> {
    while (!this.#ended) await once(this.#news, 'news')
  }

  /** Reads no more, so that the server's writes pile up. */
  stall (): void {
    this.socket.pause()
  }

  leave (): void {
    this.socket.destroy()
  }

  /** Leaves with a RST in place of a FIN. */
  reset (): void {
    this.socket.resetAndDestroy()
  }
}
