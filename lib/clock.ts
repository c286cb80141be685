// The one timer behind all deadlines of all streams: heartbeats, stalls, limits. A heap of what is due, and a
// single Node.js timer set for the earliest.

/** Something that wants to be woken. It holds its own place in the heap, so that leaving costs O(log n). */
export interface Sleeper {
  /** When it is due, in ms of the clock; the clock's own business while it sleeps. */
  wakeAt: number
  /** Its place in the heap, -1 while it does not sleep. */
  heapIndex: number
  /** It is due. Returns when to wake it next, or Infinity for never. */
  wake (now: number): number
}

export interface Timers {
  now (): number
  setTimeout (callback: () => void, ms: number): unknown
  clearTimeout (timer: unknown): void
}

const nodeTimers: Timers = {
  now: () => performance.now(),
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout) // what setTimeout above gave
}

// Ten thousand streams that opened together are due together. Woken in one go they would hold the event loop
// for 100 ms and more; this many take about 2 ms.
const BATCH = 128

export class Clock {
  readonly #timers: Timers
  readonly #heap: Sleeper[] = []
  #timer: unknown
  #timerAt = Infinity

  constructor (timers: Timers = nodeTimers) {
    this.#timers = timers
  }

  get now (): number {
    return this.#timers.now()
  }

  /** How many sleep. */
  get size (): number {
    return this.#heap.length
  }

  /** Wakes the sleeper at that time, and not at any that was set before. Infinity takes it out. */
  wake (sleeper: Sleeper, at: number): void {
    this.#place(sleeper, at)
    this.#arm()
  }

  cancel (sleeper: Sleeper): void {
    if (sleeper.heapIndex === -1) return
    this.#place(sleeper, Infinity)
    this.#arm()
  }

  #place (sleeper: Sleeper, at: number): void {
    if (sleeper.heapIndex === -1) {
      if (at === Infinity) return
      sleeper.heapIndex = this.#heap.push(sleeper) - 1
    }
    if (at === Infinity) {
      this.#remove(sleeper)
      return
    }
    sleeper.wakeAt = Math.ceil(at) // V8 keeps a whole number in its field, and 16 bytes apart for another
    this.#sift(sleeper)
  }

  #remove (sleeper: Sleeper): void {
    const last = this.#heap.pop() as Sleeper // not empty: the sleeper is in it
    if (last !== sleeper) {
      last.heapIndex = sleeper.heapIndex
      this.#heap[last.heapIndex] = last
      this.#sift(last)
    }
    sleeper.heapIndex = -1
  }

  #sift (sleeper: Sleeper): void {
    const heap = this.#heap
    const at = sleeper.wakeAt
    let index = sleeper.heapIndex
    for (;;) {
      const parent = heap[(index - 1) >> 1]
      if (index === 0 || parent === undefined || parent.wakeAt <= at) break
      heap[index] = parent
      parent.heapIndex = index
      index = (index - 1) >> 1
    }
    for (;;) {
      let child = 2 * index + 1
      const right = heap[child + 1]
      if (right !== undefined && right.wakeAt < (heap[child] as Sleeper).wakeAt) child++ // a right child has a left sibling
      const least = heap[child]
      if (least === undefined || least.wakeAt >= at) break
      heap[index] = least
      least.heapIndex = index
      index = child
    }
    heap[index] = sleeper
    sleeper.heapIndex = index
  }

  /** Sets the timer for the earliest. One that is set too early is left: it fires, finds nothing due, and is set anew. */
  #arm (): void {
    const earliest = this.#heap[0]
    if (earliest === undefined) {
      if (this.#timer !== undefined) this.#timers.clearTimeout(this.#timer)
      this.#timer = undefined
      this.#timerAt = Infinity
    } else if (earliest.wakeAt < this.#timerAt) {
      if (this.#timer !== undefined) this.#timers.clearTimeout(this.#timer)
      this.#timerAt = earliest.wakeAt
      this.#timer = this.#timers.setTimeout(this.#ring, Math.max(1, Math.ceil(earliest.wakeAt - this.now)))
    }
  }

  #ring = (): void => {
    this.#timer = undefined
    this.#timerAt = Infinity
    const now = this.now
    try {
      for (let woken = 0; woken < BATCH; woken++) {
        const earliest = this.#heap[0]
        if (earliest === undefined || earliest.wakeAt > now) break
        this.#place(earliest, Infinity)
        const next = earliest.wake(now)
        if (next !== Infinity) this.#place(earliest, next)
      }
    } finally {
      this.#arm() // for the others, if one throws
    }
  }
}
