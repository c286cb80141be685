// Follows one stream by a subscription, which reconnects by itself and says the last id when it does.
import { subscribe } from 'fastify-typed-sse/client'
import { client } from './client.js'

/** The server's own events. */
const CONTROL = ['sse.bye', 'sse.error', 'sse.cursor', 'sse.reset']

/**
 * @param handlers event name to what is done with the data, with the event, and with whether it is the first since a reconnect
 * @param options `query`: what the server is told beside the page's name; others are the subscription's
 */
export function follow (panel, handlers, { query = {}, onState, ...options } = {}) {
  let opened = false
  let resumed = false
  const receive = (handle, isControl) => (data, event) => {
    panel.receive(event)
    handle?.(data, event, resumed)
    if (!isControl) resumed = false
  }
  const names = [...CONTROL, ...Object.keys(handlers)]
  panel.setState('connecting')
  return subscribe(`/streams/${panel.name}?${new URLSearchParams({ client, ...query })}`, {
    ...options,
    on: Object.fromEntries(names.map((name) => [name, receive(handlers[name], CONTROL.includes(name))])),
    onState (state, error) {
      panel.setState(state === 'connecting' ? 'reconnecting' : state)
      if (state === 'open') {
        if (opened) panel.resume()
        resumed = opened
        opened = true
      }
      onState?.(state, error)
    }
  })
}
