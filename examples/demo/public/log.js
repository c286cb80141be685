// The entries of the log.
import { follow } from './follow.js'
import { List } from './list.js'
import { Panel } from './panel.js'

const KEPT_ENTRIES = 200
const BLANK_LINE = 2

const utf8 = new TextEncoder()

export function logPanel () {
  const panel = new Panel('log', {
    origin: 'from each event’s name, data and id',
    numbered: ['entry'],
    // An entry ends where its id says, so it must have begun where the one before it ended.
    between: (lastId, { data, lastEventId }) => Math.sign(Number(lastEventId) - utf8.encode(data).length - BLANK_LINE - Number(lastId))
  })
  const entries = new List(panel.find('entries'), KEPT_ENTRIES)

  follow(panel, {
    entry: ({ data, lastEventId }) => {
      const entry = document.createElement('li')
      entry.textContent = data
      entry.dataset.id = lastEventId
      entry.dataset.level = data.split(/\s+/, 2)[1]
      entries.add(entry)
    }
  })
  panel.find('fail').addEventListener('click', () => fetch('/failures', { method: 'POST' }))
}
