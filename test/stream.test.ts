// The life of one stream: what opens it, what moves it, what ends it.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import { createReadStream } from 'node:fs'
import { PassThrough, Readable, Writable } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { SseContext } from '../lib/index.js'
import { RawSocket } from './helpers/raw-socket.js'
import { readStream } from './helpers/read-events.js'
import { serve } from './helpers/serve.js'

const END = 'event: sse.end\ndata: {}\nid: ~end\n\n'
const asEventSource = { accept: 'text/event-stream' }

/** A source that waits for something that never comes, and hears neither signal nor return(). */
const never = () => new Promise<never>(() => {})

/** Something that happens once, and can be waited for. */
function gate () {
  let open = () => {}
  const opened = new Promise<void>((resolve) => { open = resolve })
  return { open, opened }
}

/** Turns of the event loop, until it is so. The test runner's own deadline is the end of it. */
async function until (holds: () => boolean | Promise<boolean>) {
  while (!await holds()) await turn()
}

t.test('every kind of source gives the same bytes', async (t) => {
  const events = [{ event: 'a', data: 1 }, { event: 'b', data: 2 }]
  const generate = async function * () { yield * events }
  const sources: Record<string, () => unknown> = {
    'async iterable': () => generate(),
    iterable: () => events,
    'a Readable in object mode': () => Readable.from(events),
    'a web ReadableStream': () => ReadableStream.from(events),
    'an async generator function': () => generate,
    'a generator function': () => function * () { yield * events },
    'a function that returns an iterable': () => () => new Set(events),
    'a function that returns a Readable': () => () => Readable.from(events),
    'an async function that returns an iterable': () => async () => events
  }
  const { app } = await serve(t, (app) => {
    for (const [index, make] of Object.values(sources).entries()) app.get(`/${index}`, (_request, reply) => reply.sse(make() as never))
  })
  for (const [index, name] of Object.keys(sources).entries()) {
    const response = await app.inject({ url: `/${index}`, headers: asEventSource })
    t.equal(response.body, `:\nevent: a\ndata: 1\n\nevent: b\ndata: 2\n\n${END}`, name)
  }
})

t.test('what is no source is refused', async (t) => {
  const { app } = await serve(t, (app) => {
    for (const [index, source] of ['text', 7, null, undefined, {}, true].entries()) {
      app.get(`/${index}`, (_request, reply) => reply.sse(source as never))
      app.get(`/function/${index}`, (_request, reply) => reply.sse((() => source) as never))
    }
    app.get('/buffers', (_request, reply) => reply.sse(Readable.from([Buffer.from('a')])))
  })
  for (const path of ['', '/function']) {
    for (let index = 0; index < 6; index++) {
      const response = await app.inject(`${path}/${index}`)
      t.equal(response.statusCode, 500)
      t.equal(response.json().code, 'SSE_ERR_INVALID_SOURCE')
      t.match(response.json().message, /^Expected the source to be an async iterable, /)
    }
  }
  t.equal((await app.inject('/buffers')).json().code, 'SSE_ERR_INVALID_EVENT')
})

t.test('an error before the first event is an ordinary HTTP error', async (t) => {
  const teapot = Object.assign(new Error('short and stout'), { statusCode: 418 })
  const { app, closed } = await serve(t, (app) => {
    app.get('/generator', (_request, reply) => reply.sse(async function * () { await turn(); throw teapot }))
    app.get('/function', (_request, reply) => reply.sse(() => { throw teapot }))
    app.get('/promise', (_request, reply) => reply.sse(async () => { throw teapot }))
    app.get('/string', (_request, reply) => reply.sse(() => { throw 'not an error' })) // eslint-disable-line no-throw-literal -- users do
    app.get('/readable', (_request, reply) => reply.sse(new Readable({ objectMode: true, read () { this.destroy(teapot) } })))
  })
  for (const url of ['/generator', '/function', '/promise', '/readable']) {
    const response = await app.inject({ url, headers: asEventSource })
    t.equal(response.statusCode, 418)
    t.equal(response.json().message, 'short and stout')
    t.equal(response.headers['content-type'], 'application/json; charset=utf-8')
    t.notOk(response.headers['x-accel-buffering'])
  }
  const response = await app.inject('/string')
  t.equal(response.statusCode, 500)
  t.equal(response.json().code, 'SSE_ERR_SOURCE_FAILED')
  t.strictSame(closed.map(({ reason, events, bytes }) => ({ reason, events, bytes })), Array(5).fill({ reason: 'error', events: 0, bytes: 0 }))
})

t.test('when openAfter has passed the stream opens without an event, and a failure is told in it', async (t) => {
  const first = gate()
  const served = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(async function * () {
      await first.opened
      yield 'late'
      throw new Error('secret')
    }))
  }, { openAfter: 10 })
  const client = await RawSocket.request(served.base, '/')
  await client.until(':\n')
  t.equal(client.status, 200)
  t.match(client.head, /\r\ncontent-type: text\/event-stream; charset=utf-8\r\n/)
  first.open()
  await client.until((client) => client.complete)
  t.equal(client.body, ':\ndata: late\n\nevent: sse.error\ndata: {"message":"The stream failed"}\n\n')
  const { reason, error } = await served.whenClosed()
  t.equal(reason, 'error')
  t.match(error, { message: 'secret' })
})

t.test('openAfter: 0 opens at once, openAfter: Infinity waits as long as it takes', async (t) => {
  const go = gate()

  const source = async function * () { await go.opened; throw new Error('late') }
  const { base, app } = await serve(t, (app) => {
    app.get('/now', (_request, reply) => reply.sse(source, { openAfter: 0 }))
    app.get('/wait', (_request, reply) => reply.sse(source, { openAfter: Infinity }))
    app.get('/sync', (_request, reply) => reply.sse(['a'], { openAfter: 0 }))
  })
  const now = await RawSocket.request(base, '/now')
  const wait = await RawSocket.request(base, '/wait')
  await now.until(':\n')
  t.equal(wait.head, '')
  go.open()
  await wait.until((client) => client.head !== '')
  t.equal(wait.status, 500)
  await now.until((client) => client.complete)
  t.match(now.body, 'event: sse.error')
  t.equal((await app.inject('/sync')).body, ':\ndata: a\n\n')
})

t.test('the first bytes tell when to reconnect, spread by a quarter', async (t) => {
  const { app } = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(['a']))
    app.get('/floor', { config: { sse: { retry: 100 } } }, (_request, reply) => reply.sse(['a']))
  }, { retry: 4_000 })
  const delays = []
  for (let i = 0; i < 200; i++) {
    const { body } = await app.inject('/')
    t.match(body, /^retry: \d+\ndata: a\n\n$/)
    delays.push(Number(/\d+/.exec(body)?.[0]))
    t.ok(Number(/\d+/.exec((await app.inject('/floor')).body)?.[0]) >= 100)
  }
  t.ok(Math.min(...delays) >= 3_000 && Math.max(...delays) <= 5_000)
  t.ok(Math.max(...delays) - Math.min(...delays) > 1_500, 'spread over most of it')
})

