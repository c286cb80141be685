// The entries of the log.
import { follow } from './follow.js'
import { List } from './list.js'
import { Panel } from './panel.js'

const KEPT_ENTRIES = 200
const BLANK_LINE = 2

const utf8 = new TextEncoder()

export function logPanel () {
  const panel = new Panel('log', {
    numbered: ['entry'],
    // An entry ends where its id says, so it must have begun where the one before it ended.
    between: (lastId, { data, id }) => Math.sign(Number(id) - utf8.encode(data).length - BLANK_LINE - Number(lastId))
  })
  const entries = new List(panel.find('entries'), KEPT_ENTRIES)

  follow(panel, {
    entry: (text, { id }) => {
      const entry = document.createElement('li')
      entry.textContent = text
      entry.dataset.id = id
      entry.dataset.level = text.split(/\s+/, 2)[1]
      entries.add(entry)
    }
  }, { text: ['entry'] })
  panel.find('fail').addEventListener('click', () => fetch('/failures', { method: 'POST' }))
}
