// Every code block of the README, of docs/channels.md and of docs/client.md is compiled as it is printed, and does what the text around it says.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import Fastify, { type FastifyInstance } from 'fastify'
import { Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { EventSource } from 'eventsource'
import t, { type Test } from 'tap'
import { stream, subscribe, type EventSourceLike } from '../lib/client/index.js'
import sse, { type Topic } from '../lib/index.js'
import { RawSocket } from './helpers/raw-socket.js'
import { readStream, type StreamReader } from './helpers/read-events.js'
import { RedisServer, skip as noRedis } from './helpers/redis-server.js'

const root = resolve(fileURLToPath(import.meta.url), '../..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')

interface Block {
  title: string
  language: string
  code: string
}

/** Each block with the heading that it stands under, and a number where one heading has several. */
function blocksOf (markdown: string, document = ''): Block[] {
  const blocks: Block[] = []
  let heading = ''
  const counts = new Map<string, number>()
  for (const [, title, language, code] of markdown.matchAll(/^#+ (.*)$|^```(\w+)\n([\s\S]*?)^```$/gm)) {
    if (title !== undefined) heading = title
    else {
      const key = `${document}${heading} (${language})`
      const count = (counts.get(key) ?? 0) + 1
      counts.set(key, count)
      blocks.push({ title: `${key} ${count}`, language: language as string, code: code as string })
    }
  }
  return blocks
}

const blocks = [...blocksOf(readme), ...['channels.md', 'client.md'].flatMap((name) => blocksOf(readFileSync(join(root, 'docs', name), 'utf8'), `${name}: `))]
const find = (title: string): Block => {
  const block = blocks.find((block) => block.title === title)
  assert(block, `there is no block "${title}"; there are ${blocks.map(({ title }) => `"${title}"`).join(', ')}`)
  return block
}

const asEventSource = { accept: 'text/event-stream' }
const untilEnd = async (app: FastifyInstance, url: string, headers: Record<string, string> = asEventSource) =>
  (await app.inject({ url, headers })).body.replace(/^retry: \d+\n/, '')
const END = 'event: sse.end\ndata: {}\nid: ~end\n\n'

/** A stream over a real socket, when it has begun. */
async function follow (app: FastifyInstance, t: Test, path: string, headers: Record<string, string> = {}): Promise<StreamReader> {
  const stream = await readStream(await baseOf(app) + path, { headers })
  t.teardown(() => stream.close())
  return stream
}

async function baseOf (app: FastifyInstance): Promise<string> {
  if (!app.server.listening) await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as { port: number } // it listens on one
  return `http://127.0.0.1:${port}`
}

/** Runs the lines of a page of this application, with what they take for granted, and gives what `result` names in them. */
async function inBrowser (app: FastifyInstance, t: Test, code: string, given: Record<string, unknown> = {}, result = 'undefined', headers: Record<string, string> = {}): Promise<unknown> {
  const base = await baseOf(app)
  class Browser extends EventSource {
    constructor (path: string) {
      super(base + path, { fetch: async (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...headers } }) })
      t.teardown(() => this.close())
    }
  }
  // eslint-disable-next-line no-new-func -- these are the document's own lines
  return new Function('EventSource', ...Object.keys(given), `${code}\nreturn ${result}`)(Browser, ...Object.values(given))
}

/** Runs a block that is written for pages of this application, as JavaScript, with what it takes for granted. */
async function inPage (app: FastifyInstance, t: Test, title: string, given: Record<string, unknown>, options: object = {}): Promise<void> {
  const base = await baseOf(app)
  const here = (url: string) => base + new URL(url, base).pathname
  const connect = (url: string): EventSourceLike => new EventSource(url)
  const names: Record<string, unknown> = {
    EventSource,
    stream: (url: string, init: object) => stream(here(url), init),
    subscribe (url: string, own: { on: Record<string, () => void> }) {
      const subscription = subscribe(here(url), { connect, ...own, ...options })
      t.teardown(() => subscription.close())
      return subscription
    },
    ...given
  }
  const code = find(title).code.replace(/^import .*$/gm, '')
  const { outputText } = ts.transpileModule(code, { compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext } })
  // eslint-disable-next-line no-new-func -- these are the document's own lines
  await new Function(...Object.keys(names), `return (async () => {${outputText}\n})()`)(...Object.values(names))
}

