// The figures of this machine, and the count of answers that are being written.
import { EventEmitter, once } from 'node:events'
import { Type } from '@sinclair/typebox'
import { pageQuery } from './connections.js'
import { Sampler } from './sampler.js'

const Bytes = Type.Integer({ minimum: 0 })
const Milliseconds = Type.Number({ minimum: 0 })
const Load = Type.Number({ minimum: 0 })

const Sample = Type.Object({
  load: Type.Object({ one: Load, five: Load, fifteen: Load }),
  memory: Type.Object({ used: Bytes, total: Bytes, process: Bytes }),
  delay: Type.Object({ median: Milliseconds, p99: Milliseconds, max: Milliseconds })
}, { additionalProperties: false })

const Answers = Type.Object({
  running: Type.Integer({ minimum: 0 }),
  finished: Type.Integer({ minimum: 0 }),
  stopped: Type.Integer({ minimum: 0 }),
  last: Type.Union([Type.Null(), Type.Object({ answer: Type.Integer(), words: Type.Integer(), stopped: Type.Boolean() })])
})

export async function machine (app, { answers }) {
  const sampler = new Sampler()
  app.addHook('onClose', async () => sampler.stop())

  const news = new EventEmitter().setMaxListeners(0) // one for each open stream
  sampler.on('sample', () => news.emit('news'))
  answers.on('change', () => news.emit('news'))

  app.get('/streams/machine', {
    schema: { tags: ['Streams'], summary: 'This machine', querystring: pageQuery, sse: { sample: Sample, answers: Answers } },
    config: { panel: 'machine' }
  }, (request, reply) => reply.sse(async function * ({ signal, lastEventId, events }) {
    let last = sampler.resume(lastEventId)
    let told
    while (!signal.aborted) {
      const sample = sampler.after(last)
      if (sample !== undefined) {
        const { count, ...figures } = sample
        last = count
        yield events.sample(figures, { id: count })
      } else if (told !== answers.now) {
        told = answers.now
        yield events.answers(told) // without an id: it is a state and not a step, so nobody need catch up on it
      } else {
        // In the same turn as both looks, so that nothing comes between them and the waiting.
        await once(news, 'news', { signal })
      }
    }
  }))
}
