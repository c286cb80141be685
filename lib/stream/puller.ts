// The side of a stream that faces its source: pulls one event after another while they are wanted, gives the event
// loop back, and lets go of the source exactly once.
import type { Clock } from '../clock.js'
import { kindOf } from '../describe.js'
import { SSE_ERR_INVALID_SOURCE } from '../errors.js'
import { discardSource, isThenable, openSource, type EventIterator } from './source.js'
import type { Supply } from './supply.js'
import type { Turns, TurnTaker } from './turns.js'

/**
 * A quantum is over after this time: longer than it takes to fill a write, since each turn of the event loop costs as much as
 * dozens of events, and short enough for everybody else. The clock is looked at behind each write, and every so many pulls,
 * because checks and sources can be slow.
 */
const QUANTUM_MS = 1
const PULLS_BETWEEN_LOOKS = 8

/** Stands for the undefined that an iterator must not give, where undefined says that there is no next. */
const NO_RESULT = { value: undefined }

/** What takes the frames. */
export interface Taker {
  /** Whether another one can be taken now. */
  readonly wants: boolean
  /** Takes one. Returns whether there was enough for a write. */
  accept (frame: string): boolean
  /** The source has come to its end. */
  finish (): void
  /** The source has failed, or does not take an error back. */
  fail (error: unknown): void
}

/** What all pullers share. */
export interface PullerHost {
  readonly clock: Clock
  readonly turns: Turns
}

/** A source, and what becomes of its events. */
export interface Pulled {
  readonly source: unknown
  /** What a source that is a function is called with. */
  readonly context: unknown
  /** Gives the event's frame, or undefined where it is left out; throws what is to be thrown at its yield. */
  encode (item: unknown): string | undefined
  /** Is told of what the source throws when it has been let go of, as by its `finally`. */
  failedLate (error: unknown): void
}

export class Puller implements Supply, TurnTaker {
  readonly #host: PullerHost
  readonly #taker: Taker
  readonly #pulled: Pulled
  #iterator: EventIterator | undefined
  /** The error of the last event, to be thrown at its yield. */
  #thrown: { error: unknown } | undefined
  #pulling = false
  #yielding = false
  #released = false
  #pulls = 0
  #quantumEnd = 0
  /** The turn of the event loop that the quantum belongs to. */
  #quantumTurn = 0

  constructor (host: PullerHost, taker: Taker, pulled: Pulled) {
    this.#host = host
    this.#taker = taker
    this.#pulled = pulled
  }

  start (): void {
    this.#beginQuantum(this.#host.clock.now)
    try {
      const iterator = openSource(this.#pulled.source, this.#pulled.context)
      if (isThenable(iterator)) iterator.then(this.#adopt, this.#fail)
      else this.#adopt(iterator)
    } catch (error) {
      this.#fail(error)
    }
  }

  pull (): void {
    this.#beginQuantum(this.#host.clock.now)
    this.#goOn()
  }

  /** As far as events are wanted and the quantum lasts. */
  #goOn (): void {
    try {
      while (this.#iterator !== undefined && !this.#pulling && !this.#yielding && this.#taker.wants) {
        this.#pulling = true
        const result = this.#next(this.#iterator)
        if (result === undefined) return
        if (isThenable<IteratorResult<unknown, unknown>>(result)) {
          result.then(this.#onResult, this.#fail)
          return
        }
        this.#settle(result)
      }
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Goes on in a turn of its own, behind all others that wait for one. */
  yield (): void {
    if (this.#yielding || this.#released) return
    this.#yielding = true
    this.#host.turns.wait(this)
  }

  takeTurn (): void {
    this.#yielding = false
    this.pull()
  }

  /**
   * Lets go of a source that has not ended by itself. An iterator that waits for something does not hear return()
   * before that something comes, so it is not awaited: the abort signal is what can free it.
   */
  release (): void {
    this.#released = true
    const iterator = this.#iterator
    this.#iterator = undefined
    if (iterator !== undefined) discardSource(iterator, this.#failedLate)
  }

  #adopt = (iterator: EventIterator): void => {
    this.#iterator = iterator
    if (this.#released) this.release()
    else this.#goOn()
  }

  /** Undefined where there is no next: the source does not take the error back. */
  #next (iterator: EventIterator): ReturnType<EventIterator['next']> | undefined {
    const thrown = this.#thrown
    this.#thrown = undefined
    if (thrown !== undefined && iterator.throw === undefined) {
      this.#taker.fail(thrown.error)
      return undefined
    }
    const result = thrown === undefined ? iterator.next() : iterator.throw?.(thrown.error)
    return result === undefined ? NO_RESULT : result
  }

  // Nobody awaits what this returns, so it must not throw.
  #onResult = (result: IteratorResult<unknown, unknown>): void => {
    try {
      this.#settle(result)
      this.#goOn()
    } catch (error) {
      this.#fail(error)
    }
  }

  #settle (result: IteratorResult<unknown, unknown>): void {
    if (typeof result !== 'object' || result === null || result === NO_RESULT) throw new SSE_ERR_INVALID_SOURCE(`Expected next() of the source to give an object { done, value }, got ${kindOf(result === NO_RESULT ? undefined : result)}`)
    if (result.done !== true && isThenable(result.value)) {
      // An iterable of promises. Its iterator has not failed if one of them does, so it is returned.
      result.value.then((value) => this.#onResult({ done: false, value }), (error) => { if (!this.#released) this.#taker.fail(error) })
      return
    }
    this.#pulling = false
    if (this.#released) return
    if (result.done === true) {
      this.#iterator = undefined
      this.#taker.finish()
      return
    }
    let hasWritten = false
    try {
      const frame = this.#pulled.encode(result.value)
      if (frame !== undefined) hasWritten = this.#taker.accept(frame)
    } catch (error) {
      this.#thrown = { error }
    }
    if ((++this.#pulls % PULLS_BETWEEN_LOOKS === 0 || hasWritten) && this.#taker.wants) this.#lookAtClock()
  }

  // A source that waits for something outside has long let the others have their turns, and does not go behind them.
  #lookAtClock (): void {
    const { now } = this.#host.clock
    if (now <= this.#quantumEnd) return
    if (this.#quantumTurn === this.#host.turns.current) this.yield()
    else this.#beginQuantum(now)
  }

  #beginQuantum (now: number): void {
    this.#quantumEnd = now + QUANTUM_MS
    this.#quantumTurn = this.#host.turns.current
  }

  #fail = (error: unknown): void => {
    this.#iterator = undefined // an iterator that threw has ended
    if (this.#released) this.#failedLate(error)
    else this.#taker.fail(error)
  }

  // What waits with the signal rejects with its reason: that is no failure.
  #failedLate = (error: unknown): void => {
    if (!(error instanceof Error && error.name === 'AbortError')) this.#pulled.failedLate(error)
  }
}
