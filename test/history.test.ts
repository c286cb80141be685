// History is exact, or says so: thousands of clients that join at random old positions, under load.
import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import net from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { memoryBroker, type Broker, type BrokerEntry, type BrokerSink, type Position, type Topic } from '../lib/index.js'
import { readStream } from './helpers/read-events.js'
import { serve } from './helpers/serve.js'

const JOINS = 5_000
const AT_ONCE = 60
const HISTORY = 2_000
const events = { tick: Type.Object({ n: Type.Integer(), fill: Type.String() }) }

/** Numbers that are random, but the same for the same seed. */
function randomFrom (seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let value = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32
  }
}

type Tick = Topic<{ tick: { n: number, fill: string } }>

/** A topic, and what was published to it: the nth event has the number n. */
class Published {
  readonly topic: Tick
  readonly ids: Position[] = []
  readonly numberOf = new Map<Position, number>()

  constructor (topic: Tick) {
    this.topic = topic
  }

  #next = 0

  async publish (fill: string): Promise<void> {
    const n = this.#next++
    this.knows(await this.topic.publish('tick', { n, fill }), n)
  }

  /** A client may get an event before its publisher knows that it is published. */
  knows (id: Position, n: number): void {
    this.ids[n] = id
    this.numberOf.set(id, n)
  }
}

interface Verdict { exact: boolean, resets: number, events: number, wrong: string | undefined }

/**
 * Follows one client. It stands behind a number of each topic, or nowhere yet; each event must be the next one that it may
 * see, and only a reset may move it.
 */
class Follower {
  readonly #topics: readonly Published[]
  readonly #sees: (n: number) => boolean
  readonly #at: Array<number | undefined>
  readonly #isFresh: boolean
  /** What it would bring back. */
  lastId: string | undefined
  readonly verdict: Verdict = { exact: true, resets: 0, events: 0, wrong: undefined }
  #rest = ''

  /** @param at the numbers that it stands behind; undefined where it has a position that never was one, or, if it is fresh, none */
  constructor (topics: readonly Published[], sees: (n: number) => boolean, at: ReadonlyArray<number | undefined>, isFresh: boolean) {
    this.#isFresh = isFresh
    this.#topics = topics
    this.#sees = sees
    this.#at = [...at]
  }

  /** It was cut off, and comes back with what it has. */
  comeBack (): void {
    this.#rest = ''
  }

  read (text: string): void {
    const blocks = (this.#rest + text).split('\n\n')
    this.#rest = blocks.pop() as string // split gives at least one
    for (const block of blocks) if (this.verdict.wrong === undefined) this.#block(block.replace(/^(?::\n)+/, ''))
  }

  #block (block: string): void {
    const [, event, data, id] = /^event: (\S+)\ndata: (.*)\nid: (\S+)$/.exec(block) ?? []
    if (event === undefined || data === undefined || id === undefined) return this.#isWrong(`a block without event, data or id: ${block.slice(0, 200)}`)
    this.lastId = id
    const places = this.#placesOf(id)
    if (event === 'sse.reset') {
      const index = this.#topics.findIndex(({ topic }) => topic.name === JSON.parse(data).channel)
      if ((this.#at[index] ?? -1) > (this.#topics[index] as Published).ids.length - HISTORY / 2) this.#isWrong(`a reset that was not due: ${data}`)
      this.#at[index] = places[index]
      this.verdict.exact = false
      this.verdict.resets++
    } else if (event === 'sse.cursor') {
      if (this.#isFresh) this.#at.forEach((at, index) => { this.#at[index] = at ?? places[index] })
    } else {
      const { n, fill } = JSON.parse(data)
      this.verdict.events++
      const index = this.#topics.findIndex(({ topic }) => fill.startsWith(topic.name))
      const at = this.#at[index]
      if (at === undefined) return this.#isWrong(`event ${n} of ${index} behind a position that never was one`)
      const expected = this.#nextOf(at)
      if (n !== expected) return this.#isWrong(`event ${n} of ${index} where ${expected} was due`)
      if (places[index] !== n) return this.#isWrong(`event ${n} has the id of ${places[index]}`)
      this.#at[index] = n
    }
    this.#at.forEach((at, index) => {
      // A filter may have hidden what is between; nothing that it lets through may be.
      const place = places[index]
      if (place !== undefined && at !== undefined && this.#nextOf(at) <= place) this.#isWrong(`the id ${place} of ${index} is past what was sent, ${at}`)
    })
  }

  /** The numbers that an id stands behind; -1 is before the first event of all. */
  #placesOf (id: string): Array<number | undefined> {
    const positions = id.split('~')
    return this.#topics.map(({ numberOf, ids }) => {
      const epoch = ids[0]?.split('.')[0]
      const position = positions.find((one) => one.split('.')[0] === epoch)
      return position === undefined ? undefined : numberOf.get(position) ?? -1
    })
  }

  #nextOf (at: number): number {
    let next = at + 1
    while (!this.#sees(next)) next++
    return next
  }

  #isWrong (what: string): void {
    this.verdict.wrong ??= what
  }
}

