// Who is in the chat room. One who loses the connection is given a while to come back, so that nobody flickers.
import { EventEmitter } from 'node:events'

const MOST = 20

/** Some reconnections' worth. */
const GRACE_MS = 2000

/** Emits `change` when somebody has come or gone. */
export class Members extends EventEmitter {
  /** By the page that they sit at. A page can have two streams for a moment, when its old one is not known to be dead. */
  #members = new Map()

  get names () {
    return Array.from(this.#members.values(), ({ name }) => name)
  }

  nameOf (client) {
    return this.#members.get(client)?.name
  }

  hasRoomFor (client) {
    return this.#members.has(client) || this.#members.size < MOST
  }

  enter (client, name) {
    const known = this.#members.get(client)
    if (known !== undefined) {
      clearTimeout(known.leaving)
      known.streams++
      return
    }
    this.#members.set(client, { name: this.#free(name), streams: 1, leaving: undefined })
    this.emit('change')
  }

  leave (client) {
    const member = this.#members.get(client)
    if (--member.streams > 0) return
    member.leaving = setTimeout(() => {
      this.#members.delete(client)
      this.emit('change')
    }, GRACE_MS)
  }

  stop () {
    for (const { leaving } of this.#members.values()) clearTimeout(leaving)
  }

  /** Two who give the same name are told apart, so that neither can speak as the other. */
  #free (name) {
    const { names } = this
    let free = name
    for (let count = 2; names.includes(free); count++) free = `${name} (${count})`
    return free
  }
}
