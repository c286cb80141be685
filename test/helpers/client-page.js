// What a page does with the client, in a browser, and what it tells the server of it. It runs in a window and in a worker.
import { stream, subscribe } from '../../lib/client/index.ts'

const backoff = { first: 1 }

/** A subscription to its end. */
async function followed (source, options = {}) {
  const seen = []
  const states = []
  const subscription = await new Promise((resolve) => {
    const subscription = subscribe(source, {
      backoff,
      on: { tick: ({ n }, { id }) => seen.push([n, id]) },
      onState (state, error) {
        states.push(error === undefined ? [state] : [state, error.status ?? error.code])
        if (state === 'closed') resolve(subscription)
      },
      ...options
    })
  })
  return { seen, states, lastEventId: subscription.lastEventId }
}

/** A stream to its end. */
async function iterated (path, options) {
  const seen = []
  const states = []
  const onState = (state, error) => states.push(error === undefined ? [state] : [state, error.status ?? error.code])
  try {
    for await (const { data: { n }, id } of stream(path, { backoff, onState, ...options })) seen.push([n, id])
  } catch (error) {
    return { seen, states, failed: error.code ?? error.name }
  }
  return { seen, states }
}

async function stopped (path) {
  for await (const { data } of stream(path, { method: 'POST', headers: { 'content-type': 'application/json', authorization: 'Bearer secret' }, body: '{"to":1000000000}' })) if (data.n === 1) return data
}

/** Each by what it shows. */
export async function run (other) { // its URLs are relative to the page, or to the worker's script
  return {
    'a subscription ends with its stream': await followed('ticks?all'),
    'an EventSource is taken over': await followed(new EventSource('ticks')),
    'a proxy\'s 502 is survived': await followed('flaky'),
    '204 is the end': await followed('over'),
    '404 is the end': await followed('missing'),
    'a silent connection is given up': await followed('mute', { silence: 1_000 }),
    'a stream is iterated to its end': await iterated('ticks'),
    'a connection that is cut is resumed': await iterated('cut'),
    'another origin is resumed, too': await iterated(`${other}${location.pathname.replace(/[^/]*$/, 'cut')}`),
    'a POST is stopped by leaving the loop': await stopped('count'),
    'a redirect is followed where there is nothing to lose': await iterated('away'),
    'a redirect is refused where there is': await iterated('away', { headers: { authorization: 'Bearer secret' } }),
    'a body is not redirected': await iterated('away', { method: 'POST', body: 'secret' })
  }
}