t.test('a header that the handler has set is left alone', async (t) => {
  const { app } = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.header('Cache-Control', 'private').header('x-mine', '1').type('text/event-stream').sse(['a']))
    app.get('/raw', (_request, reply) => { reply.raw.setHeader('X-Accel-Buffering', 'yes'); return reply.sse(['a']) })
    app.get('/status', (_request, reply) => reply.code(201).sse(['a']))
  })
  const { headers } = await app.inject('/')
  t.equal(headers['cache-control'], 'private')
  t.equal(headers['x-mine'], '1')
  t.equal(headers['content-type'], 'text/event-stream')
  t.equal((await app.inject('/raw')).headers['x-accel-buffering'], 'yes')
  t.equal((await app.inject('/status')).statusCode, 201)
})

t.test('a source gets the position, the request, and a signal that aborts at the end', async (t) => {
  let seen: SseContext | undefined
  const { app } = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse((context) => { seen = context; return ['a'] }))
  })
  await app.inject({ url: '/?lastEventId=7', headers: asEventSource })
  t.equal(seen?.lastEventId, '7')
  t.equal(seen?.request.url, '/?lastEventId=7')
  t.equal(seen?.signal.aborted, true, 'also where it is asked for only then')
  t.equal(seen?.signal, seen?.signal, 'it is one signal')
})

t.test('events of one turn go out in one write', async (t) => {
  const { base } = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(async function * () {
      yield 'first'
      await turn()
      for (let n = 0; n < 10; n++) yield String(n)
      await turn()
      yield 'last'
      await never()
    }))
  })
  const client = await RawSocket.request(base, '/')
  await client.until('last')
  t.strictSame(client.chunks, [
    ':\ndata: first\n\n',
    Array.from({ length: 10 }, (_, n) => `data: ${n}\n\n`).join(''),
    'data: last\n\n'
  ])
  client.leave()
})

t.test('a source that is always ready is written in pieces of 32 KiB, each with whole events', async (t) => {
  for (const kind of ['async', 'sync']) {
    const item = { data: 'x'.repeat(1000) }
    const { base } = await serve(t, (app) => {
      app.get('/', (_request, reply) => reply.sse(kind === 'sync'
        ? function * () { for (let n = 0; n < 100; n++) yield item }
        : async function * () { for (let n = 0; n < 100; n++) yield item }))
    })
    const client = await RawSocket.request(base, '/', { headers: {} })
    await client.until((client) => client.complete)
    t.equal(client.body.length, 2 + 100 * 1010)
    for (const chunk of client.chunks) {
      t.ok(chunk.endsWith('\n\n'))
      t.ok(chunk.length <= 2 * (32_768 + 1010), `${kind}: ${chunk.length}`) // Node 26 joins two that go out with the head
    }
    t.ok(client.chunks.length <= 10, `${client.chunks.length} writes`)
  }
})

t.test('a comment keeps an idle connection alive, and only an idle one', async (t) => {
  const go = gate()
  const { base } = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(async function * () {
      yield 'a'
      await go.opened
      yield 'b'
      await never()
    }, { heartbeat: 20 }))
    app.get('/busy', (_request, reply) => reply.sse(async function * () {
      for (let n = 0; n < 14; n++) { // for longer than a heartbeat, with never as long between two
        yield String(n)
        await delay(50)
      }
    }, { heartbeat: 500 }))
    app.get('/off', (_request, reply) => reply.sse(async function * ({ signal }) { yield 'a'; await delay(60, undefined, { signal }) }, { heartbeat: false }))
  })
  const client = await RawSocket.request(base, '/')
  await client.until(':\n:\n:\n')
  go.open()
  await client.until('data: b\n\n:\n:\n')
  t.match(client.body, /^:\ndata: a\n\n(:\n){3,}data: b\n\n(:\n){2,}$/)
  client.leave()
  for (const path of ['/busy', '/off']) {
    const other = await RawSocket.request(base, path, { headers: {} })
    await other.until((client) => client.complete)
    t.notMatch(other.body.slice(':\n'.length), ':\n', path)
  }
})

t.test('a reader that does not read is not read for: the source waits', async (t) => {
  let pulled = 0
  const served = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(function * () {
      for (;;) {
        pulled++
        yield 'x'.repeat(10_000)
      }
    }, { heartbeat: 5 }))
  })
  const client = await RawSocket.request(served.base, '/')
  client.stall()
  // Pulling goes on until the kernel's buffers are full; then it must stand still for many turns of the loop.
  for (let still = 0, before = -1; still < 20; before = pulled) {
    await delay(10)
    still = pulled === before ? still + 1 : 0
  }
  t.ok(pulled < 5_000, `${pulled} events of 10 kB`)
  const { bytes } = served.app.sse.stats()
  await delay(50)
  t.equal(served.app.sse.stats().bytes, bytes, 'nor do heartbeats pile up')
  const stood = pulled
  client.socket.resume()
  await until(() => pulled >= stood + 100)
  client.leave()
  t.equal((await served.whenClosed()).reason, 'client')
})

t.test('an event that comes while the reader is behind waits, and holds the source back in turn', async (t) => {
  const text = 'x'.repeat(20_000) // so that the next one has been asked for when this one is written
  const count = 1_000 // more than the kernel takes of a reader that stands still
  let given = 0
  const { base, app } = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(async function * () {
      while (given < count) {
        await turn()
        given++
        yield text
      }
    }, { heartbeat: false }))
  })
  const client = await RawSocket.request(base, '/', { headers: {} })
  client.stall()
  for (let before = -1, turns = 0; turns < 50; turns++) {
    await turn()
    if (given !== before) [before, turns] = [given, 0]
  }
  t.ok(given < count, `${given} events`)
  t.equal(app.sse.stats().events, given - 1, 'the last one waits, and none is asked for behind it')
  client.socket.resume()
  await client.until((client) => client.complete)
  t.equal(client.body, `:\n${`data: ${text}\n\n`.repeat(count)}`)
})

const states: Record<string, (context: SseContext, ended: () => void) => AsyncGenerator<string>> = {
  'is blocked in an await': async function * (context, ended) { try { yield 'a'; await delay(2 ** 30, undefined, context) } finally { ended() } },
  'is producing': async function * (_context, ended) { try { for (;;) { yield 'a'; await turn() } } finally { ended() } },
  'is always ready': async function * (_context, ended) { try { for (;;) yield 'a' } finally { ended() } },
  'waits for drain': async function * (_context, ended) { try { for (;;) yield 'a'.repeat(100_000) } finally { ended() } },
  'has given nothing yet': async function * (context, ended) { try { await delay(2 ** 30, undefined, context); yield 'a' } finally { ended() } }
}
for (const [state, source] of Object.entries(states)) {
  t.test(`a client that leaves while the source ${state} ends the source`, async (t) => {
    const ended = gate()
    let signal: AbortSignal | undefined
    const started = gate()
    const served = await serve(t, (app) => {
      app.get('/', (_request, reply) => reply.sse((context) => {
        signal = context.signal
        started.open()
        return source(context, ended.open)
      }, { openAfter: 5_000 }))
    })
    const client = await RawSocket.request(served.base, '/')
    await started.opened
    if (state !== 'has given nothing yet') await client.until((client) => client.head !== '')
    if (state === 'waits for drain') {
      client.stall()
      for (let written = -1; written !== served.app.sse.stats().bytes; await delay(20)) written = served.app.sse.stats().bytes
    }
    client.leave()
    await ended.opened
    const { reason, error } = await served.whenClosed()
    t.equal(reason, 'client')
    t.equal(error, undefined)
    t.equal(signal?.aborted, true)
    t.equal(served.app.sse.stats().open, 0)
  })
}

