// Fairness. A source that is always ready never lets go of the event loop by itself: its promises resolve in
// microtasks, and microtasks run before anything else. So a stream works for one quantum and then waits here;
// one waiting stream goes on in each turn of the event loop, and everything else runs in between.

export interface TurnTaker {
  takeTurn (): void
}

export class Turns {
  #waiting: TurnTaker[] = []
  #first = 0
  #current = 0
  #counting = false

  /** The number of this turn of the event loop. Turns in which nobody asks are not counted. */
  get current (): number {
    if (!this.#counting) {
      this.#counting = true
      setImmediate(this.#count)
    }
    return this.#current
  }

  wait (taker: TurnTaker): void {
    if (this.#waiting.push(taker) - this.#first === 1) setImmediate(this.#next)
  }

  #count = (): void => {
    this.#counting = false
    this.#current++
  }

  // An immediate that is set while immediates run is run in the next turn.
  #next = (): void => {
    const taker = this.#waiting[this.#first++] as TurnTaker // `wait` sets one immediate for each that waits
    if (this.#first === this.#waiting.length) {
      this.#waiting = []
      this.#first = 0
    } else {
      if (this.#first === COMPACT_AT) {
        this.#waiting = this.#waiting.slice(this.#first)
        this.#first = 0
      }
      setImmediate(this.#next)
    }
    taker.takeTurn()
  }
}

/** Turns taken before the array is cut: shifting it each time would move every stream that waits. */
const COMPACT_AT = 1024
