// Follows one stream by EventSource, which reconnects by itself and sends the last id when it does.
import { client } from './client.js'

/** The server's own events. */
const CONTROL = ['sse.bye', 'sse.error', 'sse.cursor', 'sse.reset']

/**
 * @param handlers event name to what is done with the event, and with whether it is the first since a reconnect
 * @param query what the server is told beside the page's name
 */
export function follow (panel, handlers, query = {}) {
  const source = new window.EventSource(`/streams/${panel.name}?${new URLSearchParams({ client, ...query })}`)
  let opened = false
  let resumed = false
  let lastId = ''
  panel.setState('connecting')

  source.addEventListener('open', () => {
    panel.setState('open')
    if (opened) panel.resume()
    resumed = opened
    opened = true
  })
  source.addEventListener('error', () => {
    panel.setState(source.readyState === source.CLOSED ? 'closed' : 'reconnecting')
  })
  const receive = (event) => {
    // An event without an id comes with that of the last one that had one.
    panel.receive(event, frameOf(event, event.type === 'sse.cursor' || event.lastEventId !== lastId))
    lastId = event.lastEventId
  }
  for (const [name, handle] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => {
      receive(event)
      handle(event, resumed)
      resumed = false
    })
  }
  for (const name of CONTROL) {
    if (!(name in handlers)) source.addEventListener(name, receive)
  }
  return source
}

// A page sees no bytes of an EventSource.
function frameOf ({ type, data, lastEventId }, hasId) {
  const lines = data.split('\n').map((line) => `data: ${line}\n`)
  return `event: ${type}\n${lines.join('')}${hasId ? `id: ${lastEventId}\n` : ''}`
}
