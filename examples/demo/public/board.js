// The newest orders, in a column for each state.
const KEPT = 10

export class Board {
  #columns
  #cards = new Map()

  constructor (element) {
    this.#columns = Object.fromEntries(['created', 'paid', 'shipped'].map((state) => [state, element.querySelector(`[data-column="${state}"]`)]))
  }

  clear () {
    for (const card of this.#cards.values()) card.remove()
    this.#cards.clear()
  }

  /** @param isReplayed whether it happened while nobody read */
  put ({ order, item, euros, state }, isReplayed = false) {
    this.#cards.get(order)?.remove()
    const card = document.createElement('li')
    card.dataset.order = order
    card.classList.toggle('replayed', isReplayed)
    const name = document.createElement('b')
    name.textContent = `${order} ${item}`
    const price = document.createElement('span')
    price.textContent = `€${euros}`
    card.append(name, price)
    this.#columns[state].prepend(card)
    this.#cards.set(order, card)
    const gone = order - KEPT
    this.#cards.get(gone)?.remove()
    this.#cards.delete(gone)
  }
}
