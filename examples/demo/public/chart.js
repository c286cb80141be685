// A chart of lines that moves to the left with each new set of values.

const SVG = 'http://www.w3.org/2000/svg'
const KEPT = 120
const STEP = 5
const WIDTH = (KEPT - 1) * STEP
const HEIGHT = 100
const STEP_MS = 1000

const still = window.matchMedia('(prefers-reduced-motion: reduce)')

export class Chart {
  #lines
  #format
  #least
  #rows = []
  #top = 0
  #drawing = false
  #svg = make('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' })
  #moving = make('g')
  #area = make('path', { class: 'area' })
  #scale = document.createElement('span')
  #name

  /**
   * @param figure its caption names the chart
   * @param lines their names; the first one's area is filled
   * @param format of a value
   * @param least what the chart's height shows at least, so that noise looks small
   */
  constructor (figure, { lines, format, least }) {
    const caption = figure.querySelector('figcaption')
    this.#name = caption.textContent
    this.#format = format
    this.#least = least
    for (const part of [1, 2, 3]) {
      const y = HEIGHT * part / 4
      this.#svg.append(make('path', { class: 'grid', d: `M0 ${y}H${WIDTH}` }))
    }
    this.#svg.append(this.#moving)
    this.#moving.append(this.#area)
    const legend = document.createElement('dl')
    this.#lines = lines.map((name, index) => {
      const path = make('path', { class: `line line-${index}` })
      const term = document.createElement('dt')
      term.textContent = name
      term.className = `line-${index}`
      const value = document.createElement('dd')
      const pair = document.createElement('div')
      pair.append(term, value)
      legend.append(pair)
      return { name, path, value }
    })
    this.#moving.append(...this.#lines.map(({ path }) => path).reverse()) // the first one on top
    this.#scale.className = 'scale'
    const plot = document.createElement('div')
    plot.className = 'plot'
    plot.append(this.#svg, this.#scale)
    figure.append(plot, legend)
  }

  /**
   * @param values one for each line
   * @param top what the height shows; by default it follows the values
   */
  add (values, top) {
    this.#rows.push(values)
    if (this.#rows.length > KEPT) this.#rows.shift()
    this.#top = top ?? roundUp(Math.max(this.#least, ...this.#rows.flat()))
    if (this.#drawing) return
    this.#drawing = true
    window.requestAnimationFrame(() => {
      this.#drawing = false
      this.#draw()
    })
  }

  #draw () {
    this.#scale.textContent = this.#format(this.#top)
    const latest = this.#rows.at(-1)
    this.#lines.forEach(({ path, value }, index) => {
      path.setAttribute('d', this.#pathOf(index))
      value.textContent = this.#format(latest[index])
    })
    const left = this.#x(0)
    this.#area.setAttribute('d', `${this.#pathOf(0)}V${HEIGHT}H${left}Z`)
    this.#svg.setAttribute('aria-label', `${this.#name}: ${this.#lines.map(({ name, value }) => `${name} ${value.textContent}`).join(', ')}`)
    // The newest value comes in from beyond the right edge, in the time until the next one.
    if (!still.matches) this.#moving.animate([{ transform: `translateX(${STEP}px)` }, { transform: 'none' }], STEP_MS)
  }

  #pathOf (index) {
    return `M${this.#rows.map((row, at) => `${this.#x(at)} ${this.#y(row[index])}`).join('L')}`
  }

  #x (at) {
    return WIDTH - (this.#rows.length - 1 - at) * STEP
  }

  #y (value) {
    return (HEIGHT * (1 - value / this.#top)).toFixed(2)
  }
}

function make (name, attributes = {}) {
  const element = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  return element
}

/** To 1, 2 or 5 times a power of ten, so that the scale seldom changes. */
function roundUp (value) {
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value)
}
