// What must hold under load and abuse: fairness, no leaks, a close that returns.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import v8 from 'node:v8'
import vm from 'node:vm'
import t from 'tap'
import { Type } from '@sinclair/typebox'
import { SseStream } from '../lib/stream/stream.js'
import { RawSocket } from './helpers/raw-socket.js'
import { readStream } from './helpers/read-events.js'
import { serve } from './helpers/serve.js'

v8.setFlagsFromString('--expose-gc')
const collectGarbage = vm.runInNewContext('gc') as () => void

const Tick = Type.Object({ n: Type.Integer(), text: Type.String() })

// In processes of their own, so that what is measured is the server and not its clients.
const PROBE = `
  const http = require('node:http')
  const [port, requests] = process.argv.slice(1).map(Number)
  const agent = new http.Agent({ keepAlive: true })
  const ask = () => new Promise((resolve, reject) => http.get({ port, path: '/ping', agent }, (response) => {
    response.resume().on('end', resolve)
  }).on('error', reject))
  ;(async () => {
    for (let warm = 0; warm < 50; warm++) await ask()
    const times = []
    for (let n = 0; n < requests; n++) {
      const start = performance.now()
      await ask()
      times.push(performance.now() - start)
    }
    agent.destroy()
    process.send(times.sort((a, b) => a - b), () => process.disconnect())
  })()
`

/** Sorted latencies of `GET /ping`, in ms. */
async function probe (port: number, requests: number): Promise<number[]> {
  const [times] = await once(inProcess(PROBE, port, requests), 'message') as [number[]]
  return times
}

const READERS = `
  const net = require('node:net')
  const [port, path, count] = process.argv.slice(1)
  const sockets = Array.from({ length: Number(count) }, () => {
    const socket = net.connect(Number(port), '127.0.0.1')
    socket.write('GET ' + path + ' HTTP/1.1\\r\\nhost: test\\r\\naccept: text/event-stream\\r\\n\\r\\n')
    socket.resume()
    return socket
  })
  Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('data', resolve)))).then(() => process.send('reading'))
`

/** Clients that take what they get as fast as they can, until they are killed. */
async function readers (port: number, path: string, count: number): Promise<ChildProcess> {
  const child = inProcess(READERS, port, path, count)
  await once(child, 'message')
  return child
}

