// Measures this machine once a second, for all who look.
import { EventEmitter } from 'node:events'
import { freemem, loadavg, totalmem } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Two minutes: what the page's charts show. */
const KEPT = 120

const RESOLUTION_MS = 10

/** Emits `sample`. */
export class Sampler extends EventEmitter {
  #samples = []
  #count = 0
  // It gives the time from one of its timers to the next, so an idle loop has a "delay" of the resolution.
  #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  #timer = setInterval(() => this.#take(), 1000)

  constructor () {
    super()
    this.#delay.enable()
  }

  /** The oldest sample that is newer than `count`, if there is one. */
  after (count) {
    const first = this.#count - this.#samples.length
    return this.#samples[Math.max(0, count - first)]
  }

  /** Where a client goes on. A count that is none of this process means that the client starts anew. */
  resume (lastEventId = '') {
    const count = /^\d{1,15}$/.test(lastEventId) ? Number(lastEventId) : 0
    return count > this.#count ? 0 : count
  }

  stop () {
    clearInterval(this.#timer)
    this.#delay.disable()
  }

  #take () {
    const [one, five, fifteen] = loadavg() // zeros on Windows, which has no such figure
    const total = totalmem()
    this.#samples.push({
      count: ++this.#count,
      load: { one, five, fifteen },
      memory: { used: total - freemem(), total, process: process.memoryUsage.rss() },
      delay: { median: this.#delayAt(50), p99: this.#delayAt(99), max: this.#delayAt(100) }
    })
    if (this.#samples.length > KEPT) this.#samples.shift()
    this.#delay.reset()
    this.emit('sample')
  }

  #delayAt (percentile) {
    const microseconds = Math.round(this.#delay.percentile(percentile) / 1000) - RESOLUTION_MS * 1000
    return Math.max(0, microseconds) / 1000
  }
}