/** With what failed, if something did, when the subscription of a block is over. */
async function untilClosed (app: FastifyInstance, t: Test, title: string, given: Record<string, unknown>): Promise<unknown> {
  return await new Promise((resolve, reject) => {
    const onState = (state: string, error: unknown) => { if (state === 'closed') resolve(error) }
    inPage(app, t, title, given, { onState }).catch(reject)
  })
}

/** Frames with their positions numbered in the order in which they come, since no two runs have the same. */
function numbered (frames: string): string {
  const positions: string[] = []
  return frames.trimEnd().replace(/^retry: \d+\n/, '').replace(/[\w-]{8}\.\d{13}-\d+/g, (position) => {
    if (!positions.includes(position)) positions.push(position)
    return `position-${positions.indexOf(position)}`
  })
}

const idsIn = (frames: string) => [...frames.matchAll(/^id: (.*)$/gm)].map(([, id]) => id as string)
const LOST_RESET = 'channels.md: How a client resumes (text) 1'

interface Exercise {
  /** What the block takes for granted, beside `app`, `Type`, `assert`, `EventsOf` and `ContextOf`. */
  given?: string
  /** Whether `app` has TypeBox's type provider. */
  typed?: true
  /** Whether the block registers the plugin itself. */
  bare?: true
  /** Whether it needs a Redis, which has a port of its own here. */
  redis?: true
  /** Whether the block is for pages: `holds` runs it, beside what is given. */
  page?: true
  /** Names that the block declares and that `holds` needs. */
  exports?: string[]
  /** Blocks in other languages that `holds` looks at, too. */
  also?: string[]
  /** What it does. */
  holds (app: FastifyInstance, t: Test, exported: Record<string, unknown>): Promise<void>
}

async function isLive (app: FastifyInstance, t: Test): Promise<void> {
  t.strictSame(app.sse.health(), { state: 'live' })
}