t.test('a source that hears nothing keeps neither the connection nor the close', async (t) => {
  const served = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(async function * () { yield 'a'; await never() }))
  })
  const client = await RawSocket.request(served.base, '/')
  await client.until('data: a')
  client.leave()
  t.equal((await served.whenClosed()).reason, 'client')
  const other = await RawSocket.request(served.base, '/')
  await other.until('data: a')
  await served.app.close()
  t.equal((await served.whenClosed(2)).reason, 'shutdown')
})

t.test('what a source throws when its stream is over is logged, but for the reason of the signal', async (t) => {
  const lines: Array<{ level: number, msg: string, err?: { message: string } }> = []
  const sources: Record<string, (context: SseContext) => AsyncIterable<string>> = {
    'in finally': async function * ({ signal }) { try { yield 'a'; await delay(2 ** 30, undefined, { signal }) } finally { throw new Error('rollback') } }, // eslint-disable-line no-unsafe-finally -- what is tested
    'in return()': () => ({ [Symbol.asyncIterator]: () => ({ next: async () => { await turn(); return { done: false, value: 'a' } }, return: () => { throw new Error('rollback') } }) }),
    'by the promise of return()': () => ({ [Symbol.asyncIterator]: () => ({ next: async () => { await turn(); return { done: false, value: 'a' } }, return: async () => { throw new Error('rollback') } }) }),
    'of the signal': async function * ({ signal }) { yield 'a'; await delay(2 ** 30, undefined, { signal }) }
  }
  const served = await serve(t, (app) => {
    for (const [index, source] of Object.values(sources).entries()) app.get(`/${index}`, (_request, reply) => reply.sse(source))
  }, { server: { logger: { level: 'warn', stream: { write: (line: string) => { lines.push(JSON.parse(line)) } } } } })
  for (const index of Object.keys(sources).keys()) {
    const client = await RawSocket.request(served.base, `/${index}`)
    await client.until(({ body }) => body.includes('data: a'))
    client.socket.destroy()
    await served.whenClosed(index + 1)
    for (let n = 0; n < 5; n++) await turn()
  }
  t.strictSame(lines.map(({ level, msg, err }) => [level, msg, err?.message]), Array.from({ length: 3 }, () => [40, 'the source of an event stream failed when the stream was over', 'rollback']))
})

t.test('an iterator that is none is told as such', async (t) => {
  const { app } = await serve(t, (app) => {
    const none: Record<string, unknown> = { null: null, empty: {}, number: 7 }
    for (const [name, iterator] of Object.entries(none)) app.get(`/${name}`, (_request, reply) => reply.sse({ [Symbol.asyncIterator]: () => iterator } as never))
    app.get('/next', (_request, reply) => reply.sse({ [Symbol.asyncIterator]: () => ({ next: () => null }) } as never))
    app.get('/topic', (_request, reply) => reply.sse(app.sse.channel('a', { events: {} }) as never))
  })
  const told = async (path: string) => {
    const { code, message } = (await app.inject(path)).json()
    t.equal(code, 'SSE_ERR_INVALID_SOURCE')
    return message
  }
  for (const [name, got] of [['null', '`null`'], ['empty', 'an object'], ['number', 'a number']] as const) t.equal(await told(`/${name}`), `Expected the iterator of the source to have next(), got ${got}`)
  t.match(await told('/next'), /got `null`$/)
  t.match(await told('/topic'), /what `subscribe\(\)` of a topic returns/)
})

t.test('whoever awaits the constructors of a route without schemas gets them', async (t) => {
  const { app } = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(async function * ({ events }) {
      const { tick } = await (async () => events)()
      yield tick?.({ n: 1 }, null as never) as never
    }))
  })
  t.equal((await app.inject('/')).body, ':\nevent: tick\ndata: {"n":1}\n\n')
})

t.test('return() is called exactly once where a stream is cut, and never where the source ended by itself', async (t) => {
  const calls: string[] = []
  const iterator = (path: string, next: () => Promise<IteratorResult<unknown>>, more: object = {}) => ({
    [Symbol.asyncIterator]: () => ({ next, async return () { calls.push(path); return { done: true, value: undefined } }, ...more })
  })
  let given = 0
  const served = await serve(t, (app) => {
    app.get('/cut', (_request, reply) => reply.sse(iterator('cut', async () => given++ === 0 ? { done: false, value: 'a' } : never()) as never))
    app.get('/done', (_request, reply) => reply.sse(iterator('done', async () => ({ done: true, value: undefined })) as never))
    app.get('/throws', (_request, reply) => reply.sse(iterator('throws', async () => { throw new Error('x') }) as never))
    app.get('/bad', (_request, reply) => reply.sse(iterator('bad', async () => ({ done: false, value: 7 })) as never))
    app.get('/fails', (_request, reply) => reply.sse(iterator('fails', async () => ({ done: false, value: 7 }), { return () { calls.push('fails'); throw new Error('y') } }) as never))
    app.get('/rejects', (_request, reply) => reply.sse(iterator('rejects', async () => ({ done: false, value: 7 }), { async return () { calls.push('rejects'); throw new Error('z') } }) as never))
    app.get('/nonsense', (_request, reply) => reply.sse(iterator('nonsense', async () => undefined as never) as never))
  })
  const client = await RawSocket.request(served.base, '/cut')
  await client.until('data: a')
  client.leave()
  await served.whenClosed()
  for (const path of ['done', 'throws', 'bad', 'fails', 'rejects', 'nonsense']) await served.app.inject(`/${path}`)
  t.strictSame(calls, ['cut', 'bad', 'fails', 'rejects'])
})

t.test('silent streams of Node and of the web are let go at once', async (t) => {
  const readable = new Readable({ objectMode: true, read () {} })
  let cancelled = gate()
  const web = new ReadableStream({ cancel () { cancelled.open() } })
  const { base } = await serve(t, (app) => {
    app.get('/readable', (_request, reply) => reply.sse(readable))
    app.get('/web', (_request, reply) => reply.sse(web))
  }, { openAfter: 1 })
  const one = await RawSocket.request(base, '/readable')
  await one.until(':\n')
  one.leave()
  await once(readable, 'close')
  const two = await RawSocket.request(base, '/web')
  await two.until(':\n')
  two.leave()
  await cancelled.opened
  cancelled = gate()
  t.pass('both heard of it')
})

t.test('a source that comes too late is let go', async (t) => {
  const late = gate()
  const readable = new Readable({ objectMode: true, read () {} })
  const served = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(async () => { await late.opened; return readable }))
  }, { openAfter: 1 })
  const client = await RawSocket.request(served.base, '/')
  await client.until(':\n')
  client.leave()
  await served.whenClosed()
  late.open()
  await once(readable, 'close')
  t.pass('it was destroyed')
})