/**
 * The memory broker, but all that can go wrong with one over a network does: answers take their time or do not come, and
 * entries get lost on the way, come twice, late, or in another order.
 */
function unreliableBroker (random: () => number, tell: (topic: string, entry: BrokerEntry) => void): Broker {
  const broker = memoryBroker()
  const onTheWay: Array<[topic: string, entry: BrokerEntry]> = []
  const deliver = async (sink: BrokerSink) => {
    for (let turns = Math.floor(random() * 3); turns > 0; turns--) await turn()
    for (const [topic, entry] of onTheWay.splice(random() < 0.02 ? Math.floor(random() * onTheWay.length) : 0, 1)) sink.entry(topic, entry)
  }
  const later = async <Value> (answer: Promise<Value>): Promise<Value> => {
    const value = await answer
    for (let turns = Math.floor(random() * 6); turns > 0; turns--) await turn()
    return value
  }
  return {
    open: (sink) => broker.open({
      entry (topic, entry) {
        tell(topic, entry)
        if (random() < 0.01) return
        for (let times = random() < 0.02 ? 2 : 1; times > 0; times--) {
          onTheWay.push([topic, entry])
          void deliver(sink)
        }
      },
      suspect: (topic) => sink.suspect(topic),
      command: (text) => sink.command(text)
    }),
    publish: (topic, event, retention) => broker.publish(topic, event, retention),
    attach: (topic) => later(broker.attach(topic)),
    detach: (topic) => broker.detach(topic),
    read: async (topic, after, limit) => {
      if (random() < 0.01) throw new Error('history cannot be read')
      return later(broker.read(topic, after, limit))
    },
    command: (text) => broker.command(text),
    health: () => broker.health(),
    close: () => broker.close()
  }
}