const snippets: Record<string, Exercise> = {
  'Typed events (ts) 1': {
    async holds (app, t) {
      const { statusCode, json } = await app.inject('/job')
      t.equal(statusCode, 200)
      t.throws(json, 'it is a stream, which the lines that do not compile end')
      t.equal(await untilEnd(app, '/job'), 'event: progress\ndata: {"done":1,"total":2}\n\nevent: result\ndata: {"url":"https://example.com/"}\n\nevent: sse.error\ndata: {"message":"The stream failed"}\n\n')
    }
  },
  'Typed events (ts) 2': {
    async holds (app, t) {
      t.equal(await untilEnd(app, '/count'), `event: tick\ndata: {"n":1}\n\nevent: tick\ndata: {"n":2}\n\nevent: tick\ndata: {"n":3}\n\n${END}`)
    }
  },
  'Resuming (ts) 1': {
    given: `
      const Order = Type.Object({ number: Type.String() })
      const orders = {
        async * since (id: string | undefined, _signal: AbortSignal) {
          for (const number of ['1', '2', '3']) if (id === undefined || number > id) yield { number }
        }
      }`,
    async holds (app, t) {
      t.equal(await untilEnd(app, '/orders', { ...asEventSource, 'last-event-id': '2' }), `event: order\ndata: {"number":"3"}\nid: 3\n\n${END}`)
    }
  },
  'Errors (ts) 1': {
    given: `
      const Row = Type.Array(Type.Integer())
      const reports = {
        async find (params: unknown) {
          return (params as { id: string }).id === '7' ? { async * rows () { yield [1, 2] } } : undefined
        }
      }`,
    async holds (app, t) {
      t.equal(await untilEnd(app, '/report/7'), `event: row\ndata: [1,2]\n\n${END}`)
      const missing = await app.inject('/report/8')
      t.equal(missing.statusCode, 404)
      t.equal(missing.json().message, 'No such report')
    }
  },
  'Ending (ts) 1': {
    given: `
      const Progress = Type.Object({ done: Type.Integer(), total: Type.Integer() })
      async function * importFile (_options: { signal: AbortSignal }) { yield [1, 1] as const }`,
    async holds (app, t) {
      t.equal(await untilEnd(app, '/import'), `event: progress\ndata: {"done":1,"total":1}\n\n${END}`)
      t.equal((await app.inject({ url: '/import', headers: { ...asEventSource, 'last-event-id': '~end' } })).statusCode, 204)
      t.equal(await untilEnd(app, '/import', {}), 'event: progress\ndata: {"done":1,"total":1}\n\n')
    }
  },
  'Ending (ts) 2': {
    given: `
      const Prompt = Type.Object({ prompt: Type.String() })
      const model = { async * complete (_body: unknown, _options: { signal: AbortSignal }) { yield * ['Hel', 'lo'] } }`,
    async holds (app, t) {
      const { body } = await app.inject({ method: 'POST', url: '/chat', payload: { prompt: 'hi' } })
      t.equal(body, 'data: {"delta":"Hel"}\n\ndata: {"delta":"lo"}\n\ndata: [DONE]\n\n')
    }
  },
  'Cancellation (ts) 1': {
    given: `
      import http from 'node:http'
      import type { AddressInfo } from 'node:net'
      const server = http.createServer((_request, response) => { response.write('a\\nb\\n') }).listen(0)
      app.addHook('onClose', async () => { server.closeAllConnections(); server.close() })
      const upstream = \`http://127.0.0.1:\${(server.address() as AddressInfo).port}\`
      export const log: string[] = []
      async function * lines (body: AsyncIterable<Uint8Array> | null) {
        for await (const chunk of body ?? []) yield * Buffer.from(chunk).toString().trimEnd().split('\\n')
      }`,
    async holds (app, t, { log }) {
      const base = await app.listen({ port: 0, host: '127.0.0.1' })
      const client = await RawSocket.request(base, '/mirror')
      await client.until('data: a\n\ndata: b\n\n')
      client.leave()
      while (app.sse.stats().open > 0) await delay(1)
      while ((log as string[]).length === 0) await delay(1)
      t.strictSame(log, ['stopped'])
    }
  },
  'OpenAPI (ts) 1': {
    also: ['OpenAPI (json) 1'],
    given: "const ticks = [{ event: 'tick' as const, data: { n: 1 } }]",
    async holds (app, t) {
      await app.ready()
      const { '/ticks': { get: { responses } } } = JSON.parse(JSON.stringify(app.swagger())).paths
      const [tick, ...others] = responses['200'].content['text/event-stream'].itemSchema.oneOf
      t.strictSame(tick, JSON.parse(find('OpenAPI (json) 1').code))
      t.ok(others.every(({ title }: { title: string }) => title.startsWith('sse.')))
      t.strictSame(Object.keys(responses), ['200', '204', '503'])
      t.equal(await untilEnd(app, '/ticks'), `event: tick\ndata: {"n":1}\n\n${END}`)
    }
  },
  'Testing your streams (ts) 1': {
    async holds (_app, t) { t.pass('its own assertions have held') }
  },
  'Testing your streams (ts) 2': {
    typed: true,
    given: `
      const Shop = Type.Object({ shop: Type.String() })
      const orders = app.sse.channel('orders/:shop', { events: { placed: Type.Object({ number: Type.String() }) } })
      app.get('/:shop/orders', { schema: { params: Shop, sse: orders.events } }, (request, reply) =>
        reply.sse(orders.at(request.params).subscribe()))`,
    async holds (app, t) {
      t.equal(app.sse.stats().closed.client, 2, 'its own assertions have held, and it has left')
    }
  },
  'Channels (ts) 1': {
    typed: true,
    also: ['Channels (text) 1', 'Channels (js) 1'],
    given: `
      const Shop = Type.Object({ shop: Type.String() })
      const Order = Type.Object({ number: Type.String() })
      const Payment = Type.Object({ number: Type.String() })`,
    async holds (app, t) {
      const acme = await follow(app, t, '/acme/orders')
      const other = await follow(app, t, '/other/orders')
      const place = (shop: string, number: string) => app.inject({ method: 'POST', url: `/${shop}/orders`, payload: { number } })
      t.equal((await place('acme', '1')).statusCode, 200)
      await acme.until((text) => idsIn(text).length === 2)
      t.equal(numbered(acme.text), numbered(find('Channels (text) 1').code))
      await place('other', '2')
      await other.until('"2"')
      t.notMatch(other.text, '"1"', 'another topic')

      const [first, last] = idsIn(acme.text) as [string, string]
      const back = await follow(app, t, '/acme/orders', { 'last-event-id': first })
      await back.until(`event: placed\ndata: {"number":"1"}\nid: ${last}\n\n`)

      const page = find('Channels (js) 1').code
      const shown: unknown[] = []
      await inBrowser(app, t, page, { show: (order: unknown) => shown.push(order), reload: () => t.fail('nothing was missed') }, undefined, { 'last-event-id': first })
      while (shown.length === 0) await delay(1)
      t.strictSame(shown, [{ number: '1' }])
      await new Promise<void>((resolve) => { void inBrowser(app, t, page, { show () {}, reload: resolve }, undefined, { 'last-event-id': 'of-another-server' }) })
    }
  },
  'Channels (ts) 2': {
    typed: true,
    given: `
      import type { FastifyRequest } from 'fastify'
      const Mail = Type.Object({ subject: Type.String() })
      const User = Type.Object({ user: Type.String() })
      const users = new Set(['ann', 'bob'])
      const sessions = {
        userOf ({ headers: { cookie = '' } }: FastifyRequest) { return users.has(cookie) ? cookie : undefined },
        end ({ headers: { cookie = '' } }: FastifyRequest) { users.delete(cookie); return cookie }
      }`,
    async holds (app, t) {
      const refused = await app.inject({ url: '/inbox/ann', headers: { ...asEventSource, cookie: 'bob' } })
      t.equal(refused.statusCode, 403)
      t.equal(refused.json().code, 'SSE_ERR_FORBIDDEN')
      const ann = await follow(app, t, '/inbox/ann', { cookie: 'ann' })
      const bob = await follow(app, t, '/inbox/bob', { cookie: 'bob' })
      t.equal((await app.inject({ method: 'POST', url: '/logout', headers: { cookie: 'ann' } })).statusCode, 200)
      t.match(await ann.end(), /event: sse\.bye\nretry: \d+\ndata: {"reason":"disconnected"}\n\n$/)
      t.equal(app.sse.stats().open, 1, 'the other one stands')
      bob.close()
      t.equal((await app.inject({ url: '/inbox/ann', headers: { ...asEventSource, cookie: 'ann' } })).statusCode, 403)
    }
  },
  'The client (ts) 1': {
    page: true,
    given: `
      app.get('/ticks', (request, reply) => reply.sse([1, 2, 3].map((n) => ({ event: 'tick', data: { n }, id: n }))))
      declare function show (n: number, id: string): void
      declare function reload (): void
      declare function tell (state: string, message: string | undefined): void`,
    async holds (app, t) {
      const shown: unknown[] = []
      const told: unknown[] = []
      const closed = new Promise<void>((resolve) => {
        const tell = (...given: unknown[]) => { told.push(given); if (given[0] === 'closed') resolve() }
        void inPage(app, t, 'The client (ts) 1', { show: (...given: unknown[]) => { shown.push(given) }, reload: () => t.fail('nothing was missed'), tell })
      })
      await closed
      t.strictSame(shown, [[1, '1'], [2, '2'], [3, '3']])
      t.strictSame(told, [['open', undefined], ['closed', undefined]])
    }
  },
  'The client (ts) 2': {
    page: true,
    given: `
      app.post('/answers', (request, reply) => {
        if (request.headers.authorization !== 'Bearer ann') return reply.code(401).send()
        return reply.sse((request.body as { question: string }).question.split(' ').map((text) => ({ event: 'word', data: { text } })))
      })
      declare const token: string
      declare function write (text: string): void`,
    async holds (app, t) {
      const written: unknown[] = []
      await inPage(app, t, 'The client (ts) 2', { token: 'ann', write: (text: unknown) => { written.push(text) } })
      t.strictSame(written, ['Why?'])
      await t.rejects(inPage(app, t, 'The client (ts) 2', { token: 'bob' }), { code: 'SSE_ERR_NO_STREAM', message: /401/ })
    }
  },
  'The client (ts) 3': {
    page: true,
    given: `
      app.get('/ticks', (request, reply) => reply.sse([{ event: 'tick', data: { n: 1 } }, { event: 'tick', data: { n: 'two' } }]))
      declare function show (n: number): void`,
    async holds (app, t) {
      const shown: unknown[] = []
      const schemas = { tick: Type.Object({ n: Type.Integer() }) }
      const error = await untilClosed(app, t, 'The client (ts) 3', { Value, schemas, show: (n: unknown) => { shown.push(n) } })
      t.strictSame(shown, [1])
      t.match(error, { code: 'SSE_ERR_INVALID_DATA', event: 'tick' })
    }
  },
  'client.md: When it comes back (ts) 1': {
    page: true,
    given: `
      import { subscribe, type EventsOf as Events } from 'fastify-typed-sse/client'
      import type { schemas } from './schemas.js'
      type Ticks = Events<typeof schemas>
      declare function show (n: number): void
      void subscribe
      app.get('/ticks', (request, reply) => reply.sse(function * () { yield { event: 'tick', data: { n: 1 } }; throw new Error('broken') }))`,
    async holds (app, t) {
      const shown: unknown[] = []
      const error = await untilClosed(app, t, 'client.md: When it comes back (ts) 1', { show: (n: unknown) => { shown.push(n) } })
      t.strictSame(shown, [1])
      t.match(error, { code: 'SSE_ERR_STREAM_FAILED' })
    }
  },
  'client.md: When it comes back (ts) 2': {
    page: true,
    given: `
      import { EventSource } from 'eventsource'
      import { subscribe, type EventsOf as Events } from 'fastify-typed-sse/client'
      import type { schemas } from './schemas.js'
      type Ticks = Events<typeof schemas>
      declare function show (n: number): void
      void [EventSource, subscribe]
      export const asked: unknown[] = []
      app.get('/ticks', (request, reply) => {
        asked.push([request.method, request.headers.authorization])
        return asked.length < 2 ? reply.code(502).send() : reply.sse([{ event: 'tick', data: { n: 1 } }])
      })`,
    async holds (app, t, { asked }) {
      const shown: unknown[] = []
      t.equal(await untilClosed(app, t, 'client.md: When it comes back (ts) 2', { show: (n: unknown) => { shown.push(n) } }), undefined)
      t.strictSame(shown, [1])
      t.strictSame(asked, [['GET', 'Bearer ann'], ['HEAD', 'Bearer ann'], ['GET', 'Bearer ann']])
    }
  },
  'channels.md: Publishing (ts) 1': {
    also: [LOST_RESET],
    exports: ['topic', 'position'],
    given: `
      const orders = app.sse.channel('orders/:shop', { events: { placed: Type.Object({ number: Type.String() }) } })
      app.get('/orders', (request, reply) => reply.sse(orders.at({ shop: 'acme' }).subscribe()))
      const order = { number: '1' }`,
    async holds (app, t, { topic: exported, position }) {
      const topic = exported as Topic<{ placed: { number: string } }> // as the block says
      t.equal(await topic.publish('placed', { number: '9' }, { dedupe: '1' }), position)
      t.not(await topic.publish('placed', { number: '2' }), position)
      t.equal(app.sse.channel('news/:section', { events: {} }).at({ section: 'a/b é' }).name, 'news/a%2Fb%20%C3%A9')
      t.throws(() => app.sse.channel('orders/all', { events: {} }), { code: 'SSE_ERR_CHANNEL_DEFINED' })

      const epoch = (position as string).split('.')[0] as string
      const back = await follow(app, t, '/orders', { 'last-event-id': `${epoch}.1-0` })
      t.equal(back.headers['sse-reset'], 'orders/acme;lost')
      t.equal(numbered(await back.until((text) => idsIn(text).length === 1)), numbered(find(LOST_RESET).code))
    }
  },
  'channels.md: Subscribing (ts) 1': {
    typed: true,
    given: `
      const Shop = Type.Object({ shop: Type.String() })
      export const orders = app.sse.channel('orders/:shop', { events: { placed: Type.Object({ total: Type.Integer() }) } })`,
    async holds (app, t, { orders }) {
      const topic = (orders as { at (params: object): Topic<{ placed: { total: number } }> }).at({ shop: 'acme' })
      for (const total of [1, 1000, 2, 2000]) await topic.publish('placed', { total })
      const stream = await follow(app, t, '/acme/large')
      await stream.until('2000')
      t.strictSame([...stream.text.matchAll(/^data: (.*)$/gm)].map(([, data]) => data), ['{}', '{"total":1000}', '{"total":2000}'])
    }
  },
  'channels.md: Slow readers (ts) 1': {
    exports: ['gauges'],
    async holds (app, t, { gauges }) {
      const topic = gauges as Topic<{ gauge: { name: string, value: number } }>
      const stream = await follow(app, t, '/gauges')
      const publish = (name: string, value: number) => topic.publish('gauge', { name, value })
      await Promise.all([publish('a', 1), publish('b', 1), publish('a', 2), publish('a', 3)])
      await stream.until('"value":3')
      t.strictSame([...stream.text.matchAll(/^data: (.*)$/gm)].map(([, data]) => data), ['{}', '{"name":"b","value":1}', '{"name":"a","value":3}'])
    }
  },
  'channels.md: Snapshots (ts) 1': {
    typed: true,
    also: ['channels.md: Snapshots (js) 1'],
    given: `
      const Price = Type.Object({ symbol: Type.String(), price: Type.Integer() })
      const prices_ = new Map([['a', 1]])
      export const gate = { asked: () => {}, open: Promise.resolve() }
      const store = {
        async all () {
          const read = Array.from(prices_, ([symbol, price]) => ({ symbol, price }))
          gate.asked()
          await gate.open
          return read
        },
        async set ({ symbol, price }: { symbol: string, price: number }) { prices_.set(symbol, price) }
      }`,
    async holds (app, t, exported) {
      const gate = exported['gate'] as { asked: () => void, open: Promise<void> } // as given above
      const put = (price: number) => app.inject({ method: 'PUT', url: '/prices', payload: { symbol: 'a', price } })
      let open = () => {}
      gate.open = new Promise((resolve) => { open = resolve })
      const asked = new Promise<void>((resolve) => { gate.asked = resolve })
      const following = follow(app, t, '/prices')
      await asked
      t.equal((await put(2)).statusCode, 200, 'while the snapshot runs')
      open()
      const stream = await following
      await stream.until((text) => idsIn(text).length === 2)
      t.strictSame([...stream.text.matchAll(/^(?:event|data): (.*)$/gm)].map(([, line]) => line), ['all', '[{"symbol":"a","price":1}]', 'sse.cursor', '{}', 'price', '{"symbol":"a","price":2}'])

      const table = await inBrowser(app, t, find('channels.md: Snapshots (js) 1').code, {}, 'table') as Map<string, number>
      while (table.get('a') !== 2) await delay(1)
      await put(3)
      while (table.get('a') !== 3) await delay(1)
    }
  },
  'channels.md: Several topics (ts) 1': {
    typed: true,
    also: ['channels.md: Several topics (text) 1'],
    given: `
      const Shop = Type.Object({ shop: Type.String() })
      export const news = app.sse.channel('news', { events: { headline: Type.String() } })
      export const orders = app.sse.channel('orders/:shop', { events: { placed: Type.Object({ number: Type.String() }) } })`,
    async holds (app, t, exported) {
      const news = exported['news'] as Topic<{ headline: string }> // as given above
      const stream = await follow(app, t, '/acme/board')
      await news.publish('headline', 'Open until ten')
      await stream.until('ten')
      const frames = await stream.until((text) => idsIn(text).length === 2)
      t.equal(numbered(frames.slice(frames.indexOf('event: headline'))), numbered(find('channels.md: Several topics (text) 1').code))

      // A topic that the id says nothing of.
      const [first] = idsIn(frames) as [string]
      const back = await follow(app, t, '/acme/board', { 'last-event-id': first.split('~')[0] as string })
      t.equal(back.headers['sse-reset'], 'orders/acme;unknown')
      await back.until('ten')
      const malformed = await follow(app, t, '/acme/board', { 'last-event-id': `${first}~` })
      t.equal(malformed.headers['sse-reset'], 'news;unknown, orders/acme;unknown')
    }
  },
  'channels.md: Who may (ts) 1': {
    typed: true,
    given: `
      import type { FastifyRequest } from 'fastify'
      const Room = Type.Object({ room: Type.String() })
      const Member = Type.Object({ room: Type.String(), user: Type.String() })
      const list = new Set(['a ann', 'a bob'])
      const members = {
        has: (room: string, user: string) => list.has(\`\${room} \${user}\`),
        delete: (room: string, user: string) => list.delete(\`\${room} \${user}\`)
      }
      const userOf = async ({ headers: { cookie = '' } }: FastifyRequest) => cookie`,
    async holds (app, t) {
      const ask = async (cookie: string) => (await app.inject({ url: '/rooms/a', headers: { ...asEventSource, cookie } })).statusCode
      t.equal(await ask('eve'), 403)
      const ann = await follow(app, t, '/rooms/a', { cookie: 'ann' })
      await follow(app, t, '/rooms/a', { cookie: 'bob' })
      t.equal((await app.inject({ method: 'DELETE', url: '/rooms/a/ann' })).statusCode, 200)
      t.match(await ann.end(), '{"reason":"disconnected"}')
      t.equal(app.sse.stats().open, 1, 'the other member stays')
      t.equal(await ask('ann'), 403)
    }
  },
  'Other schemas (ts) 1': {
    async holds (app) {
      assert.equal(await untilEnd(app, '/news'), `event: headline\ndata: {"title":"It rains"}\n\nevent: price\ndata: {"ask":12.5}\n\n${END}`)
    }
  },
  'Channels (ts) 3': { bare: true, redis: true, holds: isLive },
  'channels.md: Redis (ts) 1': { bare: true, redis: true, holds: isLive },
  'channels.md: The memory broker (ts) 1': {
    bare: true,
    async holds (app, t) {
      t.strictSame(app.sse.health(), { state: 'live' })
      const news = app.sse.channel('news', { events: { headline: Type.String() } })
      await app.close()
      await t.rejects(news.publish('headline', 'too late'), { code: 'SSE_ERR_CLOSING' })
      t.strictSame(app.sse.health(), { state: 'down' })
    }
  }
}

