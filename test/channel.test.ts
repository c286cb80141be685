// Channels as their users see them: what is published, what a stream gets, and what bad input is told.
import diagnostics from 'node:diagnostics_channel'
import { setImmediate as turn } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import { Type as Type1 } from 'typebox'
import { z } from 'zod'
import type { ChannelOptions, Position, SubscribeOptions, Subscription, Topic } from '../lib/index.js'
import { brokerWith } from './helpers/broker-with.js'
import { RawSocket } from './helpers/raw-socket.js'
import { readStream, type StreamReader } from './helpers/read-events.js'
import { serve, type Served } from './helpers/serve.js'
import type { StartOptions } from './helpers/start-app.js'
import { until } from './helpers/until.js'

const events = { tick: Type.Object({ n: Type.Integer() }) }
const schema = { sse: events }

const tick = (n: number, id: string) => `event: tick\ndata: {"n":${n}}\nid: ${id}\n\n`
const cursor = (id: string) => `event: sse.cursor\ndata: {}\nid: ${id}\n\n`
const reset = (channel: string, reason: string, id?: string) => `event: sse.reset\ndata: {"channel":"${channel}","reason":"${reason}"}\n${id === undefined ? '' : `id: ${id}\n`}\n`

interface News extends Served {
  publish (n: number): Promise<Position>
  read (lastEventId?: string): Promise<StreamReader>
  /** Reads until the text is whole, and leaves. */
  gets (lastEventId: string | undefined, text: string): Promise<void>
}

/** An application with the channel `news` at `/`. */
async function news (t: Test, options: Omit<ChannelOptions<'news', typeof events, { tick: { n: number } }>, 'events'> = {}, subscribe?: SubscribeOptions<{ tick: { n: number } }>, start: StartOptions = {}): Promise<News> {
  let publish: News['publish'] = async () => ''
  const served = await serve(t, (app) => {
    const channel = app.sse.channel('news', { events, ...options })
    publish = (n) => channel.publish('tick', { n })
    app.get('/', { schema }, (_request, reply) => reply.sse(channel.subscribe(subscribe)))
  }, start)
  const read = (lastEventId?: string) => readStream(`${served.base}/`, lastEventId === undefined ? {} : { headers: { 'last-event-id': lastEventId } })
  return {
    ...served,
    publish,
    read,
    async gets (lastEventId, text) {
      const stream = await read(lastEventId)
      t.equal(await stream.until((got) => got.length >= text.length), text)
      stream.close()
    }
  }
}

const publishAll = async (publish: News['publish'], count: number): Promise<Position[]> => {
  const ids: Position[] = []
  for (let n = 0; n < count; n++) ids.push(await publish(n))
  return ids
}

type Channel = Topic<{ tick: { n: number } }>

const epoch = (id: Position) => id.split('.')[0] as string // it has one
const headOf = (text: string) => /id: (\S+)/.exec(text)?.[1] as string // each stream begins with one

t.test('a stream begins with its cursor and gets what is published, once encoded, in one write a turn', async (t) => {
  const { publish, port } = await news(t)
  const clients = await Promise.all(['/', '/'].map((path) => RawSocket.request(`http://127.0.0.1:${port}`, path)))
  for (const client of clients) await client.until('sse.cursor')
  const ids = await Promise.all([1, 2, 3].map(publish))
  for (const client of clients) {
    await client.until(`id: ${ids[2]}\n\n`)
    const head = headOf(client.body)
    t.match(head, /^[A-Za-z0-9_-]{8}\.\d+-\d+$/)
    t.strictSame(client.chunks, [`:\n${cursor(head)}`, [1, 2, 3].map((n) => tick(n, ids[n - 1] as string)).join('')])
    client.leave()
  }
})

t.test('a client that was cut off before its first event resumes from the cursor', async (t) => {
  const { read, publish, gets } = await news(t)
  const stream = await read()
  const head = headOf(await stream.until('sse.cursor'))
  stream.close()
  const id = await publish(1)
  await gets(head, `:\n${cursor(head)}${tick(1, id)}`)
})

t.test('each position has its answer', async (t) => {
  const { publish, gets, read, port } = await news(t, { history: { max: 5 } })
  const ids = await publishAll(publish, 10) as [Position, ...Position[]]
  const at = (n: number) => ids[n] as Position
  const head = at(9)
  const after = (n: number) => ids.slice(n + 1).map((id, index) => tick(n + 1 + index, id)).join('')
  const lost = `:\n${reset('news', 'lost', head)}`

  await gets(head, `:\n${cursor(head)}`)
  await gets(at(7), `:\n${cursor(at(7))}${after(7)}`)
  await gets(at(4), `:\n${cursor(at(4))}${after(4)}`) // directly before the oldest
  await gets(at(3), lost)
  await gets(at(0), lost)
  await gets(`${epoch(head)}.1-0`, lost)
  await gets(head.replace(/\.\d+-/, '.999999999999999-'), `:\n${reset('news', 'ahead', head)}`)
  for (const unknown of ['x', '0', '~', 'a~b', `${head}~`, `${head}.`, 'a.1-b', `${'e'.repeat(33)}.1-0`, Array(17).fill(head).join('~'), `${epoch(head)}.1-0 `.repeat(20).trim()]) {
    await gets(unknown, `:\n${reset('news', 'unknown', head)}`)
  }
  for (const foreign of ['elsewhere.1-0', head.replace(epoch(head), 'AAAAAAAA'), `a.1-0~b.${head.split('.')[1]}`]) {
    await gets(foreign, `:\n${reset('news', 'epoch', head)}`)
  }

  for (const unreadable of ['x'.repeat(10_000), 'a\tb', `${head}\x9f`]) await gets(unreadable, `:\n${reset('news', 'unknown', head)}`)
  const byQuery = await readStream(`http://127.0.0.1:${port}/?lastEventId=${at(8)}`)
  await byQuery.until(`:\n${cursor(at(8))}${after(8)}`)
  byQuery.close()
  const stream = await read(at(0))
  t.equal(stream.headers['sse-reset'], 'news;lost', 'the head says it too')
  stream.close()
})

t.test('a position is found among 100,000', async (t) => {
  const { app, publish, read, gets } = await news(t, { history: { max: 100_000, bytes: 16 * 1_048_576 } })
  const ids = await publishAll(publish, 100_000)
  await gets(ids[99_998], `:\n${cursor(ids[99_998] as string)}${tick(99_999, ids[99_999] as string)}`)
  const { reads } = app.sse.stats().channels
  const stream = await read(ids[50_000])
  await stream.until('"n":50001}')
  t.match(stream.text, `:\n${cursor(ids[50_000] as string)}${tick(50_001, ids[50_001] as string)}`)
  t.equal(reads, 1, 'by one read, which begins behind it')
  stream.close()
})

t.test('after a restart each position is of another epoch', async (t) => {
  const before = await news(t)
  const id = await before.publish(1)
  await before.app.close()
  const after = await news(t)
  const stream = await after.read(id)
  t.match(await stream.until('sse.reset'), /^:\nevent: sse\.reset\ndata: \{"channel":"news","reason":"epoch"\}\nid: \S+\n\n$/)
  stream.close()
})

t.test('without history nothing is replayed, and the client is told', async (t) => {
  const { publish, gets } = await news(t, { history: false })
  const id = await publish(1)
  const head = await publish(2)
  await gets(head, `:\n${cursor(head)}`)
  await gets(id, `:\n${reset('news', 'lost', head)}`)
})

