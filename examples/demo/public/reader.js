// Reads a stream by fetch, as one that can stop reading. An EventSource reads always.
import { readFrames } from './read-frames.js'

export class Reader {
  #lastId
  #going = Promise.resolve()
  #goOn

  get lastId () {
    return this.#lastId
  }

  /** @returns the headers of the answer, and its frames */
  async open (path) {
    const headers = { accept: 'text/event-stream' }
    if (this.#lastId !== undefined) headers['last-event-id'] = this.#lastId
    const response = await fetch(path, { headers })
    if (!response.ok) throw new Error(`The server answered ${response.status}`)
    return { headers: response.headers, frames: this.#frames(response.body) }
  }

  stall () {
    this.#going = new Promise((resolve) => { this.#goOn = resolve })
  }

  goOn () {
    this.#goOn()
  }

  // Its consumer asks for the next frame only when it has dealt with the one before, so the id is of one that counts.
  async * #frames (body) {
    for await (const frame of readFrames(body)) {
      await this.#going
      if (frame.id !== '') this.#lastId = frame.id
      yield frame
    }
  }
}
