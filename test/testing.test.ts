// The helpers for tests of users' own streams. What is sent by `inject` goes over a socket as well.
import { channel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { AssertionError } from 'node:assert'
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import sse, { type SseClosed } from '../lib/index.js'
import { collect, readEvents } from '../lib/testing/index.js'

const schemas = { tick: Type.Object({ n: Type.Integer() }), words: Type.String({ contentMediaType: 'text/plain' }) }
const SECRET = 'do-not-tell'

const VIAS = ['inject', 'socket'] as const
const asEventSource = { accept: 'text/event-stream' }

interface Built { app: FastifyInstance, closed: SseClosed[] }

async function build (t: { teardown (close: () => Promise<void>): unknown }, routes: (app: FastifyInstance) => void, server: FastifyServerOptions & { http2?: true } = {}): Promise<Built> {
  const app = Fastify(server as FastifyServerOptions)
  t.teardown(() => app.close())
  const closed: SseClosed[] = []
  await app.register(sse, { retry: false, onClose: (fact) => { closed.push(fact) } })
  routes(app)
  return { app, closed }
}

/** Once by each way that there is to a server. */
function both (name: string, routes: (app: FastifyInstance) => void, promise: (t: Test, built: Built) => Promise<void>): void {
  for (const via of VIAS) {
    t.test(`${name}, via ${via}`, async (t) => {
      const built = await build(t, routes)
      if (via === 'socket') await built.app.listen({ port: 0, host: '127.0.0.1' })
      await promise(t, built)
    })
  }
}

/** Ticks for ever, each with its number as the id. */
function ticks (app: FastifyInstance): void {
  app.get('/ticks', { schema: { sse: schemas } }, (_request, reply) => reply.sse(async function * ({ signal, lastEventId, events }) {
    for (let n = Number(lastEventId ?? 0) + 1; !signal.aborted; n++) {
      yield events.tick({ n }, { id: n })
      await turn()
    }
  }))
}

function three (app: FastifyInstance): void {
  app.get('/three', { schema: { sse: schemas } }, (_request, reply) => reply.sse(function * ({ events }) {
    yield events.tick({ n: 1 }, { id: 'a' })
    yield events.words('two\nlines')
    yield { event: 'words', text: '3' }
  }))
}

const THREE = [
  { event: 'tick', data: { n: 1 }, id: 'a' },
  { event: 'words', data: 'two\nlines' },
  { event: 'words', data: '3' },
  { event: 'sse.end', data: {}, id: '~end' }
]

const tick = (n: number) => ({ event: 'tick', data: { n }, id: String(n) })

t.test('text in pieces, with a byte order mark, and an id in a block of its own', async (t) => {
  t.strictSame(await readEvents(Readable.from(['\ufeffda', 'ta: 1\n', '\nid: 7\n\n', 'data: 2\n\ndata: 3\n\n'])), [
    { event: 'message', data: 1 }, { event: 'message', data: 2, id: '7' }, { event: 'message', data: 3 }
  ])
})

t.test('an answer that is no stream has no events, and a mistyped option is told', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  for (const answer of [await app.inject('/none'), await app.inject({ url: '/none', payloadAsStream: true }), new Response('{}', { status: 404, headers: { 'content-type': 'application/json' } })]) {
    t.throws(() => readEvents(answer), { code: 'SSE_ERR_INVALID_SOURCE', message: /to be a stream, got 404 with application\/json/ })
  }
  t.strictSame(await readEvents(new Response(null, { status: 204 })), [])
  t.throws(() => readEvents('', { untill: 1 } as object), { code: 'SSE_ERR_INVALID_OPTION', message: 'Unknown option `untill` of readEvents(). Known are `events`, `max`, `within`' })
  await t.rejects(collect(app, '/', { untill: 1 } as object), { code: 'SSE_ERR_INVALID_OPTION', message: /^Unknown option `untill` of collect\(\)/ })
})

t.test('readEvents takes whatever a test has at hand', async (t) => {
  const { app } = await build(t, three)
  const base = await app.listen({ port: 0, host: '127.0.0.1' })
  const answered = await app.inject({ url: '/three', headers: asEventSource })
  const text = answered.body
  const ask = async () => fetch(`${base}/three`, { headers: asEventSource })
  const { body } = await ask()
  const given = {
    'an answer of inject': answered,
    'one with payloadAsStream': await app.inject({ url: '/three', headers: asEventSource, payloadAsStream: true }),
    'a Response': await ask(),
    'its body': body,
    text,
    bytes: Buffer.from(text),
    'a stream of Node.js': Readable.from([text]),
    'a web stream': new Blob([text]).stream(),
    'an answer of another kind': { body: text },
    'one that has such an answer': { body: new Response(text).body }
  }
  for (const [name, source] of Object.entries(given)) t.strictSame(await readEvents(source as string, { events: schemas }), THREE, name)
  t.strictSame(await readEvents(new Response(null)), [], 'an answer without a body')
  t.strictSame(await readEvents(''), [])
  for (const wrong of [42, undefined, {}, () => {}]) t.throws(() => readEvents(wrong as unknown as string), { code: 'SSE_ERR_INVALID_SOURCE', message: /^Expected what readEvents\(\) is given to be an answer or its body, got / })
})

