// One stay in the chat room, over all of its connections.
import { follow } from './follow.js'

export class Room {
  #panel
  #messages
  /** Of the last message. */
  #number
  /** Of the connection that stands. What is older was said before it. */
  #openedAt
  #openings = 0
  #older = 0
  #subscription

  /** @param onRefused is called where the server lets nobody in */
  constructor (panel, messages, { name, onRefused }) {
    this.#panel = panel
    this.#messages = messages
    this.#subscription = follow(panel, {
      said: (said) => this.#hear(said),
      here: ({ names }) => this.#show(names),
      'sse.reset': (reset) => this.#miss(reset)
    }, {
      query: { name },
      onState: (state, error) => {
        if (state === 'open') this.#open()
        else if (state === 'closed' && error !== undefined) onRefused()
      }
    })
  }

  /** How many messages are missing before this one. */
  between (number) {
    return this.#number === undefined ? 0 : number - this.#number - 1
  }

  leave () {
    this.#subscription.close()
  }

  #open () {
    this.#openedAt = Date.now()
    this.#older = 0
    this.#panel.setNote(++this.#openings > 1 ? 'Back again. Nothing was said meanwhile.' : 'Nothing was said before you came.', 'good')
  }

  #hear ({ number, name, text, time }) {
    this.#number = number
    const isOlder = Date.parse(time) < this.#openedAt
    if (isOlder) {
      const count = `${++this.#older} ${this.#older === 1 ? 'message' : 'messages'}`
      this.#panel.setNote(this.#openings > 1 ? `Back again. Replayed: ${count}.` : `Shown from before you came: ${count}.`, 'good')
    }
    this.#messages.add(messageElement({ name, text, time, isOlder }))
  }

  #show (names) {
    this.#panel.find('here').replaceChildren(...names.map((name) => {
      const element = document.createElement('li')
      element.textContent = name
      return element
    }))
  }

  /** Of who is there, the server gives the state anew. What was said is gone. */
  #miss ({ channel, reason }) {
    this.#panel.mark(`reset of ${channel}, ${reason}`)
    if (channel !== 'room') return
    this.#number = undefined
    this.#panel.setNote(`Reset, ${reason}: what was said while you were away is gone.`, 'warn')
  }
}

// What others wrote is text and never markup.
function messageElement ({ name, text, time, isOlder }) {
  const message = document.createElement('li')
  const at = document.createElement('time')
  at.dateTime = time
  at.textContent = new Date(time).toLocaleTimeString()
  const who = document.createElement('b')
  who.textContent = name
  const what = document.createElement('span')
  what.textContent = text
  message.classList.toggle('replayed', isOlder)
  message.append(at, who, what)
  return message
}
