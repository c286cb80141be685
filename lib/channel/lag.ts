// How long events wait on this node: a histogram with buckets of fixed bounds, as metrics systems take them.
import type { LagStats } from '../../types/channel.js'

/** Upper bounds in ms. Below 1 is one turn of an event loop that has little to do; above 1,000 something is wrong. */
const BOUNDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, Infinity]

export class LagHistogram {
  readonly #counts = BOUNDS.map(() => 0)
  #sum = 0

  add (ms: number): void {
    const bucket = BOUNDS.findIndex((bound) => ms <= bound)
    this.#counts[bucket] = this.#counts[bucket] as number + 1 // there is one: the last bound is Infinity
    this.#sum += ms
  }

  get stats (): LagStats {
    const upTo = (bucket: number) => this.#counts.slice(0, bucket + 1).reduce((sum, count) => sum + count)
    return { count: upTo(BOUNDS.length), sum: this.#sum, buckets: BOUNDS.map((le, bucket) => ({ le, count: upTo(bucket) })) }
  }
}