t.test('what is too old is not replayed', async (t) => {
  const { publish, read } = await news(t, { history: { ttl: 1 } })
  const [first] = await publishAll(publish, 2)
  const start = performance.now()
  while (performance.now() - start < 2) await turn()
  const stream = await read(first)
  t.match(await stream.until('sse.reset'), '"reason":"lost"')
  stream.close()
})

t.test('a client without a position begins where the subscription says', async (t) => {
  const oldest = await news(t, { history: { max: 2 } }, { from: 'oldest' })
  const ids = await publishAll(oldest.publish, 3) as [Position, Position, Position]
  await oldest.gets(undefined, `:\n${cursor(ids[0])}${tick(1, ids[1])}${tick(2, ids[2])}`)
  await oldest.gets(ids[1], `:\n${cursor(ids[1])}${tick(2, ids[2])}`)

  const empty = await news(t, {}, { from: 'oldest' })
  const stream = await empty.read()
  const head = headOf(await stream.until('sse.cursor'))
  const id = await empty.publish(1)
  t.equal(await stream.until('tick'), `:\n${cursor(head)}${tick(1, id)}`)
  stream.close()
})

t.test('a subscription may begin behind a position that the server keeps', async (t) => {
  const { app, base } = await serve(t, (app) => {
    const channel = app.sse.channel('news', { events })
    app.get('/:from', { schema: { ...schema, params: Type.Object({ from: Type.String() }) } }, (request, reply) => reply.sse(channel.subscribe({ from: (request.params as { from: string }).from })))
  })
  const channel = app.sse.channel('news', { events })
  const ids = await publishAll((n) => channel.publish('tick', { n }), 2) as [Position, Position]
  for (const [from, text] of [[ids[0], `:\n${cursor(ids[0])}${tick(1, ids[1])}`], ['elsewhere.1-0', `:\n${reset('news', 'epoch', ids[1])}`]] as const) {
    const stream = await readStream(`${base}/${from}`)
    t.equal(await stream.until((got) => got.length >= text.length), text)
    stream.close()
  }
  const { statusCode, json } = await app.inject('/yesterday')
  t.equal(statusCode, 500)
  t.equal(json().code, 'SSE_ERR_INVALID_OPTION')
})

t.test('a channel with parameters', async (t) => {
  const { app, base } = await serve(t, (app) => {
    const orders = app.sse.channel('orders/:tenant/:kind', { events })
    app.get('/:tenant/:kind', { schema }, (request, reply) => reply.sse(orders.at(request.params as { tenant: string, kind: string }).subscribe()))
  })
  const orders = app.sse.channel('orders/:tenant/:kind', { events })

  t.test('has topics that do not mix, whatever the values are', async (t) => {
    t.equal(orders.at({ tenant: 'a/b', kind: 7 }).name, 'orders/a%2Fb/7')
    t.equal(orders.at({ tenant: 'ä', kind: ':kind' }).name, 'orders/%C3%A4/%3Akind')
    t.equal(orders.name, 'orders/:tenant/:kind')
    t.equal(orders.events, events)
    const [mine, other] = await Promise.all(['a%2Fb/c', 'a/b%2Fc'].map((path) => readStream(`${base}/${path}`))) as [StreamReader, StreamReader]
    await Promise.all([mine.until('sse.cursor'), other.until('sse.cursor')])
    await orders.at({ tenant: 'a/b', kind: 'c' }).publish('tick', { n: 1 })
    await orders.at({ tenant: 'a', kind: 'b/c' }).publish('tick', { n: 2 })
    t.match(await mine.until('tick'), /"n":1/)
    t.match(await other.until('tick'), /"n":2/)
    mine.close()
    other.close()
  })

  t.test('refuses other parameters, with a code', async (t) => {
    const refused: Array<[params: unknown, message: RegExp]> = [
      [undefined, /^Expected the parameters of channel `orders\/:tenant\/:kind` to be an object \{ tenant, kind \}, got `undefined`$/],
      [{ tenant: 'a' }, /^Expected parameter `kind` .* got `undefined`$/],
      [{ tenant: 'a', kind: '' }, /got a string of 0$/],
      [{ tenant: 'a', kind: 'x'.repeat(257) }, /got a string of 257$/],
      [{ tenant: 'a', kind: NaN }, /got a number$/],
      [{ tenant: 'a', kind: null }, /got `null`$/],
      [{ tenant: 'a', kind: '\ud800' }, /lone surrogate$/],
      [{ tenant: 'a', kind: 'b', more: 1 }, /has no parameter "more"/]
    ]
    t.throws(() => app.sse.channel(':scope/all', { events }).at({ scope: 'sse' }), { code: 'SSE_ERR_INVALID_PARAMS' })
    t.equal(app.sse.channel(':scope/all', { events, slow: 'resume', history: {} }).at({ scope: 'sses' }).name, 'sses/all', 'defaults may be written out')
    for (const [params, message] of refused) t.throws(() => orders.at(params as { tenant: string, kind: string }), { code: 'SSE_ERR_INVALID_PARAMS', statusCode: 400, message })
  })
})

t.test('a definition that cannot be meant is refused, with a code', async (t) => {
  const { app } = await serve(t, () => {})
  const define = (name: unknown, options: unknown) => () => app.sse.channel(name as 'a', options as { events: typeof events })
  for (const name of [7, '', 'a//b', '/a', 'a/', 'a b', ':', ':1', 'ä', 'x'.repeat(129), 'sse', 'sse.control', ':a/:a']) {
    t.throws(define(name, { events }), { code: 'SSE_ERR_INVALID_CHANNEL' }, String(name).slice(0, 20))
  }
  const invalid: Array<[options: unknown, message: RegExp]> = [
    [undefined, /an object \{ events \}, got `undefined`/],
    [{ events, evnts: 1 }, /Unknown option `evnts`/],
    [{ events, slow: 'fast' }, /'resume', 'latest' or 'close', got "fast"/],
    [{ events, history: true }, /`history` .* got `true`/],
    [{ events, history: null }, /`history` .* got `null`/],
    [{ events, history: { max: 0 } }, /`history\.max`/],
    [{ events, history: { ttl: 2 ** 31 } }, /`history\.ttl`/],
    [{ events, history: { bytes: 1.5 } }, /`history\.bytes`/],
    [{ events, history: { size: 1 } }, /Unknown option `history\.size`/],
    [{ events, snapshot: [] }, /`snapshot` .* a function/],
    [{ events, authorize: true }, /`authorize` .* a function/],
    [{ events, key: () => '' }, /`key` .* needs `slow: 'latest'`/]
  ]
  for (const [options, message] of invalid) t.throws(define('a', options), { code: 'SSE_ERR_INVALID_CHANNEL', message })
  t.throws(define('a', { events: { 'sse.x': events.tick } }), { code: 'SSE_ERR_INVALID_SCHEMA' })
  t.throws(define('a', {}), { code: 'SSE_ERR_INVALID_SCHEMA' })
  t.doesNotThrow(define('a', { events, history: { max: undefined }, slow: undefined }))
})

