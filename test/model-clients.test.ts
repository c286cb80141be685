// The official clients of two model providers, pointed at the demo's routes that speak as these providers do.
import { EventEmitter, once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import Anthropic from '@anthropic-ai/sdk'
import Fastify, { type FastifyPluginAsync } from 'fastify'
import OpenAI from 'openai'
import t, { type Test } from 'tap'
import sse, { type SseClosed } from '../lib/index.js'

interface Answers { begin (): number, end (last: object): void, readonly now: { running: number, finished: number, stopped: number } }

/** The demo is JavaScript, as its readers' programs may be. */
const demo = async <Module> (file: string) => await import(new URL(`../examples/demo/${file}`, import.meta.url).href) as Module

async function serve (t: Test) {
  const { models } = await demo<{ models: FastifyPluginAsync<{ answers: Answers, msPerWord: number }> }>('models.js')
  const { AnswerCount } = await demo<{ AnswerCount: new () => Answers }>('answer-count.js')
  const app = Fastify({ forceCloseConnections: true }) // a fetch that was cancelled may have connected again, and Node.js waits for its request
  t.teardown(() => app.close())
  const closes = new EventEmitter()
  const answers = new AnswerCount()
  await app.register(sse, { onClose: (closed) => { closes.emit('close', closed) } })
  await app.register(models, { answers, msPerWord: 1 })
  const base = await app.listen({ port: 0, host: '127.0.0.1' })
  const closed = once(closes, 'close') as Promise<[SseClosed]>
  return {
    base,
    /** How its stream ended, and what has become of the answer when its source has ended too. */
    async end () {
      const [{ reason, events }] = await closed
      while (answers.now.running > 0) await turn()
      return { reason, events, ...answers.now }
    }
  }
}

const messages = [{ role: 'user' as const, content: 'What about trees?' }]

t.test("OpenAI's client reads to the end, and is heard when it leaves", async (t) => {
  const { base, end } = await serve(t)
  const client = new OpenAI({ apiKey: 'none', baseURL: `${base}/v1`, maxRetries: 0 })
  const deltas: string[] = []
  const reasons = new Set<string | null>()
  for await (const { choices: [choice] } of await client.chat.completions.create({ model: 'markov-1', messages, stream: true })) {
    deltas.push(choice?.delta.content ?? '')
    reasons.add(choice?.finish_reason ?? null)
  }
  t.ok(deltas.length > 50, `${deltas.length} deltas`)
  t.match(deltas.join(''), /^\S.+\.$/s)
  t.strictSame([...reasons], [null, 'stop'])
  t.match(await end(), { reason: 'complete', events: deltas.length, finished: 1, stopped: 0 })

  const whole = await client.chat.completions.create({ model: 'markov-1', messages })
  t.match(whole.choices[0]?.message.content, /\.$/)

  const other = await serve(t)
  for await (const chunk of await new OpenAI({ apiKey: 'none', baseURL: `${other.base}/v1` }).chat.completions.create({ model: 'markov-1', messages, stream: true })) {
    if (chunk.choices[0]?.delta.content) break
  }
  t.match(await other.end(), { reason: 'client', finished: 0, stopped: 1 })
})

t.test("Anthropic's client reads to the end, and is heard when it leaves", async (t) => {
  const { base, end } = await serve(t)
  const client = new Anthropic({ apiKey: 'none', baseURL: base, maxRetries: 0 })
  const stream = client.messages.stream({ model: 'markov-1', max_tokens: 1000, messages })
  let text = ''
  stream.on('text', (delta) => { text += delta })
  const message = await stream.finalMessage()
  t.match(text, /^\S.+\.$/s)
  t.match(message, { role: 'assistant', stop_reason: 'end_turn', content: [{ type: 'text', text }] })
  t.match(await end(), { reason: 'complete', finished: 1, stopped: 0 })

  const whole = await client.messages.create({ model: 'markov-1', max_tokens: 1000, messages })
  t.match(whole.content, [{ type: 'text', text: /\.$/ }])

  const other = await serve(t)
  const left = new Anthropic({ apiKey: 'none', baseURL: other.base }).messages.stream({ model: 'markov-1', max_tokens: 1000, messages })
  left.on('text', () => left.abort())
  await t.rejects(left.done(), Anthropic.APIUserAbortError)
  t.match(await other.end(), { reason: 'client', finished: 0, stopped: 1 })
})

t.test('a bad request is theirs to tell', async (t) => {
  const { base } = await serve(t)
  await t.rejects(new OpenAI({ apiKey: 'none', baseURL: `${base}/v1`, maxRetries: 0 }).chat.completions.create({ model: 'markov-1', messages: [], stream: true }), { status: 400, name: 'Error' } as never)
  await t.rejects(new Anthropic({ apiKey: 'none', baseURL: base, maxRetries: 0 }).messages.create({ model: 'markov-1', max_tokens: 1, messages: [], stream: true }), { status: 400, name: 'Error' } as never)
})