t.test('readEvents does not care where the pieces of a body end', async (t) => {
  const bytes = Buffer.from('event: words\r\ndata: é\r\ndata: 漢字 🎉\rid: 1\n\nevent: tick\ndata: {"n":1}\n\ndata: cut')
  for (const size of [1, 2, 3, 5, 8, 1_000]) {
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) => bytes.subarray(index * size, (index + 1) * size))
    t.strictSame(await readEvents(Readable.from(pieces), { events: schemas }), [
      { event: 'words', data: 'é\n漢字 🎉', id: '1' },
      { event: 'tick', data: { n: 1 } }
    ], `${size} bytes each; what is cut off is none`)
  }
})

t.test('readEvents knows what is text by the schemas, else by its look', async (t) => {
  const stream = 'event: words\ndata: 1\n\ndata: {"a":[]}\n\ndata: plain\n\n'
  t.strictSame(await readEvents(stream), [{ event: 'words', data: 1 }, { event: 'message', data: { a: [] } }, { event: 'message', data: 'plain' }])
  t.strictSame(await readEvents(stream, { events: { ...schemas, message: Type.Unknown() } }).then(() => 'all', ({ message }) => message), 'Expected the data of event `message` to be JSON, got text')
  t.strictSame(await readEvents('event: words\ndata: 1\n\n', { events: schemas }), [{ event: 'words', data: '1' }])
  t.strictSame(await readEvents('event: sse.bye\ndata: {"reason":"shutdown"}\n\n', { events: schemas }), [{ event: 'sse.bye', data: { reason: 'shutdown' } }])
  await t.rejects(readEvents('event: tock\ndata: 1\n\n', { events: schemas }), { name: 'AssertionError', message: 'Unknown event `tock`. `events` has `tick`, `words`' })
  await t.rejects(readEvents('event: toString\ndata: 1\n\n', { events: {} }), { message: 'Unknown event `toString`. `events` has none' })
})

t.test('readEvents gives the same to all who await it', async (t) => {
  const reader = readEvents(Readable.from(['data: 1\n\n']))
  const events = [{ event: 'message', data: 1 }]
  t.strictSame(await Promise.all([reader, reader.finally(() => {}), reader.catch(() => [])]), [events, events, events])
  t.equal(String(reader), '[object EventReader]')
})

t.test('readEvents gives events as they come, and leaving the loop leaves the stream', async (t) => {
  const { app, closed } = await build(t, ticks, { forceCloseConnections: true }) // fetch opens another connection for the one that it loses
  const base = await app.listen({ port: 0, host: '127.0.0.1' })
  for (const source of [await fetch(`${base}/ticks`), await app.inject({ url: '/ticks', payloadAsStream: true })]) {
    const seen: unknown[] = []
    for await (const event of readEvents(source, { events: schemas })) {
      seen.push(event)
      if (event.event === 'tick' && event.data.n === 3) break
    }
    t.strictSame(seen, [tick(1), tick(2), tick(3)])
  }
  while (closed.length < 2) await turn()
})

t.test('readEvents ends where the stream does not', async (t) => {
  const { app } = await build(t, ticks, { forceCloseConnections: true })
  const base = await app.listen({ port: 0, host: '127.0.0.1' })
  await t.rejects(readEvents(await fetch(`${base}/ticks`), { max: 12 }), {
    name: 'AssertionError',
    message: 'Expected the stream to end within 12 events. 13 came: …, tick (id 4), tick (id 5), tick (id 6), tick (id 7), tick (id 8), tick (id 9), tick (id 10), tick (id 11), tick (id 12), tick (id 13)'
  })
  const silent = new Readable({ read () {} })
  await t.rejects(readEvents(silent, { within: 20 }), { message: 'Expected the stream to end within 20 ms. No event came' })
  t.ok(silent.destroyed)
})

t.test('readEvents fails where the stream breaks off, and tells names and ids alone', async (t) => {
  const cause = new Error('reset')
  const broken = Readable.from((function * () {
    yield `event: tick\ndata: "${SECRET}"\nid: 1\n\n`
    throw cause
  })())
  const error = await readEvents(broken).then(() => undefined, (error: AssertionError) => error)
  t.ok(error instanceof AssertionError)
  t.equal(error?.message, 'Expected the stream to end, but it broke off. 1 came: tick (id 1)')
  t.equal(error?.cause, cause)
})

