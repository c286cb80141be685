// How long a crowd of readers is served before everything else has its turn.

/** Ten thousand writes hold the event loop for 100 ms. */
const QUANTUM_MS = 4

/** So that the clock is not looked at behind each of them. */
const READERS_BETWEEN_LOOKS = 32

export class Quantum {
  readonly #clock: { readonly now: number }
  readonly #until: number
  #served = 0

  constructor (clock: { readonly now: number }) {
    this.#clock = clock
    this.#until = clock.now + QUANTUM_MS
  }

  /** To be asked behind each reader. */
  isOver (): boolean {
    return ++this.#served % READERS_BETWEEN_LOOKS === 0 && this.#clock.now > this.#until
  }
}
