// Between a broker that loses, repeats, reorders and fails, and readers that are slow or leave: exact, or told.
import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import { memoryBroker, type Broker, type BrokerEntry, type BrokerSink, type ChannelOptions, type Position, type SubscribeOptions } from '../lib/index.js'
import { ChannelCore } from '../lib/channel/core.js'
import { Hub, WINDOWS_BYTES } from '../lib/channel/hub.js'
import { Topic } from '../lib/channel/topic.js'
import { Clock } from '../lib/clock.js'
import { Turns } from '../lib/stream/turns.js'
import { RawSocket } from './helpers/raw-socket.js'
import { readStream, type StreamReader } from './helpers/read-events.js'
import { serve, type Served } from './helpers/serve.js'
import type { StartOptions } from './helpers/start-app.js'
import { until } from './helpers/until.js'

type Payloads = { tick: { n: number, fill: string } }
const events = { tick: Type.Object({ n: Type.Integer(), fill: Type.String() }) }
const tick = (n: number, id: string, fill = '') => `event: tick\ndata: {"n":${n},"fill":"${fill}"}\nid: ${id}\n\n`
const cursor = (id: string) => `event: sse.cursor\ndata: {}\nid: ${id}\n\n`
const reset = (reason: string, id: string) => `event: sse.reset\ndata: {"channel":"log","reason":"${reason}"}\nid: ${id}\n\n`

const MANY = { history: { max: 5_000, bytes: 256 * 1_048_576 } }

interface Log extends Served {
  publish (n: number, fill?: string): Promise<Position>
  read (lastEventId?: string): Promise<StreamReader>
  raw (lastEventId?: string): Promise<RawSocket>
}

async function log (t: Test, start: StartOptions = {}, options: Partial<ChannelOptions<'log', typeof events, Payloads>> = {}, subscribe?: SubscribeOptions<Payloads>): Promise<Log> {
  let publish: Log['publish'] = async () => ''
  const served = await serve(t, (app) => {
    const channel = app.sse.channel('log', { events, ...options })
    publish = (n, fill = '') => channel.publish('tick', { n, fill })
    app.get('/', { schema: { sse: events } }, (_request, reply) => reply.sse(channel.subscribe(subscribe)))
  }, start)
  const headers = (id?: string): Record<string, string> => ({ accept: 'text/event-stream', ...(id === undefined ? {} : { 'last-event-id': id }) })
  return {
    ...served,
    publish,
    read: (id) => readStream(`${served.base}/`, { headers: headers(id) }),
    raw: (id) => RawSocket.request(served.base, '/', { headers: headers(id) })
  }
}

/** A broker that a test holds in its hand: what the sink is told, and when answers come. */
class Puppet implements Broker {
  readonly #broker = memoryBroker()
  sink: BrokerSink | undefined
  /** What the sink is told of an entry; by default, that. */
  tell = (topic: string, entry: BrokerEntry) => this.sink?.entry(topic, entry)
  /** What answers wait for. */
  gate: { attach: () => Promise<void>, read: () => Promise<void>, detach: () => Promise<void> } = { attach: async () => {}, read: async () => {}, detach: async () => {} }
  reads = 0

  open (sink: BrokerSink): void {
    this.sink = sink
    void this.#broker.open({ entry: (topic, entry) => this.tell(topic, entry), suspect () {}, command: (text) => sink.command(text) })
  }

  publish: Broker['publish'] = (...given) => this.#broker.publish(...given)

  async attach (topic: string): Promise<Position> {
    const head = await this.#broker.attach(topic)
    await this.gate.attach()
    return head
  }

  async detach (topic: string): Promise<void> {
    await this.gate.detach()
    await this.#broker.detach(topic)
  }

  async read (...given: Parameters<Broker['read']>): ReturnType<Broker['read']> {
    this.reads++
    const page = await this.#broker.read(...given)
    await this.gate.read()
    return page
  }

