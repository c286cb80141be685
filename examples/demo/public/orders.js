// The board of orders, with a reader that can be stalled, cut and brought back, and another that comes late.
import { Board } from './board.js'
import { CatchUp } from './catch-up.js'
import { client } from './client.js'
import { Panel } from './panel.js'
import { Reader } from './reader.js'

const STEPS = ['created', 'paid', 'shipped']

export class OrdersPanel {
  #panel = new Panel('orders', {
    numbered: STEPS,
    between: (_, { data }) => this.#between(data.count)
  })

  #board = new Board(this.#panel.find('board'))
  #late = this.#panel.find('late-events')
  #buttons = Object.fromEntries(['stall', 'cut', 'back', 'late'].map((name) => [name, this.#panel.find(name)]))
  #reader = new Reader()
  /** The last event that the board knows of. */
  #count = 0
  /** The last one that was in a board as the server gave it: it may come once more by itself. */
  #countOfBoard = 0
  #isStalled = false
  #reset
  #catchUp

  constructor () {
    const { stall, back, late } = this.#buttons
    stall.addEventListener('click', () => this.#isStalled ? this.#goOn() : this.#stall())
    back.addEventListener('click', () => this.open())
    late.addEventListener('click', () => this.#joinLate())
    this.#panel.find('burst').addEventListener('click', () => fetch('/orders/burst', { method: 'POST' }))
  }

  async open () {
    this.#setState('connecting')
    try {
      const isBack = this.#reader.lastId !== undefined
      const onHeaders = (headers) => {
        this.#setState('open')
        if (!isBack) return
        this.#panel.mark(`brought back, Last-Event-ID: ${this.#reader.lastId}`)
        this.#expect(Number(headers.get('shop-count')), (events) => `Replayed: ${events}.`)
      }
      const onOwn = (event) => this.#receive(event)
      for await (const event of this.#reader.open(`/streams/orders?client=${client}`, { onHeaders, onOwn })) this.#receive(event)
      this.#panel.mark('the stream has ended')
    } catch {
      this.#panel.mark('the connection is gone')
    }
    this.#setState('cut')
  }

  #stall () {
    this.#isStalled = true
    this.#reader.stall()
    this.#setState('stalled')
    this.#panel.setNote(`Stalled: what follows event ${this.#count} has to wait.`)
  }

  async #goOn () {
    const { count } = await (await fetch('/orders/count')).json()
    this.#expect(count, (events) => `Had waited: ${events}.`)
    this.#isStalled = false
    this.#setState('open')
    this.#reader.goOn()
  }

  #expect (until, say) {
    this.#catchUp = new CatchUp(this.#count, until, (events) => this.#panel.setNote(say(events), 'good'))
  }

  #receive (received) {
    this.#panel.receive(received)
    const { event, data } = received
    if (event === 'board') this.#take(data)
    if (event === 'sse.reset') this.#reset = data
    if (STEPS.includes(event)) this.#apply(data)
  }

  #apply (step) {
    const { count } = step
    if (count <= this.#count) return
    this.#stand(count)
    this.#board.put(step, this.#catchUp?.covers(count))
    this.#catchUp?.receive(count)
  }

  /** The board as it stands: for a newcomer, and for one whom the history does not reach any more. */
  #take ({ count, orders }) {
    const taken = `${orders.length} orders after event ${count}`
    if (this.#reset === undefined) {
      this.#panel.setNote(`The board was taken as it stood: ${taken}.`)
    } else {
      const { reason } = this.#reset
      const why = reason === 'lost' ? `the history does not reach back to event ${this.#count}` : 'the server has another history'
      this.#panel.setNote(`Reset, ${reason}: ${why}. The board was taken anew: ${taken}.`, 'warn')
      this.#panel.mark(`reset, ${reason}`)
    }
    this.#reset = undefined
    this.#catchUp = undefined
    this.#countOfBoard = count
    this.#stand(count)
    this.#board.clear()
    for (const order of orders) this.#board.put(order)
  }

  #stand (count) {
    this.#count = count
    this.#panel.find('count').textContent = count
  }

  #between (count) {
    return count <= this.#countOfBoard ? 0 : count - this.#count - 1
  }

  /** Another reader that begins with the oldest event there is, and leaves when it has seen them all. */
  async #joinLate () {
    const say = (text) => { this.#panel.find('late-note').textContent = text }
    this.#buttons.late.disabled = true
    this.#late.replaceChildren()
    try {
      let until, catchUp
      const onHeaders = (headers) => {
        until = Number(headers.get('shop-count'))
        catchUp = new CatchUp(0, until, (events) => say(`The late joiner was shown the history: ${events}.`))
      }
      for await (const { event, data: step } of new Reader().open('/streams/orders/oldest', { onHeaders })) {
        if (!STEPS.includes(event)) continue
        this.#late.append(lineOf(step))
        catchUp.receive(step.count)
        if (step.count >= until) break
      }
    } catch (error) {
      say(`The late joiner was shown nothing: ${error.message}.`)
    }
    this.#buttons.late.disabled = false
  }

  #setState (state) {
    this.#panel.setState(state)
    const { stall, cut, back } = this.#buttons
    stall.textContent = state === 'stalled' ? 'Go on' : 'Stall'
    stall.disabled = state !== 'open' && state !== 'stalled'
    cut.disabled = state !== 'open'
    back.disabled = state !== 'cut'
  }
}

function lineOf ({ count, order, item, state }) {
  const line = document.createElement('li')
  line.textContent = `${count}: order ${order}, ${item}, ${state}`
  line.dataset.count = count
  return line
}
