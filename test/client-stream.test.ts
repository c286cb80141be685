// The client by fetch, on Node.js, against the plugin on real sockets and against servers that misbehave.
import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { SseClientError, stream, type ClientError, type ClientState, type EventsOf, type ReceivedEvent } from '../lib/client/index.js'
import { frameParser } from '../lib/wire/parse.js'
import { retriesOf } from '../lib/client/retries.js'
import type { Topic } from '../lib/index.js'
import { cuttingProxy } from './helpers/cutting-proxy.js'
import { RawSocket } from './helpers/raw-socket.js'
import { cut, gone, mute, passed, scriptedServer, standing, status, whole, type Answer } from './helpers/scripted-server.js'
import { serve, type Served } from './helpers/serve.js'
import { until } from './helpers/until.js'

const schemas = { tick: Type.Object({ n: Type.Integer() }) }
type Ticks = EventsOf<typeof schemas>

const tick = (n: number) => ({ event: 'tick', data: { n }, id: String(n) })
const frame = (n: number) => `event: tick\ndata: {"n":${n}}\nid: ${n}\n\n`
const END = 'event: sse.end\ndata: {}\nid: ~end\n\n'

/** Fast, but no faster than a client ever is. */
const backoff = { first: 1 }

/** A client that left by fetch has opened its next connection already, for which a server that closes would wait. */
const cuts = { server: { forceCloseConnections: true } }

/** Three events, behind the one that the client has. */
const threeTicks = (t: Test, more: (app: FastifyInstance) => void = () => {}): Promise<Served> => serve(t, (app) => {
  app.get('/ticks', { schema: { sse: schemas } }, (_request, reply) => reply.sse(function * ({ lastEventId, events }) {
    for (let n = Number(lastEventId ?? 0) + 1; n <= 3; n++) yield events.tick({ n }, { id: String(n) })
  }))
  more(app)
}, { retry: 100 })

async function collect<Event> (events: AsyncIterable<Event>, into: Event[] = []): Promise<Event[]> {
  for await (const event of events) into.push(event)
  return into
}

/** What `onState` was told. */
class States {
  readonly seen: [ClientState, string?][] = []
  readonly errors: ClientError[] = []

  readonly onState = (state: ClientState, error: ClientError | undefined): void => {
    this.seen.push(error === undefined ? [state] : [state, error.code])
    if (error !== undefined) this.errors.push(error)
  }
}

t.test('the events of a route come with their data and ids, and end with it', async (t) => {
  const served = await threeTicks(t)
  const { url, requests } = await scriptedServer(t, passed(served.port))
  const states = new States()
  t.strictSame(await collect(stream<Ticks>(`${url}/ticks`, states)), [tick(1), tick(2), tick(3)])
  t.strictSame(states.seen, [['open'], ['closed']])
  t.equal(requests.length, 1, 'the end costs no further request')
  const [{ method, headers }] = requests as [typeof requests[0]]
  t.strictSame([method, headers.accept, headers['last-event-id']], ['GET', 'text/event-stream', undefined])
})

t.test('nothing is asked for before the first event is', async (t) => {
  const { url, requests } = await scriptedServer(t, whole(frame(1) + END))
  const events = stream<Ticks>(url)
  t.equal(events[Symbol.asyncIterator](), events)
  await fetch(url)
  t.equal(requests.length, 1)
  t.strictSame(await events.next(), { done: false, value: tick(1) })
  t.equal(requests.length, 2)
  t.strictSame([await events.next(), await events.next()], [{ done: true, value: undefined }, { done: true, value: undefined }])
})

t.test('an event without a name is a message, and one without an id leaves the client where it is', async (t) => {
  const { url } = await scriptedServer(t, whole(`data: 1\n\nid: 7\ndata: 2\n\ndata: 3\n\n${END}`))
  t.strictSame(await collect(stream(url)), [
    { event: 'message', data: 1, id: '' },
    { event: 'message', data: 2, id: '7' },
    { event: 'message', data: 3, id: '7' }
  ])
})

t.test('cut at every byte of the answer, each event comes once', async (t) => {
  const served = await threeTicks(t)
  const probe = await RawSocket.request(served.base, '/ticks', { headers: { accept: 'text/event-stream', connection: 'close' } })
  await probe.ended()
  const length = probe.socket.bytesRead
  t.ok(length > 300, `${length} bytes`)
  const cutAt = async (offset: number) => {
    const { url } = await cuttingProxy(t, served.port, offset)
    return { offset, seen: await collect(stream<Ticks>(`${url}/ticks`, { backoff })) }
  }
  const cuts = await Promise.all(Array.from({ length }, (_, index) => cutAt(index + 1)))
  const right = JSON.stringify([tick(1), tick(2), tick(3)])
  t.strictSame(cuts.filter(({ seen }) => JSON.stringify(seen) !== right), [])
})

t.test('it comes back behind the last event that was whole', async (t) => {
  const served = await threeTicks(t)
  const { url, requests } = await scriptedServer(t, cut(frame(1) + frame(2).slice(0, -1)), gone, passed(served.port))
  const states = new States()
  t.strictSame(await collect(stream<Ticks>(`${url}/ticks`, { backoff, ...states })), [tick(1), tick(2), tick(3)])
  t.strictSame(requests.map(({ headers }) => headers['last-event-id']), [undefined, '1', '1'])
  t.strictSame(states.seen, [['open'], ['connecting', 'SSE_ERR_DISCONNECTED'], ['connecting', 'SSE_ERR_DISCONNECTED'], ['open'], ['closed']])
  t.match(states.errors[0], { message: 'The stream broke off', cause: Error })
})

