// Counts the events that were there before their reader was, and says which they were when it has caught up.
export class CatchUp {
  #until
  #onDone
  #first
  #events = 0

  /**
   * @param from the last event that the reader had
   * @param until the last one that there was when it came
   * @param onDone is called with which they were, in words
   */
  constructor (from, until, onDone) {
    this.#until = until
    this.#onDone = onDone
    if (from >= until) onDone('no events')
  }

  covers (count) {
    return count <= this.#until
  }

  receive (count) {
    if (!this.covers(count)) return
    this.#first ??= count
    this.#events++
    if (count === this.#until) this.#onDone(`${this.#events} ${this.#events === 1 ? 'event' : 'events'}, ${this.#first} to ${count}`)
  }
}
