// A text that comes word by word as the answer to a POST, as a chat model's does.
import { setTimeout } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import { write } from './markov.js'

const MS_PER_WORD = 45

export async function answer (app, { answers }) {
  app.post('/answers', {
    schema: {
      tags: ['Streams'],
      summary: 'Answer',
      body: Type.Object({ question: Type.String({ maxLength: 200 }) }),
      sse: {
        begin: Type.Object({ answer: Type.Integer() }),
        word: Type.Object({ text: Type.String() }),
        done: Type.Object({ words: Type.Integer() })
      }
    },
    config: { sse: { maxConnections: 20 } }
  }, (request, reply) => reply.sse(async function * ({ signal, events }) {
    const answer = answers.begin()
    let words = 0
    let stopped = true
    try {
      yield events.begin({ answer })
      for (const text of write(request.body.question)) {
        yield events.word({ text }, { id: ++words })
        await setTimeout(MS_PER_WORD, undefined, { signal }) // throws as soon as the reader has left
      }
      stopped = false
      yield events.done({ words })
    } finally {
      answers.end({ answer, words, stopped })
    }
  }))
}