const ts = createRequire(import.meta.url)('typescript') as typeof import('typescript')
const folder = join(root, '.tap', `readme-${process.pid}`)

/** A block as a program: what it takes for granted, then its own lines, unchanged. */
function program ({ given = '', typed, bare, page, exports = [] }: Exercise, { code }: Block): string {
  const imports = given.match(/^\s*import .*$/gm) ?? []
  return [
    "import assert from 'node:assert/strict'",
    "import { Type } from '@sinclair/typebox'",
    "import Fastify from 'fastify'",
    "import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'",
    page === true ? "import sse from 'fastify-typed-sse'" : "import sse, { type ContextOf, type EventsOf } from 'fastify-typed-sse'",
    ...imports,
    `export const app = Fastify()${typed === true ? '.withTypeProvider<TypeBoxTypeProvider>()' : ''}`,
    bare === true ? '' : 'await app.register(sse)',
    given.replace(/^\s*import .*$/gm, ''),
    code,
    `export { ${exports.join(', ')} }`,
    'void assert; void Type',
    page === true ? '' : 'void (0 as unknown as EventsOf<{}> | ContextOf<{}>)'
  ].join('\n')
}

/** With this repository's own files in place of the package. */
function fromHere (code: string): string {
  return code.replaceAll(/from 'fastify-typed-sse(.*?)'/g, (_, entry: string) => `from '${pathToFileURL(join(root, `lib${entry}/index.js`))}'`)
}

