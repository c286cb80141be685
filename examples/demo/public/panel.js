// What all panels have: the state of the connection, the last id, the check of ids, and the frames.
import { client } from './client.js'
import { List } from './list.js'

const KEPT_FRAMES = 60

const STATES = {
  idle: 'Idle',
  connecting: 'Connecting',
  open: 'Open',
  reconnecting: 'Reconnecting',
  closed: 'Closed',
  stopped: 'Stopped',
  stalled: 'Stalled',
  cut: 'Cut',
  finished: 'Finished'
}

const wire = document.getElementById('wire')

export class Panel {
  #between
  #numbered
  #frames
  #lastId
  #events = 0
  #lost = 0
  #repeated = 0
  #resumed = 0
  /** Of the last event that was shown. */
  #shownId = ''

  /**
   * @param name of the panel and of its stream
   * @param numbered the events that follow one another
   * @param between how many events are missing between the last id and this event; below 0 if it came before.
   *   By default ids count up by one
   */
  constructor (name, { numbered, between = countBetween }) {
    this.name = name
    this.element = document.querySelector(`[data-panel="${name}"]`)
    const parts = wire.content.cloneNode(true)
    this.element.querySelector('.head').append(parts.querySelector('.state'))
    this.element.append(parts)
    const frames = this.find('frames')
    frames.setAttribute('aria-label', `Frames of ${name}`)
    this.#frames = new List(frames, KEPT_FRAMES)
    this.#numbered = numbered
    this.#between = between
    this.find('cut').addEventListener('click', () => this.#cut())
    this.setState('idle')
  }

  find (part) {
    return this.element.querySelector(`[data-${part}]`)
  }

  setState (state) {
    const element = this.element.querySelector('.state')
    element.dataset.state = state
    element.textContent = STATES[state]
  }

  setNote (text, kind = 'plain') {
    const note = this.find('note')
    note.textContent = text
    note.dataset.kind = kind
  }

  /** Ids start anew with a new question, but not with a new connection. */
  restart () {
    this.#lastId = undefined
    this.find('last').textContent = '–'
  }

  /** The connection stands again. */
  resume () {
    this.#resumed++
    const after = this.#lastId === undefined ? '' : ` after id ${this.#lastId}`
    this.setNote(`Resumed${after}${this.#resumed > 1 ? `, ${this.#resumed} times so far` : ''}`, 'good')
    this.mark(`reconnected${this.#lastId === undefined ? '' : `, Last-Event-ID: ${this.#lastId}`}`)
  }

  /** A line between frames. */
  mark (text) {
    const mark = document.createElement('p')
    mark.className = 'mark'
    mark.textContent = text
    this.#frames.add(mark)
  }

  receive (event) {
    if (this.#numbered.includes(event.event)) this.#check(event)
    else if (event.event === 'sse.cursor') this.#stand(event.id)
    this.find('events').textContent = ++this.#events
    // An event without an id comes with that of the last one that had one.
    this.#frames.add(frameElement(event, event.event === 'sse.cursor' || event.id !== this.#shownId))
    this.#shownId = event.id
  }

  #check (event) {
    const { id } = event
    if (this.#lastId !== undefined) {
      const between = this.#between(this.#lastId, event)
      if (between > 0) this.#lost += between
      if (between < 0) this.#repeated++
      this.#show('lost', this.#lost)
      this.#show('repeated', this.#repeated)
    }
    this.#stand(id)
  }

  #stand (id) {
    this.#lastId = id
    this.find('last').textContent = id
  }

  async #cut () {
    this.mark('the server was asked to cut the connection')
    const { ok } = await fetch(`/cut/${this.name}?client=${client}`, { method: 'POST' })
    if (!ok) this.setNote('There is no connection to cut')
  }

  #show (part, count) {
    const element = this.find(part)
    element.textContent = count
    element.classList.toggle('bad', count > 0)
  }
}

function countBetween (lastId, { id }) {
  return Number(id) - Number(lastId) - 1
}

/** As it came, as far as an event tells: a page sees no bytes. */
function frameElement ({ event, data, id }, hasId) {
  const text = typeof data === 'string' ? data : JSON.stringify(data)
  const pre = document.createElement('pre')
  pre.className = 'frame'
  const add = (field, value) => {
    const name = document.createElement('b')
    name.textContent = `${field}:`
    pre.append(name, ` ${value}\n`)
  }
  add('event', event)
  for (const line of text.split('\n')) add('data', line)
  if (hasId) add('id', id)
  return pre
}
