// A shop that makes up its orders, and takes each from one state to the next.
const ITEMS = ['Teapot', 'Lamp', 'Kite', 'Atlas', 'Violin', 'Compass', 'Kettle', 'Globe']
const NEXT = { created: 'paid', paid: 'shipped' }

/** On the board. */
const KEPT = 10

/** Not yet shipped. */
const OPEN = 5

export class Shop {
  /** The newest, by number. Each is replaced and never changed. */
  orders = []
  /** How many events there have been. */
  count = 0
  #last = 0

  /** Lets one thing happen. @returns the order as it is now, with the number of the event */
  step () {
    const open = this.orders.filter(({ state }) => state in NEXT)
    const order = open.length < OPEN ? this.#create() : this.#advance(open[Math.floor(Math.random() * OPEN)])
    return { count: ++this.count, ...order }
  }

  #create () {
    const number = ++this.#last
    const order = { order: number, item: ITEMS[number % ITEMS.length], euros: 5 + number * 7 % 60, state: 'created' }
    this.orders = [...this.orders, order].slice(-KEPT)
    return order
  }

  #advance (order) {
    const advanced = { ...order, state: NEXT[order.state] }
    this.orders = this.orders.map((one) => one === order ? advanced : one)
    return advanced
  }
}