t.test('it begins where it is told to', async (t) => {
  const served = await threeTicks(t)
  t.strictSame(await collect(stream<Ticks>(`${served.base}/ticks`, { lastEventId: '2' })), [tick(3)])
})

t.test('an id of any characters comes back as UTF-8', async (t) => {
  const { url, requests } = await scriptedServer(t, cut('id: é…😀\ndata: 1\n\n'), whole(END))
  t.strictSame(await collect(stream(url, { backoff })), [{ event: 'message', data: 1, id: 'é…😀' }])
  t.equal(Buffer.from(requests[1]?.headers['last-event-id'] as string, 'latin1').toString(), 'é…😀')
})

t.test('an answer that ends is no end of a GET, as for an EventSource', async (t) => {
  const { url, requests } = await scriptedServer(t, whole(frame(1)), whole(END))
  t.strictSame(await collect(stream(url, { backoff })), [tick(1)])
  t.equal(requests.length, 2)

  const { url: other } = await scriptedServer(t, whole(frame(1)))
  t.strictSame(await collect(stream(other, { reconnect: false })), [tick(1)], 'unless it is not to come back')
})

t.test('204 is the end', async (t) => {
  const { url, requests } = await scriptedServer(t, cut(frame(1)), status(204))
  t.strictSame(await collect(stream(url, { backoff })), [tick(1)])
  t.equal(requests.length, 2)
})

t.test('a status that may pass is tried again, another is not', async (t) => {
  const after = async (code: number) => {
    const { url, requests } = await scriptedServer(t, status(code), whole(END))
    const error: unknown = await collect(stream(url, { backoff })).then(() => undefined, (error) => error)
    return [code, requests.length, (error as ClientError | undefined)?.status]
  }
  const passing = [408, 425, 429, 500, 502, 503, 504]
  const final = [201, 205, 400, 401, 403, 404, 410, 431, 451]
  t.strictSame(await Promise.all([...passing, ...final].map(after)), [...passing.map((code) => [code, 2, undefined]), ...final.map((code) => [code, 1, code])])
})

t.test('what is refused can be read', async (t) => {
  const { base } = await threeTicks(t)
  const states = new States()
  const error: ClientError = await collect(stream(`${base}/tocks`, states)).then(() => t.fail(), (error) => error)
  t.match(error, { name: 'SseClientError', code: 'SSE_ERR_NO_STREAM', message: 'Expected a stream, got 404 with application/json; charset=utf-8', status: 404 })
  t.ok(error instanceof SseClientError)
  t.match(await error.response?.json(), { message: 'Route GET:/tocks not found' })
  t.strictSame(states.seen, [['closed', 'SSE_ERR_NO_STREAM']])
})

t.test('only an event stream is a stream', async (t) => {
  const answer = async (type: string) => {
    const { url } = await scriptedServer(t, whole(END, { 'content-type': type }))
    return await collect(stream(url)).then(() => 'stream', ({ message }) => message)
  }
  t.strictSame(await Promise.all(['text/event-stream', 'Text/Event-Stream ; charset=utf-8', 'text/html', 'text/event-streams', 'a/text/event-stream'].map(answer)), [
    'stream',
    'stream',
    'Expected a stream, got 200 with text/html',
    'Expected a stream, got 200 with text/event-streams',
    'Expected a stream, got 200 with a/text/event-stream'
  ])
  const { url } = await scriptedServer(t, (response) => response.writeHead(200).end())
  await t.rejects(collect(stream(url)), { message: 'Expected a stream, got 200 with no type' })
})

t.test('a POST has its body and headers, and ends with its answer', async (t) => {
  const served = await serve(t, (app) => {
    app.post('/count', { schema: { body: Type.Object({ to: Type.Integer() }), sse: schemas } }, (request, reply) => reply.sse(function * ({ events }) {
      for (let n = 1; n <= (request.body as { to: number }).to; n++) yield events.tick({ n }, { id: String(n) })
    }))
  })
  const { url, requests } = await scriptedServer(t, passed(served.port))
  const init = { method: 'post', headers: { 'content-type': 'application/json', 'x-trace': '7' }, body: JSON.stringify({ to: 2 }) }
  t.strictSame(await collect(stream<Ticks>(`${url}/count`, init)), [tick(1), tick(2)])
  t.match(requests, [{ method: 'POST', body: '{"to":2}', headers: { 'content-type': 'application/json', 'x-trace': '7', accept: 'text/event-stream' } }])
  t.equal(requests.length, 1)
})

t.test('a POST that is cut fails, and comes back only where it is told to', async (t) => {
  const init = { method: 'POST', body: 'question', backoff }
  const { url, requests } = await scriptedServer(t, cut(frame(1)), whole(frame(2)))
  const seen: unknown[] = []
  await t.rejects(collect(stream(url, init), seen), { code: 'SSE_ERR_DISCONNECTED' })
  t.strictSame([seen, requests.length], [[tick(1)], 1])

  const { url: again, requests: both } = await scriptedServer(t, cut(frame(1)), whole(frame(2)))
  t.strictSame(await collect(stream(again, { ...init, reconnect: true })), [tick(1), tick(2)])
  t.match(both, [{ method: 'POST', body: 'question' }, { method: 'POST', body: 'question', headers: { 'last-event-id': '1' } }])
})

