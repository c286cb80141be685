// A scrolling list that keeps its newest elements, and shows them unless its reader has scrolled away.
const NEAR = 24

export class List {
  #element
  #kept
  #follows = true

  constructor (element, kept) {
    this.#element = element
    this.#kept = kept
    element.addEventListener('scroll', () => {
      this.#follows = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR
    })
  }

  clear () {
    this.#element.replaceChildren()
    this.#follows = true
  }

  add (child) {
    const element = this.#element
    element.append(child)
    if (element.childElementCount > this.#kept) element.firstElementChild.remove()
    if (this.#follows) element.scrollTop = element.scrollHeight
  }
}