t.test('a reader that takes nothing for stallTimeout is cut, one that is slow is not', async (t) => {
  const served = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(function * () { for (;;) yield 'x'.repeat(50_000) }))
    app.get('/end', (_request, reply) => reply.sse(function * () { yield 'x'.repeat(20_000_000) }))
    app.get('/patient', (_request, reply) => reply.sse(function * () { yield 'x'.repeat(60_000_000) }, { stallTimeout: 500 }))
  }, { stallTimeout: 120 })
  const stalled = await RawSocket.request(served.base, '/')
  stalled.stall()
  t.equal((await served.whenClosed()).reason, 'stalled')
  stalled.socket.resume()
  await stalled.ended()

  const lingering = await RawSocket.request(served.base, '/end')
  lingering.stall()
  t.equal((await served.whenClosed(2)).reason, 'complete')
  const connections = () => new Promise<number>((resolve) => served.app.server.getConnections((_error, count) => resolve(count)))
  t.equal(await connections(), 1)
  t.match(served.app.sse.stats(), { open: 0, closed: { stalled: 1, complete: 1 } })
  // Its source is done, but its bytes wait: it is cut all the same.
  await until(async () => await connections() === 0)
  lingering.leave()

  // One event of 60 MB: it drains only when it is gone, but becomes less all the while.
  const slow = await RawSocket.request(served.base, '/patient')
  const since = Date.now()
  for (let read = 0; Date.now() < since + 1_200; read = slow.socket.bytesRead) {
    slow.stall()
    await delay(100)
    slow.socket.resume()
    while (slow.socket.bytesRead < read + 4_000_000) await once(slow.socket, 'data')
  }
  t.ok(await connections() === 1, 'still there after more than two spans of sipping')
  slow.leave()
})

t.test('a stream without a heartbeat is cut like any other', async (t) => {
  const flood = function * () { for (;;) yield 'x'.repeat(50_000) }
  for (const options of [{ minimal: true }, { heartbeat: false }] as const) {
    const served = await serve(t, (app) => { app.get('/', (_request, reply) => reply.sse(flood, options)) }, { stallTimeout: 120, openAfter: 0 })
    const client = await RawSocket.request(served.base, '/')
    client.stall()
    t.equal((await served.whenClosed()).reason, 'stalled')
    client.leave()
  }
})

t.test('a process that stood still takes nobody for stalled', async (t) => {
  const served = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(function * () { yield 'x'.repeat(20_000_000) }))
  }, { stallTimeout: 120 })
  const client = await RawSocket.request(served.base, '/', { headers: { accept: 'text/event-stream', connection: 'close' } })
  await once(client.socket, 'data')
  t.ok(client.socket.bytesRead < 20_000_000, 'the rest waits')
  for (const end = performance.now() + 400; performance.now() < end;);
  await client.ended()
  t.ok(client.complete)
})

t.test('stalls are seen over HTTP/2 and through inject as well', async (t) => {
  const flood = function * () { for (;;) yield 'x'.repeat(50_000) }
  const served = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(flood))
  }, { stallTimeout: 60, server: { http2: true } })
  const session = http2.connect(served.base)
  const stream = session.request({ ':path': '/', accept: 'text/event-stream' })
  stream.on('error', () => {})
  await once(stream, 'response')
  t.equal((await served.whenClosed(1)).reason, 'stalled')
  session.destroy()

  const plain = await serve(t, (app) => { app.get('/', (_request, reply) => reply.sse(flood)) }, { stallTimeout: 60 })
  const response = await plain.app.inject({ url: '/', payloadAsStream: true })
  response.stream().on('error', () => {})
  t.equal((await plain.whenClosed(1)).reason, 'stalled')
})

t.test('an HTTP/2 session that breaks off ends its streams, and nothing else', async (t) => {
  const served = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(async function * () { yield 'a'; await never() }))
  }, { server: { http2: true } })
  const socket = net.connect(served.port, '127.0.0.1')
  const session = http2.connect(served.base, { createConnection: () => socket })
  session.on('error', () => {})
  for (let n = 0; n < 5; n++) await once(session.request({ ':path': '/', accept: 'text/event-stream' }).on('error', () => {}), 'data')
  socket.resetAndDestroy()
  await served.whenClosed(5)
  t.strictSame(served.closed.map(({ reason }) => reason), Array(5).fill('client'))
  t.equal(served.app.sse.stats().open, 0)
})

t.test('time that passes while a hook holds the response back is nothing to the stream', async (t) => {
  const hold = gate()
  let payload: Readable | undefined
  const served = await serve(t, (app) => {
    app.get('/', { onSend: async (_request, _reply, given) => { payload = given as Readable; await hold.opened } }, (_request, reply) =>
      reply.sse(async function * () { yield 'a'; await never() }))
  }, { openAfter: 5, heartbeat: 5 })
  const client = await RawSocket.request(served.base, '/')
  await delay(30)
  t.equal(client.text, '')
  hold.open()
  await client.until(':\ndata: a\n\n:\n')
  t.equal(payload?.read(), null, 'who reads it beside the response gets nothing, and takes nothing away')
  client.leave()
  t.equal((await served.whenClosed()).reason, 'client')
})

t.test('a response that is destroyed under the stream ends it', async (t) => {
  const served = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(async function * () {
      yield 'a'
      await turn()
      reply.raw.destroy()
      yield 'b'
      await never()
    }))
  })
  const client = await RawSocket.request(served.base, '/')
  await client.ended()
  t.equal(client.body, ':\ndata: a\n\n')
  t.equal((await served.whenClosed()).reason, 'client')
})

t.test('maxDuration ends the stream between events, with a hint to come back', async (t) => {
  const served = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) { for (;;) { yield 'a'; await delay(1, undefined, { signal }) } }))
    app.get('/minimal', (_request, reply) => reply.sse(async function * ({ signal }) { yield 'a'; await delay(2 ** 30, undefined, { signal }) }, { minimal: true, done: '[DONE]' }))
  }, { maxDuration: 100, openAfter: 50, retry: 2_000 })
  const client = await RawSocket.request(served.base, '/')
  await client.until((client) => client.complete)
  t.match(client.body, /^retry: \d+\n(data: a\n\n)+event: sse\.bye\nretry: (1[5-9]|2[0-5])\d\d\ndata: {"reason":"maxDuration"}\n\n$/)
  const { reason, durationMs } = await served.whenClosed()
  t.equal(reason, 'maxDuration')
  t.ok(durationMs >= 79, `not before 80 %: ${durationMs}`)
  const minimal = await RawSocket.request(served.base, '/minimal')
  await minimal.until((client) => client.complete)
  t.equal(minimal.body, 'data: a\n\n', 'not done, so it does not say so')
})

t.test('a source that finishes ends an EventSource for good, and nobody else', async (t) => {
  let runs = 0
  const { app } = await serve(t, (app) => {
    app.route({ method: ['GET', 'POST'], url: '/', config: { sse: {} }, handler: (_request, reply) => { runs++; return reply.sse(['a']) } })
    app.get('/undeclared', (_request, reply) => { runs++; return reply.sse(() => { throw new Error('must not start') }) })
    app.get('/again', { config: { sse: { end: false } } }, (_request, reply) => { runs++; return reply.sse(['a']) })
    app.get('/empty', (_request, reply) => reply.sse([]))
  })
  const body = async (url: string, headers: Record<string, string>, method: 'GET' | 'POST' = 'GET') => (await app.inject({ url, headers, method })).body
  t.equal(await body('/', asEventSource), `:\ndata: a\n\n${END}`)
  t.equal(await body('/', { accept: 'application/json, text/event-stream' }), `:\ndata: a\n\n${END}`)
  t.equal(await body('/', { accept: '*/*' }), ':\ndata: a\n\n')
  t.equal(await body('/', {}), ':\ndata: a\n\n')
  t.equal(await body('/', asEventSource, 'POST'), ':\ndata: a\n\n')
  t.equal(await body('/again', asEventSource), ':\ndata: a\n\n')
  t.equal(await body('/empty', asEventSource), `:\n${END}`)

  runs = 0
  const back = { ...asEventSource, 'last-event-id': '~end' }
  for (const request of [{ url: '/', headers: back }, { url: '/?lastEventId=~end', headers: asEventSource }]) {
    const response = await app.inject(request)
    t.equal(response.statusCode, 204)
    t.equal(response.body, '')
  }
  t.equal(runs, 0, 'the handler need not run')
  t.equal((await app.inject({ url: '/', headers: back, method: 'HEAD' })).statusCode, 204)
  runs = 0
  t.equal((await app.inject({ url: '/undeclared', headers: back })).statusCode, 204)
  t.equal(runs, 1, 'without schema.sse or config.sse it does, but its source does not start')
  t.equal((await app.inject({ url: '/', headers: back, method: 'POST' })).statusCode, 200)
  t.equal((await app.inject({ url: '/again', headers: back })).statusCode, 200)
})