function inProcess (code: string, ...args: unknown[]): ChildProcess {
  return spawn(process.execPath, ['-e', code, ...args.map(String)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
}

t.test('an endless source that is always ready gives the event loop back, and ends with its client', async (t) => {
  let ended = 0
  let starts = 0
  const pulled = new Set<number>() // in this turn of the event loop
  const served = await serve(t, (app) => {
    app.get('/ping', () => 'pong')
    app.get('/async', { schema: { sse: { tick: Tick } } }, (_request, reply) => reply.sse(async function * ({ events }) {
      const me = starts++
      try { for (let n = 0; ; n++, pulled.add(me)) yield events.tick({ n, text: 'always ready' }, { id: String(n) }) } finally { ended++ }
    }))
    app.get('/sync', (_request, reply) => reply.sse(function * () {
      const me = starts++
      try { for (let n = 0; ; n++, pulled.add(me)) yield { data: n } } finally { ended++ }
    }))
    app.get('/dropped', { schema: { sse: { tick: Tick } }, config: { sse: { validate: 'drop', openAfter: 1 } }, logLevel: 'silent' }, (_request, reply) => reply.sse(async function * () {
      const me = starts++
      try { for (;; pulled.add(me)) yield { event: 'tick', data: 'never valid' } as never } finally { ended++ }
    }))
  })
  const mostInOneTurn = async (turns: number) => {
    let most = 0
    for (let left = turns; left > 0; left--) {
      pulled.clear()
      await turn()
      most = Math.max(most, pulled.size)
    }
    return most
  }
  let closed = 0
  for (const [path, count] of [['/async', 1], ['/sync', 1], ['/dropped', 1], ['/async', 50]] as const) {
    const clients = await readers(served.port, path, count)
    await mostInOneTurn(2 * count) // the first quantum of each, which several begin in one turn
    const [times, most] = await Promise.all([probe(served.port, 300), mostInOneTurn(500)])
    t.comment(`${path} x ${count}: GET /ping beside it p50 ${times[150]?.toFixed(2)} ms, p99 ${times[297]?.toFixed(2)} ms`)
    t.equal(most, 1, `${path} x ${count}: streams that are served in one turn`)
    clients.kill()
    closed += count
    t.equal((await served.whenClosed(closed)).reason, 'client')
    t.equal(ended, closed)
  }
})

for (const [size, mostInATurn] of [[40_000, 1], [10, 8]] as const) {
  t.test(`a source that takes its time for each event of ${size} characters gives the event loop back`, async (t) => {
    const spin = (ms: number) => { for (const end = performance.now() + ms; performance.now() < end;); }
    const turns: number[] = []
    let now = 0
    let watching = true
    const watch = () => { now++; if (watching) setImmediate(watch) }
    setImmediate(watch)
    t.teardown(() => { watching = false })
    const { app } = await serve(t, (app) => {
      app.get('/', (_request, reply) => reply.sse(function * () {
        for (let n = 0; n < 33; n++) {
          spin(2) // longer than a quantum
          turns.push(now)
          yield 'x'.repeat(size)
        }
      }))
    })
    await app.inject({ url: '/', headers: { accept: 'text/event-stream' } })
    const others = turns.slice(1)
    const most = Math.max(...others.map((turn) => others.filter((other) => other === turn).length))
    t.equal(most, mostInATurn, 'the first waits for the answer to begin; of the others, so many share a turn')
  })
}

t.test('a source that waits between its events does not go behind those that are always ready', async (t) => {
  const BUSY = 20
  const turns: number[] = []
  let now = 0
  let watching = true
  const watch = () => { now++; if (watching) setImmediate(watch) }
  setImmediate(watch)
  t.teardown(() => { watching = false })
  const { port, base } = await serve(t, (app) => {
    app.get('/busy', (_request, reply) => reply.sse(async function * () { for (;;) yield 'always ready' }))
    app.get('/paced', (_request, reply) => reply.sse(async function * () {
      for (let n = 0; n < 50; n++) { // 1 MB, which the kernel takes
        turns.push(now)
        yield n % 2 === 0 ? 'small' : 'more than is gathered'.repeat(2_000)
        await turn()
      }
    }))
  })
  const clients = await readers(port, '/busy', BUSY)
  await (await readStream(`${base}/paced`)).end()
  clients.kill()
  const waits = turns.slice(1).map((at, i) => at - (turns[i] as number)).slice(1) // the first waits for the answer to begin
  t.ok(Math.max(...waits) < BUSY / 2, `at most ${Math.max(...waits)} turns of the event loop`)
})

t.test('2,000 clients that come and go leave nothing behind', async (t) => {
  let ended = 0
  const served = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) {
      try {
        yield 'hello'
        await new Promise<void>((resolve) => { signal.onabort = () => resolve() })
      } finally { ended++ }
    }))
  })
  let expected = 0
  const comeAndGo = async (times: number) => {
    for (let left = times; left > 0; left -= 100) {
      const clients = await Promise.all(Array.from({ length: 100 }, () => RawSocket.request(served.base, '/')))
      await Promise.all(clients.map((client) => client.until('hello')))
      for (const client of clients) client.leave()
      expected += 100
      await served.whenClosed(expected)
      served.closed.fill(undefined as never) // the list of this test must not be what grows
    }
    while (ended < expected) await turn() // eslint-disable-line no-unmodified-loop-condition -- the sources modify it
    for (let turns = 0; turns < 20; turns++) await turn()
    collectGarbage()
    return process.memoryUsage().heapUsed
  }
  const streams = () => v8.queryObjects(SseStream, { format: 'count' })
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout' || kind === 'TCPSocketWrap').length
  await comeAndGo(500) // code is compiled, pools are filled
  const held = timers()
  const listeners = served.app.server.eventNames().map((name) => served.app.server.listenerCount(name))
  const before = await comeAndGo(500)
  const after = await comeAndGo(2_000)
  t.equal(ended, 3_000, 'each source has run its finally')
  t.equal(served.app.sse.stats().open, 0)
  t.ok(timers() <= held, `${timers()} timers and sockets, ${held} before`)
  t.strictSame(served.app.server.eventNames().map((name) => served.app.server.listenerCount(name)), listeners)
  t.ok(streams() < 10, `${streams()} streams in the heap`) // Node itself keeps its last few responses
  // One stream that is kept weighs 10 KiB and more, so 2,000 would be 20 MiB.
  t.ok(after - before < 5_000_000, `${Math.round((after - before) / 1024)} KiB of heap more`)
})