t.test('a channel may be defined again if nothing differs', async (t) => {
  const { app } = await serve(t, () => {})
  const authorize = () => true
  const first = app.sse.channel('a/:b', { events, history: { max: 1 }, authorize })
  t.equal(app.sse.channel('a/:b', { events: { tick: Type.Object({ n: Type.Integer() }) }, history: { max: 1 }, authorize }).at({ b: 1 }).name, first.at({ b: 1 }).name)
  const clash = { code: 'SSE_ERR_CHANNEL_DEFINED' }
  t.throws(() => app.sse.channel('a/:b', { events: { tick: Type.String() }, history: { max: 1 }, authorize }), clash)
  t.throws(() => app.sse.channel('a/:b', { events, history: { max: 1 }, authorize: () => true }), clash)
  t.throws(() => app.sse.channel('a/:c', { events }), clash)
  t.throws(() => app.sse.channel('a/fixed', { events }), { ...clash, message: 'Channel `a/fixed` would share topics with channel `a/:b`' })
  t.throws(() => app.sse.channel('a/:b', undefined as never), { code: 'SSE_ERR_INVALID_CHANNEL' })
  t.doesNotThrow(() => app.sse.channel('a/b/:c', { events }))
  const refined = (least: number) => Type1.Refine(Type1.String(), (text: string) => text.length >= least)
  const checks: Array<(least: number) => unknown> = [
    (least) => z.string().min(least),
    (least) => z.string().refine((text) => text.length >= least),
    (least) => Type1.Object({ text: refined(least) }),
    refined
  ]
  for (const [index, check] of checks.entries()) {
    const name = `checked-${index}`
    const own = check(1)
    const { name: defined } = app.sse.channel(name, { events: { own } })
    t.equal(app.sse.channel(name, { events: { own } }).name, defined)
    t.throws(() => app.sse.channel(name, { events: { own: check(2) } }), clash, 'another check is another channel')
  }
  const Tree: z.ZodType = z.object({ get kids () { return z.array(Tree) } })
  t.doesNotThrow(() => { for (let n = 0; n < 2; n++) app.sse.channel('tree', { events: { tree: Tree } }) })
})

t.test('there are only so many channels, since what differs from request to request is a parameter', async (t) => {
  const { app } = await serve(t, () => {})
  for (let n = 0; n < 1_000; n++) app.sse.channel(`n/${n}`, { events: {} })
  t.throws(() => app.sse.channel('one', { events: {} }), { code: 'SSE_ERR_INVALID_CHANNEL', message: /^Channel `one` is one more than the 1000 / })
  t.equal(app.sse.channel('n/7', { events: {} }).name, 'n/7')
})

t.test('options of a stream of several topics are those of each', async (t) => {
  const { app, base } = await serve(t, (app) => {
    const [a, b] = [app.sse.channel('a', { events }), app.sse.channel('b', { events })]
    app.get('/none', (_request, reply) => reply.sse(app.sse.subscribe([a, b], { authorize: () => false })))
    app.get('/odd', (_request, reply) => reply.sse(app.sse.subscribe([a, b], { filter: ({ data }: { data: { n: number } }) => data.n % 2 === 1 })))
    t.throws(() => app.sse.subscribe([a.subscribe()] as never, {}), { code: 'SSE_ERR_INVALID_OPTION', message: /a subscription, which has its own$/ })
    t.throws(() => app.sse.subscribe([a], { key: '' }), { code: 'SSE_ERR_INVALID_OPTION', message: /^Expected `key` .* a string that is not empty/ })
  })
  t.equal((await app.inject('/none')).statusCode, 403)
  const stream = await readStream(`${base}/odd`)
  await stream.until('sse.cursor')
  for (const name of ['a', 'b']) for (const n of [1, 2, 3]) await app.sse.channel(name, { events }).publish('tick', { n })
  const text = await stream.until((text) => text.split('"n":3').length === 3)
  t.strictSame(text.match(/"n":\d/g)?.sort(), ['"n":1', '"n":1', '"n":3', '"n":3'])
})

t.test('a bad schema stops the start', async (t) => {
  const { default: Fastify } = await import('fastify')
  const { default: sse } = await import('../lib/index.js')
  const app = Fastify()
  await app.register(sse)
  app.sse.channel('a', { events: { tick: Type.Ref('nowhere') } })
  await t.rejects(async () => app.ready(), { code: 'SSE_ERR_INVALID_SCHEMA' })
})

t.test('what cannot be published is refused, with a code, and never stored', async (t) => {
  const { app, base } = await serve(t, (app) => {
    const channel = app.sse.channel('a', { events: { tick: events.tick, text: Type.String({ contentMediaType: 'text/plain' }), message: Type.Unknown() }, history: { bytes: 200 } })
    app.get('/', (_request, reply) => reply.sse(channel.subscribe({ from: 'oldest' })))
  })
  const channel = app.sse.channel('a', { events: { tick: events.tick, text: Type.String({ contentMediaType: 'text/plain' }), message: Type.Unknown() }, history: { bytes: 200 } })
  const publish = channel.publish.bind(channel) as (event: unknown, data?: unknown, options?: unknown) => Promise<Position>
  await t.rejects(publish('tock', { n: 1 }), { code: 'SSE_ERR_UNKNOWN_EVENT', event: 'tock', message: 'Unknown event "tock" (string). Channel `a` has `tick`, `text`, `message`' })
  await t.rejects(publish('toString', { n: 1 }), { code: 'SSE_ERR_UNKNOWN_EVENT' })
  await t.rejects(publish(7, { n: 1 }), { code: 'SSE_ERR_INVALID_FIELD' })
  await t.rejects(publish('tick', { n: 'secret' }), { code: 'SSE_ERR_INVALID_DATA', event: 'tick', path: '/n', message: /^(?!.*secret)/ })
  await t.rejects(publish('tick'), { code: 'SSE_ERR_INVALID_DATA' })
  await t.rejects(publish('message', () => {}), { code: 'SSE_ERR_NOT_SERIALIZABLE' })
  await t.rejects(publish('message', 1n), { code: 'SSE_ERR_NOT_SERIALIZABLE' })
  const brief = app.sse.channel('brief', { events: { text: Type.String() }, history: false })
  await t.rejects(brief.publish('text', 'x'.repeat(1_048_576)), { code: 'SSE_ERR_EVENT_TOO_LARGE', message: /more than the 1048576 that an event may have where there is no history$/ })
  await t.rejects(publish('message', 'x'.repeat(200)), { code: 'SSE_ERR_EVENT_TOO_LARGE', message: /has 209 bytes, more than `history\.bytes` \(200\)/ })
  const nothing = app.sse.channel('nothing', { events: {} })
  await t.rejects((nothing.publish as (event: string) => Promise<unknown>).call(nothing, 'tick'), { message: 'Unknown event "tick" (string). Channel `nothing` has none' })
  for (const options of [null, 7, { dedup: 'a' }]) await t.rejects(publish('tick', { n: 1 }, options as object), { code: 'SSE_ERR_INVALID_OPTION' })
  for (const dedupe of [7, '', 'x'.repeat(257)]) await t.rejects(publish('tick', { n: 1 }, { dedupe }), { code: 'SSE_ERR_INVALID_OPTION' })
  const ids = [await publish('text', 'a\r\nb\ndata: c'), await publish('message', '\u2028'), await publish('tick', { n: 1 }, { dedupe: 'a' })]
  t.equal(await publish('tick', { n: 2 }, { dedupe: 'a' }), ids[2])
  const stream = await readStream(`${base}/`)
  const text = await stream.until(`id: ${ids[2]}\n\n`)
  t.equal(text.slice(text.indexOf('event: text')), `event: text\ndata: a\ndata: b\ndata: data: c\nid: ${ids[0]}\n\ndata: "\\u2028"\nid: ${ids[1]}\n\n${tick(1, ids[2] as string)}`)
  t.equal(app.sse.stats().channels.published, 4)
  stream.close()
})