t.test('a minimal stream is data lines and a last word', async (t) => {
  const { app } = await serve(t, (app) => {
    const events = [{ event: 'x', data: { n: 1 }, id: '1', retry: 100, comment: 'c' }, 'text']
    app.get('/', (_request, reply) => reply.sse(events, { minimal: true, done: '[DONE]' }))
    app.get('/silent', (_request, reply) => reply.sse(events, { minimal: true }))
    app.get('/idle', (_request, reply) => reply.sse(async function * () { yield 'a'; await delay(30) }, { minimal: true, heartbeat: 5 }))
    app.get('/fails', (_request, reply) => reply.sse(function * () { yield 'a'; throw new Error('secret') }, { minimal: true, done: '[DONE]' }))
  }, { retry: 500 })
  t.equal((await app.inject({ url: '/', headers: asEventSource })).body, 'data: {"n":1}\n\ndata: text\n\ndata: [DONE]\n\n')
  t.equal((await app.inject({ url: '/silent', headers: asEventSource })).body, 'data: {"n":1}\n\ndata: text\n\n')
  t.equal((await app.inject({ url: '/idle', headers: asEventSource })).body, 'data: a\n\n')
  t.equal((await app.inject('/fails')).body, 'data: a\n\ndata: {"error":{"message":"The stream failed"}}\n\n')
  t.equal((await app.inject({ url: '/', headers: { ...asEventSource, 'last-event-id': '~end' } })).statusCode, 200)
})

t.test('who asks for a minimal stream and is turned away gets an error, and no event', async (t) => {
  const { app, base } = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(async function * () { yield 'a'; await never() }, { minimal: true, maxConnections: 1 }))
  })
  const first = await RawSocket.request(base, '/')
  await first.until('a')
  const { statusCode, headers } = await app.inject({ url: '/', headers: asEventSource })
  t.equal(statusCode, 503)
  t.ok(Number(headers['retry-after']) > 0)
  first.leave()
})

t.test('onError decides what the client is told', async (t) => {
  const asked: unknown[] = []
  const answers: unknown[] = [undefined, 'try later', { why: 7, retryable: true }, 1n, new Error('onError itself')]
  const { app } = await serve(t, (app) => {
    answers.forEach((answer, index) => app.get(`/${index}`, { config: { sse: { onError: (error, request) => { asked.push([(error as Error).message, request.url]); if (answer instanceof Error) throw answer; return answer } } } },
      (_request, reply) => reply.sse(function * () { yield 'a'; throw new Error('secret') })))
  })
  const told = []
  for (const index of answers.keys()) told.push((await app.inject(`/${index}`)).body.slice(':\ndata: a\n\nevent: sse.error\ndata: '.length).trimEnd())
  t.strictSame(told, ['{"message":"The stream failed"}', '{"message":"try later"}', '{"why":7,"retryable":true}', '{"message":"The stream failed"}', '{"message":"The stream failed"}'])
  t.strictSame(asked, answers.map((_, index) => ['secret', `/${index}`]))
})

t.test('onClose tells once of each stream, with its figures', async (t) => {
  const served = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(['ä', 'b']))
    app.get('/boom', { config: { sse: { onClose: () => { throw new Error('in onClose') } } } }, (_request, reply) => reply.sse(['a']))
  })
  await served.app.inject('/')
  const { request, durationMs, ...rest } = await served.whenClosed()
  t.equal(request.url, '/')
  t.ok(durationMs >= 0)
  t.strictSame(rest, { reason: 'complete', events: 2, bytes: Buffer.byteLength(':\ndata: ä\n\ndata: b\n\n'), error: undefined })
  t.equal((await served.app.inject('/boom')).body, ':\ndata: a\n\n')
  t.equal(served.closed.length, 1)
})

t.test('counts reach the metrics, the diagnostics channels and stats()', async (t) => {
  const metrics: string[] = []
  const published: string[] = []
  const listener = (_fact: unknown, name: string | symbol) => { published.push(String(name)) }
  const names = ['open', 'close', 'drop', 'refuse']
  for (const name of names) subscribe(`fastify-typed-sse:${name}`, listener)
  t.teardown(() => { for (const name of names) unsubscribe(`fastify-typed-sse:${name}`, listener) })
  const hold = gate()
  const { app, base } = await serve(t, (app) => {
    app.get('/', { config: { sse: { maxConnections: 1 } } }, (_request, reply) => reply.sse(async function * () { yield 'abc'; await hold.opened }))
    app.get('/drop', { schema: { sse: {} } }, (_request, reply) => reply.sse([{ event: 'x', data: 1 }] as never, { validate: 'drop' }))
  }, {
    metrics: {
      open: () => { metrics.push('open') },
      close: ({ reason }) => { metrics.push(`close ${reason}`) },
      refuse: ({ reason }) => { metrics.push(`refuse ${reason}`); throw new Error('in a metric') }
    }
  })
  const client = await RawSocket.request(base, '/')
  await client.until('abc')
  t.match(app.sse.stats(), { open: 1, opened: 1, events: 1, bytes: 13, refused: 0 })
  await app.inject('/')
  t.match(app.sse.stats(), { open: 1, refused: 1 })
  hold.open()
  await client.until((client) => client.complete)
  t.match(app.sse.stats(), { open: 0, opened: 1, closed: { complete: 1, client: 0 }, events: 1, bytes: 13 + END.length })
  t.strictSame(metrics, ['open', 'refuse maxConnections', 'close complete'])
  await app.inject('/drop')
  t.equal(app.sse.stats().dropped, 1)
  t.strictSame(published, ['open', 'refuse', 'close', 'open', 'drop', 'close'].map((name) => `fastify-typed-sse:${name}`))
})