t.test(`${JOINS} joins at random old positions under load: each is exact, or begins at a reset`, async (t) => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
  t.comment(`SEED=${seed}`)
  const random = randomFrom(seed)
  const { app, base, closed } = await serve(t, (app) => {
    const history = { max: HISTORY, bytes: 64 * 1_048_576 }
    const a = app.sse.channel('a', { events, history })
    const b = app.sse.channel('b', { events, history })
    const isEven = ({ data }: { data: { n: number } }) => data.n % 2 === 0
    app.get('/plain', { schema: { sse: events } }, (_request, reply) => reply.sse(a.subscribe()))
    app.get('/even', { schema: { sse: events } }, (_request, reply) => reply.sse(a.subscribe({ filter: isEven })))
    app.get('/both', { schema: { sse: events } }, (_request, reply) => reply.sse(app.sse.subscribe([a, b])))
  }, { server: { logger: false }, broker: unreliableBroker(random, (topic, { id, frame }) => (topic === 'a' ? a : b).knows(id, Number(/"n":(\d+)/.exec(frame)?.[1]))) })
  const a = new Published(app.sse.channel('a', { events, history: { max: HISTORY, bytes: 64 * 1_048_576 } }))
  const b = new Published(app.sse.channel('b', { events, history: { max: HISTORY, bytes: 64 * 1_048_576 } }))
  const fill = (topic: Published) => topic.topic.name + 'x'.repeat(Math.floor(random() ** 4 * 4_000))

  // More than history holds, so that some positions are gone.
  for (let n = 0; n < HISTORY * 1.5; n++) for (const topic of [a, b]) await topic.publish(fill(topic))

  let joined = 0
  const load = { ends: false }
  const loaded = (async () => {
    while (!load.ends) {
      for (let burst = Math.floor(random() * 12); burst >= 0; burst--) for (const topic of [a, b]) if (random() < 0.7) await topic.publish(fill(topic))
      await turn()
    }
  })()

  const positionOf = ({ ids }: Published): { id: string, at: number | undefined } => {
    const kind = random()
    if (kind < 0.04) return { id: 'no-position', at: undefined }
    if (kind < 0.08) return { id: 'f0re1gn0.1700000000000-0', at: undefined }
    const at = ids.length - 1 - Math.floor(random() ** 2 * HISTORY * 1.2)
    const id = ids[Math.max(0, at)] as Position // there are so many
    if (kind < 0.12) return { id: id.replace(/\d+$/, '999999'), at: undefined }
    if (kind < 0.16) return { id: id.replace(/\.\d+/, '.9999999999999'), at: undefined }
    return { id, at: Math.max(0, at) }
  }

  const visit = async (path: string, follower: Follower, lastEventId: string | undefined, wanted: number) => {
    const sent = http.get(base + path, { headers: { accept: 'text/event-stream', ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }) } })
    const [response] = await once(sent, 'response') as [IncomingMessage]
    const isSlow = random() < 0.25
    // It is cut off behind so many, wherever that is. Behind none it would stay for ever: only what comes can cut it off.
    let bytes = random() < 0.3 ? 1 + Math.floor(random() * 40_000) : Infinity
    response.setEncoding('latin1').on('error', () => {}) // all is ASCII, so that a character is a byte
    await new Promise<void>((resolve) => {
      response.on('close', resolve)
      response.on('data', (text: string) => {
        if (bytes <= 0) return
        follower.read(text.slice(0, bytes))
        bytes -= text.length
        if (follower.verdict.events >= wanted || follower.verdict.wrong !== undefined || bytes <= 0) {
          bytes = 0
          sent.destroy()
        } else if (isSlow) {
          response.pause()
          setTimeout(() => response.resume(), random() * 40) // how slow is of no matter
        }
      })
    })
  }

  const verdicts: Verdict[] = []
  const join = async () => {
    const path = ['/plain', '/plain', '/even', '/both'][Math.floor(random() * 4)] as string
    const topics = path === '/both' ? [a, b] : [a]
    const fresh = random() < 0.1
    const from = topics.map(positionOf)
    const known = from.every(({ id }) => id.includes('.'))
    const follower = new Follower(topics, path === '/even' ? (n) => n % 2 === 0 : () => true, fresh ? topics.map(() => undefined) : from.map(({ at }) => known ? at : undefined), fresh)
    const given = fresh ? undefined : from.map(({ id }) => id).join('~')
    const wanted = random() < 0.2 ? 0 : Math.floor(random() * 120)
    for (let visits = random() < 0.5 ? 1 : 3; visits > 0 && follower.verdict.wrong === undefined; visits--) {
      await visit(path, follower, follower.lastId ?? given, follower.verdict.events + wanted)
      follower.comeBack()
    }
    verdicts.push(follower.verdict)
  }

  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (joined < JOINS) {
      joined++
      await join()
    }
  }))
  load.ends = true
  await loaded

  t.strictSame(closed.filter(({ error }) => error !== undefined).slice(0, 3).map(({ error, request }) => [request.url, (error as Error).stack]), [], 'none failed')
  const wrong = verdicts.filter(({ wrong }) => wrong !== undefined)
  t.strictSame(wrong.slice(0, 5), [], `0 of ${JOINS} wrong`)
  const exact = verdicts.filter(({ exact }) => exact).length
  const events_ = verdicts.reduce((sum, { events }) => sum + events, 0)
  const { reads, repairs, resets } = app.sse.stats().channels
  t.comment(`${exact} exact, ${verdicts.length - exact} told a reset, ${events_} events seen, ${a.ids.length + b.ids.length} published, ${reads} reads of history, ${repairs} repairs, ${JSON.stringify(resets)}`)
  t.equal(verdicts.length, JOINS)
  t.ok(exact > JOINS / 3, 'many were exact')
  t.ok(verdicts.length - exact > JOINS / 20, 'many were reset')
  t.ok(reads > 0, 'history was read beyond the window')
  while (app.sse.stats().open > 0) await turn() // the last ones to leave are being noticed
  t.strictSame({ topics: 0, subscribers: 0 }, (({ topics, subscribers }) => ({ topics, subscribers }))(app.sse.stats().channels), 'nothing is left of them')
})