t.test('headers can be made anew for each request', async (t) => {
  const { url, requests } = await scriptedServer(t, status(503), whole(END))
  let token = 0
  await collect(stream(url, { backoff, headers: async () => ({ authorization: `Bearer ${++token}`, accept: 'text/event-stream, text/plain' }) }))
  t.strictSame(requests.map(({ headers: { authorization, accept } }) => [authorization, accept]), [
    ['Bearer 1', 'text/event-stream, text/plain'],
    ['Bearer 2', 'text/event-stream, text/plain']
  ])
  await t.rejects(collect(stream(url, { headers: () => { throw new RangeError('no token') } })), RangeError, 'what it throws is its caller\'s')
})

t.test('a stream that failed says so, and is resumed', async (t) => {
  let runs = 0
  const { base } = await serve(t, (app) => {
    app.get('/', { schema: { sse: schemas } }, (_request, reply) => reply.sse(function * ({ events, lastEventId }) {
      yield events.tick({ n: Number(lastEventId ?? 0) + 1 }, { id: Number(lastEventId ?? 0) + 1 })
      if (++runs === 1) throw new Error('secret')
    }, { onError: () => ({ message: 'Again in a moment' }) }))
  })
  const states = new States()
  const told: unknown[] = []
  t.strictSame(await collect(stream<Ticks>(base, { backoff, ...states, on: { 'sse.error': (...given) => { told.push(given) } } })), [tick(1), tick(2)])
  t.strictSame(states.seen, [['open'], ['connecting', 'SSE_ERR_STREAM_FAILED'], ['open'], ['closed']])
  t.match(states.errors, [{ message: 'The stream failed', data: { message: 'Again in a moment' } }])
  t.strictSame(told, [[{ message: 'Again in a moment' }, { event: 'sse.error', data: { message: 'Again in a moment' }, id: '1' }]])

  runs = 0
  await t.rejects(collect(stream(base, { reconnect: false })), { code: 'SSE_ERR_STREAM_FAILED', data: { message: 'Again in a moment' } })
})

t.test('a server that says goodbye is come back to', async (t) => {
  let runs = 0
  const { base } = await serve(t, (app) => {
    app.get('/', { schema: { sse: schemas } }, (_request, reply) => reply.sse(async function * ({ events, signal }) {
      yield events.tick({ n: ++runs }, { id: runs })
      if (runs === 1) await once(signal, 'abort')
    }, { maxDuration: 50, openAfter: 0 }))
  }, { retry: 100 })
  const states = new States()
  const told: unknown[] = []
  t.strictSame(await collect(stream<Ticks>(base, { ...states, on: { 'sse.bye': ({ reason }) => { told.push(reason) } } })), [tick(1), tick(2)])
  t.strictSame(states.seen, [['open'], ['connecting', 'SSE_ERR_DISCONNECTED'], ['open'], ['closed']])
  t.match(states.errors, [{ message: 'The server ended the stream', data: { reason: 'maxDuration' } }])
  t.strictSame(told, ['maxDuration'])
})

t.test('of a channel, the position comes first, and what is missed is told', async (t) => {
  let news: Topic<{ tick: { n: number } }> | undefined
  const served = await serve(t, (app) => {
    news = app.sse.channel('news', { events: schemas })
    app.get('/', { schema: { sse: schemas } }, (_request, reply) => reply.sse((news as typeof news & object).subscribe()))
  }, { retry: 100 })
  const { url, requests } = await scriptedServer(t, passed(served.port, '\n\n'), passed(served.port))
  const cursors: string[] = []
  const events = stream<Ticks>(url, {
    backoff,
    on: { 'sse.cursor': (_data, { id }) => { cursors.push(id) } },
    onState: (state) => { if (state === 'connecting') void news?.publish('tick', { n: 1 }) }
  })
  const { value } = await events.next()
  t.match(value, { event: 'tick', data: { n: 1 }, id: String }, 'published while the client was away, which had no event')
  t.equal(requests[1]?.headers['last-event-id'], cursors[0])
  await events.return?.()

  const resets: unknown[] = []
  const late = stream<Ticks>(served.base, { lastEventId: 'of-another-server', on: { 'sse.reset': (reset, { id }) => { resets.push(reset, id); void news?.publish('tick', { n: 2 }) } } })
  t.match((await late.next()).value, { data: { n: 2 } }, 'a reset is told, and no event')
  t.strictSame(resets, [{ channel: 'news', reason: 'unknown' }, value?.id])
  await late.return?.()
})

t.test('an event that nobody has said anything of is passed over, where it is the plugin\'s own', async (t) => {
  const { url } = await scriptedServer(t, whole(`event: sse.new\ndata: {}\nid: 1\n\ndata: 1\n\n${END}`))
  t.strictSame(await collect(stream(url)), [{ event: 'message', data: 1, id: '1' }])
})

t.test('a silent connection is given up, before and after the head', async (t) => {
  const { url, requests } = await scriptedServer(t, mute, standing(frame(1)), whole(END))
  const states = new States()
  t.strictSame(await collect(stream(url, { backoff, silence: 50, ...states })), [tick(1)])
  t.equal(requests.length, 3)
  t.strictSame(states.seen, [['connecting', 'SSE_ERR_SILENT'], ['open'], ['connecting', 'SSE_ERR_SILENT'], ['open'], ['closed']])
  t.equal(states.errors[0]?.message, 'Nothing came for 50 ms')
  await t.rejects(collect(stream(url, { method: 'POST', silence: 50, fetch: () => new Promise((_resolve, reject) => setTimeout(reject, 60)) })), { code: 'SSE_ERR_SILENT' })
})