t.test('over a limit an EventSource is told to come back, others get 503, and nobody is evicted', async (t) => {
  const { app, base } = await serve(t, (app) => {
    const hold = (_request: unknown, reply: { sse (source: never): unknown }) => reply.sse((async function * () { yield 'in'; await never() }) as never)
    app.get('/total', { config: { sse: { maxConnections: 2 } } }, hold)
    app.get('/key', { config: { sse: { maxConnections: { perKey: 1, key: (request) => String((request.query as { user?: string }).user) } } } }, hold)
    app.get('/two', { config: { sse: { maxConnections: { perKey: 2 } } } }, hold)
    app.get('/number', { config: { sse: { maxConnections: { perKey: 1, key: () => 7 } } } }, hold)
    app.get('/plain', hold)
  }, { retry: 1_000, maxConnections: { total: 5 } })
  const enter = async (path: string) => { const client = await RawSocket.request(base, path); await client.until('in'); return client }

  const counted = await enter('/number')
  t.equal((await app.inject('/number')).statusCode, 503)
  counted.leave()
  await until(() => app.sse.stats().open === 0)
  const first = await enter('/total')
  await enter('/total')
  const browser = await app.inject({ url: '/total', headers: asEventSource })
  t.equal(browser.statusCode, 200)
  t.match(browser.body, /^retry: (\d+)\nevent: sse\.bye\ndata: {"reason":"maxConnections"}\n\n$/)
  t.equal(browser.headers['content-type'], 'text/event-stream; charset=utf-8')
  const other = await app.inject('/total')
  t.equal(other.statusCode, 503)
  t.equal(other.json().code, 'SSE_ERR_TOO_MANY_CONNECTIONS')
  t.ok(Number(other.headers['retry-after']) >= 1)
  const told = []
  for (let n = 0; n < 50; n++) told.push(Number(/\d+/.exec((await app.inject({ url: '/total', headers: asEventSource })).body)?.[0]))
  t.ok(Math.min(...told) >= 750 && Math.max(...told) <= 1_250 && new Set(told).size > 20, 'they come back spread')
  first.leave()
  await until(() => app.sse.stats().open < 2)
  const third = await enter('/total')

  await enter('/key?user=a')
  t.equal((await app.inject('/key?user=a')).statusCode, 503)
  const b = await enter('/key?user=b')
  b.leave()
  await until(() => app.sse.stats().open < 4)
  ;(await enter('/key?user=b')).leave()
  await until(() => app.sse.stats().open < 4)

  const twice = await enter('/two')
  await enter('/two')
  t.equal((await app.inject('/two')).statusCode, 503)
  twice.leave()
  await until(() => app.sse.stats().open < 5)
  await enter('/two')
  t.equal((await app.inject('/two')).statusCode, 503, 'the key is the address by default')

  for (let n = 0; n < 5; n++) await enter('/plain')
  t.equal((await app.inject('/plain')).statusCode, 503, "the plugin's own limit counts the routes without one of theirs")
  t.ok(third.socket.readable)
})

t.test('a reply can be streamed once', async (t) => {
  const { app, whenClosed } = await serve(t, (app) => {
    app.get('/twice', (_request, reply) => { reply.sse(['a']); return reply.sse(['b']) })
    app.get('/late', (_request, reply) => { reply.send('sent'); return reply.sse(['b']) })
    app.get('/meanwhile', (_request, reply) => {
      reply.sse(async function * () { await turn(); await turn(); yield 'a' })
      reply.send('something else')
    })
    app.get('/head', (_request, reply) => {
      reply.sse(async function * () { await turn(); await turn(); yield 'a' }, { onClose: () => { reply.raw.end('Fastify') } })
      reply.raw.write('past ')
    })
    app.get('/raw', (_request, reply) => {
      reply.sse(async function * () { await null; yield 'a' })
      reply.raw.end('past Fastify')
    })
    app.get('/beside', (_request, reply) => {
      const other = new Readable({ read () {} })
      reply.sse(async function * () {
        await once(other, 'resume')
        await turn()
        yield 'a'
      }, { onClose: () => { other.push('end'); other.push(null) } })
      other.push('something ')
      reply.send(other)
    })
  })
  t.match((await app.inject('/twice')).json(), { statusCode: 500, code: 'SSE_ERR_ALREADY_SENT' })
  t.equal((await app.inject('/late')).body, 'sent')
  t.equal((await app.inject('/meanwhile')).body, 'something else')
  const { reason, error } = await whenClosed(2)
  t.equal(reason, 'error')
  t.match(error, { code: 'SSE_ERR_ALREADY_SENT' })
  t.equal((await app.inject('/beside')).body, 'something end')
  t.equal((await app.inject('/head')).body, 'past Fastify')
  t.equal((await app.inject('/raw')).body, 'past Fastify')
  t.match(await whenClosed(3), { reason: 'error', error: { code: 'SSE_ERR_ALREADY_SENT' } })
})

t.test('limits of a call count the streams of its route alone, and all of them', async (t) => {
  const { app, base } = await serve(t, (app) => {
    for (const path of ['/a', '/b']) app.get(path, (request, reply) => reply.sse(async function * () { yield 'in'; await never() }, (request.query as { free?: string }).free === undefined ? { maxConnections: 1 } : {}))
  })
  const enter = async (path: string) => { const client = await RawSocket.request(base, path); await client.until('in'); return client }
  await enter('/a')
  await enter('/b')
  t.equal((await app.inject('/a')).statusCode, 503)
  await enter('/a?free=1')
  t.equal((await app.inject('/b')).statusCode, 503)
})

t.test('a minimal stream sends its headers when it opens', async (t) => {
  const first = gate()
  const { base } = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(async function * () { await first.opened; yield 'a' }, { minimal: true, openAfter: 5 }))
  })
  const client = await RawSocket.request(base, '/')
  await client.until(({ text }) => text.includes('\r\n\r\n'))
  t.equal(client.body, '')
  first.open()
  await client.until((client) => client.complete)
  t.equal(client.body, 'data: a\n\n')
})

t.test('callbacks that return promises crash nothing', async (t) => {
  const { app } = await serve(t, (app) => {
    const reject = async () => { throw new Error('in a callback') }
    app.get('/', { config: { sse: { onClose: reject, onError: reject } } }, (_request, reply) => reply.sse(function * () { yield 'a'; throw new Error('x') }))
  }, { metrics: { open: async () => { throw new Error('in a metric') } } })
  t.equal((await app.inject('/')).body, ':\ndata: a\n\nevent: sse.error\ndata: {"message":"The stream failed"}\n\n')
  await turn()
})

t.test('an iterable of promises is awaited, and let go where one rejects', async (t) => {
  let returned = 0
  const { app } = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse([Promise.resolve('a'), 'b'] as never))
    app.get('/rejects', (_request, reply) => reply.sse({
      [Symbol.iterator]: () => ({ next: () => ({ done: false, value: Promise.reject(new Error('x')) }), return () { returned++; return { done: true, value: undefined } } })
    } as never))
    for (const [index, nothing] of [undefined, null, 7].entries()) app.get(`/nothing/${index}`, (_request, reply) => reply.sse({ [Symbol.iterator]: () => ({ next: () => nothing }) } as never))
  })
  t.equal((await app.inject('/')).body, ':\ndata: a\n\ndata: b\n\n')
  t.equal((await app.inject('/rejects')).statusCode, 500)
  t.equal(returned, 1)
  for (const index of [0, 1, 2]) t.equal((await app.inject(`/nothing/${index}`)).json().code, 'SSE_ERR_INVALID_SOURCE')
})

t.test('the signal has aborted when return() is called', async (t) => {
  let aborted: boolean | undefined
  const served = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(({ signal }) => ({
      [Symbol.asyncIterator]: () => ({ next: () => never(), async return () { aborted = signal.aborted; return { done: true as const, value: undefined } } })
    }), { openAfter: 1 }))
  })
  const client = await RawSocket.request(served.base, '/')
  await client.until(':\n')
  client.leave()
  await served.whenClosed()
  t.equal(aborted, true)
})

