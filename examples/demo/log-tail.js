// The tail of the log file. An entry's id is the place where the next one begins, so a reconnect goes on exactly there.
import { once } from 'node:events'
import { Type } from '@sinclair/typebox'
import { pageQuery } from './connections.js'
import { END } from './log-file.js'

/** What a newcomer gets of the past. */
const RECENT_BYTES = 2048

/** Raw text, one `data` line a line, and not JSON. */
const Entry = Type.String({ contentMediaType: 'text/plain' })

export async function logTail (app, { log }) {
  app.get('/streams/log', {
    schema: { tags: ['Streams'], summary: 'Log', querystring: pageQuery, sse: { entry: Entry } },
    config: { panel: 'log' }
  }, (request, reply) => reply.sse(async function * ({ signal, lastEventId, events }) {
    let place = await resume(log, lastEventId)
    while (!signal.aborted) {
      const { changes } = log
      const { place: from, bytes } = await log.read(place)
      place = from
      for (const text of entriesOf(bytes)) {
        place += Buffer.byteLength(text + END)
        yield events.entry(text, { id: place })
      }
      // In the same turn as the look at `changes`, so that none comes between.
      if (place === from && log.changes === changes) await once(log, 'change', { signal })
    }
  }))
}

/** Anybody can send any `Last-Event-ID`: it counts only where it names the end of an entry. */
async function resume (log, lastEventId = '') {
  if (/^\d{1,15}$/.test(lastEventId) && await log.isBoundary(Number(lastEventId))) return Number(lastEventId)
  if (log.end - log.start <= RECENT_BYTES) return log.start
  const { place, bytes } = await log.read(log.end - RECENT_BYTES)
  return place + bytes.indexOf(END) + END.length
}

/** Whole entries only: what follows the last blank line is still being written. */
function entriesOf (bytes) {
  return bytes.toString().split(END).slice(0, -1)
}