t.test('three heartbeats are the bound where nothing else is said, and none where it does not come back', async (t) => {
  const { url } = await scriptedServer(t, whole(END))
  const { setTimeout } = globalThis
  t.teardown(() => { globalThis.setTimeout = setTimeout })
  const isBound = async (init?: object) => {
    const seen: unknown[] = []
    globalThis.setTimeout = Object.assign((...given: Parameters<typeof setTimeout>) => { seen.push(given[1]); return setTimeout(...given) }, setTimeout)
    await collect(stream(url, init))
    return seen.includes(45_000)
  }
  t.strictSame([await isBound(), await isBound({ method: 'POST' }), await isBound({ reconnect: false }), await isBound({ silence: false }), await isBound({ method: 'POST', reconnect: true })], [true, false, false, false, true])
})

t.test('the server\'s heartbeat is a sign of life', async (t) => {
  let say = () => {}
  const served = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(async function * () { yield await new Promise((resolve) => { say = () => resolve('1') }) }, { heartbeat: 100, openAfter: 0 }))
  })
  const { url, requests } = await scriptedServer(t, passed(served.port))
  let bytes = 0
  const counting: typeof fetch = async (...given) => {
    const response = await fetch(...given)
    const count = new TransformStream<Uint8Array, Uint8Array>({ transform (chunk, controller) { if ((bytes += chunk.length) > 24) say(); controller.enqueue(chunk) } })
    return new Response(response.body?.pipeThrough(count) as ReadableStream, response) // as it was
  }
  t.strictSame(await collect(stream(url, { silence: 1_000, fetch: counting })), [{ event: 'message', data: 1, id: '' }], 'twelve heartbeats later')
  t.equal(requests.length, 1)
})

t.test('a reader that takes its time is not taken for a silent server', async (t) => {
  const { url, requests } = await scriptedServer(t, standing(frame(1) + frame(2)))
  const events = stream(url, { silence: 100 })
  await events.next()
  await t.rejects(collect(stream(url, { silence: 150, reconnect: false })), { code: 'SSE_ERR_SILENT' }, 'so long does it take')
  t.strictSame((await events.next()).value, tick(2))
  t.equal(requests.length, 2, 'one each')
  await events.return?.()
})

t.test('it is read as fast as it is iterated', async (t) => {
  let made = 0
  const served = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(function * () { for (;;) yield { data: `${++made}${'-'.repeat(10_000)}` } }))
  }, cuts)
  const events = stream(served.base)
  await events.next()
  let before = 0
  // The source stands when the buffers of both ends are full.
  do {
    before = made
    for (let turns = 0; turns < 1_000; turns++) await turn()
  } while (made > before)
  t.ok(made < 5_000, `${made} events of 10 kB were made for one that was read`)
  await events.return?.()
  t.equal((await served.whenClosed()).reason, 'client')
})

t.test('leaving the loop ends the request', async (t) => {
  const served = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) {
      yield '1'
      await once(signal, 'abort')
    }))
  }, cuts)
  const states = new States()
  for await (const { data } of stream(served.base, states)) if (data === 1) break
  t.equal((await served.whenClosed()).reason, 'client')
  t.strictSame(states.seen, [['open'], ['closed']])

  const events = stream(served.base)
  await events.next()
  const pending = events.next()
  t.strictSame(await Promise.all([events.return?.(), pending]), [{ done: true, value: undefined }, { done: true, value: undefined }], 'also for who waits for an event')
  t.equal((await served.whenClosed(2)).reason, 'client')
})

t.test('leaving ends the wait for the next attempt', async (t) => {
  const { url, requests } = await scriptedServer(t, status(503))
  let headers = 0
  const events = stream(url, { backoff: { first: 1e6, most: 1e6 }, headers: () => { headers++; return {} }, onState (state) { if (state === 'connecting') void events.return?.() } })
  t.strictSame(await events.next(), { done: true, value: undefined })
  t.strictSame([requests.length, headers], [1, 1], 'nothing is made ready for another one')
})

t.test('a signal ends it with its reason', async (t) => {
  const { url, requests } = await scriptedServer(t, standing(frame(1)), status(503))
  await t.rejects(collect(stream(url, { signal: AbortSignal.abort(new RangeError('too early')) })), RangeError)
  t.equal(requests.length, 0, 'nothing was asked')

  const reading = new AbortController()
  const states = new States()
  const events = stream(url, { signal: reading.signal, ...states })
  await events.next()
  const pending = events.next()
  reading.abort(new RangeError('enough'))
  await t.rejects(pending, { message: 'enough' })
  t.strictSame(states.seen, [['open'], ['closed']])

  const waiting = new AbortController()
  await t.rejects(collect(stream(url, { signal: waiting.signal, backoff: { first: 1e6, most: 1e6 }, onState (state) { if (state === 'connecting') waiting.abort() } })), { name: 'AbortError' })
  t.equal(requests.length, 2)
})

