// The client by EventSource, on Node.js with two kinds of it that nobody here wrote, against the plugin on real sockets and against
// servers that misbehave.
import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { EventSource as EventsourceClient } from 'eventsource'
import { Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { EventSource as UndiciClient } from 'undici'
import { subscribe, type ClientError, type ClientState, type ClientSubscription, type EventSourceLike, type EventsOf } from '../lib/client/index.js'
import type { Topic } from '../lib/index.js'
import { cuttingProxy } from './helpers/cutting-proxy.js'
import { RawSocket } from './helpers/raw-socket.js'
import { cut, gone, mute, passed, scriptedServer, standing, status, whole, type Answer } from './helpers/scripted-server.js'
import { serve, type Served } from './helpers/serve.js'
import { until } from './helpers/until.js'

const schemas = { tick: Type.Object({ n: Type.Integer() }) }
type Ticks = EventsOf<typeof schemas>

const frame = (n: number) => `retry: 100\nevent: tick\ndata: {"n":${n}}\nid: ${n}\n\n`
const END = 'event: sse.end\ndata: {}\nid: ~end\n\n'
const backoff = { first: 1 }

const connect = (url: string): EventSourceLike => new EventsourceClient(url)
const kinds: Record<string, (url: string) => EventSourceLike> = { eventsource: connect, undici: (url) => new UndiciClient(url) }

const threeTicks = (t: Test, more: (app: FastifyInstance) => void = () => {}): Promise<Served> => serve(t, (app) => {
  app.get('/ticks', { schema: { sse: schemas } }, (_request, reply) => reply.sse(function * ({ lastEventId, events }) {
    for (let n = Number(lastEventId ?? 0) + 1; n <= 3; n++) yield events.tick({ n }, { id: String(n) })
  }))
  more(app)
}, { retry: 100 })

/** What a subscription told, and a promise of its end. */
class Log {
  readonly seen: unknown[] = []
  readonly states: [ClientState, (string | number)?][] = []
  readonly errors: ClientError[] = []
  readonly closed: Promise<void>
  #close = () => {}

  constructor () {
    this.closed = new Promise((resolve) => { this.#close = resolve })
  }

  readonly onState = (state: ClientState, error: ClientError | undefined): void => {
    this.states.push(error === undefined ? [state] : [state, error.status ?? error.code])
    if (error !== undefined) this.errors.push(error)
    if (state === 'closed') this.#close()
  }

  readonly on = { tick: ({ n }: { n: number }, { event, id }: { event: string, id: string }): void => { this.seen.push([event, n, id]) } }
}

const ALL = [['tick', 1, '1'], ['tick', 2, '2'], ['tick', 3, '3']]

/** A client of a server that gives these answers. */
async function follow (t: Test, answers: Answer[], options: Partial<Parameters<typeof subscribe<Ticks>>[1]> = {}) {
  const server = await scriptedServer(t, ...answers)
  const log = new Log()
  const subscription = subscribe<Ticks>(server.url, { connect, backoff, ...log, ...options })
  t.teardown(() => subscription.close())
  const asked = () => server.requests.map(({ method, path, headers }) => [method, path, ...headers['last-event-id'] === undefined ? [] : [headers['last-event-id']]])
  return { ...server, log, subscription, asked }
}

/** An EventSource of which a test plays the platform. */
class Played implements EventSourceLike {
  readonly url = 'http://localhost/'
  readonly withCredentials = false
  readyState = 0
  readonly listeners = new Map<string, (event: object) => void>()

  addEventListener (type: string, listener: (event: object) => void): void { this.listeners.set(type, listener) }
  close (): void { this.readyState = 2 }
  play (type: string, event: object = {}): void { this.listeners.get(type)?.({ type, ...event }) }
}

for (const [name, connect] of Object.entries(kinds)) {
  t.test(`${name}: the events of a route come with their data and ids, and end with it`, async (t) => {
    const served = await threeTicks(t)
    const { url, requests } = await scriptedServer(t, passed(served.port))
    const log = new Log()
    const subscription = subscribe<Ticks>(`${url}/ticks`, { connect, ...log })
    t.equal(subscription.state, 'connecting')
    await log.closed
    t.strictSame(log.seen, ALL)
    t.strictSame(log.states, [['open'], ['closed']])
    t.strictSame([subscription.state, subscription.error, subscription.lastEventId], ['closed', undefined, '3'])
    t.equal(requests.length, 1, 'the end costs no further request')
  })

  t.test(`${name}: cut at every byte of the answer, each event comes once`, async (t) => {
    const served = await threeTicks(t)
    const probe = await RawSocket.request(served.base, '/ticks', { headers: { accept: 'text/event-stream', connection: 'close' } })
    await probe.ended()
    const length = probe.socket.bytesRead
    t.ok(length > 300, `${length} bytes`)
    const cutAt = async (offset: number) => {
      const { url } = await cuttingProxy(t, served.port, offset)
      const log = new Log()
      subscribe<Ticks>(`${url}/ticks`, { connect, backoff, ...log })
      await log.closed
      return { offset, seen: log.seen }
    }
    const cuts = await Promise.all(Array.from({ length }, (_, index) => cutAt(index + 1)))
    t.strictSame(cuts.filter(({ seen }) => JSON.stringify(seen) !== JSON.stringify(ALL)), [])
  })

  t.test(`${name}: where it has given up at a proxy's 502, another takes its place and misses nothing`, async (t) => {
    const served = await threeTicks(t)
    const server = await scriptedServer(t, cut(frame(1)), status(502), status(502), gone, passed(served.port))
    const log = new Log()
    const subscription = subscribe<Ticks>(`${server.url}/ticks?a=b%3Fc#top`, { connect, backoff, ...log })
    await log.closed
    t.strictSame(log.seen, ALL)
    t.strictSame(server.requests.map(({ method, path, headers }) => [method, path, headers['last-event-id']]), [
      ['GET', '/ticks?a=b%3Fc', undefined],
      ['GET', '/ticks?a=b%3Fc', '1'],
      ['HEAD', '/ticks?a=b%3Fc&lastEventId=1', undefined],
      ['HEAD', '/ticks?a=b%3Fc&lastEventId=1', undefined],
      ['HEAD', '/ticks?a=b%3Fc&lastEventId=1', undefined],
      ['GET', '/ticks?a=b%3Fc&lastEventId=1', undefined]
    ])
    t.strictSame(log.states, [['open'], ['connecting', 'SSE_ERR_DISCONNECTED'], ['connecting', 'SSE_ERR_DISCONNECTED'], ['connecting', 502], ['connecting', 'SSE_ERR_DISCONNECTED'], ['open'], ['closed']])
    t.match(log.errors, [{}, {}, { message: 'Expected a stream, got 502 with no type' }, { message: 'The stream broke off', cause: TypeError }])
    t.equal(subscription.lastEventId, '3')
    t.match(server.requests[2]?.headers, { accept: 'text/event-stream' })
  })
}

t.test('204 is the end, and so is a status that does not pass', async (t) => {
  const gone204 = await follow(t, [cut(frame(1)), status(204)])
  await gone204.log.closed
  t.strictSame(gone204.asked(), [['GET', '/'], ['GET', '/', '1'], ['HEAD', '/?lastEventId=1']])
  t.strictSame(gone204.log.states.at(-1), ['closed'])

  const missing = await follow(t, [status(404)])
  await missing.log.closed
  t.strictSame(missing.asked(), [['GET', '/'], ['HEAD', '/']])
  t.strictSame(missing.log.states, [['connecting', 'SSE_ERR_DISCONNECTED'], ['closed', 404]])
  t.match(missing.subscription.error, { code: 'SSE_ERR_NO_STREAM', status: 404 })

  const page = await follow(t, [whole('<html>', { 'content-type': 'text/html' })])
  await page.log.closed
  t.match(page.subscription.error, { message: 'Expected a stream, got 200 with text/html' })
})

t.test('a server that answers no HEAD is asked for the stream', async (t) => {
  for (const code of [405, 501]) {
    const { log, asked } = await follow(t, [status(502), status(code), whole(frame(1) + END)])
    await log.closed
    t.strictSame(asked(), [['GET', '/'], ['HEAD', '/'], ['GET', '/']])
    t.strictSame(log.seen, [['tick', 1, '1']])
  }
})

t.test('it asks as the EventSource does: with cookies for another origin only where that has them', async (t) => {
  const asked: unknown[] = []
  const asking: typeof fetch = async (url, init) => { asked.push([String(url), init?.method, init?.credentials]); return await fetch(url, init) }
  for (const withCredentials of [true, false]) {
    const { log, url } = await follow(t, [status(502), whole(END)], { withCredentials, fetch: asking })
    await log.closed
    t.strictSame(asked.pop(), [`${url}/`, 'HEAD', withCredentials ? 'include' : 'same-origin'])
  }
})

t.test('it begins where it is told to', async (t) => {
  const served = await threeTicks(t)
  const log = new Log()
  subscribe<Ticks>(`${served.base}/ticks?lastEventId=1`, { connect, lastEventId: '2', ...log })
  await log.closed
  t.strictSame(log.seen, [['tick', 3, '3']])
})

t.test('a stream that failed says so, and is resumed by the EventSource itself', async (t) => {
  let runs = 0
  const { base } = await serve(t, (app) => {
    app.get('/', { schema: { sse: schemas } }, (_request, reply) => reply.sse(function * ({ events }) {
      yield events.tick({ n: ++runs }, { id: runs })
      if (runs === 1) throw new Error('secret')
    }))
  }, { retry: 100 })
  const log = new Log()
  const told: unknown[] = []
  subscribe<Ticks>(base, { connect, ...log, on: { ...log.on, 'sse.error': (...given) => { told.push(given) } } })
  await log.closed
  t.strictSame(log.seen, [['tick', 1, '1'], ['tick', 2, '2']])
  t.strictSame(log.states, [['open'], ['connecting', 'SSE_ERR_STREAM_FAILED'], ['open'], ['closed']])
  t.match(log.errors, [{ data: { message: 'The stream failed' } }])
  t.strictSame(told, [[{ message: 'The stream failed' }, { event: 'sse.error', data: { message: 'The stream failed' }, id: '1' }]])
})

t.test('of a channel: goodbye, what was missed, and a position where there was no event', async (t) => {
  let news: Topic<{ tick: { n: number } }> | undefined
  const served = await serve(t, (app) => {
    const channel = app.sse.channel('news', { events: schemas })
    news = channel
    app.get('/', { schema: { sse: schemas } }, (_request, reply) => reply.sse(channel.subscribe({ key: 'reader' })))
  }, { retry: 100 })
  const { url, requests } = await scriptedServer(t, passed(served.port), status(502), passed(served.port))
  const log = new Log()
  const told: unknown[] = []
  const subscription = subscribe<Ticks>(url, {
    connect,
    backoff,
    ...log,
    on: {
      ...log.on,
      'sse.cursor': (_data, { id }) => { if (requests.length === 1) void served.app.sse.disconnect({ key: 'reader' }); told.push(id) },
      'sse.bye': ({ reason }) => { told.push(reason); void news?.publish('tick', { n: 1 }) }
    }
  })
  await until(() => log.seen.length === 1)
  const [position] = told as [string]
  t.strictSame(told, [position, 'disconnected', position])
  t.strictSame([requests[1]?.headers['last-event-id'], requests.at(-1)?.path], [position, `/?lastEventId=${position}`])
  t.match(log.errors, [{ code: 'SSE_ERR_DISCONNECTED', message: 'The server ended the stream', data: { reason: 'disconnected' } }, { message: 'The stream broke off' }])
  subscription.close()

  const resets: unknown[] = []
  const late = subscribe<Ticks>(served.base, { connect, lastEventId: 'of-another-server', on: { 'sse.reset': (reset) => { resets.push(reset) } } })
  await until(() => resets.length === 1)
  t.strictSame(resets, [{ channel: 'news', reason: 'unknown' }])
  late.close()
})

t.test('a connection without events for too long is given up', async (t) => {
  const { log, asked } = await follow(t, [standing(frame(1)), whole(''), whole(frame(2) + END)], { silence: 500 })
  await log.closed
  t.strictSame(asked(), [['GET', '/'], ['HEAD', '/?lastEventId=1'], ['GET', '/?lastEventId=1']])
  t.strictSame(log.states, [['open'], ['connecting', 'SSE_ERR_SILENT'], ['open'], ['closed']])
  t.equal(log.errors[0]?.message, 'Nothing came for 500 ms')

  const unanswered = await follow(t, [mute, status(502), standing('')], { silence: 50, reconnect: (_error, failures) => failures < 2 })
  await unanswered.log.closed
  t.strictSame(unanswered.log.states, [['connecting', 'SSE_ERR_SILENT'], ['closed', 502]])
})

t.test('whether to come back can be decided each time, also where the EventSource would by itself', async (t) => {
  const asked: unknown[] = []
  const { log, requests } = await follow(t, [cut(frame(1)), cut(frame(2)), cut(''), status(502), status(502)], {
    reconnect ({ code, status }, failures) {
      asked.push([status ?? code, failures])
      return failures < 4
    }
  })
  await log.closed
  t.strictSame(asked, [['SSE_ERR_DISCONNECTED', 1], ['SSE_ERR_DISCONNECTED', 1], ['SSE_ERR_DISCONNECTED', 2], ['SSE_ERR_DISCONNECTED', 3], [502, 4]])
  t.strictSame(log.states.at(-1), ['closed', 502])
  t.equal(requests.length, 5)

  const never = await follow(t, [cut(frame(1))], { reconnect: false })
  await never.log.closed
  t.strictSame(never.log.states, [['open'], ['closed', 'SSE_ERR_DISCONNECTED']])
  t.equal(never.requests.length, 1)
})

t.test('an EventSource that is there already is taken over', async (t) => {
  const { url, requests } = await scriptedServer(t, standing(frame(1)), passed((await threeTicks(t)).port))
  const own = new EventsourceClient(`${url}/ticks`)
  await once(own, 'tick')
  const log = new Log()
  const subscription = subscribe<Ticks>(own, { backoff, silence: 50, ...log })
  t.equal(subscription.state, 'open')
  await log.closed
  t.strictSame(log.seen, ALL, 'from the beginning, since what came before it was there is not known to it')
  t.equal(own.readyState, own.CLOSED)
  t.strictSame(requests.map(({ method }) => method), ['GET', 'HEAD', 'GET'])
})

t.test('one that has given up already is made anew, of its kind', async (t) => {
  class Own extends EventsourceClient {
    static made = 0
    constructor (...given: ConstructorParameters<typeof EventsourceClient>) {
      super(...given)
      Own.made++
    }
  }
  const { url } = await scriptedServer(t, status(502), whole(frame(1) + END))
  const own = new Own(url, { withCredentials: true })
  await once(own, 'error')
  const log = new Log()
  const subscription = subscribe<Ticks>(own, { backoff, ...log, fetch: async (url, init) => { t.equal(init?.credentials, 'include'); return await fetch(url, init) } })
  t.equal(subscription.state, 'connecting')
  await log.closed
  t.strictSame(log.seen, [['tick', 1, '1']])
  t.equal(Own.made, 2)
})

t.test('one that has given up already, and is closed at once, stays so', async (t) => {
  const source = Object.assign(new Played(), { readyState: 2 })
  const states: string[] = []
  const subscription = subscribe(source, { on: {}, onState: (state) => { states.push(state) } })
  subscription.close()
  await turn()
  t.strictSame([subscription.state, states], ['closed', ['closed']])
})

t.test('after close() nothing is called and nothing is asked', async (t) => {
  const open = await follow(t, [standing(frame(1))])
  await until(() => open.log.seen.length === 1)
  open.subscription.close()
  open.subscription.close()
  t.strictSame(open.log.states, [['open'], ['closed']], 'once')

  const during = async (when: 'waiting' | 'asking') => {
    const subscriptions: ClientSubscription[] = []
    const close = () => subscriptions[0]?.close()
    const following = await follow(t, [status(502), (response) => { if (when === 'asking') close(); response.writeHead(204).end() }], {
      backoff: { first: when === 'waiting' ? 1e6 : 1 },
      reconnect: () => { if (when === 'waiting') queueMicrotask(close); return true }
    })
    subscriptions.push(following.subscription)
    await following.log.closed
    return [following.log.states, following.requests.length]
  }
  t.strictSame(await during('waiting'), [[['connecting', 'SSE_ERR_DISCONNECTED'], ['closed']], 1])
  t.strictSame(await during('asking'), [[['connecting', 'SSE_ERR_DISCONNECTED'], ['closed']], 2])
})

t.test('data that is wrong ends it', async (t) => {
  const bad = await follow(t, [standing(`${frame(1)}event: tick\ndata: {"n":"two"}\nid: 2\n\n${frame(3)}`)], { events: schemas, check: Value.Check } as object)
  await bad.log.closed
  t.strictSame(bad.log.seen, [['tick', 1, '1']])
  t.match(bad.subscription.error, { code: 'SSE_ERR_INVALID_DATA', event: 'tick' })

  const text = await follow(t, [standing('event: tick\ndata: 1,2\n\n')])
  await text.log.closed
  t.match(text.subscription.error, { code: 'SSE_ERR_INVALID_DATA', message: 'Expected the data of `tick` to be JSON, or named in `text`' })
})

t.test('events come as the EventSource has them, and to their own callbacks', async (t) => {
  const seen: unknown[] = []
  const see = (...given: unknown[]) => { seen.push(given) }
  const { url } = await scriptedServer(t, whole(`data: 1\n\nevent: line\ndata: a\ndata: b\n\nevent: other\ndata: 2\n\n${END}`))
  const log = new Log()
  subscribe(url, { connect, ...log, text: ['line'], on: { message: see, line: see, 'sse.end': see } })
  await log.closed
  t.strictSame(seen, [
    [1, { event: 'message', data: 1, id: '' }],
    ['a\nb', { event: 'line', data: 'a\nb', id: '' }],
    [{}, { event: 'sse.end', data: {}, id: '' }]
  ])
})

t.test('what a callback throws is the platform\'s to report', async (t) => {
  const source = new Played()
  const subscription = subscribe(source, { on: { tick () { throw new RangeError('mine') } } })
  t.throws(() => source.play('tick', { data: '1', lastEventId: '7' }), RangeError)
  t.strictSame([subscription.state, subscription.lastEventId], ['connecting', '7'], 'and the stream goes on')
  subscription.close()

  const ended = new Played()
  const done = subscribe(ended, { on: { 'sse.end' () { throw new RangeError('mine') } } })
  t.throws(() => ended.play('sse.end', { data: '{}', lastEventId: '~end' }), RangeError)
  t.strictSame([done.state, ended.readyState], ['closed', 2], 'but not behind its end')
})

t.test('what is still on its way from an EventSource that was given up is not heard', async (t) => {
  const source = new Played()
  const seen: unknown[] = []
  const subscription = subscribe(source, { on: { tick: (data) => { seen.push(data) } }, onState: (state) => { seen.push(state) } })
  source.play('tick', { data: '1', lastEventId: '' })
  subscription.close()
  for (const type of ['open', 'tick', 'error']) source.play(type, { data: '2', lastEventId: '9' })
  t.strictSame(seen, [1, 'closed'])
  t.strictSame([subscription.lastEventId, source.readyState], ['', 2])
})

t.test('an event without an id, as the package eventsource has it, does not move the client back', async (t) => {
  const source = new Played()
  const subscription = subscribe(source, { on: {} })
  source.play('sse.cursor', { data: '{}', lastEventId: '7' })
  source.play('sse.error', { data: '{}', lastEventId: '' })
  source.play('sse.end', { data: '{}', lastEventId: '~end' })
  t.strictSame([subscription.lastEventId, subscription.state], ['7', 'closed'])
})

t.test('where there is no EventSource, one has to be given; and a URL has to be one', async (t) => {
  if (!('EventSource' in globalThis)) t.throws(() => subscribe('http://localhost/', { on: {} }), TypeError)
  t.throws(() => subscribe('/relative', { connect, on: {} }), TypeError)
})