t.test('several topics on one stream', async (t) => {
  const { app, base } = await serve(t, (app) => {
    for (const name of 'abc') app.sse.channel(name, { events })
    app.get('/:names', { schema }, (request, reply) => reply.sse(app.sse.subscribe([...(request.params as { names: string }).names].map((name) => app.sse.channel(name, { events })))))
  })
  const [a, b, c] = [...'abc'].map((name) => app.sse.channel(name, { events }) as Channel) as [Channel, Channel, Channel]
  const read = (names: string, id?: string) => readStream(`${base}/${names}`, id === undefined ? {} : { headers: { 'last-event-id': id } })

  const stream = await read('ba')
  const [headA, headB] = headOf(await stream.until('sse.cursor')).split('~') as [string, string]
  const a1 = await a.publish('tick', { n: 1 })
  const b1 = await b.publish('tick', { n: 2 })
  t.equal(await stream.until('"n":2'), `:\n${cursor(`${headA}~${headB}`)}${tick(1, `${a1}~${headB}`)}${tick(2, `${a1}~${b1}`)}`)
  stream.close()

  const a2 = await a.publish('tick', { n: 3 })
  const b2 = await b.publish('tick', { n: 4 })
  // Of different topics either may come first.
  const either = (text: string) => text.replace(tick(4, `${a1}~${b2}`) + tick(3, `${a2}~${b2}`), tick(3, `${a2}~${b1}`) + tick(4, `${a2}~${b2}`))
  const texts: Array<[names: string, id: string, text: string]> = [
    ['ab', `${a1}~${b1}`, `:\n${cursor(`${a1}~${b1}`)}${tick(3, `${a2}~${b1}`)}${tick(4, `${a2}~${b2}`)}`],
    ['ab', `${b1}~${a1}`, `:\n${cursor(`${a1}~${b1}`)}${tick(3, `${a2}~${b1}`)}${tick(4, `${a2}~${b2}`)}`],
    ['a', `${a1}~${b1}`, `:\n${cursor(a1)}${tick(3, a2)}`],
    ['ab', a1, `:\n${cursor(a1)}${reset('b', 'unknown', `${a1}~${b2}`)}${tick(3, `${a2}~${b2}`)}`],
    ['ab', `${a1}~${b1.replace(epoch(b1), 'ag0ne')}`, `:\n${cursor(a1)}${reset('b', 'epoch', `${a1}~${b2}`)}${tick(3, `${a2}~${b2}`)}`],
    ['ab', `${a1}~${a2.replace(epoch(a2), epoch(b2))}`, `:\n${cursor(a1)}${reset('b', 'lost', `${a1}~${b2}`)}${tick(3, `${a2}~${b2}`)}`],
    ['ab', 'x', `:\n${reset('a', 'unknown', a2)}${reset('b', 'unknown', `${a2}~${b2}`)}`]
  ]
  for (const [names, id, text] of texts) {
    const again = await read(names, id)
    t.equal(either(await again.until((got) => got.length >= text.length)), text)
    again.close()
  }
  t.strictSame(app.sse.subscribe([c, a.subscribe({ filter: () => true })]).topics, ['a', 'c'])
  const subscribe = app.sse.subscribe as (topics: unknown) => Subscription
  const many = app.sse.channel('many/:n', { events })
  for (const bad of [undefined, [], [many], ['a'], [a, a], [a, app.sse.subscribe([a, b])], Array.from({ length: 17 }, (_, n) => many.at({ n }))]) t.throws(() => subscribe(bad), { code: 'SSE_ERR_INVALID_SOURCE' })
  t.equal(subscribe(Array.from({ length: 16 }, (_, n) => many.at({ n }))).topics.length, 16)
})

t.test('a stream that is filtered gets what passes, replayed or not, and its cursor moves with the rest', async (t) => {
  const { read, publish, gets } = await news(t, {}, { filter: ({ event, data }, request) => event === 'tick' && request.url === '/' && data.n % 2 === 0 }, { heartbeat: 20 })
  const stream = await read()
  await stream.until('sse.cursor')
  const id = await publish(2)
  const hidden = await publish(3)
  const text = await stream.until(cursor(hidden))
  t.match(text, tick(2, id))
  t.notMatch(text, '"n":3')
  t.match(await stream.until((got) => got.endsWith('\n\n:\n')), cursor(hidden), 'which is told once')
  stream.close()
  const next = await publish(4)
  await gets(id, `:\n${cursor(id)}${tick(4, next)}`)
  await gets(hidden, `:\n${cursor(hidden)}${tick(4, next)}`)
})

t.test('a filter that fails ends the stream, and nothing passes', async (t) => {
  for (const filter of [() => { throw new Error('broken') }, () => 'yes', async () => true]) {
    const { read, publish, whenClosed } = await news(t, {}, { filter: filter as unknown as () => boolean })
    const stream = await read()
    await stream.until('sse.cursor')
    await publish(1)
    t.match(await stream.end(), /sse\.cursor.*\n\nevent: sse\.error\ndata: \{"message":"The stream failed"\}\n\n$/s)
    t.equal((await whenClosed()).reason, 'error')
  }
})

t.test('what a filter has passed is sent, though it fails at what comes next', async (t) => {
  const { read, publish, whenClosed } = await news(t, {}, { filter: ({ data }) => { if (data.n === 3) throw new Error('broken'); return true } })
  const stream = await read()
  await stream.until('sse.cursor')
  const ids = await Promise.all([publish(1), publish(2), publish(3), publish(4)])
  t.match(await stream.end(), `event: tick\ndata: {"n":1}\nid: ${ids[0]}\n\nevent: tick\ndata: {"n":2}\nid: ${ids[1]}\n\nevent: sse.error\ndata: {"message":"The stream failed"}\n\n`)
  t.equal((await whenClosed()).reason, 'error')
})

t.test('a filter may end its own stream', async (t) => {
  const { app, base, whenClosed } = await serve(t, (app) => {
    app.addHook('onResponse', async () => {}) // with one, Fastify listens for errors of the response until it is finished
    const channel = app.sse.channel('news', { events })
    app.get('/', (_request, reply) => reply.sse(channel.subscribe({ key: 'a', filter: () => { void app.sse.disconnect({ key: 'a' }); return true } })))
  })
  const stream = await readStream(`${base}/`)
  await stream.until('sse.cursor')
  await app.sse.channel('news', { events }).publish('tick', { n: 1 })
  t.match(await stream.end(), /"reason":"disconnected"\}\n\n$/)
  t.equal((await whenClosed()).reason, 'disconnected')
})

t.test('a filter or a key that is async is refused, and its failure ends nothing but the stream', async (t) => {
  const late = async () => { throw new Error('later') }
  const { read, publish, whenClosed } = await news(t, { slow: 'latest' }, { filter: late as unknown as () => boolean })
  const stream = await read()
  await stream.until('sse.cursor')
  await publish(1)
  t.match(await stream.end(), 'event: sse.error')
  t.match((await whenClosed()).error, { code: 'SSE_ERR_INVALID_OPTION', message: /`filter` of `news` to return a boolean, got an instance of Promise/ })
  const keyed = await news(t, { slow: 'latest', key: late as unknown as () => string })
  await t.rejects(keyed.publish(1), { code: 'SSE_ERR_INVALID_OPTION' })
})

t.test('a filter is asked once about each event, however much waits', async (t) => {
  const asked: number[] = []
  const big = { big: Type.Object({ n: Type.Integer(), fill: Type.String() }) }
  const { app, base } = await serve(t, (app) => {
    const channel = app.sse.channel('big', { events: big })
    app.get('/', (_request, reply) => reply.sse(channel.subscribe({ from: 'oldest', filter: ({ data }) => asked.push(data.n) > 0 })))
  })
  for (let n = 0; n < 20; n++) await app.sse.channel('big', { events: big }).publish('big', { n, fill: 'x'.repeat(20_000) })
  const stream = await readStream(`${base}/`)
  await stream.until('"n":19')
  t.strictSame(asked, Array.from({ length: 20 }, (_, n) => n))
  stream.close()
})