t.test('a source that is not started is let go', async (t) => {
  const made: Readable[] = []
  const make = () => { const readable = new Readable({ objectMode: true, read () {} }); made.push(readable); return readable }
  const { app } = await serve(t, (app) => {
    app.get('/ended', (_request, reply) => reply.sse(make()))
    app.get('/refused', (_request, reply) => { app.sse.stats(); return reply.sse(make(), { maxConnections: { perKey: 1, key: () => { throw new Error('in key') } } }) })
    app.get('/options', (_request, reply) => reply.sse(make(), { retry: 1 }))
  })
  t.equal((await app.inject({ url: '/ended', headers: { ...asEventSource, 'last-event-id': '~end' } })).statusCode, 204)
  t.equal((await app.inject('/refused')).statusCode, 500)
  t.equal((await app.inject('/options')).statusCode, 500)
  t.strictSame(made.map(({ destroyed }) => destroyed), [true, true, true])
})

t.test('the answer of a hook that fails has no headers of the stream, and no stream is left', async (t) => {
  const served = await serve(t, (app) => {
    app.get('/', { onSend: async () => { throw new Error('in a hook') } }, (_request, reply) => reply.sse(async function * () { yield 'a'; await never() }))
    app.get('/header', (_request, reply) => reply.header('x-bad', 'a\nb').sse(['a']))
  })
  const { statusCode, headers } = await served.app.inject('/')
  t.equal(statusCode, 500)
  t.notOk(headers['x-accel-buffering'])
  t.notOk(headers['cache-control'])
  t.match(await served.whenClosed(), { reason: 'error', events: 0, bytes: 0 })
  t.equal((await served.app.inject('/header')).statusCode, 500)
  t.equal((await served.whenClosed(2)).reason, 'error')
})

t.test('pipelined streams end with their connection', async (t) => {
  let ended = 0
  const served = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) { try { yield 'a'; await delay(2 ** 30, undefined, { signal }) } finally { ended++ } }))
  })
  const client = await RawSocket.request(served.base, '/')
  client.ask('/')
  client.ask('/')
  await until(() => served.app.sse.stats().open === 3)
  client.leave()
  t.strictSame([(await served.whenClosed(3)).reason, ...served.closed.map(({ reason }) => reason)], Array(4).fill('client'))
  await until(() => ended === 3)
  t.equal(served.app.sse.stats().open, 0)
})

t.test('a pipelined request whose client left before its stream began gets none', async (t) => {
  let asked = 0
  let answer = () => {}
  const isTime = new Promise<void>((resolve) => { answer = resolve })
  const { app, base } = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(async function * () { yield 'a'; await never() }))
    app.get('/late', async (_request, reply) => { asked++; await isTime; return reply.sse(async function * () { yield 'a'; await never() }) })
  })
  const client = await RawSocket.request(base, '/')
  client.ask('/late')
  await until(() => asked === 1)
  client.leave()
  await until(() => app.sse.stats().closed.client === 1)
  answer()
  await turn()
  t.match(app.sse.stats(), { open: 0, closed: { client: 1 } })
})

t.test('a file that cannot be opened crashes nothing, started or not', async (t) => {
  const { app } = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(createReadStream('/does/not/exist', 'utf8')))
    app.get('/options', (_request, reply) => reply.sse(createReadStream('/does/not/exist', 'utf8'), { retry: 1 }))
  })
  t.equal((await app.inject('/')).statusCode, 500)
  t.equal((await app.inject({ method: 'HEAD', url: '/' })).statusCode, 200)
  t.equal((await app.inject({ url: '/', headers: { ...asEventSource, 'last-event-id': '~end' } })).statusCode, 204)
  t.equal((await app.inject('/options')).statusCode, 500)
  await delay(20) // the error comes when the file system has answered
})

t.test('a failure that cannot even be told ends the stream', async (t) => {
  const unspeakable = Object.defineProperty(new Error('x'), 'message', { get () { throw new Error('in message') } })
  const stream = new Writable({ write (_line, _encoding, done) { done() } })
  const { app } = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(async function * () { yield 'a'; await turn(); throw unspeakable }))
    app.get('/odd', (_request, reply) => reply.sse([{ get data () { throw undefined } }, 'next'] as never)) // eslint-disable-line no-throw-literal -- the worst that an event can do
  }, { server: { logger: { stream, serializers: { err: (error: Error) => ({ message: error.message }) } as never } } })
  t.equal((await app.inject('/')).body, ':\ndata: a\n\nevent: sse.error\ndata: {"message":"The stream failed"}\n\n')
  t.equal((await app.inject('/odd')).statusCode, 500)
})

t.test('maxDuration counts while the first event is awaited', async (t) => {
  const served = await serve(t, (app) => { app.get('/', (_request, reply) => reply.sse(async function * () { await never(); yield 'a' }, { openAfter: Infinity, maxDuration: 50 })) })
  const client = await RawSocket.request(served.base, '/')
  await client.until((client) => client.complete)
  t.match(client.body, /^:\nevent: sse\.bye\n/)
})

t.test('an error whose answer cannot be sent crashes nothing', async (t) => {
  const { base } = await serve(t, (app) => {
    app.setErrorHandler((_error, _request, reply) => reply.header('x-bad', 'a\nb').send('never'))
    app.get('/', (_request, reply) => reply.sse(() => { throw new Error('x') }))
  })
  const client = await RawSocket.request(base, '/')
  await client.until(({ head }) => head !== '')
  t.equal(client.status, 500)
  client.leave()
})

t.test('a key that is no string is refused', async (t) => {
  const { app } = await serve(t, (app) => { app.get('/', (_request, reply) => reply.sse(['a'], { maxConnections: { perKey: 1, key: (async () => { throw new Error('x') }) as never } })) })
  t.equal((await app.inject('/')).json().code, 'SSE_ERR_INVALID_OPTION')
  await turn()
})

t.test('a stream is never given a length', async (t) => {
  const { base } = await serve(t, (app) => { app.get('/', (_request, reply) => reply.sse(['a'])) })
  const client = await RawSocket.request(base, '/')
  await client.until((client) => client.complete)
  t.notMatch(client.head.toLowerCase(), 'content-length')
})

t.test('a reader that stalls behind a transform is cut at the end too', async (t) => {
  const served = await serve(t, (app) => {
    app.get('/', { onSend: async (_request, _reply, payload) => (payload as Readable).pipe(new PassThrough()) }, (_request, reply) => reply.sse(function * () { yield 'x'.repeat(20_000_000) }))
  }, { stallTimeout: 100 })
  const client = await RawSocket.request(served.base, '/')
  client.stall()
  await served.whenClosed()
  await until(() => new Promise((resolve) => served.app.server.getConnections((_error, count) => resolve(count === 0))))
  t.pass('it is gone')
  client.leave()
})

t.test('HEAD gets the headers, and no source starts', async (t) => {
  let started = 0
  const readable = new Readable({ objectMode: true, read () { started++ } })
  const { app, closed } = await serve(t, (app) => {
    app.get('/', (_request, reply) => reply.sse(function * () { started++; for (;;) yield 'a' }))
    app.head('/own', (_request, reply) => reply.sse(readable))
  })
  for (const url of ['/', '/own']) {
    const response = await app.inject({ method: 'HEAD', url })
    t.equal(response.statusCode, 200)
    t.equal(response.body, '')
    t.equal(response.headers['content-type'], 'text/event-stream; charset=utf-8')
    t.notOk('content-length' in response.headers)
  }
  t.equal(started, 0)
  t.ok(readable.destroyed)
  t.equal(closed.length, 0)
})

