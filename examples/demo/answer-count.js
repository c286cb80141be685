// How many answers are being written, and what became of the last one.
import { EventEmitter } from 'node:events'

/** Emits `change`. */
export class AnswerCount extends EventEmitter {
  /** Replaced and never changed, so that a reader can tell by identity whether it is new. */
  now = { running: 0, finished: 0, stopped: 0, last: null }

  begin () {
    const { now } = this
    this.#set({ ...now, running: now.running + 1 })
    return now.running + now.finished + now.stopped + 1
  }

  end (last) {
    const { running, finished, stopped } = this.now
    this.#set({
      running: running - 1,
      finished: finished + (last.stopped ? 0 : 1),
      stopped: stopped + (last.stopped ? 1 : 0),
      last
    })
  }

  #set (now) {
    this.now = now
    this.emit('change')
  }
}