t.test('what was published before disconnect() or close() goes out before the last words', async (t) => {
  for (const [reason, end] of [['disconnected', (app: FastifyInstance) => app.sse.disconnect({ channel: 'news' })], ['shutdown', (app: FastifyInstance) => app.close()]] as const) {
    const { app, publish, read } = await news(t)
    const stream = await read()
    await stream.until('sse.cursor')
    const ids = [await publish(1), await publish(2)]
    await end(app)
    const text = await stream.end()
    t.match(text, `${tick(1, ids[0] as string)}${tick(2, ids[1] as string)}event: sse.bye`)
    t.match(text, `"reason":"${reason}"`)
  }
})

t.test('a channel finds the shared schemas of where it is defined', async (t) => {
  const { app } = await serve(t, (app) => {
    void app.register(async (child) => {
      child.addSchema({ $id: 'Number', type: 'integer' })
      child.sse.channel('numbers', { events: { number: Type.Unsafe<number>({ $ref: 'Number' }) } })
      t.equal(child.sse, child.sse)
      t.equal(child.sse.stats().open, 0)
    })
  })
  t.equal(app.sse.stats().open, 0)
})

t.test('HEAD is answered as GET would be, and no stream is made', async (t) => {
  const { app } = await serve(t, (app) => {
    const options = {
      events,
      authorize: async ({ request }: { request: FastifyRequest }) => {
        if (request.headers['x-fails'] !== undefined) throw Object.assign(new Error('who?'), { statusCode: 401 })
        return request.headers['x-member'] !== undefined
      }
    }
    app.get('/', async (_request, reply) => { void reply.sse(app.sse.channel('members', options).subscribe()) })
    app.get('/returns', (_request, reply) => reply.sse(app.sse.channel('members', options).subscribe()))
  })
  for (const url of ['/', '/returns']) {
    t.equal((await app.inject({ method: 'HEAD', url })).statusCode, 403)
    t.equal((await app.inject({ method: 'HEAD', url, headers: { 'x-fails': '1' } })).statusCode, 401)
    t.match(await app.inject({ method: 'HEAD', url, headers: { 'x-member': '1' } }), { statusCode: 200, headers: { 'content-type': 'text/event-stream; charset=utf-8' } })
  }
  t.equal(app.sse.stats().opened, 0)
})

t.test('a snapshot that cannot be sent is not begun', async (t) => {
  const later = brokerWith((broker) => ({ async attach (topic) { await turn(); return await broker.attach(topic) } }))
  for (const options of [{}, { broker: later }]) {
    let begun = 0
    const { app } = await serve(t, (app) => {
      const channel = app.sse.channel('states', { events, snapshot: function * () { begun++; for (;;) yield { event: 'tick' as const, data: { n: 1 } } } })
      app.get('/', (_request, reply) => reply.header('x-bad', 'a\nb').sse(channel.subscribe()))
    }, options)
    t.equal((await app.inject({ url: '/', headers: { 'last-event-id': 'x' } })).statusCode, 500)
    t.equal(begun, 0)
  }
})

t.test('who is not allowed gets an ordinary answer, and nothing of what was published', async (t) => {
  const asked: unknown[] = []
  const { app, base } = await serve(t, (app) => {
    const rooms = app.sse.channel('rooms/:room', {
      events,
      authorize: async ({ request, topic, params }) => {
        asked.push([request.url, topic, params])
        return request.headers['x-member'] === params.room
      }
    })
    app.get('/:room', { schema }, (request, reply) => reply.sse(rooms.at(request.params as { room: string }).subscribe({ authorize: ({ request }) => request.headers['x-banned'] === undefined })))
    const odd = app.sse.channel('odd', { events, authorize: (() => 'yes') as unknown as () => boolean })
    app.get('/odd', { schema }, (_request, reply) => reply.sse(odd.subscribe()))
    const failing = app.sse.channel('failing', { events, authorize: () => { throw Object.assign(new Error('who?'), { statusCode: 401 }) } })
    app.get('/failing', { schema }, (_request, reply) => reply.sse(failing.subscribe()))
  })
  const id = await app.sse.channel('odd2', { events }).publish('tick', { n: 1 })
  for (const headers of [{}, { 'x-member': 'b' }, { 'x-member': 'a', 'x-banned': '1' }, { 'last-event-id': id }]) {
    const { statusCode, json } = await app.inject({ url: '/a', headers: { accept: 'text/event-stream', ...headers } as Record<string, string> })
    t.equal(statusCode, 403)
    t.match(json(), { code: 'SSE_ERR_FORBIDDEN' })
  }
  t.strictSame(asked[0], ['/a', 'rooms/a', { room: 'a' }])
  t.match((await app.inject('/odd')).json(), { statusCode: 500, code: 'SSE_ERR_INVALID_OPTION' })
  t.match((await app.inject('/failing')).json(), { statusCode: 401, message: 'who?' })
  t.equal(app.sse.stats().channels.subscribers, 0, 'nobody has been let in')
  const stream = await readStream(`${base}/a`, { headers: { 'x-member': 'a' } })
  await stream.until('sse.cursor')
  stream.close()
})

t.test('authorization that takes long is waited for: the answer is not a stream before it', async (t) => {
  for (const openAfter of [0, 1]) {
    let answer = (_allowed: boolean) => {}
    const { app, publish, read } = await news(t, { authorize: () => new Promise<boolean>((resolve) => { answer = resolve }) }, {}, { openAfter })
    const start = performance.now()
    const asked = app.inject('/')
    while (performance.now() - start < 120) await turn()
    answer(false)
    t.equal((await asked).statusCode, 403)
    const stream = read()
    while (app.sse.stats().opened < 2) await turn()
    answer(true)
    const id = await (await stream).until('sse.cursor').then(() => publish(1))
    t.match(await (await stream).until('tick'), tick(1, id))
    ;(await stream).close()
  }
})

t.test('a client that leaves while authorization is asked is let into nothing', async (t) => {
  let answer = (_allowed: boolean) => {}
  const { app, port, whenClosed } = await news(t, { authorize: () => new Promise<boolean>((resolve) => { answer = resolve }) })
  const client = await RawSocket.request(`http://127.0.0.1:${port}`, '/')
  while (app.sse.stats().open === 0) await turn()
  client.leave()
  t.equal((await whenClosed()).reason, 'client')
  answer(true)
  await turn()
  t.equal(app.sse.stats().channels.topics, 0)
})

t.test('a stream that is ended before it opens is turned away: it comes back, and nothing has failed', async (t) => {
  const ended: Array<[reason: string, end: (app: FastifyInstance) => void]> = [
    ['disconnected', (app) => { void app.sse.disconnect({ channel: 'news' }) }],
    ['maxDuration', () => {}]
  ]
  for (const [reason, end] of ended) {
    let answer = (_allowed: boolean) => {}
    const { app, whenClosed } = await news(t, { authorize: () => new Promise<boolean>((resolve) => { answer = resolve }) }, {}, { retry: 2_000, openAfter: 10, maxDuration: reason === 'maxDuration' ? 50 : false })
    const browser = app.inject({ url: '/', headers: { accept: 'text/event-stream' } })
    const other = app.inject('/')
    while (app.sse.stats().open < 2) await turn()
    end(app)
    const { statusCode, body } = await browser
    t.equal(statusCode, 200)
    t.match(body, new RegExp(`^retry: \\d+\nevent: sse\\.bye\ndata: \\{"reason":"${reason}"\\}\n\n$`))
    t.match(await other.then((response) => [response.json(), response.headers['retry-after']]), [{ statusCode: 503, code: 'SSE_ERR_ENDED' }, /^\d$/])
    answer(true) // too late
    t.strictSame([(await whenClosed()).reason, (await whenClosed(2)).reason], [reason, reason])
    t.match(app.sse.stats(), { open: 0, refused: 0, channels: { topics: 0, subscribers: 0 } })
  }
})