both('collect leaves when it has so many events of the route', ticks, async (t, { app, closed }) => {
  t.strictSame(await collect(app, '/ticks', { events: schemas, until: 2 }), [tick(1), tick(2)])
  t.strictSame(closed.map(({ reason }) => reason), ['client'], 'the server has closed it by then')
})

both('collect leaves at the first event of a name, or where a function says so', three, async (t, { app, closed }) => {
  t.strictSame(await collect(app, '/three', { events: schemas, until: 'words' }), THREE.slice(0, 2))
  t.strictSame(await collect(app, '/three', { until: 'sse.end' }), THREE.map((event) => event.data === '3' ? { ...event, data: 3 } : event))
  t.strictSame(await collect(app, '/three', { events: schemas, until: ({ event, data }, events) => event === 'words' && data === '3' && events.length === 3 }), THREE.slice(0, 3))
  t.equal(closed.length, 3)
})

both('collect reads a stream to its end where nothing else is wanted', three, async (t, { app, closed }) => {
  t.strictSame(await collect(app, '/three', { events: schemas }), THREE)
  t.strictSame(closed.map(({ reason }) => reason), ['complete'])
})

both('collect asks what it is told to ask', (app) => {
  app.post('/echo', { schema: { sse: { asked: Type.Any() } } }, (request, reply) => reply.sse([{ event: 'asked', data: [request.method, request.headers['x-own'], request.headers['content-type'], request.headers.accept, request.body] }]))
}, async (t, { app }) => {
  const asked = async (given: { headers?: Record<string, string>, body?: string | object }) => (await collect(app, '/echo?a=1', { method: 'POST', ...given }))[0]?.data
  t.strictSame(await asked({ body: { a: 'é' }, headers: { 'x-own': '1' } }), ['POST', '1', 'application/json', 'text/event-stream', { a: 'é' }])
  t.strictSame(await asked({ body: 'text', headers: { 'content-type': 'text/plain', accept: '*/*' } }), ['POST', null, 'text/plain', '*/*', 'text'])
  t.strictSame(await asked({}), ['POST', null, null, 'text/event-stream', null])
})

both('collect comes back with the id that it is given', ticks, async (t, { app }) => {
  t.strictSame(await collect(app, '/ticks', { lastEventId: '7', until: 1 }), [tick(8)])
})

both('collect does what it is told when an event comes, and waits for it', (app) => {
  const orders = app.sse.channel('orders', { events: { placed: Type.Integer(), paid: Type.Integer() } })
  app.decorate('orders', orders)
  app.get('/orders', { schema: { sse: orders.events } }, (_request, reply) => reply.sse(orders.subscribe()))
}, async (t, { app }) => {
  const { orders } = app as unknown as { orders: { publish (event: string, data: number): Promise<string>, events: { placed: ReturnType<typeof Type.Integer>, paid: ReturnType<typeof Type.Integer> } } }
  const seen: string[] = []
  const events = await collect(app, '/orders', {
    events: orders.events,
    on: {
      'sse.cursor': async () => { await orders.publish('placed', 1) },
      async placed ({ data }) {
        await turn()
        seen.push('placed')
        await orders.publish('paid', data + 1)
      },
      paid: () => seen.push('paid')
    },
    until: 'paid'
  })
  t.strictSame(events.map(({ event, data }) => [event, data]), [['sse.cursor', {}], ['placed', 1], ['paid', 2]])
  t.strictSame(seen, ['placed', 'paid'])
  t.strictSame((await collect(app, '/orders', { lastEventId: events[1]?.id, until: 1 })).map(({ event }) => event), ['sse.cursor', 'paid'], 'the plugin\'s own do not count')
})

both('collects at the same time do not get in each other\'s way', ticks, async (t, { app, closed }) => {
  const all = await Promise.all([1, 5, 3].map(async (until) => (await collect(app, '/ticks', { until })).length))
  t.strictSame(all, [1, 5, 3])
  t.equal(closed.length, 3)
})

both('collect fails where the stream ends too early, and tells no payload', (app) => {
  app.get('/short', { schema: { sse: schemas } }, (_request, reply) => reply.sse(function * ({ events }) {
    yield events.tick({ n: 1 }, { id: 1 })
    yield events.words(SECRET)
  }))
}, async (t, { app, closed }) => {
  await t.rejects(collect(app, '/short', { until: 3 }), { name: 'AssertionError', message: 'Expected `until` to hold in the stream of GET /short, but it ended. 3 came: tick (id 1), words, sse.end (id ~end)' })
  t.equal(closed.length, 1)
})