t.test('a body that a hook kept, and destroys when the stream has gone on without it, fails the stream and nothing else', async (t) => {
  let body: Readable | undefined
  const { base, whenClosed } = await serve(t, (app) => {
    app.addHook('onSend', async (_request, _reply, payload) => { body = payload as Readable })
    app.get('/', (_request, reply) => reply.sse(async function * () {
      yield 'a'
      await new Promise(() => {})
    }))
  })
  const stream = await readStream(`${base}/`)
  await stream.until('data: a')
  body?.destroy(new Error('of the hook'))
  t.equal(await stream.end(), ':\ndata: a\n\nevent: sse.error\ndata: {"message":"The stream failed"}\n\n')
  t.match((await whenClosed()).error, { message: 'of the hook' })
})

t.test('a reply can be awaited more than once, and settles when the response is over', async (t) => {
  const order: string[] = []
  const { base } = await serve(t, (app) => {
    app.get('/', async (_request, reply) => {
      reply.sse(async function * () { yield 'a' }, { onClose: () => { order.push('closed') } })
      await Promise.all([reply, reply].map(async (one) => {
        await one
        order.push('settled')
      }))
      await reply
      order.push('settled again')
    })
  })
  t.match(await (await readStream(`${base}/`)).end(), 'data: a')
  while (order.length < 4) await turn()
  t.strictSame(order, ['closed', 'settled', 'settled', 'settled again'])
})

t.test('who puts a write of their own into the response sees every byte', async (t) => {
  const seen: string[] = []
  const { base } = await serve(t, (app) => {
    app.addHook('onRequest', async (_request, { raw }) => {
      const write = raw.write.bind(raw) as (chunk: Buffer) => boolean
      raw.write = (chunk: Buffer) => {
        seen.push(String(chunk))
        return write(Buffer.from(String(chunk).toUpperCase()))
      }
    })
    app.get('/', (_request, reply) => reply.sse(async function * () {
      for (const text of ['a', 'b', 'c']) {
        yield text
        await turn()
      }
    }))
  })
  const stream = await readStream(`${base}/`)
  t.equal(await stream.end(), `:\nDATA: A\n\nDATA: B\n\nDATA: C\n\n${END.toUpperCase()}`)
  t.equal(seen.join(''), `:\ndata: a\n\ndata: b\n\ndata: c\n\n${END}`)
})

t.test('a socket that serves one stream after another keeps no listener of any', async (t) => {
  const EVENTS = 300 // 30 MB: more than the kernel takes for a reader that waits
  const sockets: net.Socket[] = []
  const { app, port, whenClosed } = await serve(t, (app) => {
    app.server.on('connection', (socket) => {
      sockets.push(socket)
      own = socket.listenerCount('drain')
    })
    app.get('/', (_request, reply) => reply.sse(function * () { for (let n = 0; n < EVENTS; n++) yield 'x'.repeat(100_000) }))
  })
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  let own = 0 // Node's
  const after: number[] = []
  for (let place = 1; place <= 3; place++) {
    const [response] = await once(http.get({ port, agent }), 'response') as [http.IncomingMessage]
    const [socket] = sockets as [net.Socket]
    while (socket.listenerCount('drain') === own) await turn() // Node's own alone: the stream does not wait yet
    let length = 0
    for await (const chunk of response) length += (chunk as Buffer).length
    t.equal(length, 2 + EVENTS * (100_000 + 'data: \n\n'.length))
    await whenClosed(place)
    await turn()
    after.push(socket.listenerCount('drain'))
  }
  t.equal(sockets.length, 1)
  t.strictSame(after, [own, own, own])
  t.equal(app.sse.stats().open, 0)
})

t.test('what waits for a slow reader stays as it was, whatever others write meanwhile', async (t) => {
  const EVENTS = 3_600 // 30 MB: more than the kernel takes for a reader that waits
  const eventOf = (name: string, n: number) => `${name}${n}`.padEnd(8_400, name) // four of them fill a slab
  const sockets: net.Socket[] = []
  const { port } = await serve(t, (app) => {
    app.server.on('connection', (socket) => sockets.push(socket))
    app.get('/:name', (request, reply) => reply.sse(function * () {
      for (let n = 0; n < EVENTS; n++) yield eventOf((request.params as { name: string }).name, n)
    }))
  })
  const get = async (name: string) => (await once(http.get({ port, path: `/${name}`, agent: false, headers: asEventSource }), 'response') as [http.IncomingMessage])[0]
  const isWhole = async (response: http.IncomingMessage, name: string) => {
    let body = ''
    for await (const chunk of response.setEncoding('latin1')) body += chunk as string
    return body === `:\n${Array.from({ length: EVENTS }, (_, n) => `data: ${eventOf(name, n)}\n\n`).join('')}${END}`
  }
  const slow = await get('a')
  await until(() => sockets[0]?.writableNeedDrain === true)
  t.equal(await isWhole(await get('b'), 'b'), true)
  t.equal(await isWhole(slow, 'a'), true)
})

t.test('who keeps what goes to the socket keeps it as it was', async (t) => {
  class Keeping extends net.Socket {}
  const ways: Record<string, (socket: net.Socket, keep: (chunk: Buffer) => void) => void> = {
    'by a write of their own': (socket, keep) => {
      const write = socket.write.bind(socket) as (chunk: Buffer) => boolean
      Object.assign(socket, { write (chunk: Buffer) { keep(chunk); return write(chunk) } })
    },
    'by a _write of their own': (socket, keep) => {
      const write = socket._write.bind(socket)
      socket._write = (chunk, encoding, callback) => { keep(chunk as Buffer); write(chunk, encoding, callback) }
    },
    'by a class of their own': (socket, keep) => {
      Keeping.prototype.write = function (this: net.Socket, chunk: Buffer, ...rest: []) { keep(chunk); return net.Socket.prototype.write.call(this, chunk, ...rest) } as typeof socket.write
      Object.setPrototypeOf(socket, Keeping.prototype)
    }
  }
  for (const [name, intercept] of Object.entries(ways)) {
    const kept: Buffer[] = []
    const { port } = await serve(t, (app) => {
      app.server.on('connection', (socket: net.Socket) => intercept(socket, (chunk) => kept.push(chunk)))
      app.get('/', (_request, reply) => reply.sse(function * () {
        for (let n = 0; n < 40; n++) yield String(n).padEnd(8_400, 'x') // four of them fill a slab
      }))
    })
    const [response] = await once(http.get({ port, agent: false, headers: asEventSource }), 'response') as [http.IncomingMessage]
    await response.resume().toArray()
    // The first may go with the head, several at once, past `_write`.
    const events = kept.filter((chunk) => typeof chunk !== 'string').map(String).join('').match(/(?<=data: )\d+/g) ?? []
    t.ok(events.length > 30)
    t.strictSame(events, Array.from({ length: events.length }, (_, n) => String(40 - events.length + n)), name)
  }
})

t.test('nothing follows the end of a response that somebody else has ended', async (t) => {
  const { base, whenClosed } = await serve(t, (app) => {
    app.get('/:size', (request, reply) => reply.sse(async function * () {
      yield 'a'
      await turn()
      yield 'b'
      await turn()
      reply.raw.end()
      yield 'x'.repeat(Number((request.params as { size: string }).size))
    }))
  })
  for (const [index, size] of [1, 40_000].entries()) {
    const client = await RawSocket.request(base, `/${size}`)
    await whenClosed(index + 1)
    client.ask('/no/where')
    await until(() => client.text.includes('"statusCode":404'))
    t.match(client.text, /data: b\n\n\r\n0\r\n\r\nHTTP\/1\.1 404/)
    client.socket.destroy()
  }
})