t.test('disconnect() reaches a stream in whatever it is busy with', async (t) => {
  let hold = Promise.resolve()
  let open = () => {}
  const close = () => { hold = new Promise((resolve) => { open = resolve }) }
  const broker = brokerWith((broker) => ({
    attach: async (topic) => { await hold; return broker.attach(topic) },
    read: async (...given) => { await hold; return broker.read(...given) }
  }))
  let returned = 0
  const { app, read, closed, whenClosed } = await news(t, {
    snapshot: async function * ({ signal }) {
      try {
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        yield { event: 'tick', data: { n: 1 } }
      } finally {
        returned++
      }
    }
  }, {}, { broker, openAfter: 0 })
  const first = await app.sse.channel('other', { events }).publish('tick', { n: 1 })
  for (const id of [undefined, first]) {
    for (const isHeld of [true, false]) {
      if (isHeld) close()
      const stream = await read(id)
      await stream.until(':\n')
      await app.sse.disconnect({ channel: 'news' })
      t.match(await stream.end(), /"reason":"disconnected"\}\n\n$/)
      open()
    }
  }
  await whenClosed(4)
  t.strictSame(closed.map(({ reason }) => reason), Array(4).fill('disconnected'))
  await until(() => returned === 2) // of the two that got so far
  t.match(app.sse.stats().channels, { topics: 0, subscribers: 0 })
})

t.test('a hook that ends the stream of which it is told leaves nothing open', async (t) => {
  const { app, publish, read } = await news(t, { history: { max: 2 } }, { key: 'a' }, { metrics: { reset () { void app.sse.disconnect({ key: 'a' }) } } })
  const ids = []
  for (let n = 0; n < 5; n++) ids.push(await publish(n))
  for (const id of ['x', ids[0]]) {
    const stream = await read(id)
    t.match(await stream.end(), /"reason":"disconnected"/)
  }
  t.match(app.sse.stats(), { open: 0, channels: { topics: 0, subscribers: 0 } })
})

t.test('filters see text and events without a name as what they are', async (t) => {
  const seen: unknown[] = []
  const options = {
    events: { message: Type.Array(Type.Integer()), text: Type.String({ contentMediaType: 'text/plain' }) },
    snapshot: () => [{ data: [0] }, { event: 'text' as const, text: 'z' }]
  }
  const { app, base } = await serve(t, (app) => {
    const channel = app.sse.channel('a', options)
    app.get('/', (_request, reply) => reply.sse(channel.subscribe({ filter: (event) => { seen.push(event); return true } })))
  })
  const stream = await readStream(`${base}/`)
  await stream.until('sse.cursor')
  const channel = app.sse.channel('a', options)
  await channel.publish('message', [1])
  await channel.publish('text', 'b\nc')
  await stream.until('data: c')
  t.strictSame(seen, [{ event: 'message', data: [0] }, { event: 'text', data: 'z' }, { event: 'message', data: [1] }, { event: 'text', data: 'b\nc' }])
  t.match(stream.text, ':\ndata: [0]\n\nevent: text\ndata: z\n\n')
  stream.close()
})

t.test('authorization is asked again: on the heartbeat, and before what is published', async (t) => {
  for (const [heartbeat, wakes] of [[20, false], [20, true]] as const) {
    let allowed = true
    let asked = 0
    const { read, publish, closed, whenClosed } = await news(t, { authorize: () => { asked++; return allowed } }, {}, { heartbeat, retry: 1_000 })
    const stream = await read()
    await stream.until('sse.cursor')
    await stream.until(() => asked > 2)
    allowed = false
    if (wakes) while (closed.length === 0) { await publish(asked); await turn() }
    t.match(await stream.end(), /event: sse\.bye\nretry: \d+\ndata: \{"reason":"unauthorized"\}\n\n$/)
    t.equal((await whenClosed()).reason, 'unauthorized')
  }
})

t.test('a long replay goes on when authorization has been asked again', async (t) => {
  const EVENTS = 5_000
  const { now } = performance
  t.teardown(() => { performance.now = now })
  for (const options of [{}, { heartbeat: false, minimal: true }, { heartbeat: false }] as const) {
    let asked = 0
    let later = 0
    performance.now = () => now.call(performance) + later
    const broker = brokerWith((broker) => ({
      read (...given) {
        later += 15_001 // it is due again with each page
        return broker.read(...given)
      }
    }))
    const { app, publish, base } = await news(t, { history: { max: EVENTS, bytes: 1e8, ttl: 1e9 }, authorize: async () => { asked++; await turn(); return true } }, { from: 'oldest' }, { broker, ...options })
    await publishAll(publish, EVENTS)
    const stream = await readStream(`${base}/`)
    await stream.until(`{"n":${EVENTS - 1}}`)
    t.strictSame([...stream.text.matchAll(/\{"n":(\d+)\}/g)].map(([, n]) => Number(n)), Array.from({ length: EVENTS }, (_, n) => n))
    t.ok(asked > 3, `asked ${asked} times`)
    stream.close()
    await app.close()
  }
})

t.test('what a snapshot yields waits until authorization has been asked again', async (t) => {
  for (const allowed of [true, false]) {
    let answer: ((allowed: boolean) => void) | undefined
    let asked = 0
    let yielded = 0
    let returned = 0
    const { publish, read, whenClosed } = await news(t, {
      snapshot: async function * () {
        try {
          for (let n = 0; n < 3; n++) {
            yield { event: 'tick', data: { n } }
            yielded++
            // So long that the heartbeat comes, and with it the question.
            if (n === 0) await until(() => answer !== undefined)
          }
        } finally {
          returned++
        }
      },
      authorize: () => ++asked === 1 || new Promise<boolean>((resolve) => { answer = resolve })
    }, {}, { heartbeat: 20 })
    const stream = await read()
    await stream.until('"n":0')
    await until(() => yielded === 1 && answer !== undefined)
    const id = await publish(7)
    await stream.until(() => true)
    t.notMatch(stream.text, '"n":1')
    answer?.(allowed)
    if (allowed) {
      const text = await stream.until(`id: ${id}\n\n`)
      t.equal(text.replaceAll(/(?<=\n\n)(?::\n)+/g, ''), `:\n${[0, 1, 2].map((n) => `event: tick\ndata: {"n":${n}}\n\n`).join('')}${cursor(headOf(text))}${tick(7, id)}`)
      stream.close()
      await whenClosed()
    } else {
      t.match(await stream.end(), /"n":0\}\n\n(?::\n)*event: sse\.bye\nretry: \d+\ndata: \{"reason":"unauthorized"\}\n\n$/)
      t.equal((await whenClosed()).reason, 'unauthorized')
    }
    t.equal(returned, 1)
  }
})