t.test('what a callback throws ends it', async (t) => {
  const { url, requests } = await scriptedServer(t, whole(frame(1) + END))
  await t.rejects(collect(stream(url, { onState (state) { if (state === 'open') throw new RangeError('mine') } })), RangeError)
  await t.rejects(collect(stream(url, { on: { 'sse.end' () { throw new RangeError('mine') } } })), RangeError)
  t.equal(requests.length, 2)
  const { url: busy } = await scriptedServer(t, status(503))
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = timers()
  await t.rejects(collect(stream(busy, { backoff: { first: 1e6, most: 1e6 }, onState (state) { if (state === 'connecting') throw new RangeError('mine') } })), RangeError)
  t.equal(timers(), before, 'and the wait')
})

t.test('whether to come back can be decided each time', async (t) => {
  const { url, requests } = await scriptedServer(t, status(503), cut(frame(1)), status(502), status(500))
  const asked: unknown[] = []
  await t.rejects(collect(stream(url, { backoff, reconnect ({ code, status }, failures) { asked.push([code, status, failures]); return status !== 500 } })), { code: 'SSE_ERR_NO_STREAM', status: 500 })
  t.strictSame(asked, [['SSE_ERR_NO_STREAM', 503, 1], ['SSE_ERR_DISCONNECTED', undefined, 1], ['SSE_ERR_NO_STREAM', 502, 2], ['SSE_ERR_NO_STREAM', 500, 3]])
  t.equal(requests.length, 4)

  const { url: missing } = await scriptedServer(t, status(404))
  await t.rejects(collect(stream(missing, { reconnect: () => t.fail('that does not pass') })), { code: 'SSE_ERR_NO_STREAM', status: 404 })
})