t.before(() => {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'schemas.ts'), `
    import { Type } from '@sinclair/typebox'
    export const schemas = { tick: Type.Object({ n: Type.Integer() }) }
    export const answer = { word: Type.Object({ text: Type.String() }) }`)
})
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

t.test('no block goes untested', async (t) => {
  const elsewhere = ['fastify-typed-sse (sh) 1', 'fastify-typed-sse (js) 1', 'fastify-typed-sse (js) 2', 'fastify-typed-sse (sh) 2', 'fastify-typed-sse (sh) 3', 'Proxies, HTTP/2, compression (sh) 1']
  t.strictSame(blocks.map(({ title }) => title).sort(), [...elsewhere, ...Object.entries(snippets).flatMap(([title, { also = [] }]) => [title, ...also])].sort())
})

t.test('the first server and its browser lines run as printed', async (t) => {
  const server = find('fastify-typed-sse (js) 1').code
  t.ok(server.includes('listen({ port: 3000 })'))
  t.ok(server.trimEnd().split('\n').slice(5).length <= 12, 'twelve lines after the imports')
  const file = join(folder, 'server.mts')
  writeFileSync(file, `${fromHere(server).replace('port: 3000', 'port: 0')}\nexport { app }\n`)
  const { app } = await import(pathToFileURL(file).href) as { app: FastifyInstance }
  t.teardown(() => app.close())

  const logged: unknown[][] = []
  await inBrowser(app, t, find('fastify-typed-sse (js) 2').code, { console: { log: (...args: unknown[]) => { logged.push(args) } } })
  while (logged.length < 2) await delay(5)
  t.strictSame(logged.slice(0, 2), [[1, '1'], [2, '2']])
})