t.test('clients that left before the handler came to reply.sse() leave nothing behind', async (t) => {
  let asked = 0
  let started = 0
  const readables: Readable[] = []
  const served = await serve(t, (app) => {
    app.get('/', async (request, reply) => {
      asked++
      await once(request.raw.socket, 'close')
      await turn()
      const source = new Readable({ objectMode: true, read () { started++ } })
      readables.push(source)
      return reply.sse(source)
    })
  })
  for (let n = 0; n < 100; n++) {
    const client = await RawSocket.request(served.base, '/')
    while (asked === n) await turn() // eslint-disable-line no-unmodified-loop-condition -- the handler modifies it
    client.leave()
  }
  while (readables.length < 100) await turn()
  t.ok(readables.every((readable) => readable.destroyed), 'each source was let go')
  t.equal(started, 0)
  t.equal(served.app.sse.stats().opened, 0)
  const start = performance.now()
  await served.app.close()
  t.ok(performance.now() - start < 900, 'close() waits for nobody')
})

t.test('close() with 1,000 open streams returns in time, and each is told', async (t) => {
  const served = await serve(t, (app) => {
    app.get('/source', (_request, reply) => reply.sse(async function * () { yield 'hello'; await new Promise(() => {}) }))
    const channel = app.sse.channel('greetings', {
      events: { message: Type.String({ contentMediaType: 'text/plain' }) },
      snapshot: function * ({ events }) { yield events.message('hello') }
    })
    app.get('/topic', (_request, reply) => reply.sse(channel.subscribe()))
  }, { shutdown: { spread: 700 } })
  const clients = await Promise.all(Array.from({ length: 1_000 }, (_, n) => RawSocket.request(served.base, n % 2 === 0 ? '/source' : '/topic')))
  await Promise.all(clients.map((client) => client.until('hello')))
  const start = performance.now()
  await served.app.close()
  const took = performance.now() - start
  t.ok(took < 2_000, `${took.toFixed()} ms`)
  await Promise.all(clients.map((client) => client.ended()))
  const retries = clients.map((client) => Number(/^:\ndata: hello\n\n(?:event: sse\.cursor\ndata: {}\nid: \S+\n\n)?event: sse\.bye\nretry: (\d+)\ndata: {"reason":"shutdown"}\n\n$/.exec(client.body)?.[1]))
  t.ok(retries.every((retry) => retry >= 100 && retry <= 700))
  t.ok(new Set(retries).size > 300, 'spread')
  t.ok(clients.every((client) => client.complete), 'each answer came to its regular end')
  t.equal(served.closed.filter(({ reason }) => reason === 'shutdown').length, 1_000)
})