both('collect fails where too much comes, and leaves', ticks, async (t, { app, closed }) => {
  await t.rejects(collect(app, '/ticks', { max: 2, until: ({ event }) => event === 'words' }), { message: 'Expected `until` to hold in the stream of GET /ticks within 2 events. 3 came: tick (id 1), tick (id 2), tick (id 3)' })
  t.strictSame(closed.map(({ reason }) => reason), ['client'])
})

both('collect fails where nothing comes, and leaves', (app) => {
  app.get('/silent', (_request, reply) => reply.sse(async function * ({ signal }) {
    yield 'one'
    await once(signal, 'abort')
  }))
  app.get('/unanswered', async (_request, reply) => { await once(reply.raw, 'close') })
}, async (t, { app, closed }) => {
  await t.rejects(collect(app, '/silent', { within: 50, until: 2 }), { message: 'Expected `until` to hold in the stream of GET /silent within 50 ms. 1 came: message' })
  t.strictSame(closed.map(({ reason }) => reason), ['client'])
  await t.rejects(collect(app, '/unanswered', { within: 50 }), { message: 'Expected the stream of GET /unanswered to end within 50 ms. No event came' })
})

both('collect fails with what a function of the test fails with, and leaves', ticks, async (t, { app, closed }) => {
  const mine = new Error('mine')
  await t.rejects(collect(app, '/ticks', { until () { throw mine } }), mine)
  await t.rejects(collect(app, '/ticks', { on: { tick: async () => { throw mine } } }), mine)
  t.equal(closed.length, 2)
})

both('collect fails where the answer is no stream', (app) => {
  app.get('/json', async () => ({ secret: SECRET }))
  app.get('/nothing', (_request, reply) => reply.code(204).send())
  app.get('/error', (_request, reply) => reply.sse([{ data: 1n }]))
}, async (t, { app }) => {
  await t.rejects(collect(app, '/json'), { name: 'AssertionError', message: 'Expected GET /json to answer 200 with text/event-stream, got 200 with application/json; charset=utf-8' })
  await t.rejects(collect(app, '/nothing'), { message: 'Expected GET /nothing to answer 200 with text/event-stream, got 204 with no content' })
  await t.rejects(collect(app, '/error', { method: 'POST' }), { message: /^Expected POST \/error to answer 200 with text\/event-stream, got 404 with / })
  await t.rejects(collect(app, '/error'), { message: /, got 500 with application\/json/ })
})

t.test('collect fails where the connection is cut', async (t) => {
  const { app, closed } = await build(t, (app) => {
    app.get('/cut', (request, reply) => reply.sse(async function * ({ signal }) {
      yield 'one'
      await turn() // so that it is written
      request.raw.socket.destroy()
      await once(signal, 'abort')
    }))
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  await t.rejects(collect(app, '/cut', { until: 2 }), { message: 'Expected `until` to hold in the stream of GET /cut, but it broke off. 1 came: message', cause: { code: 'ECONNRESET' } })
  t.strictSame(closed.map(({ reason }) => reason), ['client'])
})

t.test('collect waits for the server, but not for ever', async (t) => {
  const { app } = await build(t, (app) => {
    app.get('/forgotten', (request, reply) => {
      channel('fastify-typed-sse:open').publish({ request })
      return reply.header('content-type', 'text/event-stream').send('data: 1\n\n')
    })
    app.get('/plain', (_request, reply) => reply.header('content-type', 'text/event-stream').send('data: 1\n\n'))
  })
  t.strictSame(await collect(app, '/plain'), [{ event: 'message', data: 1 }], 'of a stream that is not the plugin\'s it knows nothing')
  await t.rejects(collect(app, '/forgotten', { within: 50 }), { message: 'Expected the server to close the stream of GET /forgotten within 50 ms after the client left' })
})

t.test('collect goes by inject where it cannot connect', async (t) => {
  const { app } = await build(t, ticks)
  await t.rejects(collect(app, '/ticks', { via: 'socket' }), { code: 'SSE_ERR_INVALID_OPTION', message: "Expected the application to listen on a port, for HTTP/1.1 without TLS, as `via` is 'socket'" })
  const { app: http2 } = await build(t, ticks, { http2: true })
  await http2.listen({ port: 0, host: '127.0.0.1' })
  t.strictSame(await collect(http2, '/ticks', { until: 1 }), [tick(1)])
})

t.test('collect connects to an application that listens everywhere, unless it is told not to', async (t) => {
  const { app } = await build(t, (app) => {
    app.get('/who', (request, reply) => reply.sse([request.raw.socket.remotePort === undefined ? 'nobody' : 'a socket']))
  })
  await app.listen({ port: 0, host: '0.0.0.0' })
  t.equal((await collect(app, '/who'))[0]?.data, 'a socket')
  t.equal((await collect(app, '/who', { via: 'inject' }))[0]?.data, 'nobody')
})
