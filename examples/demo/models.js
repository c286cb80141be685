// The streams of two well-known chat APIs, so that their own clients can be pointed at this server. Both name the events and the end
// of a stream in their ways, which is what `minimal` and `done` are for; neither has anything of a model here.
import { setTimeout } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import { write } from './markov.js'

const MODEL = 'markov-1'

const Parts = Type.Array(Type.Object({ type: Type.String(), text: Type.Optional(Type.String({ maxLength: 2000 })) }), { maxItems: 20 })
const Question = Type.Object({
  model: Type.Optional(Type.String()),
  messages: Type.Array(Type.Object({ role: Type.String(), content: Type.Union([Type.String({ maxLength: 2000 }), Parts]) }), { minItems: 1, maxItems: 50 }),
  stream: Type.Optional(Type.Boolean())
})

// https://platform.openai.com/docs/api-reference/chat-streaming
const Chunk = Type.Object({
  id: Type.String(),
  object: Type.Literal('chat.completion.chunk'),
  created: Type.Integer(),
  model: Type.String(),
  choices: Type.Array(Type.Object({
    index: Type.Integer(),
    delta: Type.Object({ role: Type.Optional(Type.Literal('assistant')), content: Type.Optional(Type.String()) }),
    finish_reason: Type.Union([Type.Literal('stop'), Type.Null()])
  }))
})

// https://platform.claude.com/docs/en/build-with-claude/streaming
const of = (type, properties) => Type.Object({ type: Type.Literal(type), ...properties })
const Usage = Type.Object({ input_tokens: Type.Integer(), output_tokens: Type.Integer() })
const Message = Type.Object({
  id: Type.String(),
  type: Type.Literal('message'),
  role: Type.Literal('assistant'),
  model: Type.String(),
  content: Type.Array(Type.Object({ type: Type.Literal('text'), text: Type.String() })),
  stop_reason: Type.Union([Type.Literal('end_turn'), Type.Null()]),
  stop_sequence: Type.Null(),
  usage: Usage
})
const messageEvents = {
  message_start: of('message_start', { message: Message }),
  content_block_start: of('content_block_start', { index: Type.Integer(), content_block: Type.Object({ type: Type.Literal('text'), text: Type.String() }) }),
  content_block_delta: of('content_block_delta', { index: Type.Integer(), delta: Type.Object({ type: Type.Literal('text_delta'), text: Type.String() }) }),
  content_block_stop: of('content_block_stop', { index: Type.Integer() }),
  message_delta: of('message_delta', { delta: Type.Object({ stop_reason: Type.Literal('end_turn'), stop_sequence: Type.Null() }), usage: Type.Object({ output_tokens: Type.Integer() }) }),
  message_stop: of('message_stop', {})
}

export async function models (app, { answers, msPerWord = 45 }) {
  let count = 0

  /** Words, as fast as a model finds them, counted among the answers. */
  async function * speak (question, signal) {
    const answer = answers.begin()
    let words = 0
    let stopped = true
    try {
      for (const text of write(question)) {
        words++
        yield text
        await setTimeout(msPerWord, undefined, { signal }) // throws as soon as the reader has left
      }
      stopped = false
    } finally {
      answers.end({ answer, words, stopped })
    }
  }

  app.post('/v1/chat/completions', {
    schema: { tags: ['Streams'], summary: 'Chat, as OpenAI has it', body: Question, sse: { message: Chunk } },
    config: { sse: { minimal: true, done: '[DONE]', maxConnections: 20 } }
  }, async (request, reply) => {
    const answer = { id: `chatcmpl-${++count}`, created: Math.floor(Date.now() / 1000), model: MODEL }
    const question = textOf(request.body)
    if (request.body.stream !== true) {
      const content = (await collect(speak(question))).join('')
      return { ...answer, object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }] }
    }
    return reply.sse(async function * ({ signal }) {
      const chunk = (delta, reason = null) => ({ data: { ...answer, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: reason }] } })
      yield chunk({ role: 'assistant', content: '' })
      for await (const content of speak(question, signal)) yield chunk({ content })
      yield chunk({}, 'stop')
    })
  })

  app.post('/v1/messages', {
    schema: { tags: ['Streams'], summary: 'Messages, as Anthropic has them', body: Question, sse: messageEvents },
    config: { sse: { end: false, maxConnections: 20 } }
  }, async (request, reply) => {
    const message = { id: `msg_${++count}`, type: 'message', role: 'assistant', model: MODEL, content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 0, output_tokens: 0 } }
    const question = textOf(request.body)
    if (request.body.stream !== true) {
      const words = await collect(speak(question))
      return { ...message, content: [{ type: 'text', text: words.join('') }], stop_reason: 'end_turn', usage: { input_tokens: 0, output_tokens: words.length } }
    }
    return reply.sse(async function * ({ signal, events }) {
      const event = (type, rest = {}) => events[type]({ type, ...rest })
      let words = 0
      yield event('message_start', { message })
      yield event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } })
      for await (const text of speak(question, signal)) {
        words++
        yield event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })
      }
      yield event('content_block_stop', { index: 0 })
      yield event('message_delta', { delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: words } })
      yield event('message_stop')
    })
  })
}

async function collect (words) {
  const all = []
  for await (const word of words) all.push(word)
  return all
}

/** Of the last message. */
function textOf ({ messages }) {
  const { content } = messages.at(-1)
  return typeof content === 'string' ? content : content.map(({ text = '' }) => text).join(' ')
}
