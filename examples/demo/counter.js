// The counter that every tutorial of Server-Sent Events begins with.
import { setTimeout } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import { pageQuery } from './connections.js'

const Update = Type.Object({ count: Type.Integer(), time: Type.String({ format: 'date-time' }) }, { description: 'One a second' })

export async function counter (app) {
  app.get('/streams/counter', {
    schema: { tags: ['Streams'], summary: 'Counter', querystring: pageQuery, sse: { update: Update } },
    config: { panel: 'counter' }
  }, (request, reply) => reply.sse(async function * ({ signal, lastEventId, events }) {
    for (let count = countOf(lastEventId) + 1; !signal.aborted; count++) {
      yield events.update({ count, time: new Date().toISOString() }, { id: count })
      await setTimeout(1000, undefined, { signal })
    }
  }))
}

/** Anybody can send any `Last-Event-ID`. Fifteen digits are the most that are always exact. */
function countOf (lastEventId = '') {
  return /^\d{1,15}$/.test(lastEventId) ? Number(lastEventId) : 0
}
