// A client that reads a response piece by piece, over a real socket. Nothing here sleeps: deadlines only fail.
import { EventEmitter, once } from 'node:events'
import { request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { within as withinMs } from '../../lib/testing/deadline.js'

const DEADLINE_MS = 5_000

export async function within<Value> (promise: Promise<Value>, what: () => string): Promise<Value> {
  return withinMs(DEADLINE_MS, promise, () => new Error(`Waited too long for ${what()}`))
}

/** What has come of a stream of text so far. */
export class Received {
  text = ''
  readonly #changes = new EventEmitter().setMaxListeners(0)
  #over: Error | true | undefined

  constructor (source: Readable) {
    const finish = (how: Error | true) => { this.#over ??= how; this.#changes.emit('change') }
    source.setEncoding('utf8')
    source.on('data', (chunk: string) => { this.text += chunk; this.#changes.emit('change') })
    source.on('end', () => finish(true)).on('error', finish)
    source.on('close', () => finish(new Error('Closed before the end')))
  }

  /** Resolves with the whole text when it holds what is wanted; rejects when it never will. */
  until (wanted: string | ((text: string) => boolean)): Promise<string> {
    const holds = () => typeof wanted === 'string' ? this.text.includes(wanted) : wanted(this.text)
    return this.#wait(holds, () => `${JSON.stringify(String(wanted))} in ${JSON.stringify(this.text)}`)
  }

  /** Resolves with the whole text at a clean end; rejects when the connection was cut. */
  async end (): Promise<string> {
    await this.#wait(() => this.#over !== undefined, () => `the end of ${JSON.stringify(this.text)}`)
    if (this.#over instanceof Error) throw this.#over
    return this.text
  }

  async #wait (holds: () => boolean, what: () => string): Promise<string> {
    while (!holds()) {
      if (this.#over !== undefined) throw new Error(`The stream was over before ${what()}`, { cause: this.#over })
      await within(once(this.#changes, 'change'), what)
    }
    return this.text
  }
}

export interface StreamReader extends Received { status: number, headers: IncomingHttpHeaders, response: IncomingMessage, close: () => void }

/** Asks as an EventSource does, unless `init` says otherwise, and resolves when the headers are there. */
export async function readStream (url: string, { body, ...init }: { method?: string, headers?: Record<string, string>, body?: string } = {}): Promise<StreamReader> {
  const headers = { accept: 'text/event-stream', ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...init.headers }
  const sent = request(url, { ...init, headers })
  sent.on('error', () => {}).end(body) // after the headers it is the response's too
  const [response] = await within(once(sent, 'response') as Promise<[IncomingMessage]>, () => `an answer from ${url}`)
  return Object.assign(new Received(response), { status: response.statusCode ?? 0, headers: response.headers, response, close: () => { sent.destroy() } })
}
