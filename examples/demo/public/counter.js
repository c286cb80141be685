// The counter and its last events as a strip of dots.
import { follow } from './follow.js'
import { List } from './list.js'
import { Panel } from './panel.js'

const KEPT_DOTS = 40

export function counterPanel () {
  const panel = new Panel('counter', { numbered: ['update'] })
  const count = panel.find('count')
  const time = panel.find('time')
  const strip = new List(panel.find('strip'), KEPT_DOTS)

  follow(panel, {
    update: (update, event, resumed) => {
      count.textContent = update.count
      time.dateTime = update.time
      time.textContent = new Date(update.time).toLocaleTimeString()
      const dot = document.createElement('li')
      dot.classList.toggle('resumed', resumed)
      strip.add(dot)
    }
  })
}
