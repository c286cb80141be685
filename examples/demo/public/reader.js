// Reads a stream at a pace of its own: one that can stop reading. A subscription reads always.
import { stream } from 'fastify-typed-sse/client'

export class Reader {
  #lastId
  #going = Promise.resolve()
  #goOn

  get lastId () {
    return this.#lastId
  }

  /**
   * The events of one connection. To bring it back is the page's business.
   *
   * @param onHeaders is called with the headers of the answer
   * @param onOwn is called with the server's own events
   */
  async * open (path, { onHeaders, onOwn = () => {} }) {
    const take = (data, event) => {
      this.#stand(event)
      onOwn(event)
    }
    const events = stream(path, {
      reconnect: false,
      lastEventId: this.#lastId,
      on: { 'sse.cursor': take, 'sse.reset': take, 'sse.bye': take, 'sse.error': take },
      fetch: async (...request) => {
        const response = await fetch(...request)
        if (response.ok) onHeaders(response.headers)
        return response
      }
    })
    for await (const event of events) {
      await this.#going
      this.#stand(event)
      yield event
    }
  }

  stall () {
    this.#going = new Promise((resolve) => { this.#goOn = resolve })
  }

  goOn () {
    this.#goOn()
  }

  // The next event is asked for only when the one before has been dealt with, so the id is of one that counts.
  #stand ({ id }) {
    if (id !== '') this.#lastId = id
  }
}