t.test('without a heartbeat what a snapshot yields is what authorization is asked again for', async (t) => {
  const { now } = performance
  t.teardown(() => { performance.now = now })
  let asked = 0
  const { read } = await news(t, {
    snapshot: async function * () {
      yield { event: 'tick', data: { n: 1 } }
      performance.now = () => now.call(performance) + 15_001
      yield { event: 'tick', data: { n: 2 } }
    },
    authorize: async () => ++asked === 1
  }, {}, { heartbeat: false, retry: 2_000, stallTimeout: 100_000 })
  const stream = await read()
  t.match(await stream.end(), /"n":1\}\n\nevent: sse\.bye\nretry: \d+\ndata: \{"reason":"unauthorized"\}\n\n$/)
})

t.test('a payload that ends its stream while it is encoded is not sent', async (t) => {
  const any = { any: Type.Any() }
  const { app } = await serve(t, (app) => {
    const channel = app.sse.channel('any', { events: any, snapshot: function * ({ events }) { yield events.any({ toJSON () { void app.sse.disconnect({ channel: 'any' }); return 1 } }) } })
    app.get('/', (_request, reply) => reply.sse(channel.subscribe()))
  }, { retry: 2_000 })
  t.match((await app.inject({ url: '/', headers: { accept: 'text/event-stream' } })).body, /^retry: \d+\nevent: sse\.bye\ndata: \{"reason":"disconnected"\}\n\n$/)
})

t.test('a snapshot that ends while authorization is asked again is whole when it has answered', async (t) => {
  let answer: ((allowed: boolean) => void) | undefined
  let asked = 0
  const { read } = await news(t, {
    snapshot: async function * () {
      yield { event: 'tick', data: { n: 1 } }
      await until(() => answer !== undefined)
    },
    authorize: () => ++asked === 1 || new Promise<boolean>((resolve) => { answer = resolve })
  }, {}, { heartbeat: 20 })
  const stream = await read()
  await stream.until('"n":1')
  await until(() => answer !== undefined)
  for (let turns = 0; turns < 5; turns++) await turn()
  t.notMatch(stream.text, 'sse.cursor')
  answer?.(true)
  await stream.until('sse.cursor')
  stream.close()
})

t.test('authorization that fails later ends the stream', async (t) => {
  let fails = false
  const { read, whenClosed } = await news(t, { authorize: async () => { if (fails) throw new Error('who?'); return true } }, {}, { heartbeat: 20 })
  const stream = await read()
  await stream.until('sse.cursor')
  fails = true
  t.match(await stream.end(), 'event: sse.error')
  t.match((await whenClosed()).error, { message: 'who?' })
})

t.test('without a heartbeat authorization is asked again before what is published', async (t) => {
  let asked = 0
  const { read, publish } = await news(t, { authorize: () => ++asked > 0 }, {}, { heartbeat: false })
  const stream = await read()
  await stream.until('sse.cursor')
  const { now } = performance
  performance.now = () => now.call(performance) + 15_001
  t.teardown(() => { performance.now = now })
  const id = await publish(1)
  t.match(await stream.until(id), tick(1, id))
  t.equal(asked, 2)
  stream.close()
})

const board = (count: () => number) => ({
  snapshot: async function * ({ events }: { events: { tick (data: { n: number }): { event: 'tick', data: { n: number } } } }) {
    for (let n = 0; n < count(); n++) yield events.tick({ n })
  }
})
const state = (...ns: number[]) => ns.map((n) => `event: tick\ndata: {"n":${n}}\n\n`).join('')

t.test('a snapshot is for who has no state: a newcomer, or one that was told a reset', async (t) => {
  const { publish, gets, read } = await news(t, { ...board(() => 2), history: { max: 1 } })
  const ids = await publishAll(publish, 3) as [Position, Position, Position]
  await gets(undefined, `:\n${state(0, 1)}${cursor(ids[2])}`)
  await gets(ids[1], `:\n${cursor(ids[1])}${tick(2, ids[2])}`)
  await gets(ids[0], `:\n${reset('news', 'lost')}${state(0, 1)}${cursor(ids[2])}`)
  const stream = await read('x')
  await stream.until(`:\n${reset('news', 'unknown')}${state(0, 1)}${cursor(ids[2])}`)
  const next = await publish(7)
  t.match(await stream.until('"n":7'), tick(7, next))
  stream.close()
})

t.test('what is published while a snapshot is on its way comes behind it, and nothing is lost between', async (t) => {
  let goOn = () => {}
  const waits = new Promise<void>((resolve) => { goOn = resolve })
  const { publish, read } = await news(t, {
    snapshot: async function * ({ events }) {
      yield events.tick({ n: 0 })
      await waits
      yield events.tick({ n: 1 })
    }
  }, {}, { heartbeat: 10 })
  const stream = await read()
  await stream.until(state(0))
  const id = await publish(2)
  await stream.until((text) => text.split(':\n').length > 3) // heartbeats, as on any stream
  t.notMatch(stream.text, '"n":2')
  goOn()
  const text = (await stream.until('"n":2')).replaceAll(/^:\n/gm, '')
  t.match(text, new RegExp(`^${state(0, 1)}event: sse\\.cursor\ndata: \\{\\}\nid: \\S+\n\n${tick(2, id)}$`))
  stream.close()
})

t.test('a snapshot that fails before its first event is an HTTP error, later it ends the stream', async (t) => {
  let yields = 0
  const { app, read } = await news(t, {
    snapshot: async function * ({ events, signal, params, topic }) {
      t.strictSame([signal.aborted, params, topic], [false, {}, 'news'])
      for (let n = 0; n < yields; n++) yield events.tick({ n })
      throw Object.assign(new Error('no state'), { statusCode: 503 })
    }
  })
  t.match((await app.inject('/')).json(), { statusCode: 503, message: 'no state' })
  yields = 1
  const stream = await read()
  t.equal(await stream.end(), `:\n${state(0)}event: sse.error\ndata: {"message":"The stream failed"}\n\n`, 'no id: the client asks for all of it again')
})

t.test('the events of a snapshot are checked and filtered like others, and have no id', async (t) => {
  const filtered = await news(t, { snapshot: () => [{ event: 'tick' as const, data: { n: 1 } }, { event: 'tick' as const, data: { n: 2 } }] }, { filter: ({ data }) => data.n !== 1 })
  const stream = await filtered.read()
  t.match(await stream.until('sse.cursor'), new RegExp(`^:\n${state(2)}event: sse\\.cursor`))
  stream.close()
  for (const [item, code] of [[{ event: 'tick', data: { n: 1 }, id: '7' }, 'SSE_ERR_INVALID_EVENT'], [{ event: 'tick', data: {} }, 'SSE_ERR_INVALID_DATA'], ['text', 'SSE_ERR_UNKNOWN_EVENT'], [7, 'SSE_ERR_INVALID_EVENT']] as const) {
    const { app } = await news(t, { snapshot: async function * () { yield item as never } })
    t.match((await app.inject('/')).json(), { statusCode: 500, code })
  }
})

t.test('several topics with snapshots: one after another, and no id before the last is whole', async (t) => {
  const { app, base } = await serve(t, (app) => {
    const of = (n: number) => ({ events, snapshot: async function * ({ events }: { events: { tick (data: { n: number }): { event: 'tick', data: { n: number } } } }) { yield events.tick({ n }) } })
    const topics = [app.sse.channel('a', of(1)), app.sse.channel('b', of(2)), app.sse.channel('c', { events })] as const
    app.get('/', { schema }, (_request, reply) => reply.sse(app.sse.subscribe(topics)))
  })
  const stream = await readStream(`${base}/`)
  const text = await stream.until((got) => got.split('sse.cursor').length === 3)
  t.match(text, new RegExp(`^:\nevent: sse\\.cursor\ndata: \\{\\}\nid: [^~]+\n\n${state(1, 2)}event: sse\\.cursor\ndata: \\{\\}\nid: [^~]+~[^~]+~[^~]+\n\n$`))
  stream.close()
  t.equal(app.sse.stats().channels.resets.lost, 0)
})

