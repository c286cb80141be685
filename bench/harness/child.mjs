// A process of its own that is talked to in messages. Whoever waits for one hears of it, too, when none will come.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** The longest that anything takes here is some twenty seconds. */
const PATIENCE_MS = 180_000

export class Child {
  #waiting = new Set()
  #failure

  /** @param file in this folder */
  constructor (file, given, execArgv = []) {
    this.process = fork(fileURLToPath(new URL(file, import.meta.url)), [JSON.stringify(given)], { execArgv })
    this.process.on('message', (message) => {
      if (message.wrong !== undefined) this.#fail(message.wrong)
      for (const one of this.#waiting) if (one.isMeant(message)) one.resolve(message)
    })
    this.process.on('exit', (code, signal) => this.#fail(`${file} ended with ${code ?? signal}`))
  }

  /** The next message that is meant. Rejects when the process has said that something is wrong, has ended, or says nothing. */
  hears (isMeant) {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure)
        return
      }
      const settle = (how) => (value) => {
        clearTimeout(late)
        this.#waiting.delete(one)
        how(value)
      }
      const one = { isMeant, resolve: settle(resolve), reject: settle(reject) }
      const late = setTimeout(() => one.reject(new Error('too slow')), PATIENCE_MS)
      this.#waiting.add(one)
    })
  }

  /** Sends a message, and resolves with the answer that is meant. */
  async ask (message, isMeant) {
    const heard = this.hears(isMeant)
    if (this.process.connected) this.process.send(message, () => {}) // one that has ended is heard of as such
    return await heard
  }

  get isOver () {
    return this.process.exitCode !== null || this.process.signalCode !== null
  }

  /** Whatever it is busy with. */
  async kill () {
    if (this.isOver) return
    const over = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await over
  }

  #fail (what) {
    this.#failure ??= new Error(what)
    for (const { reject } of this.#waiting) reject(this.#failure)
  }
}
