// So many at a time, and the others in the order in which they came.

export class Turnstile {
  #free: number
  readonly #waiting: Array<() => void> = []

  constructor (places: number) {
    this.#free = places
  }

  /** Does the work when it is its turn. */
  async pass<Result> (work: () => Promise<Result>): Promise<Result> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}