t.test('minimal streams get data lines alone, from where the subscription says', async (t) => {
  const { app, base } = await serve(t, (app) => {
    const a = app.sse.channel('a', { events: { ...events, text: Type.String({ contentMediaType: 'text/plain' }), message: Type.String() } })
    const b = app.sse.channel('b', { events, snapshot: () => [{ event: 'tick' as const, data: { n: 0 } }] })
    app.get('/a', { config: { sse: { minimal: true } } }, (_request, reply) => reply.sse(a.subscribe({ from: 'oldest' })))
    app.get('/b', { config: { sse: { minimal: true } } }, (_request, reply) => reply.sse(b.subscribe()))
  })
  const a = app.sse.channel('a', { events: { ...events, text: Type.String({ contentMediaType: 'text/plain' }), message: Type.String() } })
  await a.publish('tick', { n: 1 })
  await a.publish('text', 'b\nc')
  await a.publish('message', 'd')
  const stream = await readStream(`${base}/a`, { headers: { 'last-event-id': 'x' } })
  t.equal(await stream.until('"d"'), 'data: {"n":1}\n\ndata: b\ndata: c\n\ndata: "d"\n\n')
  stream.close()
  const state = await readStream(`${base}/b`)
  t.equal(await state.until('0'), 'data: {"n":0}\n\n')
  state.close()
})

t.test('disconnect() ends the streams of a channel, of a topic, of a key', async (t) => {
  const { app, base, whenClosed } = await serve(t, (app) => {
    const rooms = app.sse.channel('rooms/:room', { events })
    app.get('/:room/:user', { schema }, (request, reply) => {
      const { room, user } = request.params as { room: string, user: string }
      return reply.sse(rooms.at({ room }).subscribe({ key: user }))
    })
  }, { retry: 1_000 })
  const open = async (path: string) => {
    const stream = await readStream(`${base}/${path}`)
    await stream.until('sse.cursor')
    return stream
  }
  const streams = Object.fromEntries(await Promise.all(['1/ann', '1/bob', '2/ann', '2/bob', '7/cid'].map(async (path) => [path, await open(path)] as const)))
  const bye = /event: sse\.bye\nretry: \d+\ndata: \{"reason":"disconnected"\}\n\n$/
  const ends = async (...paths: string[]) => { for (const path of paths) t.match(await (streams[path] as StreamReader).end(), bye, path) }
  await app.sse.disconnect({ key: 'ann', channel: 'rooms/:room', params: { room: 1 } })
  await ends('1/ann')
  t.equal((await whenClosed()).reason, 'disconnected')
  await app.sse.disconnect({ key: 'ann' })
  await ends('2/ann')
  await app.sse.disconnect({ channel: 'rooms/:room', params: { room: '2' } })
  await ends('2/bob')
  t.equal(app.sse.stats().open, 2)
  await app.sse.disconnect({ channel: 'rooms/:room' })
  await ends('1/bob', '7/cid')

  for (const where of [undefined, null, 7, {}, { params: {} }, { key: 'a', params: {} }, { user: 'a' }, { key: 7 }, { key: '' }, { channel: 'rooms/:room', key: undefined }, { channel: 'room' }, { channel: 7 }, { channel: 'rooms/:room', params: undefined }, { channel: 'rooms/:room', params: [] }, { channel: 'rooms/:room', params: 7 }, { channel: 'rooms/:room', params: null }, { channel: 'rooms/:room', params: { user: 1 } }]) {
    await t.rejects(app.sse.disconnect(where as object), { code: 'SSE_ERR_INVALID_OPTION', message: /^Expected what disconnect\(\) is given to/ })
  }
  for (const room of [undefined, '', NaN]) await t.rejects(app.sse.disconnect({ channel: 'rooms/:room', params: { room: room as string } }), { code: 'SSE_ERR_INVALID_PARAMS' })
})

t.test('options of subscribe() are checked', async (t) => {
  const { app } = await serve(t, () => {})
  const channel = app.sse.channel('a', { events })
  for (const options of [null, 7, { filtr: 1 }, { filter: 1 }, { authorize: true }, { from: 'start' }, { from: 7 }, { key: 7 }]) {
    t.throws(() => channel.subscribe(options as object), { code: 'SSE_ERR_INVALID_OPTION', message: /subscribe\(\) to `a`/ })
  }
})

t.test('a route does not take a topic whose events it has not, though nobody asked the compiler', async (t) => {
  const { app } = await serve(t, (app) => {
    const channel = app.sse.channel('a', { events: { ...events, tock: events.tick } })
    app.get('/', { schema }, (_request: FastifyRequest, reply: FastifyReply) => reply.sse(channel.subscribe()))
  })
  t.match((await app.inject('/')).json(), { statusCode: 500, code: 'SSE_ERR_UNKNOWN_EVENT', message: 'Event `tock` of channel `a` is not in the route\'s schema.sse' })
})

t.test('resets are counted and told to who wants to know', async (t) => {
  const told: unknown[] = []
  const listen = (fact: unknown) => told.push(['diagnostics', fact])
  diagnostics.subscribe('fastify-typed-sse:reset', listen)
  t.teardown(() => diagnostics.unsubscribe('fastify-typed-sse:reset', listen))
  const { app, gets, publish } = await news(t, {}, undefined, { metrics: { reset: (fact) => { told.push(['metrics', fact]) } } })
  const id = await publish(1)
  await gets('x', `:\n${reset('news', 'unknown', id)}`)
  t.match(told, [['metrics', { request: { url: '/' }, topic: 'news', reason: 'unknown' }], ['diagnostics', { topic: 'news', reason: 'unknown' }]])
  const { channels } = app.sse.stats()
  t.match(channels, { published: 1, resets: { unknown: 1, epoch: 0, ahead: 0, lost: 0 } })
  t.strictSame(app.sse.health(), { state: 'live' })
})

t.test('streams of topics pass through hooks, over inject, and by HEAD, like any other', async (t) => {
  const { Transform } = await import('node:stream')
  const { app, publish, read } = await news(t, {}, undefined, {
    before: (app: FastifyInstance) => app.addHook('onSend', async (_request, _reply, payload) => typeof payload === 'object' && payload !== null && 'pipe' in payload
      ? (payload as NodeJS.ReadableStream).pipe(new Transform({ transform (chunk, _encoding, done) { done(null, String(chunk).toUpperCase()) } }))
      : payload)
  })
  const stream = await read()
  await stream.until('SSE.CURSOR')
  await publish(1)
  t.match(await stream.until('TICK'), 'EVENT: TICK\nDATA: {"N":1}\nID: ')
  stream.close()
  t.equal((await app.inject({ method: 'HEAD', url: '/' })).statusCode, 200)
})

t.test('app.close() ends streams of topics with sse.bye, and nothing can be published after', async (t) => {
  const { app, read, publish } = await news(t)
  const stream = await read()
  await stream.until('sse.cursor')
  await app.close()
  t.match(await stream.end(), '"reason":"shutdown"')
  await t.rejects(publish(1), { code: 'SSE_ERR_CLOSING' })
  t.strictSame(app.sse.health(), { state: 'down' })
})