t.test('delays: what the server says, then exponential and at random, within bounds', async (t) => {
  const { random } = Math
  t.teardown(() => { Math.random = random })
  const failure = (status?: number, headers = {}) => new SseClientError('SSE_ERR_DISCONNECTED', '', status === undefined ? {} : { status, response: new Response(null, { status, headers }) })
  const delays = (retries: ReturnType<typeof retriesOf>, count: number) => Array.from({ length: count }, () => retries.delayAfter(failure()))
  const told = (ms: number, backoff = {}) => Object.assign(retriesOf({ backoff }), { told: ms })

  Math.random = () => 1
  t.strictSame(delays(retriesOf({}), 7), [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
  t.strictSame(delays(retriesOf({ backoff: { first: 200, most: 500 } }), 4), [200, 400, 500, 500])
  t.strictSame(delays(told(3_000), 5), [3_000, 6_000, 12_000, 24_000, 30_000])
  t.strictSame(delays(told(60_000), 3), [60_000, 60_000, 60_000], 'no sooner than the server wants')
  t.strictSame(delays(told(1e12), 2), [3_600_000, 3_600_000])
  for (const ms of [0, 1]) t.strictSame(delays(told(ms), 3), [100, 200, 400], 'less and less often')
  Math.random = () => 0.5
  t.strictSame(delays(retriesOf({}), 3), [500, 1_000, 2_000])
  t.strictSame(delays(told(3_000), 2), [3_000, 3_000], 'the server has spread what it says')
  Math.random = () => 0
  t.strictSame(delays(retriesOf({}), 2), [100, 100])

  const after = (value: string) => retriesOf({}).delayAfter(failure(503, { 'retry-after': value }))
  t.strictSame(['7', '0', '999999999', 'Wed, 21 Oct 2026 07:28:00 GMT'].map(after), [7_000, 100, 3_600_000, 100])
  const reset = told(3_000)
  t.strictSame(delays(reset, 2), [3_000, 100])
  reset.failures = 0
  t.strictSame(delays(reset, 1), [3_000])
})

t.test('the delay that a stream says is heeded', async (t) => {
  const { url, requests } = await scriptedServer(t, whole('retry: 100\n'), whole('retry: 3600001\n\n'))
  const controller = new AbortController()
  const times: number[] = []
  await t.rejects(collect(stream(url, { signal: controller.signal, backoff: { first: 1e9, most: 1e9 }, onState () { times.push(requests.length); if (times.length === 4) controller.abort() } })), { name: 'AbortError' })
  t.strictSame(times, [1, 1, 2, 2, 2], 'the second request came, though the back-off alone is eleven days')

  const { url: polite } = await scriptedServer(t, whole('retry: 100\n'), whole(END))
  const at: number[] = []
  await collect(stream(polite, { onState: () => { at.push(performance.now()) } }))
  const [, connecting = 0, open = 0] = at
  t.ok(open - connecting >= 99, `it came back after ${open - connecting} ms`) // timers may be early by a part of one
})

t.test('what it comes back from, it lets go of', async (t) => {
  const closed: string[] = []
  const endless = (code: number, name: string, text: string): Answer => (response) => {
    response.on('close', () => closed.push(name))
    response.writeHead(code, { 'content-type': 'text/event-stream' }).write(text)
  }
  const { url } = await scriptedServer(t, endless(200, 'goodbye', 'event: sse.bye\ndata: {"reason":"shutdown"}\n\n'), endless(503, 'refusal', 'no'), (response) => {
    response.on('close', () => closed.push('end'))
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(END)
  })
  await collect(stream(url, { backoff }))
  await until(() => closed.length === 3)
  t.strictSame(closed, ['goodbye', 'refusal', 'end'], 'though the server has not ended them')
})

t.test('bounds hold for what has been decompressed', async (t) => {
  const bomb = (text: string) => scriptedServer(t, (response) => response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' }).end(gzipSync(text)))
  const line = await bomb(frame(1) + 'data: ' + 'a'.repeat(2 ** 25))
  const seen: unknown[] = []
  await t.rejects(collect(stream(line.url, { backoff }), seen), { code: 'SSE_ERR_EVENT_TOO_LARGE', message: 'Expected events of at most 8388608 characters' })
  t.strictSame([seen, line.requests.length], [[tick(1)], 1], 'what came before is given')
  const lines = await bomb('data:\n'.repeat(2 ** 22))
  await t.rejects(collect(stream(lines.url, { maxSize: 1e6 })), { code: 'SSE_ERR_EVENT_TOO_LARGE' })
})

t.test('bounds do not depend on how the bytes come', async (t) => {
  const read = (text: string, size: number) => {
    const found: unknown[] = []
    const parse = frameParser({ onFrame: ({ data }) => found.push(data), maxSize: 10 })
    for (let at = 0; at < text.length; at += size) {
      if (!parse(text.slice(at, at + size))) return [...found, 'too long']
    }
    return found
  }
  const cases: [string, unknown[]][] = [
    [`data: ${'a'.repeat(10)}\n\ndata: b\n\n`, ['a'.repeat(10), 'b']],
    [`data: ${'a'.repeat(11)}\n\ndata: b\n\n`, ['too long']],
    ['data: aaaa\ndata: aaaaa\n\ndata: b\n\n', ['aaaa\naaaaa', 'b']],
    ['data: aaaaa\ndata: aaaaa\n\ndata: b\n\n', ['too long']],
    [`data: b\n\n:${'c'.repeat(9)}\ndata: b\n\n`, ['b', 'b']],
    [`id: ${'1'.repeat(13)}\ndata: b\n\n`, ['too long']],
    [`data: b\n\n:${'c'.repeat(16)}\ndata: b\n\n`, ['b', 'too long']],
    ['data: é…😀\n\n', ['é…😀']]
  ]
  for (const [text, expected] of cases) {
    for (let size = 1; size <= text.length; size++) t.strictSame(read(text, size), expected, `${JSON.stringify(text)} by ${size}`)
  }
})

t.test('data is checked by schemas, and events without one are left out', async (t) => {
  const { url } = await scriptedServer(t, whole(`event: other\ndata: no JSON\n\nevent: constructor\ndata: 1\n\n${frame(1)}event: tick\ndata: {"n":"two"}\nid: 2\n\n`))
  const standard = (validate: (data: unknown) => unknown) => ({ '~standard': { version: 1, vendor: 'test', validate } }) as never
  const issues = [{ message: 'no', path: ['n'] }]
  const isTick = (data: unknown): data is { n: number } => typeof data === 'object' && data !== null && 'n' in data && typeof data.n === 'number'
  const byStandard = standard((data) => isTick(data) ? { value: { n: data.n + 1 } } : { issues })
  // As ArkType makes its schemas.
  const byFunction = Object.assign(() => t.fail('it is a Standard Schema, too'), byStandard)
  const checks = async (options: object, first: object = tick(1)) => {
    const seen: unknown[] = []
    const error: ClientError = await collect(stream(url, { ...options }), seen).then(() => t.fail(), (error) => error)
    t.strictSame(seen, [first])
    t.match(error, { code: 'SSE_ERR_INVALID_DATA', message: 'Expected the data of `tick` to be as its schema says', event: 'tick' })
    return error
  }
  t.strictSame((await checks({ events: { tick: byStandard } }, { ...tick(1), data: { n: 2 } })).issues, issues)
  await checks({ events: { tick: byFunction } }, { ...tick(1), data: { n: 2 } })
  await checks({ events: { tick: standard((data) => ({ value: data, issues: isTick(data) ? undefined : issues })) } })
  t.strictSame((await checks({ events: { tick: isTick } })).issues, undefined)
  await checks({ events: schemas, check: Value.Check })

  await t.rejects(collect(stream(url, { events: { tick: standard(async (data) => ({ value: data })) } })), { code: 'SSE_ERR_INVALID_DATA' }, 'a promise is no answer')
  await t.rejects(collect(stream(url, { events: { tick: () => 'yes' } as object })), { code: 'SSE_ERR_INVALID_DATA' }, 'nor is anything but true')
  await t.rejects(collect(stream(url, { events: schemas as object })), { code: 'SSE_ERR_INVALID_DATA' }, 'a schema alone can check nothing')
})

t.test('data that is no JSON is refused, and not quoted', async (t) => {
  const { url, requests } = await scriptedServer(t, whole('event: a\ndata: secret\n\n'))
  const error: ClientError = await collect(stream(url)).then(() => t.fail(), (error) => error)
  t.match(error, { code: 'SSE_ERR_INVALID_DATA', message: 'Expected the data of `a` to be JSON, or named in `text`', event: 'a' })
  t.notMatch(JSON.stringify([error.stack, error.cause ?? '', error.issues ?? '']), 'secret')
  t.equal(requests.length, 1, 'it would come again')
})

t.test('text is taken as it stands', async (t) => {
  const { base } = await serve(t, (app) => {
    const Line = Type.String({ contentMediaType: 'text/plain' })
    app.get('/', { schema: { sse: { line: Line, ...schemas } } }, (_request, reply) => reply.sse([{ event: 'line', text: 'two\nlines' }, { event: 'tick', data: { n: 1 } }]))
  })
  const expected = [{ event: 'line', data: 'two\nlines', id: '' }, { event: 'tick', data: { n: 1 }, id: '' }]
  t.strictSame(await collect(stream(base, { text: ['line'] })), expected)
  t.strictSame(await collect(stream(base, { events: { line: Type.String({ contentMediaType: 'text/plain' }), ...schemas }, check: Value.Check })), expected)
  t.strictSame(await collect(stream(base, { text: true })), [expected[0], { event: 'tick', data: '{"n":1}', id: '' }], 'the plugin\'s own are JSON all the same')
})

t.test('a minimal stream ends with its last line, and has failed without', async (t) => {
  let fails = false
  const { base } = await serve(t, (app) => {
    app.post('/', { config: { sse: { minimal: true, done: '[DONE]' } } }, (_request, reply) => reply.sse(function * () {
      yield { data: { delta: 'Hi' } }
      if (fails) throw new Error('broken')
    }))
  })
  const init = { method: 'POST', done: '[DONE]' }
  const first = { event: 'message', data: { delta: 'Hi' }, id: '' }
  t.strictSame(await collect(stream(base, init)), [first])
  fails = true
  const seen: unknown[] = []
  await t.rejects(collect(stream(base, init), seen), { code: 'SSE_ERR_DISCONNECTED' })
  t.strictSame(seen, [first, { ...first, data: { error: { message: 'The stream failed' } } }])
})

t.test('a stream without ids is not asked for again, unless the caller says so', async (t) => {
  const { url, requests } = await scriptedServer(t, whole('data: 1\n\n'), whole('data: 1\n\n'), whole('data: [DONE]\n\n'))
  const seen: unknown[] = []
  await t.rejects(collect(stream(url, { done: '[DONE]' }), seen), { code: 'SSE_ERR_DISCONNECTED', message: 'The stream broke off' })
  t.strictSame([seen.length, requests.length], [1, 1])
  t.strictSame(await collect(stream(url, { done: '[DONE]', reconnect: true, backoff: { first: 1 } })), seen)
})

t.test('a signal ends the loop behind the event at which it was aborted, whatever else has come', async (t) => {
  const { url } = await scriptedServer(t, whole(frame(1) + frame(2) + END), whole(frame(1) + frame(2)))
  for (const fetch of [globalThis.fetch, deaf]) {
    const leaving = new AbortController()
    const seen: unknown[] = []
    await t.rejects(async () => {
      for await (const event of stream(url, { fetch, signal: leaving.signal })) {
        seen.push(event)
        leaving.abort(new RangeError('enough'))
      }
    }, RangeError)
    t.strictSame(seen, [tick(1)])
  }
})

/** A fetch of the caller's own that does not pass the signal on. */
const deaf: typeof globalThis.fetch = async (input, init) => await fetch(input, { ...init, signal: null })

t.test('a callback may abort what it is told of', async (t) => {
  const { url } = await scriptedServer(t, standing(frame(1)))
  const leaving = new AbortController()
  const onState = (state: ClientState) => { if (state === 'open') leaving.abort(new RangeError('enough')) }
  await t.rejects(collect(stream(url, { fetch: deaf, signal: leaving.signal, onState })), RangeError)
})

t.test('who leaves in a callback before the connection ends is gone, and nothing is asked again', async (t) => {
  const { url, requests } = await scriptedServer(t, whole(`${frame(1)}event: sse.bye\ndata: {"reason":"shutdown"}\n\n`))
  const abort = new RangeError('enough')
  for (const callback of ['sse.bye', 'reconnect']) {
    const leaving = new AbortController()
    const leave = () => { leaving.abort(abort); return true }
    await t.rejects(collect(stream(url, { signal: leaving.signal, backoff: { first: 1 }, ...(callback === 'reconnect' ? { reconnect: leave } : { on: { 'sse.bye': leave } }) })), RangeError, callback)
  }
  const events = stream(url, { backoff: { first: 1 }, on: { 'sse.bye': () => { void events.return?.() } } })
  t.strictSame(await collect(events), [tick(1)])
  t.equal(requests.length, 3)
})

t.test('a connection is given up though fetch does not heed the signal', async (t) => {
  const closed: unknown[] = []
  const open: Answer = (response) => {
    response.on('close', () => closed.push('closed'))
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(frame(1))
  }
  const { url } = await scriptedServer(t, open, open, open)
  const leaving = new AbortController()
  const aborted = stream(url, { fetch: deaf, signal: leaving.signal })
  await aborted.next()
  leaving.abort(new RangeError('enough'))
  await t.rejects(aborted.next(), RangeError)
  await t.rejects(collect(stream(url, { fetch: deaf, silence: 1, reconnect: false })), { code: 'SSE_ERR_SILENT' })
  const left = stream(url, { fetch: deaf })
  await left.next()
  await left.return?.()
  await until(() => closed.length === 3)
})

t.test('an id in a block without data counts', async (t) => {
  const { url, requests } = await scriptedServer(t, whole('retry: 100\nid: 7\n\n'), whole('data: 1\n\nid\ndata: 2\n\n' + END))
  t.strictSame((await collect(stream<{ message: number }>(url, { backoff }))).map(({ data, id }) => [data, id]), [[1, '7'], [2, '']])
  t.strictSame(requests.map(({ headers }) => headers['last-event-id']), [undefined, '7'])
  t.match(requests[0]?.headers, { 'cache-control': 'no-cache' })
})

t.test('nothing waits for headers that do not come', async (t) => {
  const { url, requests } = await scriptedServer(t)
  const never = { headers: () => new Promise<never>(() => {}) }
  const leaving = new AbortController()
  const aborted = collect(stream(url, { ...never, signal: leaving.signal }))
  leaving.abort(new RangeError('enough'))
  await t.rejects(aborted, RangeError)
  const events = stream(url, never)
  const pending = events.next()
  t.strictSame(await Promise.all([events.return?.(), pending]), [{ done: true, value: undefined }, { done: true, value: undefined }])
  await t.rejects(collect(stream(url, { ...never, silence: 1, reconnect: false })), { code: 'SSE_ERR_SILENT' })
  t.strictSame(requests, [])
})

t.test('what fetch does not take is told at once', async (t) => {
  for (const [url, init] of [
    ['/relative', {}],
    ['http://user:secret@localhost/', {}],
    ['http://localhost/', { method: 'T R A C E' }],
    ['http://localhost/', { body: 'with a GET' }],
    ['http://localhost/', { method: 'POST', body: new ReadableStream() as never }]
  ] as const) t.throws(() => stream(url, init), TypeError, JSON.stringify([url, init]))
  await t.rejects(collect(stream('http://localhost/', { headers: { 'no name': '' } })), TypeError)
})

t.test('redirects of a request with headers', async (t) => {
  const mine = { authorization: 'Bearer secret', cookie: 'secret', 'x-key': 'secret' }
  const secrets = ({ headers }: { headers: object }) => Object.keys(mine).filter((name) => name in headers)
  const end = whole(END)
  const to = (code: number, location: string) => status(code, { location })

  const same = await scriptedServer(t, to(302, '/moved'), to(307, 'again?a=1'), end)
  await collect(stream(`${same.url}/old/one`, { headers: mine, lastEventId: '7' }))
  t.strictSame(same.requests.map((request) => [request.path, secrets(request), request.headers['last-event-id']]), [
    ['/old/one', Object.keys(mine), '7'],
    ['/moved', Object.keys(mine), '7'],
    ['/again?a=1', Object.keys(mine), '7']
  ], 'within an origin they stay')

  const back = await scriptedServer(t, (response) => response.writeHead(301, { location: other.url }).end(), end)
  const other = await scriptedServer(t, to(308, `${back.url}/back`))
  await collect(stream(back.url, { headers: mine, lastEventId: '7' }))
  t.match(other.requests, [{ headers: { accept: 'text/event-stream', 'last-event-id': '7' } }])
  t.strictSame([other.requests.map(secrets), back.requests.map(secrets)], [[[]], [Object.keys(mine), []]], 'another origin gets none, nor does what that leads to')

  const round = await scriptedServer(t, to(302, '/'))
  await t.rejects(collect(stream(round.url, { headers: mine })), { code: 'SSE_ERR_NO_STREAM', status: 302 })
  t.equal(round.requests.length, 21)

  const nowhere = await scriptedServer(t, status(302))
  await t.rejects(collect(stream(nowhere.url, { headers: mine })), { code: 'SSE_ERR_NO_STREAM', status: 302 })
  const created = await scriptedServer(t, (response) => response.writeHead(200, { 'content-type': 'text/event-stream', location: '/x' }).end(END))
  await collect(stream(created.url, { headers: mine }))
  t.equal(created.requests.length, 1, 'a location is a redirect only with such a status')
})

t.test('a redirect that a browser hides is told as one', async (t) => {
  const hidden = Object.defineProperties(new Response(null), { status: { value: 0 }, type: { value: 'opaqueredirect' } })
  await t.rejects(stream('http://127.0.0.1:1/', { headers: { a: 'b' }, fetch: async () => hidden }).next(), { code: 'SSE_ERR_NO_STREAM', message: 'Expected a stream, got a redirect with no type', status: 0 })
})

t.test('redirects of a request with a body, and of one with nothing', async (t) => {
  for (const code of [301, 302, 303, 307, 308]) {
    const { url, requests } = await scriptedServer(t, status(code, { location: '/moved' }), whole(END))
    await t.rejects(collect(stream(url, { method: 'POST', body: 'secret', reconnect: true })), { code: 'SSE_ERR_NO_STREAM', status: code })
    t.equal(requests.length, 1)
    const plain = await scriptedServer(t, status(code, { location: '/moved' }), whole(END))
    await collect(stream(plain.url))
    t.strictSame(plain.requests.map(({ path }) => path), ['/', '/moved'])
  }
})

t.test('types do not stand in the way of what is not known', async (t) => {
  const { url } = await scriptedServer(t, whole(frame(1) + END))
  const events: ReceivedEvent[] = await collect(stream(url))
  t.strictSame(events, [tick(1)])
})

t.test('a signal that outlives a stream is let go of', async (t) => {
  const { url } = await scriptedServer(t, whole(END))
  const { signal } = new AbortController()
  const listeners: string[] = []
  const watched = Object.assign(Object.create(signal), {
    throwIfAborted () {},
    addEventListener: (type: string) => { listeners.push(`+${type}`) },
    removeEventListener: (type: string) => { listeners.push(`-${type}`) }
  })
  await collect(stream(url, { signal: watched }))
  t.strictSame(listeners, ['+abort', '-abort'])
})
