// The chat: coming, going and speaking.
import { client } from './client.js'
import { List } from './list.js'
import { Panel } from './panel.js'
import { Room } from './room.js'
import { secondUrl } from './window.js'

const KEPT_MESSAGES = 200

export function chatPanel () {
  let room
  const panel = new Panel('chat', {
    numbered: ['said'],
    between: (_, { data }) => room.between(data.number)
  })
  const messages = new List(panel.find('messages'), KEPT_MESSAGES)
  const join = panel.find('join')
  const say = panel.find('say')

  const show = () => {
    const isIn = room !== undefined
    join.elements.name.disabled = isIn
    panel.find('enter').textContent = isIn ? 'Leave' : 'Join'
    for (const element of say.elements) element.disabled = !isIn
    panel.find('cut').disabled = !isIn
  }
  const leave = (note) => {
    room = undefined
    panel.setState('idle')
    panel.setNote(note)
    panel.find('here').replaceChildren()
    show()
  }

  join.addEventListener('submit', (event) => {
    event.preventDefault()
    if (room !== undefined) {
      room.leave()
      leave('You left, which the others see in a moment.')
      return
    }
    messages.clear()
    panel.restart()
    room = new Room(panel, messages, {
      name: join.elements.name.value,
      onRefused: () => leave('The server let nobody in: the room may be full.')
    })
    show()
  })
  say.addEventListener('submit', async (event) => {
    event.preventDefault()
    const { ok } = await fetch('/messages', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ client, text: say.elements.text.value })
    })
    if (ok) say.reset()
    else panel.setNote('The server did not take this message.', 'warn')
  })
  panel.find('second').href = secondUrl()
  panel.setNote('Give a name to come in, and open a second window to have somebody to talk to.')
  show()
}