t.test('close() does not wait for those who do not read, nor for those who wait for a first event', async (t) => {
  const served = await serve(t, (app) => {
    app.get('/full', (_request, reply) => reply.sse(function * () { for (;;) yield 'x'.repeat(100_000) }))
    app.get('/peek', (_request, reply) => reply.sse(async function * () { await new Promise(() => {}); yield 'never' }, { openAfter: Infinity }))
    app.get('/hook', { onSend: async () => { await new Promise(() => {}) } }, (_request, reply) => reply.sse(['a']))
  })
  const stalled = await RawSocket.request(served.base, '/full')
  stalled.stall()
  const browser = await RawSocket.request(served.base, '/peek')
  const other = await RawSocket.request(served.base, '/peek', { headers: {} })
  const hooked = await RawSocket.request(served.base, '/hook')
  while (served.app.sse.stats().opened < 4) await turn()
  const start = performance.now()
  await served.app.close()
  t.ok(performance.now() - start < 2_000)
  await Promise.all([browser.ended(), other.ended(), hooked.ended()])
  t.equal(browser.status, 200)
  t.match(browser.head, /\r\ncontent-type: text\/event-stream; charset=utf-8\r\n/, 'at any other an EventSource stops for good')
  t.match(browser.text, /\r\n\r\nretry: \d+\nevent: sse\.bye\ndata: {"reason":"shutdown"}\n\n$/)
  t.equal(other.status, 503)
  stalled.leave()
})

t.test('a stream that is asked for while the server closes is turned away', async (t) => {
  let go = () => {}
  const going = new Promise<void>((resolve) => { go = resolve })
  const served = await serve(t, (app) => {
    app.get('/', async (_request, reply) => {
      await going
      return reply.sse(() => { throw new Error('must not start') })
    })
  })
  const client = await RawSocket.request(served.base, '/')
  await new Promise<void>((resolve) => served.app.server.once('request', () => resolve()))
  const closing = served.app.close()
  await turn()
  await turn()
  go()
  await closing
  await client.ended()
  t.equal(client.status, 200)
  t.equal(served.app.sse.stats().refused, 1)
})

t.test('a forged event reaches nobody, whatever field it comes in', async (t) => {
  const { app } = await serve(t, (app) => {
    app.get('/', (request, reply) => reply.sse([request.query as never]))
  })
  const ask = (query: Record<string, string>) => app.inject({ url: '/', query })
  for (const end of ['\r', '\n', '\r\n', '\0']) {
    for (const field of ['event', 'id']) {
      const response = await ask({ data: 'x', [field]: `a${end}data: evil${end}${end}` })
      t.equal(response.statusCode, 500)
      t.equal(response.json().code, 'SSE_ERR_INVALID_FIELD')
    }
    t.equal((await ask({ text: `a${end}event: evil` })).body, end === '\0' ? ':\ndata: a\0event: evil\n\n' : ':\ndata: a\ndata: event: evil\n\n')
    t.equal((await ask({ data: 'x', comment: `a${end}event: evil` })).body, end === '\0' ? ':\n: a\0event: evil\ndata: "x"\n\n' : ':\n: a\n: event: evil\ndata: "x"\n\n')
  }
  t.equal((await ask({ data: 'x', retry: '100' })).json().code, 'SSE_ERR_INVALID_FIELD', 'a string is no retry')
})

t.test('a hostile Last-Event-ID is undefined to the source, and breaks nothing', async (t) => {
  const { base } = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(({ lastEventId }) => [{ data: lastEventId ?? null }]))
  })
  for (const [header, seen] of [['x'.repeat(1024), 'x'.repeat(1024)], ['x'.repeat(1025), null], ['a\tb', null], ['1, 2', '1, 2'], ['../../etc', '../../etc'], ['__proto__', '__proto__']] as const) {
    const answer = await new Promise<string>((resolve, reject) => http.get(base, { headers: { 'last-event-id': header } }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => { body += chunk }).on('end', () => resolve(body))
    }).on('error', reject))
    t.equal(answer, `:\ndata: ${JSON.stringify(seen)}\n\n`)
  }
})