t.test('every snippet compiles as printed', async (t) => {
  const files = Object.entries(snippets).map(([title, exercise], index) => {
    const file = join(folder, `snippet-${index}.mts`)
    writeFileSync(file, program(exercise, find(title)))
    return file
  })
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root)
  // Names that a snippet declares for the text's sake are not used by it.
  const entries = ['', '/client', '/json-schema', '/redis', '/testing'].map((entry) => [`fastify-typed-sse${entry}`, [join(root, `lib${entry}/index.ts`)]])
  const compiler = ts.createProgram(files, { ...options, noUnusedLocals: false, noUnusedParameters: false, paths: Object.fromEntries(entries) })
  const complaints = ts.getPreEmitDiagnostics(compiler).map((diagnostic) => `${diagnostic.file?.fileName.split('/').at(-1)}: ${ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n')}`)
  t.strictSame(complaints, [])
})

for (const [index, [title, exercise]] of Object.entries(snippets).entries()) {
  t.test(`${title} does what it says`, { skip: exercise.redis === true && noRedis }, async (t) => {
    const file = join(folder, `run-${index}.mts`)
    const port = exercise.redis === true ? (await RedisServer.start(t)).port : 0
    const block = exercise.page === true ? { ...find(title), code: '' } : find(title)
    const code = fromHere(program(exercise, block)).replace('new Redis({', `new Redis({ port: ${port},`)
    writeFileSync(file, code.replace('import assert', '// @ts-nocheck\nimport assert'))
    const { app, ...exported } = await import(pathToFileURL(file).href) as { app: FastifyInstance }
    t.teardown(() => app.close())
    await exercise.holds(app, t, exported)
  })
}

