// What all nodes are told, each thing once: heard by pub/sub, and read from a log in Redis, since what is told while a link is away
// is not heard. What is heard says nothing of what came before it, so only what is read moves the place where reading goes on.
import { comparePositions } from '../wire/cursor.js'
import type { Connection } from './connection.js'
import { KEPT_COMMANDS } from './scripts.js'

/** Of one that Redis has kept. What it had no room for comes as `-`. */
const ID = /^\d{13}-\d+$/

export class CommandLog {
  readonly #key: string
  readonly #told: (text: string) => void
  /** The id up to which this node has read. */
  #read = '0-0'
  #hasLooked = false
  /** Ids of what it has heard beyond that, the oldest first: no more than the log keeps. */
  readonly #heard = new Set<string>()

  /** @param told throws where it is no command of ours */
  constructor (key: string, told: (text: string) => void) {
    this.#key = key
    this.#told = told
  }

  /** A message of pub/sub, as COMMAND makes it. */
  hear (message: string): void {
    const space = message.indexOf(' ')
    const id = message.slice(0, space)
    if (ID.test(id)) {
      if (this.#isKnown(id)) return
      this.#heard.add(id)
      if (this.#heard.size > KEPT_COMMANDS.most) this.#heard.delete(this.#heard.values().next().value as string) // it is not empty
    }
    this.#told(message.slice(space + 1))
  }

  /**
   * Reads what this node has not heard. The first time it only looks where the log ends: a node that starts has missed nothing.
   *
   * @throws what `told` throws, when all has been told
   */
  async catchUp (connection: Connection): Promise<void> {
    if (!this.#hasLooked) {
      const [last] = await connection.xrevrange(this.#key, '+', '-', 'COUNT', 1)
      if (!this.#hasLooked) this.#read = last?.[0] ?? '0-0'
      this.#hasLooked = true
      return
    }
    const failures: unknown[] = []
    for (const [id, [, text = '']] of await connection.xrange(this.#key, `(${this.#read}`, '+')) {
      const isKnown = this.#isKnown(id)
      this.#heard.delete(id)
      if (isBehind(this.#read, id)) this.#read = id
      try {
        if (!isKnown) this.#told(text)
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }

  #isKnown (id: string): boolean {
    return this.#heard.has(id) || !isBehind(this.#read, id)
  }
}

function isBehind (id: string, other: string): boolean {
  return comparePositions(`.${id}`, `.${other}`) < 0
}