  command: Broker['command'] = (text) => this.#broker.command(text)
  health: Broker['health'] = () => this.#broker.health()
  close (): void { void this.#broker.close() }
}

/** Something that is waited for until a test says so. */
function door (): { open: () => void, through: () => Promise<void> } {
  let open = () => {}
  const opened = new Promise<void>((resolve) => { open = resolve })
  return { open, through: () => opened }
}

const idOf = (text: string) => /id: (\S+)/.exec(text)?.[1] as string // each stream begins with one

async function started (t: Test, options?: Partial<ChannelOptions<'log', typeof events, Payloads>>): Promise<Log & { broker: Puppet, stream: StreamReader, head: string }> {
  const broker = new Puppet()
  const served = await log(t, { broker }, options)
  const stream = await served.read()
  t.teardown(() => stream.close())
  return { ...served, broker, stream, head: idOf(await stream.until('sse.cursor')) }
}

t.test('an entry that was lost on the way is repaired when the next one comes', async (t) => {
  const { app, broker, publish, stream, head } = await started(t)
  const told = broker.tell
  broker.tell = () => {}
  const ids = [await publish(1), await publish(2)]
  broker.tell = told
  ids.push(await publish(3))
  t.equal(await stream.until('"n":3'), `:\n${cursor(head)}${ids.map((id, n) => tick(n + 1, id)).join('')}`)
  t.equal(app.sse.stats().channels.repairs, 1)
  t.equal(app.sse.stats().channels.resets.lost, 0)
})

t.test('the last entry, lost on the way with silence after it, is found by a suspicion', async (t) => {
  const { broker, publish, stream, head } = await started(t)
  broker.tell = () => {}
  const id = await publish(1)
  broker.sink?.suspect('log')
  t.equal(await stream.until('"n":1'), `:\n${cursor(head)}${tick(1, id)}`)
  const next = await publish(2)
  broker.sink?.suspect('elsewhere')
  broker.sink?.suspect()
  t.equal(await stream.until('"n":2'), `:\n${cursor(head)}${tick(1, id)}${tick(2, next)}`)
})

t.test('entries that come twice, and late ones, are sent once', async (t) => {
  const { app, broker, publish, stream, head } = await started(t)
  const entries: Array<[string, BrokerEntry]> = []
  broker.tell = (...told) => { entries.push(told) }
  const ids = [await publish(1), await publish(2), await publish(3)]
  const gate = door()
  broker.gate.read = gate.through
  for (const index of [0, 0, 2, 1, 2, 0]) broker.sink?.entry(...entries[index] as [string, BrokerEntry])
  const late = await publish(4) // behind what the read has seen
  broker.sink?.entry(...entries[3] as [string, BrokerEntry])
  gate.open()
  t.match(await stream.until('"n":4'), tick(4, late))
  t.equal(stream.text.slice(0, stream.text.indexOf(tick(4, late))), `:\n${cursor(head)}${ids.map((id, n) => tick(n + 1, id)).join('')}`)
  await publish(5)
  broker.sink?.suspect()
  const text = await stream.until('"n":5')
  t.equal(text.split('event: tick').length, 6)
  t.ok(app.sse.stats().channels.repairs < 5, 'one read at a time')
})

t.test('where the broker lost what was sent, each client is told, also one that comes back with it', async (t) => {
  const { broker, publish, read, stream, head, app } = await started(t)
  const real = await publish(1)
  const tail = real.replace(/\.\d+-/, '.8888888888888-')
  broker.sink?.entry('log', { id: tail, prev: real, frame: 'event: tick\ndata: {"n":2,"fill":""}\n' }) // a replica that was promoted never saw it
  await stream.until('"n":2')
  const next = await publish(3) // has a lower position than the one that was lost
  await stream.until('sse.reset')
  t.equal(stream.text, `:\n${cursor(head)}${tick(1, real)}${tick(2, tail)}${reset('ahead', next)}`, 'what came behind the loss is not known, so all of it counts as missed')
  const again = await read(tail)
  t.match(await again.until('sse.reset'), reset('ahead', next))
  const last = await publish(4)
  t.match(await stream.until('"n":4'), tick(4, last))
  t.match(await again.until('"n":4'), tick(4, last))
  t.equal(app.sse.stats().channels.resets.ahead, 2)
  again.close()
})

t.test('a store that was wiped and begun anew is another epoch', async (t) => {
  const { broker, publish, stream, head } = await started(t)
  const id = await publish(1)
  await stream.until('"n":1')
  const read = broker.read.bind(broker)
  broker.read = async () => ({ head: 'newlife.2-0', entries: [{ id: 'newlife.2-0', prev: 'newlife.1-0', frame: 'event: tick\ndata: {"n":7,"fill":""}\n' }] })
  broker.sink?.entry('log', { id: 'newlife.2-0', prev: 'newlife.1-0', frame: 'event: tick\ndata: {"n":7,"fill":""}\n' })
  await stream.until('sse.reset')
  t.equal(stream.text, `:\n${cursor(head)}${tick(1, id)}${reset('epoch', 'newlife.2-0')}`)
  broker.read = read
})

t.test('a broker whose head went back with nothing behind it: told, and live from there', async (t) => {
  const { broker, publish, stream, head } = await started(t)
  const id = await publish(1)
  await stream.until('"n":1')
  const read = broker.read.bind(broker)
  broker.read = async () => ({ head, entries: [] })
  broker.sink?.suspect()
  t.equal(await stream.until('sse.reset'), `:\n${cursor(head)}${tick(1, id)}${reset('ahead', head)}`)
  broker.read = read
})

t.test('entries that come before attach() has answered are not lost', async (t) => {
  const broker = new Puppet()
  const { app, publish, read, raw } = await log(t, { broker })
  const gate = door()
  broker.gate.attach = gate.through
  const asked = read()
  const gone = await raw()
  while (app.sse.stats().channels.subscribers < 2) await turn()
  await publish(1)
  const second = await publish(2)
  gone.leave()
  gate.open()
  const stream = await asked
  t.equal(await stream.until('sse.cursor'), `:\n${cursor(second)}`)
  const third = await publish(3)
  t.equal(await stream.until('"n":3'), `:\n${cursor(second)}${tick(3, third)}`)
  stream.close()
})

t.test('an entry that came before attach() answered, and one behind it that was lost', async (t) => {
  const broker = new Puppet()
  const { publish, read } = await log(t, { broker })
  const gate = door()
  const attach = broker.attach.bind(broker)
  const attaching = door()
  broker.attach = async (topic) => {
    await attach(topic)
    attaching.open()
    await gate.through()
    return (await broker.read(topic, '', { entries: 1, bytes: 1 })).head
  }
  const asked = read()
  await attaching.through()
  broker.sink?.suspect() // nothing to repair yet
  const first = await publish(1)
  broker.tell = () => {}
  const lost = await publish(2)
  gate.open()
  const stream = await asked
  t.equal(await stream.until('"n":2'), `:\n${cursor(first)}${tick(2, lost)}`)
  stream.close()
})

t.test('a client that is ahead of this node, but not of the broker, is neither reset nor left behind', async (t) => {
  const { broker, publish, read, stream } = await started(t)
  const told = broker.tell
  broker.tell = () => {}
  const id = await publish(1)
  const ahead = await read(id)
  t.equal(await ahead.until('sse.cursor'), `:\n${cursor(id)}`)
  broker.tell = told
  const next = await publish(2)
  t.equal(await ahead.until('"n":2'), `:\n${cursor(id)}${tick(2, next)}`)
  t.match(await stream.until('"n":2'), tick(1, id) + tick(2, next))
  ahead.close()
})

t.test('history that breaks off under a client that reads it: told, or cut where slow readers are', async (t) => {
  for (const slow of ['resume', 'close'] as const) {
    const broker = new Puppet()
    const { publish, read, whenClosed } = await log(t, { broker }, { slow, history: { max: 5_000, bytes: 256 * 1_048_576 } })
    const ids: Position[] = []
    for (let n = 0; n < 20; n++) ids.push(await publish(n, 'x'.repeat(10_000)))
    const whole = broker.read.bind(broker)
    broker.read = async (topic, after, limit) => {
      const page = await whole(topic, after, limit)
      return after === ids[0] ? page : { head: page.head, entries: page.entries.slice(1) }
    }
    const stream = await read(ids[0])
    if (slow === 'resume') {
      t.match(await stream.until('sse.reset'), '"reason":"lost"')
      stream.close()
    } else {
      await t.rejects(stream.end())
      t.equal((await whenClosed()).reason, 'slow')
    }
  }
})

t.test('events of 1 MiB are read page by page, and no more of them are kept than there is room for', async (t) => {
  const { base, publish } = await log(t, {}, { history: { bytes: 64 * 1_048_576 } })
  const ids: Position[] = []
  for (let n = 0; n < 40; n++) ids.push(await publish(n, 'x'.repeat(1_048_576)))
  const client = await Slow.open(base, 'id: ', { 'last-event-id': ids[0] as string })
  t.equal((await client.until(`id: ${ids.at(-1)}\n\n`)).split('event: tick').length, 40)
  client.close()
})

t.test('several topics that were lost at once are told, and their snapshots follow one another', async (t) => {
  const { app, base } = await serve(t, (app) => {
    for (const name of ['a', 'b']) app.sse.channel(name, { events, history: { max: 10 }, snapshot })
    app.get('/', (_request, reply) => reply.sse(app.sse.subscribe([app.sse.channel('a', { events, history: { max: 10 }, snapshot }), app.sse.channel('b', { events, history: { max: 10 }, snapshot })])))
  })
  async function * snapshot ({ events, topic }: { topic: string, events: { tick (data: { n: number, fill: string }): { event: 'tick', data: { n: number, fill: string } } } }) {
    await turn()
    yield events.tick({ n: -1, fill: topic })
  }
  const stream = await readStream(`${base}/`)
  await stream.until('sse.cursor')
  const before = stream.text.length
  const topics = ['a', 'b'].map((name) => app.sse.channel(name, { events, history: { max: 10 }, snapshot }))
  await Promise.all(Array.from({ length: 1_100 }, (_, n) => topics.map((topic) => topic.publish('tick', { n, fill: '' }))).flat())
  await stream.until((text) => text.slice(before).includes('sse.cursor'))
  t.equal(stream.text.slice(before).replace(/id: .*/, 'id: ?'), [
    ...['a', 'b'].map((name) => `event: sse.reset\ndata: {"channel":"${name}","reason":"lost"}\n\n`),
    ...['a', 'b'].map((name) => `event: tick\ndata: {"n":-1,"fill":"${name}"}\n\n`),
    'event: sse.cursor\ndata: {}\nid: ?\n\n'
  ].join(''))
  stream.close()
})

t.test('a client that leaves while a topic is attached, or its history is read, leaves nothing behind', async (t) => {
  const broker = new Puppet()
  const { app, publish, raw, whenClosed } = await log(t, { broker })
  const ids = [await publish(1), await publish(2)]
  const attach = door()
  broker.gate.attach = attach.through
  const one = await raw()
  while (app.sse.stats().channels.subscribers === 0) await turn()
  one.leave()
  await whenClosed(1)
  attach.open()
  broker.gate.attach = async () => {}
  const read = door()
  broker.gate.read = read.through
  const two = await raw(ids[0])
  while (broker.reads === 0) await turn()
  two.leave()
  await whenClosed(2)
  read.open()
  await turn()
  t.match(app.sse.stats(), { open: 0, channels: { topics: 0, subscribers: 0 } })
})

t.test('a reader that comes while a page is read, from further back, waits for a page of its own', async (t) => {
  const broker = new Puppet()
  const { publish, read } = await log(t, { broker })
  const ids: Position[] = []
  for (let n = 0; n < 4; n++) ids.push(await publish(n))
  const gate = door()
  broker.gate.read = gate.through
  const first = read(ids[2])
  while (broker.reads === 0) await turn()
  const second = read(ids[0])
  await turn()
  await turn()
  gate.open()
  const streams = await Promise.all([first, second])
  t.equal(await streams[0].until('"n":3'), `:\n${cursor(ids[2] as string)}${tick(3, ids[3] as string)}`)
  t.equal(await streams[1].until('"n":3'), `:\n${cursor(ids[0] as string)}${[1, 2, 3].map((n) => tick(n, ids[n] as string)).join('')}`)
  for (const stream of streams) stream.close()
})

t.test('a page that was asked for before a reader came says nothing about where that reader stands', async (t) => {
  const broker = new Puppet()
  const { app, publish, read } = await log(t, { broker })
  const ids = [await publish(0), await publish(1)]
  const gate = door()
  broker.gate.read = gate.through
  const first = read(ids[0])
  await until(() => broker.reads === 1)
  const told = broker.tell
  broker.tell = () => {} // what comes from another node has not come to this one yet
  ids.push(await publish(2))
  const second = read(ids[2]) // from another node
  await until(() => app.sse.stats().channels.subscribers === 2)
  gate.open()
  const streams = await Promise.all([first, second])
  t.equal(await streams[1].until('\n\n'), `:\n${cursor(ids[2] as string)}`, 'it is not ahead of the topic, though of that page')
  broker.tell = told
  ids.push(await publish(3))
  t.equal(await streams[0].until('"n":3'), `:\n${cursor(ids[0] as string)}${[1, 2, 3].map((n) => tick(n, ids[n] as string)).join('')}`)
  t.equal(await streams[1].until('"n":3'), `:\n${cursor(ids[2] as string)}${tick(3, ids[3] as string)}`)
  for (const stream of streams) stream.close()
})

t.test('a suspicion while a topic is attached is looked into when that is done', async (t) => {
  const broker = new Puppet()
  const { publish, read } = await log(t, { broker })
  const before = await publish(0)
  const gate = door()
  const attaching = door()
  broker.gate.attach = async () => { attaching.open(); await gate.through() }
  const asked = read()
  await attaching.through()
  broker.tell = () => {}
  const lost = await publish(1)
  broker.sink?.suspect()
  gate.open()
  const stream = await asked
  t.equal(await stream.until('"n":1'), `:\n${cursor(before)}${tick(1, lost)}`)
  stream.close()
})

t.test('a suspicion while a read is under way makes another one: the answer is older than it', async (t) => {
  const { app, broker, publish, stream } = await started(t)
  const told = broker.tell
  const gate = door()
  broker.gate.read = gate.through
  broker.sink?.suspect()
  await until(() => broker.reads === 1)
  broker.tell = () => {}
  const id = await publish(1)
  broker.sink?.suspect()
  gate.open()
  t.match(await stream.until('"n":1'), tick(1, id))
  t.equal(app.sse.stats().channels.repairs, 2)
  broker.tell = told
})

t.test('a repair that waits to try again does not, when the topic has been let go of', async (t) => {
  const { app, broker, stream, whenClosed } = await started(t)
  broker.gate.read = async () => { throw new Error('down') }
  broker.sink?.suspect()
  await until(() => broker.reads === 1)
  stream.close()
  await whenClosed()
  const later = door()
  setTimeout(later.open, 300) // longer than the first attempt waits
  await later.through()
  t.equal(broker.reads, 1)
  await app.close()
})

t.test('a reader that fell out of history is told while its topic is busy, though reads take longer than the next event', async (t) => {
  const broker = new Puppet()
  const { app, base, publish } = await log(t, { broker }, { history: { max: 5 } })
  broker.gate.read = async () => { for (let turns = 0; turns < 20; turns++) await turn() }
  const slow = await Slow.open(base)
  await flood(publish)
  const busy = { ends: false, n: FLOOD }
  const publishing = (async () => { while (!busy.ends) { await publish(busy.n++); await turn() } })()
  t.match(await slow.until('sse.reset'), '"reason":"lost"')
  busy.ends = true
  await publishing
  t.ok(app.sse.stats().channels.reads < 200)
  slow.close()
})

t.test('kept pages that are dropped while a page is read do not make it say more than it knows', async (t) => {
  const { now } = performance
  t.teardown(() => { performance.now = now })
  const broker = new Puppet()
  const { app, publish, read } = await log(t, { broker })
  const ids = [await publish(0), await publish(1)]
  const once = await read(ids[0]) // leaves a kept page, to be dropped in a while
  await once.until('"n":1')
  const gate = door()
  broker.gate.read = gate.through
  const first = read(`${(ids[0] as string).split('.')[0]}.1-0`)
  await until(() => broker.reads === 2)
  const told = broker.tell
  broker.tell = () => {}
  ids.push(await publish(2))
  performance.now = () => now.call(performance) + 2_001
  const dropped = door()
  setTimeout(dropped.open, 2_100) // the clock's own timer is a real one
  await dropped.through()
  const second = read(ids[2])
  await until(() => app.sse.stats().channels.subscribers === 3)
  gate.open()
  const streams = await Promise.all([first, second])
  t.equal(await streams[1].until('\n\n'), `:\n${cursor(ids[2] as string)}`)
  t.match(await streams[0].until('sse.reset'), '"reason":"lost"')
  broker.tell = told
  for (const stream of [once, ...streams]) stream.close()
})

t.test('the oldest event is that of now, whatever others were given a moment ago', async (t) => {
  const broker = new Puppet()
  const { app, publish, read } = await log(t, { broker }, { history: { max: 100 } }, { from: 'oldest' })
  for (let n = 0; n < 50; n++) await publish(n)
  const streams = [await read()]
  await streams[0]?.until('"n":49')
  for (const from of [50, 250]) {
    const ids: Position[] = []
    for (let n = from; n < from + 200; n++) ids.push(await publish(n))
    const stream = await read()
    streams.push(stream)
    const text = await stream.until(`"n":${from + 199},`)
    t.equal(text, `:\n${cursor(ids[99] as string)}${ids.slice(100).map((id, n) => tick(from + 100 + n, id)).join('')}`)
  }
  // Two that come while a page is read for another.
  const gate = door()
  broker.gate.read = gate.through
  const { reads } = broker
  const late = [read()]
  await until(() => broker.reads > reads)
  const { subscribers } = app.sse.stats().channels
  late.push(read())
  await until(() => app.sse.stats().channels.subscribers > subscribers)
  for (let n = 450; n < 600; n++) await publish(n)
  gate.open()
  for (const stream of await Promise.all(late)) {
    streams.push(stream)
    await stream.until('"n":599,')
    t.notMatch(stream.text, 'sse.reset')
  }
  t.match((await late[1] as StreamReader).text, /^:\nevent: sse\.cursor\n[^\n]*\n[^\n]*\n\nevent: tick\ndata: {"n":500,/)
  for (const stream of streams) stream.close()
})

t.test('what fell out of history is told when authorization has been asked again', async (t) => {
  let answer: ((allowed: boolean) => void) | undefined
  let asked = 0
  const { base, publish } = await log(t, { heartbeat: 50 }, { history: { max: 5 }, authorize: () => ++asked === 1 || new Promise<boolean>((resolve) => { answer = resolve }) })
  const slow = await Slow.open(base)
  await flood(publish)
  const text = slow.until('sse.reset')
  await until(() => answer !== undefined)
  for (let turns = 0; turns < 50; turns++) await turn()
  answer?.(true)
  t.match(await text, '"reason":"lost"')
  slow.close()

  // And where it is the page that shows the loss at which it is due.
  const { now } = performance
  t.teardown(() => { performance.now = now })
  let later = 0
  let times = 0
  performance.now = () => now.call(performance) + later
  const broker = new Puppet()
  broker.gate.read = async () => { later += 15_001 }
  const quiet = await log(t, { heartbeat: false, broker, stallTimeout: 1e9 }, { history: { max: 5, ttl: 1e9 }, authorize: async () => ++times > 0 })
  const blocked = await Slow.open(quiet.base)
  await flood(quiet.publish)
  await blocked.until('sse.reset')
  t.ok(times > 1)
  blocked.close()
})

t.test('what is new is not let go of, though there is no room', async (t) => {
  const host = { ...hostAt({ ms: 0 }).host, turns: new Turns(), reset () {}, brokerFailed () {} }
  const hub = new Hub(host, host.broker)
  const channel = new ChannelCore('log', { events }, () => ({}))
  const topic = hub.topicOf({ channel, name: 'log', params: {}, filter: undefined, authorize: undefined, from: 'now', key: undefined })
  hub.stats.windowBytes = WINDOWS_BYTES
  hub.entry('log', { id: 'a.2-0', prev: 'a.1-0', frame: 'data: 1\n' })
  t.equal(topic.window.size, 1)
  hub.entry('elsewhere', { id: 'a.2-0', prev: 'a.1-0', frame: 'data: 1\n' })
})

t.test('a repair ends, though more comes during each read than a window holds', async (t) => {
  const { app, broker, publish, stream } = await started(t)
  let n = 0
  broker.gate.read = async () => { for (let more = 0; more < 1_100; more++) await publish(n++) }
  broker.sink?.suspect()
  await until(() => n === 1_100)
  broker.gate.read = async () => {}
  await stream.until(`"n":${n - 1},`)
  t.equal(app.sse.stats().channels.repairs, 1)
})

t.test('a broker that throws where it should reject is treated alike', async (t) => {
  const failed: string[] = []
  const broker = new Puppet()
  const { publish, read } = await log(t, { broker, openAfter: 0, server: { logger: { level: 'error', stream: { write: (line: string) => { failed.push(JSON.parse(line).err.message) } } } } })
  const ids = [await publish(1), await publish(2)]
  const { read: whole } = broker
  broker.read = () => {
    broker.read = whole
    throw new Error('no history')
  }
  const stream = await read(ids[0])
  await stream.until('"n":2')
  broker.detach = () => { throw new Error('no detaching') }
  stream.close()
  await until(() => failed.length === 2)
  t.strictSame(failed, ['no history', 'no detaching'])
})

t.test('a filter may publish to the topic that it filters: what that adds comes in another turn', async (t) => {
  for (const [burst, options] of [[1, {}], [1_200, {}], [1_200, { slow: 'latest', key: ({ data }) => String(data.n) }]] as Array<[number, Partial<ChannelOptions<'log', typeof events, Payloads>>]>) {
    let filtered = 0
    let turns = 0
    let publish: Log['publish'] = async () => ''
    const served = await log(t, {}, { ...MANY, ...options }, {
      filter: ({ data }) => {
        if (++filtered === 1) for (let more = 0; more < burst; more++) void publish(100 + more) // more than the window holds
        else if (burst === 1 && filtered < 50) void publish(100 + filtered)
        return data.n >= 0
      }
    })
    publish = served.publish
    const stream = await served.read()
    await stream.until('sse.cursor')
    await publish(0)
    const last = burst === 1 ? 149 : 100 + burst - 1
    const counted = (async () => { while (!stream.text.includes(`"n":${last},`)) { await turn(); turns++ } })()
    await stream.until(`"n":${last},`)
    await counted
    t.ok(turns > 1)
    const seen = [...stream.text.matchAll(/"n":(\d+)/g)].map(([, n]) => Number(n))
    t.strictSame(seen, burst === 1 ? [0, 100, ...Array.from({ length: 48 }, (_, n) => 102 + n)] : [0, ...Array.from({ length: burst }, (_, n) => 100 + n)])
    stream.close()
  }
})

/** What a topic needs of a hub, in a time of its own. */
function hostAt (time: { ms: number }) {
  const nothing = async () => { throw new Error('not asked for') }
  const broker: Broker = { open () {}, publish: nothing, attach: async () => 'a.1-0', detach: nothing, read: nothing, command: nothing, health: () => ({ state: 'live' }), close () {} }
  let ring = () => {}
  const clock = new Clock({ now: () => time.ms, setTimeout: (callback) => { ring = callback; return 1 }, clearTimeout: () => { ring = () => {} } })
  const stats = { topics: 0, subscribers: 0, windowBytes: 0, published: 0, delivered: 0, writes: 0, resets: { unknown: 0, epoch: 0, ahead: 0, lost: 0 }, reads: 0, repairs: 0 }
  return { host: { broker, stats, get now () { return time.ms }, clock, keptBytes: 0, changed () {}, grown () {}, remembers () {}, retry () {}, failed () {} }, ring: () => ring() }
}

t.test('what a node holds of a topic grows old, but not before a slow reader could have it', (t) => {
  const entry = (n: number) => ({ id: `a.${n + 1}-0`, prev: `a.${n}-0`, frame: 'x'.repeat(40) })
  for (const [max, ttl, lasts] of [[10, 50, 60_000], [0, 300_000, 60_000], [10, 300_000, 300_000]] as const) {
    const time = { ms: 1_000 }
    const { host, ring } = hostAt(time)
    const topic = new Topic(host, 'log', { retention: { max, bytes: 10_000, ttl }, latest: false, isText: () => false })
    topic.receive(entry(1))
    time.ms += 10
    topic.receive(entry(2))
    t.equal(host.stats.windowBytes, 80)
    t.equal(topic.resume('a.2-0'), max === 0 ? undefined : 2, 'what history has, a client that comes gets')
    t.equal(topic.resume('a.3-0'), 3)
    time.ms += ttl + 1
    t.equal(topic.resume('a.2-0'), undefined, 'and no more')
    t.equal(topic.resume('a.3-0'), 3)
    time.ms = 1_000 + lasts + 1
    ring()
    t.equal(host.stats.windowBytes, 40)
    time.ms += 11
    ring()
    t.equal(host.stats.windowBytes, 0)
    t.equal(topic.resume('a.3-0'), 3)
    topic.close()
    topic.repair() // of nothing
    t.equal(host.stats.repairs, 0)
    t.equal(host.clock.size, 0)
  }
  t.end()
})

t.test('what a node holds of all topics is bounded: the quiet ones let go of theirs', async (t) => {
  const BYTES = 1_000_000
  const TOPICS = Math.ceil(WINDOWS_BYTES / BYTES) + 1
  const { app, base } = await serve(t, (app) => {
    const logs = app.sse.channel('logs/:n', { events })
    app.get('/:from', (request, reply) => {
      const from = Number((request.params as { from: string }).from)
      return reply.sse(app.sse.subscribe(Array.from({ length: Math.min(16, TOPICS - from) }, (_, n) => logs.at({ n: from + n }))))
    })
    const small = app.sse.channel('small', { events, history: false })
    app.get('/small', (_request, reply) => reply.sse(small.subscribe()))
  })
  const responses = await Promise.all(Array.from({ length: Math.ceil(TOPICS / 16) }, async (_, n) => {
    const [response] = await once(http.get(`${base}/${n * 16}`), 'response') as [IncomingMessage]
    return response.resume().on('error', () => {})
  }))
  const reader = await readStream(`${base}/small`)
  await reader.until('sse.cursor')
  const logs = app.sse.channel('logs/:n', { events })
  const fill = 'x'.repeat(BYTES)
  for (let n = 0; n < TOPICS; n++) {
    await logs.at({ n }).publish('tick', { n, fill })
    await until(() => app.sse.stats().channels.delivered > n)
  }
  const { windowBytes } = app.sse.stats().channels
  t.ok(windowBytes <= WINDOWS_BYTES && windowBytes > WINDOWS_BYTES - 2 * BYTES, `${windowBytes} bytes`)
  const small = app.sse.channel('small', { events, history: false })
  const ids = await Promise.all([1, 2, 3].map((n) => small.publish('tick', { n, fill: '' })))
  await reader.until('"n":3')
  t.match(reader.text, ids.map((id, n) => tick(n + 1, id)).join(''), 'and nobody pays for them with what is new')
  reader.close()
  for (const response of responses) response.destroy()
})

t.test('how long events wait is told as a histogram', async (t) => {
  const { app, publish, read } = await log(t)
  const stream = await read()
  await stream.until('sse.cursor')
  await stream.until(await publish(1))
  const { count, sum, buckets } = app.sse.stats().channels.lag
  t.equal(count, 1)
  t.ok(sum > 0)
  t.strictSame(buckets.map(({ le }) => le), [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, Infinity])
  t.strictSame(buckets.map(({ count }) => count), buckets.map(({ le }) => le >= sum ? 1 : 0))
  stream.close()
})

t.test('a broker that cannot attach makes an HTTP error, and the next client tries again', async (t) => {
  const broker = new Puppet()
  const { app, read } = await log(t, { broker })
  broker.gate.attach = async () => { throw Object.assign(new Error('down'), { statusCode: 503 }) }
  t.match((await app.inject('/')).json(), { statusCode: 503, message: 'down' })
  broker.gate.attach = async () => {}
  const stream = await read()
  await stream.until('sse.cursor')
  stream.close()
  t.equal(app.sse.stats().channels.topics, 1)
})

t.test('a broker that fails to read is asked again: nobody is told anything wrong meanwhile', async (t) => {
  const failed: unknown[] = []
  const broker = new Puppet()
  const served = await log(t, { broker, openAfter: 0, server: { logger: { level: 'error', stream: { write: (line: string) => { failed.push(JSON.parse(line)) } } } } })
  const { publish, read } = served
  const live = await read()
  await live.until('sse.cursor')
  let fails = 2
  broker.gate.read = async () => { if (fails-- > 0) throw new Error('down') }
  const told = broker.tell
  broker.tell = () => {}
  const ids = [await publish(1), await publish(2)]
  broker.tell = told
  ids.push(await publish(3)) // needs a repair, and so does a client that resumes
  const resumes = await read(ids[0])
  t.match(await live.until('"n":3'), ids.map((id, n) => tick(n + 1, id)).join(''))
  t.match(await resumes.until('"n":3'), `${cursor(ids[0] as string)}${tick(2, ids[1] as string)}${tick(3, ids[2] as string)}`)
  t.match(failed[0], { msg: 'the broker failed', topic: 'log', err: { message: 'down' } })
  broker.gate.detach = async () => { throw new Error('cannot detach') }
  for (const stream of [live, resumes]) stream.close()
  while (!failed.some((line) => (line as { err: { message: string } }).err.message === 'cannot detach')) await turn()
  broker.gate.read = async () => { throw new Error('for ever') }
  const waits = await read(ids[0])
  while (!failed.some((line) => (line as { err: { message: string } }).err.message === 'for ever')) await turn()
  waits.close()
})

t.test('a hook that is told of one reader of a page may end the others', async (t) => {
  const broker = new Puppet()
  const gate = door()
  let ended: Promise<void> | undefined
  const { app, publish, read, whenClosed } = await log(t, { broker, metrics: { reset () { ended ??= app.sse.disconnect({ channel: 'log' }) } } }, { history: { max: 2 } })
  const ids: Position[] = []
  for (let n = 0; n < 10; n++) ids.push(await publish(n))
  broker.gate.read = gate.through
  const streams = [0, 1, 2].map((n) => read(ids[n]))
  await until(() => app.sse.stats().channels.subscribers === 3)
  gate.open()
  for (const stream of await Promise.all(streams)) t.match(await stream.end(), '"reason":"disconnected"')
  await whenClosed(3)
  t.equal(app.sse.stats().channels.resets.lost, 1)
})

t.test('a page that cannot be read when nobody waits for it any more is not asked for again', async (t) => {
  const broker = new Puppet()
  const { app, publish, raw, whenClosed } = await log(t, { broker })
  const ids = [await publish(1), await publish(2)]
  let fail = (_error: Error) => {}
  broker.gate.read = () => new Promise((_resolve, reject) => { fail = reject })
  const client = await raw(ids[0])
  await until(() => broker.reads === 1)
  client.leave()
  await whenClosed()
  fail(new Error('down'))
  await turn()
  await app.close()
  t.equal(broker.reads, 1)
})

t.test('a repair that fails when nobody has the topic any more is not tried again', async (t) => {
  const { app, broker, stream, whenClosed } = await started(t)
  let fail = (_error: Error) => {}
  broker.gate.read = () => new Promise((_resolve, reject) => { fail = reject })
  broker.sink?.suspect()
  while (broker.reads === 0) await turn()
  stream.close()
  await whenClosed()
  fail(new Error('down'))
  await turn()
  await app.close() // returns, and nothing goes on behind it
  t.equal(broker.reads, 1)
})

/** So many of these are more than the buffers of two sockets take, and than a window holds. */
const FLOOD = 900
const FILL = 'x'.repeat(16_000)

/** @param burst events in one turn */
async function flood (publish: Log['publish'], burst = 16): Promise<Position[]> {
  const ids: Position[] = []
  for (let n = 0; n < FLOOD; n++) {
    ids.push(await publish(n, FILL))
    if (n % burst === 0) await turn()
  }
  return ids
}

/** A client that reads only when it is told to. */
class Slow {
  readonly #parts: string[] = []
  readonly #response: IncomingMessage

  constructor (response: IncomingMessage) {
    this.#response = response.setEncoding('utf8').on('error', () => {}) // one that is cut
  }

  static async open (base: string, until = 'id: ', headers: Record<string, string> = {}): Promise<Slow> {
    const [response] = await once(http.get(`${base}/`, { headers: { accept: 'text/event-stream', ...headers } }), 'response') as [IncomingMessage]
    const slow = new Slow(response)
    await slow.until(until)
    return slow
  }

  /** Reads until a piece holds that, and then no more. Gives all that has come. */
  async until (wanted: string): Promise<string> {
    let tail = ''
    const read = (part: string) => {
      this.#parts.push(part)
      tail = (tail + part).slice(-FILL.length * 2)
    }
    this.#response.on('data', read).resume()
    while (!tail.includes(wanted)) await once(this.#response, 'data')
    this.#response.off('data', read).pause()
    return this.#parts.join('')
  }

  close (): void { this.#response.destroy() }
}

t.test('a slow reader catches up from history, and loses nothing', async (t) => {
  const { app, base, publish } = await log(t, {}, MANY)
  const slow = await Slow.open(base)
  const ids = await flood(publish)
  const text = await slow.until(`id: ${ids.at(-1)}\n\n`)
  t.ok(text === `:\n${cursor(idOf(text))}${ids.map((id, n) => tick(n, id, FILL)).join('')}`, 'each byte is as it should be')
  t.ok(app.sse.stats().channels.reads > 0)
  slow.close()
})

t.test('a reader that blocks inside a snapshot gets all of it, and then what came meanwhile', async (t) => {
  const { base, publish } = await log(t, {}, {
    snapshot: function * ({ events }) { for (let n = -FLOOD; n < 0; n++) yield events.tick({ n, fill: FILL }) }
  })
  const slow = await Slow.open(base, 'event: tick')
  const id = await publish(0)
  const text = await slow.until(tick(0, id))
  t.strictSame([...text.matchAll(/"n":(-?\d+)/g)].map(([, n]) => Number(n)), Array.from({ length: FLOOD + 1 }, (_, index) => index - FLOOD))
  slow.close()
})

t.test('a reader that is slower than history is told', async (t) => {
  const { app, base, publish } = await log(t, {}, { history: { max: 5 } })
  const slow = await Slow.open(base)
  await flood(publish)
  const text = await slow.until(`id: ${await publish(FLOOD)}\n\n`) // of that event, or of the reset that it fell under
  const { lost } = app.sse.stats().channels.resets
  t.ok(lost > 0)
  const runs = text.split('event: sse.reset').map((run) => [...run.matchAll(/"n":(\d+)/g)].map(([, n]) => Number(n)))
  t.equal(runs.length, lost + 1)
  for (const run of runs) t.strictSame(run, run.map((_, index) => (run[0] as number) + index), 'without a gap that nobody told')
  slow.close()
})

t.test('slow: latest gives a slow reader the newest of each key', async (t) => {
  const { base, publish } = await log(t, {}, { ...MANY, slow: 'latest', key: ({ data }) => String(data.n % 2) })
  const slow = await Slow.open(base)
  const ids = await flood(publish)
  const seen = [...(await slow.until(`id: ${ids.at(-1)}\n\n`)).matchAll(/"n":(\d+)/g)].map(([, n]) => Number(n))
  t.ok(seen.length < FLOOD - 50, `${seen.length} of ${FLOOD}`)
  t.strictSame(seen.slice(-2), [FLOOD - 2, FLOOD - 1])
  t.strictSame(seen, [...seen].sort((a, b) => a - b))
  slow.close()
})

t.test('slow: latest supersedes what waits, of what a filter lets through, and by name where there is no key', async (t) => {
  for (const [options, subscribe, expected] of [
    [{ key: ({ data }) => data.fill }, undefined, [2, 3]],
    [{ key: ({ data }) => data.fill }, { filter: ({ data }) => data.n < 3 }, [1, 2]],
    [{}, undefined, [3]]
  ] as Array<[Partial<ChannelOptions<'log', typeof events, Payloads>>, SubscribeOptions<Payloads> | undefined, number[]]>) {
    const { publish, read } = await log(t, {}, { slow: 'latest', ...options }, subscribe)
    const stream = await read()
    await stream.until('sse.cursor')
    await Promise.all([publish(0, 'a'), publish(1, 'b'), publish(2, 'a'), publish(3, 'b')])
    await stream.until(`"n":${expected.at(-1)}`)
    t.strictSame([...stream.text.matchAll(/"n":(\d+)/g)].map(([, n]) => Number(n)), expected)
    stream.close()
  }
  // Of an entry without a key, as of before the channel had keys, nothing is known.
  const { broker, stream, head } = await started(t, { slow: 'latest' })
  const at = (n: number) => `${head.split('.')[0]}.888888888888${n}-0`
  for (const n of [1, 2]) broker.sink?.entry('log', { id: at(n), prev: n === 1 ? head : at(n - 1), frame: `event: tick\ndata: {"n":${n},"fill":""}\n` })
  t.equal(await stream.until('"n":2'), `:\n${cursor(head)}${tick(1, at(1))}${tick(2, at(2))}`)

  const { publish } = await log(t, {}, { slow: 'latest', key: (() => 7) as unknown as () => string })
  await t.rejects(publish(1), { code: 'SSE_ERR_INVALID_OPTION' })
})

t.test('slow: close cuts a reader that falls behind the window, and others go on', async (t) => {
  const { base, publish, read, whenClosed } = await log(t, {}, { ...MANY, slow: 'close' })
  await Slow.open(base)
  const good = await read()
  await good.until('sse.cursor')
  const ids = await flood(publish, 1)
  t.equal((await whenClosed()).reason, 'slow')
  await good.until((text) => text.endsWith(`id: ${ids.at(-1)}\n\n`))
  t.equal(good.text.split('event: tick').length, FLOOD + 1)
  good.close()

  // One that comes back with an old position reads from history, as any other.
  const back = await read(ids[0])
  await back.until((text) => text.endsWith(`id: ${ids.at(-1)}\n\n`))
  t.equal(back.text.split('event: tick').length, FLOOD)
  back.close()
})

t.test('slow: close cuts who falls behind in one turn, of several topics too, and closed is closed', async (t) => {
  let snapshots = 0
  const { app, base, whenClosed } = await serve(t, (app) => {
    const a = app.sse.channel('a', { events, slow: 'close' })
    const b = app.sse.channel('b', { events, snapshot: async function * () { snapshots++ } })
    app.get('/', (_request, reply) => reply.sse(app.sse.subscribe([a, b])))
  })
  const stream = await readStream(`${base}/`)
  await stream.until('id:')
  const a = app.sse.channel('a', { events, slow: 'close' })
  await Promise.all(Array.from({ length: 1_100 }, (_, n) => a.publish('tick', { n, fill: '' })))
  t.equal((await whenClosed()).reason, 'slow')
  await t.rejects(stream.end())
  t.equal(snapshots, 1)
})

t.test('an event is one write, however large; many small ones are several', async (t) => {
  const { publish, raw } = await log(t)
  const client = await raw()
  await client.until('sse.cursor')
  const id = await publish(1, 'x'.repeat(200_000))
  await client.until(id)
  t.equal(client.chunks.length, 2)
  const ids = await Promise.all(Array.from({ length: 100 }, (_, n) => publish(n, 'x'.repeat(1_000))))
  await client.until(ids.at(-1) as string)
  t.ok(client.chunks.slice(2).every((chunk) => chunk.length < 65_536 + 100 * 40))
  t.equal(client.chunks.slice(2).join(''), ids.map((id, n) => tick(n, id, 'x'.repeat(1_000))).join(''))
  client.leave()
})

t.test('minimal streams that lost something end with an error', async (t) => {
  const { app, base, whenClosed } = await serve(t, (app) => {
    const channel = app.sse.channel('log', { events, history: { max: 1 } })
    app.get('/', (_request, reply) => reply.sse(channel.subscribe(), { minimal: true }))
    app.get('/from', (_request, reply) => reply.sse(channel.subscribe({ from: 'elsewhere.1-0' }), { minimal: true }))
  })
  t.match((await app.inject('/from')).json(), { statusCode: 410, code: 'SSE_ERR_EVENTS_LOST' })
  const stream = await readStream(`${base}/`)
  const channel = app.sse.channel('log', { events, history: { max: 1 } })
  await Promise.all(Array.from({ length: 1_100 }, (_, n) => channel.publish('tick', { n, fill: '' })))
  t.match(await stream.end(), 'data: {"error":{"message":"The stream failed"}}')
  t.match((await whenClosed()).error, { code: 'SSE_ERR_EVENTS_LOST' })
})

t.test('thousands of readers are served in pieces, so that others have their turn', async (t) => {
  const READERS = 2_000
  const { app, publish, port } = await log(t, { heartbeat: false })
  const sockets = []
  for (let opened = 0; opened < READERS; opened += 250) {
    sockets.push(...await Promise.all(Array.from({ length: 250 }, () => RawSocket.request(`http://127.0.0.1:${port}`, '/'))))
  }
  while (app.sse.stats().channels.subscribers < READERS) await turn()
  for (const socket of sockets) await socket.until('sse.cursor')
  const { writes } = app.sse.stats().channels
  let turns = 0
  const served = publish(1)
  while (app.sse.stats().channels.writes < writes + READERS) { await turn(); turns++ }
  const id = await served
  t.ok(turns > 1, `served in ${turns} turns`)
  for (const socket of sockets) await socket.until(id)
  for (const socket of sockets) socket.leave()
})

t.test('10,000 clients that come and go, at any moment, leave nothing behind', async (t) => {
  const CLIENTS = 10_000
  const AT_ONCE = 50
  let attached = 0
  const broker = new Puppet()
  broker.gate.attach = async () => { attached++; await turn() }
  broker.gate.detach = async () => { attached-- }
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const options = { events, authorize: async () => true }
  const { app, port, closed } = await serve(t, (app) => {
    const logs = app.sse.channel('logs/:n', options)
    app.get('/:n', (request, reply) => reply.sse(logs.at(request.params as { n: string }).subscribe({ from: 'oldest' }), { heartbeat: 20 }))
  }, { broker, openAfter: 0 })
  for (let n = 0; n < 7; n++) await app.sse.channel('logs/:n', options).at({ n }).publish('tick', { n, fill: FILL })
  const listeners = () => app.server.eventNames().map((name) => [name, app.server.listenerCount(name)])
  const [before, listenersBefore] = [timers(), listeners()]
  let come = 0
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (come < CLIENTS) {
      const nth = come++
      const client = await RawSocket.request(`http://127.0.0.1:${port}`, `/${nth % 7}`)
      if (nth % 3 === 0) await client.until('sse.cursor')
      else if (nth % 3 === 1) await turn()
      if (nth % 2 === 0) client.leave()
      else client.reset()
    }
  }))
  await until(() => app.sse.stats().open === 0)
  await until(() => attached === 0)
  t.match(app.sse.stats().channels, { topics: 0, subscribers: 0, windowBytes: 0 })
  t.equal(timers(), before)
  t.ok(closed.every(({ reason, error }) => reason === 'client' && error === undefined))
  t.strictSame(listeners(), listenersBefore)
})