t.test('the tables name what there is', async (t) => {
  const { DEFAULTS } = await import('../lib/options.js')
  const errors = await import('../lib/errors.js')
  const section = (heading: string) => readme.slice(readme.indexOf(`\n## ${heading}\n`)).split('\n## ')[1] as string
  const options = [...section('Options').matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name)
  t.strictSame(options.sort(), [...Object.keys(DEFAULTS), 'broker', 'metrics'].sort())
  const codes = [...section('Error codes').matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name)
  t.strictSame(codes.sort(), Object.keys(errors).sort())
  const cures = readFileSync(join(root, 'docs/errors.md'), 'utf8')
  for (const code of Object.keys(errors)) t.match(cures, new RegExp(`^### .*\\b${code}\\b`, 'm'))
  const ofClient = cures.slice(cures.indexOf('\n## In the client\n'))
  const clientCodes = readFileSync(join(root, 'types/client-options.ts'), 'utf8').match(/(?<=\| ')SSE_ERR_\w+/g) ?? []
  t.strictSame([...ofClient.matchAll(/^### (SSE_ERR_\w+)/gm)].map(([, code]) => code as string).sort(), clientCodes.sort())

  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sse)
  const { closed, channels } = app.sse.stats()
  const metrics = readme.match(/^\| `metrics` \| \| of the plugin alone: `{ (.*?) }`/m)?.[1]?.split(', ') ?? []
  t.strictSame(metrics, ['open', 'close', 'drop', 'refuse', 'reset'])
  for (const fact of metrics) t.ok(readme.includes(`:${fact}\``), `the diagnostics channel of ${fact}`)
  const reasons = readme.slice(readme.indexOf('The reason is one\n'), readme.indexOf('(Fastify\'s `onResponse`'))
  t.strictSame([...reasons.matchAll(/`(\w+)`/g)].map(([, name]) => name).filter((name) => name as string in closed).sort(), Object.keys(closed).sort())
  const resets = readme.match(/^\| `sse\.reset` .*$/m)?.[0] ?? ''
  for (const reason of Object.keys(channels.resets)) t.ok(resets.includes(`\`${reason}\``), reason)
})