interface Client { text: string, socket: net.Socket }

/**
 * Half of what waits in the backlog of a listening socket, which gives Node one connection in a turn of the event loop. Whoever finds no
 * room there believes to be connected, and is reset half a minute later.
 */
const COMING_AT_ONCE = 250

/** Clients with an id each, which come as fast as they are let in. Resolves when each has got what it waits for. */
async function storm (port: number, asked: ReadonlyArray<{ path: string, id: string, until: string }>): Promise<Client[]> {
  const clients: Array<Promise<Client>> = []
  const come = async () => {
    while (clients.length < asked.length) {
      const { path, id, until } = asked[clients.length] as typeof asked[number]
      const client = { text: '', socket: net.connect(port, '127.0.0.1') }
      client.socket.setEncoding('utf8').on('data', (text: string) => { client.text += text })
      client.socket.write(`GET ${path} HTTP/1.1\r\nhost: test\r\naccept: text/event-stream\r\nlast-event-id: ${id}\r\n\r\n`)
      const isIn = once(client.socket, 'data')
      clients.push((async () => {
        while (!client.text.endsWith(`${until}\r\n`)) await once(client.socket, 'data')
        return client
      })())
      await isIn
    }
  }
  await Promise.all(Array.from({ length: COMING_AT_ONCE }, come))
  return Promise.all(clients)
}

const Tiny = { tick: Type.Object({ n: Type.Integer() }) }

t.test('a storm of 5,000 clients that come back with ids is replayed exactly, and costs reads by topics, not by clients', async (t) => {
  const TOPICS = 5
  const EVENTS = 3_000
  const { app, port } = await serve(t, (app) => {
    const rooms = app.sse.channel('rooms/:room', { events: Tiny, history: { max: EVENTS } })
    app.get('/:room', { schema: { sse: Tiny, params: Type.Object({ room: Type.String() }) } }, (request, reply) => reply.sse(rooms.at(request.params as { room: string }).subscribe()))
  }, { heartbeat: false }) // on a busy machine a client may wait for longer than that
  const rooms = app.sse.channel('rooms/:room', { events: Tiny, history: { max: EVENTS } })
  const ids: Position[][] = []
  for (let room = 0; room < TOPICS; room++) {
    const topic = rooms.at({ room })
    ids.push([])
    for (let n = 0; n < EVENTS; n++) (ids[room] as Position[]).push(await topic.publish('tick', { n }))
  }

  // Nobody is connected, so no window helps: all that they missed is in history alone.
  const random = randomFrom(1)
  const asked = Array.from({ length: 5_000 }, (_, index) => {
    const room = index % TOPICS
    const at = Math.floor(random() * (EVENTS - 1))
    const known = ids[room] as Position[]
    return { path: `/${room}`, id: known[at] as Position, until: `id: ${known[EVENTS - 1]}\n\n`, at, known }
  })
  const clients = await storm(port, asked)

  const wholes = ids.map((known) => known.map((id, n) => `event: tick\ndata: {"n":${n}}\nid: ${id}\n\n`).join(''))
  const wrong = clients.filter(({ text }, index) => {
    const { at, known } = asked[index] as typeof asked[number]
    const whole = wholes[index % TOPICS] as string
    const expected = whole.slice(whole.indexOf(`id: ${known[at]}\n\n`) + `id: ${known[at]}\n\n`.length)
    const body = text.slice(text.indexOf('\r\n\r\n') + 4).replace(/\r\n[0-9a-f]+\r\n|^[0-9a-f]+\r\n|\r\n$/g, '')
    return body !== `:\nevent: sse.cursor\ndata: {}\nid: ${known[at]}\n\n${expected}`
  })
  t.equal(wrong.length, 0, 'each byte is as it should be')
  const { reads, resets } = app.sse.stats().channels
  t.comment(`${reads} reads of history`)
  t.strictSame(resets, { unknown: 0, epoch: 0, ahead: 0, lost: 0 })
  t.ok(reads > 0 && reads <= TOPICS * 100, `${reads} reads for ${TOPICS} topics of 4 pages and 5,000 clients`)
  for (const { socket } of clients) socket.destroy()
})

