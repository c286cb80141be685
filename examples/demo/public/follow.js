// Follows one stream by EventSource, which reconnects by itself and sends the last id when it does.

/** Names this page to the server, which cuts a connection of no other. */
const client = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, '0')).join('')

/** @param handlers event name to what is done with the event, and with whether it is the first since a reconnect */
export function follow (panel, handlers) {
  const path = `${panel.name}?client=${client}`
  const source = new window.EventSource(`/streams/${path}`)
  let opened = false
  let resumed = false
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
  for (const [name, handle] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => {
      panel.receive(event, frameOf(event, panel))
      handle(event, resumed)
      resumed = false
    })
  }
  for (const name of ['sse.bye', 'sse.error']) {
    source.addEventListener(name, (event) => panel.receive(event, frameOf(event, panel)))
  }

  panel.find('cut').addEventListener('click', async () => {
    panel.mark('the server was asked to cut the connection')
    const { ok } = await fetch(`/cut/${path}`, { method: 'POST' })
    if (!ok) panel.setNote('There is no connection to cut')
  })
}

// A page sees no bytes of an EventSource. An event without an id comes with that of the last one that had one.
function frameOf ({ type, data, lastEventId }, { numbered }) {
  const lines = data.split('\n').map((line) => `data: ${line}\n`)
  return `event: ${type}\n${lines.join('')}${type === numbered ? `id: ${lastEventId}\n` : ''}`
}
