// As raw.mjs, but events that are ready together are written together: the best that we know to write by hand.
import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { frameOf, listen } from './raw.mjs'

export const name = 'node:http, batched writes'
export const packages = []
export const workloads = ['stream', 'topic']

/** Half of it costs a tenth more, and twice as much saves nothing. */
const BATCH = 32_768
/** As this plugin has it: a turn of the event loop behind each batch cost a hundred streams a sixth more. */
const QUANTUM_MS = 1

export async function start (given) {
  const { payload } = given
  const server = await listen(given, {
    async '/stream' ({ n }, response) {
      let batch = ''
      let until = performance.now() + QUANTUM_MS
      for (let next = 0; next < n; next++) {
        batch += frameOf(payload(next))
        if (batch.length < BATCH) continue
        const isTaken = response.write(batch)
        batch = ''
        if (performance.now() >= until) {
          await turn() // of others: 'drain' alone may come before theirs
          until = performance.now() + QUANTUM_MS
        }
        if (!isTaken && response.writableNeedDrain) await once(response, 'drain')
      }
      response.end(batch)
    }
  })
  return {
    ...server,
    publish (from, count) {
      let text = ''
      for (let n = from; n < from + count; n++) text += frameOf(payload(n))
      const batch = Buffer.from(text)
      for (const response of server.topic) response.write(batch)
    }
  }
}