t.test('a crowd that waits for the same page of history gives the event loop back between its members', async (t) => {
  const CROWD = 100
  let release = () => {}
  const gathered = new Promise<void>((resolve) => { release = resolve })
  const broker = memoryBroker()
  const read = broker.read.bind(broker)
  broker.read = async (...asked) => {
    await gathered
    return read(...asked)
  }
  let [now, watching] = [0, true]
  const watch = () => { now++; if (watching) setImmediate(watch) }
  setImmediate(watch)
  t.teardown(() => { watching = false })

  const asked: number[] = [] // the turns of the event loop in which the filter was
  const slowly = ({ data }: { data: { n: number } }) => {
    for (const end = performance.now() + 0.3; performance.now() < end;);
    asked.push(now)
    return data.n > 0
  }
  const { app, port } = await serve(t, (app) => {
    const log = app.sse.channel('log', { events: Tiny, history: { max: 10 } })
    app.get('/', { schema: { sse: Tiny } }, (_request, reply) => reply.sse(log.subscribe({ filter: slowly })))
  }, { broker })
  const topic = app.sse.channel('log', { events: Tiny, history: { max: 10 } })
  const position = await topic.publish('tick', { n: 0 })
  const id = await topic.publish('tick', { n: 1 })

  const stormed = storm(port, Array.from({ length: CROWD }, () => ({ path: '/', id: position, until: `id: ${id}\n\n` })))
  while (app.sse.stats().channels.subscribers < CROWD) await turn()
  release()
  for (const { socket } of await stormed) socket.destroy()
  t.equal(asked.length, CROWD)
  const most = Math.max(...asked.map((turn) => asked.filter((other) => other === turn).length))
  t.ok(most <= 32, `${most} of ${CROWD} in one turn, each of which takes 0.3 ms`)
})

t.test('a client that was away for 50,000 events gets all of them, in order and on one connection', async (t) => {
  const AWAY = 50_000
  const log = (to: FastifyInstance) => to.sse.channel('log', { events: Tiny, history: { max: AWAY + 1, bytes: 64 * 1_048_576 } })
  const { app, base } = await serve(t, (app) => {
    app.get('/', { schema: { sse: Tiny } }, (_request, reply) => reply.sse(log(app).subscribe()))
  })
  const topic = log(app)
  const ids: Position[] = []
  for (let n = 0; n <= AWAY; n++) ids.push(await topic.publish('tick', { n }))
  const [position, last] = [ids[0] as Position, ids[AWAY] as Position]

  const stream = await readStream(`${base}/`, { headers: { 'last-event-id': position } })
  await stream.until((text) => text.endsWith(`id: ${last}\n\n`))
  const next = await topic.publish('tick', { n: AWAY + 1 })
  const text = await stream.until((text) => text.endsWith(`id: ${next}\n\n`))
  ids.push(next)
  t.equal(text, `:\nevent: sse.cursor\ndata: {}\nid: ${position}\n\n${ids.slice(1).map((id, n) => `event: tick\ndata: {"n":${n + 1}}\nid: ${id}\n\n`).join('')}`)
  stream.close()
})
