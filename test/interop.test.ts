// The plugin among its neighbours: each promise of "an ordinary Fastify route", with the real neighbour.
import { execFileSync } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline, Readable, Transform } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import compress from '@fastify/compress'
import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import rateLimit from '@fastify/rate-limit'
import { Type } from '@sinclair/typebox'
import Fastify, { type FastifyInstance, type FastifyPluginCallback, type FastifyReply, type FastifyRequest, type RouteHandlerMethod } from 'fastify'
import t, { type Test } from 'tap'
import sse, { type SseClosed, type SseContext, type SseOptions, type SseSource } from '../lib/index.js'
import { RawSocket } from './helpers/raw-socket.js'
import { readStream, Received, within } from './helpers/read-events.js'
import { startApp } from './helpers/start-app.js'

const PRELUDE = ':\n'
const END = 'event: sse.end\ndata: {}\nid: ~end\n\n'
const FAILED = 'event: sse.error\ndata: {"message":"The stream failed"}\n\n'
const AGAIN = { 'last-event-id': '~end' }

/** All bytes of a stream of these payloads, to a client that is told the end. */
const whole = (...payloads: unknown[]) => PRELUDE + payloads.map((data) => `data: ${JSON.stringify(data)}\n\n`).join('') + END

const slug = (name: string) => name.replace(/\W+/g, '-')

/** A source that gives what the test pushes, when the test pushes it. */
const pushed = () => new Readable({ objectMode: true, read () {} })

/** A source that lives until its stream closes, and what became of it. */
class Life {
  starts = 0
  aborts = 0
  finals = 0
  readonly #ends = new EventEmitter().setMaxListeners(0)

  readonly source = async function * (this: Life, { signal }: SseContext) {
    this.starts++
    signal.addEventListener('abort', () => { this.aborts++ })
    try {
      yield { data: 'alive' }
      await once(signal, 'abort')
    } finally {
      this.finals++
      this.#ends.emit('end')
    }
  }.bind(this)

  async over (count = 1): Promise<void> {
    while (this.finals < count) await within(once(this.#ends, 'end'), () => `${count} ends of a source, of which ${this.finals} came`)
  }
}

/** `onClose`, and what it was told. */
class Closes {
  readonly all: SseClosed[] = []
  readonly #told = new EventEmitter()
  readonly onClose = (closed: SseClosed) => { this.all.push(closed); this.#told.emit('close') }

  get reasons () {
    return this.all.map(({ reason }) => reason)
  }

  async first (): Promise<SseClosed> {
    if (this.all.length === 0) await within(once(this.#told, 'close'), () => 'onClose')
    return this.all[0] as SseClosed
  }
}

const options = { retry: false, heartbeat: false } as const
const declared = { config: { sse: {} } }

// ---- what other plugins add to a response

t.test('@fastify/cors: its headers are on every kind of answer', async (t) => {
  const origin = 'https://shop.example'
  const register = (app: FastifyInstance) => app.register(cors, { origin: [origin], credentials: true })
  for (const order of ['before', 'after'] as const) {
    await t.test(`registered ${order} the plugin`, async (t) => {
      const life = new Life()
      const { base } = await startApp(t, { ...options, ...(order === 'before' ? { before: register } : {}) }, async (app) => {
        if (order === 'after') await register(app)
        app.get('/finite', (_request, reply) => reply.sse([{ data: 1 }]))
        app.get('/declared', declared, (_request, reply) => reply.sse([{ data: 1 }]))
        app.get('/early-error', (_request, reply) => reply.sse(() => { throw new Error('early') }))
        app.get('/limited', { config: { sse: { maxConnections: 1 } } }, (_request, reply) => reply.sse(life.source))
      })
      const held = await readStream(`${base}/limited`, { headers: { origin } })
      await held.until('alive')
      const answers = {
        'a stream': [200, await readStream(`${base}/finite`, { headers: { origin } })],
        'the 204 from the handler': [204, await readStream(`${base}/finite`, { headers: { origin, ...AGAIN } })],
        'the 204 before the handler': [204, await readStream(`${base}/declared`, { headers: { origin, ...AGAIN } })],
        'an early error': [500, await readStream(`${base}/early-error`, { headers: { origin } })],
        'a limit, to an EventSource': [200, await readStream(`${base}/limited`, { headers: { origin } })],
        'a limit, to others': [503, await readStream(`${base}/limited`, { headers: { origin, accept: '*/*' } })]
      } as const
      for (const [name, [status, answer]] of Object.entries(answers)) {
        t.equal(answer.status, status, name)
        t.match(answer.headers, { 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true', vary: 'Origin' }, `${name}: headers`)
        await answer.end()
      }
      t.equal(life.starts, 1, 'whoever is turned away starts nothing')
      const foreign = await readStream(`${base}/finite`, { headers: { origin: 'https://evil.example' } })
      t.equal(foreign.headers['access-control-allow-origin'], undefined, 'the check is the real one')
      held.close()
      await life.over()
    })
  }
})

t.test('@fastify/helmet: its headers are on the stream, and the stream is whole', async (t) => {
  const { base } = await startApp(t, { ...options, before: (app) => app.register(helmet) }, (app) => {
    app.get('/', (_request, reply) => reply.sse([{ data: 1 }]))
  })
  const stream = await readStream(base)
  t.match(stream.headers, {
    'content-security-policy': /default-src/,
    'x-content-type-options': 'nosniff',
    'strict-transport-security': /max-age/,
    'content-type': 'text/event-stream; charset=utf-8'
  })
  t.equal(await stream.end(), whole(1))
})

t.test('@fastify/rate-limit: its headers are on the stream; over the limit the source never starts', async (t) => {
  const life = new Life()
  const closes = new Closes()
  const { app, base } = await startApp(t, { ...options, onClose: closes.onClose, before: (app) => app.register(rateLimit, { max: 1, timeWindow: '1 hour' }) }, (app) => {
    app.get('/', declared, (_request, reply) => reply.sse(life.source))
  })
  const stream = await readStream(base)
  t.match(stream.headers, { 'x-ratelimit-limit': '1', 'x-ratelimit-remaining': '0', 'content-type': /event-stream/ })
  await stream.until('alive')

  const refused = await readStream(base)
  t.equal(refused.status, 429)
  t.match(refused.headers, { 'content-type': /json/, 'retry-after': '3600' })
  t.equal(refused.headers['x-accel-buffering'], undefined)
  t.match(JSON.parse(await refused.end()), { statusCode: 429 })
  t.equal(life.starts, 1)
  t.equal(app.sse.stats().opened, 1)
  stream.close()
  await life.over()
  t.strictSame(closes.reasons, ['client'])
})

t.test('@fastify/compress leaves streams alone, and nothing else', async (t) => {
  const compressions = { 'default options': {}, 'customTypes that match text/*': { customTypes: /^text\/|json/ } }
  for (const [name, given] of Object.entries(compressions)) {
    for (const order of ['before', 'after'] as const) {
      await t.test(`${name}, registered ${order} the plugin`, async (t) => {
        let source = pushed()
        const register = (app: FastifyInstance) => app.register(compress, given)
        const { base } = await startApp(t, { ...options, ...(order === 'before' ? { before: register } : {}) }, async (app) => {
          if (order === 'after') await register(app)
          app.get('/declared', declared, (_request, reply) => reply.sse(source))
          app.get('/undeclared', (_request, reply) => reply.sse(source))
          app.get('/json', async () => ({ long: 'x'.repeat(4_000) }))
        })
        for (const encoding of ['gzip, br', 'gzip', 'br', 'deflate']) {
          for (const path of ['/declared', '/undeclared']) {
            source = pushed()
            source.push({ data: 1 })
            const stream = await readStream(base + path, { headers: { 'accept-encoding': encoding } })
            t.equal(stream.headers['content-encoding'], undefined, `${path} ${encoding}`)
            t.equal(await stream.until('data: 1\n\n'), `${PRELUDE}data: 1\n\n`, 'the first event comes while the source waits')
            source.push({ data: 2 })
            t.equal(await stream.until('data: 2\n\n'), `${PRELUDE}data: 1\n\ndata: 2\n\n`, 'and so does the second')
            source.push(null)
            t.equal(await stream.end(), whole(1, 2))
          }
          const json = await readStream(`${base}/json`, { headers: { 'accept-encoding': encoding } })
          t.ok(encoding.includes(String(json.headers['content-encoding'])), `JSON is compressed with ${encoding}`)
          t.ok((await json.end()).length < 1_000)
        }
      })
    }
  }
})

// ---- Fastify's own options

t.test('a server-wide handlerTimeout: streams outlive it, other routes do not', async (t) => {
  const sources = { config: pushed(), schema: pushed() }
  const { base } = await startApp(t, { ...options, server: { handlerTimeout: 50 } }, (app) => {
    app.get('/config', declared, (_request, reply) => reply.sse(sources.config))
    app.get('/schema', { schema: { sse: { message: Type.Integer() } } }, (_request, reply) => reply.sse(sources.schema))
    app.get('/slow', (_request, reply) => { void reply }) // never answers
  })
  const streams = await Promise.all(Object.entries(sources).map(async ([name, source]) => {
    source.push({ data: 1 })
    const stream = await readStream(`${base}/${name}`)
    await stream.until('data: 1\n\n')
    return { stream, source }
  }))
  // Its timer starts after theirs, so theirs would have fired.
  const slow = await readStream(`${base}/slow`)
  t.equal(slow.status, 503)
  t.match(JSON.parse(await slow.end()), { code: 'FST_ERR_HANDLER_TIMEOUT' })
  for (const { stream, source } of streams) {
    source.push({ data: 2 })
    source.push(null)
    t.equal(await stream.end(), whole(1, 2))
  }
})

t.test('a handlerTimeout that cuts a stream is told as such', async (t) => {
  const closes = new Closes()
  const { base } = await startApp(t, { ...options, onClose: closes.onClose, server: { handlerTimeout: 50 } }, (app) => {
    app.get('/', (_request, reply) => reply.sse(async function * ({ signal }) { yield { data: 1 }; await once(signal, 'abort') }))
  })
  const stream = await readStream(`${base}/`)
  t.match(await closes.first(), { reason: 'error', error: { code: 'FST_ERR_HANDLER_TIMEOUT' } })
  await t.rejects(stream.end())
})

// ---- onSend hooks

async function * three () {
  for (let n = 1; n <= 3; n++) {
    await nextTurn()
    yield { data: n }
  }
}

t.test('an async onSend hook: its header is on the stream, and the stream is whole', async (t) => {
  for (const openAfter of [0, 100, Infinity]) {
    let calls = 0
    const { base } = await startApp(t, { ...options, openAfter }, (app) => {
      app.addHook('onSend', async (_request, reply) => {
        await nextTurn()
        await nextTurn()
        reply.header('x-hook', String(++calls))
      })
      app.get('/', (_request, reply) => reply.sse(three))
      app.get('/ready', (_request, reply) => reply.sse([1, 2, 3].map((data) => ({ data }))))
    })
    const paths = ['/', '/ready']
    for (const path of paths) {
      const stream = await readStream(base + path)
      t.match(stream.headers, { 'x-hook': String(paths.indexOf(path) + 1), 'content-type': 'text/event-stream; charset=utf-8' }, `openAfter ${openAfter}: the hook ran once for ${path}`)
      t.equal(await stream.end(), whole(1, 2, 3))
    }
  }
})

t.test('an onSend hook that wraps the payload', async (t) => {
  const shout = () => new Transform({ transform (chunk, _encoding, done) { done(null, String(chunk).toUpperCase()) } })
  const wraps: Record<string, (payload: Readable) => Readable> = {
    pipe: (payload) => payload.pipe(shout()),
    pipeline: (payload) => pipeline(payload, shout(), () => {}),
    'async generator': (payload) => Readable.from((async function * () { for await (const chunk of payload) yield String(chunk).toUpperCase() })())
  }
  for (const [name, wrap] of Object.entries(wraps)) {
    await t.test(name, async (t) => {
      const life = new Life()
      const closes = new Closes()
      let source = pushed()
      const { app, base } = await startApp(t, { ...options, onClose: closes.onClose }, (app) => {
        app.addHook('onSend', async (_request, _reply, payload) => wrap(payload as Readable))
        app.get('/', (_request, reply) => reply.sse(source))
        app.get('/alive', (_request, reply) => reply.sse(life.source))
        app.get('/fast', (_request, reply) => reply.sse(function * () { for (let n = 0; n < 5_000; n++) yield { data: `event ${n}` } }))
      })
      source.push({ data: 'one' })
      const stream = await readStream(base)
      t.equal(await stream.until('ONE'), ':\nDATA: "ONE"\n\n', 'each event comes through at once')
      source.push({ data: 'two' })
      await stream.until('TWO')
      source.push(null)
      t.equal(await stream.end(), whole('one', 'two').toUpperCase())
      t.strictSame(closes.reasons, ['complete'])

      const fast = await readStream(`${base}/fast`)
      t.equal(await fast.end(), whole(...Array.from({ length: 5_000 }, (_, n) => `event ${n}`)).toUpperCase(), 'back-pressure loses nothing')
      t.strictSame(closes.reasons, ['complete', 'complete'])

      const left = await readStream(`${base}/alive`)
      await left.until('ALIVE')
      left.close()
      await life.over()
      t.equal(life.aborts, 1)
      t.strictSame(closes.reasons, ['complete', 'complete', 'client'])

      const last = await readStream(`${base}/alive`)
      await last.until('ALIVE')
      source = pushed()
      source.push({ data: 'x' })
      const unread = await readStream(base)
      await unread.until('X')
      const gone = once(source, 'close')
      unread.close()
      await within(gone, () => 'the end of the Readable')
      t.equal(app.sse.stats().open, 1)
      const closing = app.close()
      t.match(await last.end(), /EVENT: SSE\.BYE\nRETRY: \d+\nDATA: {"REASON":"SHUTDOWN"}\n\n$/)
      await within(closing, () => 'app.close()')
      t.strictSame(closes.reasons.slice(-2), ['client', 'shutdown'])
    })
  }
})

t.test('an onSend hook whose wrapping fails: the source is over, and onClose says why', async (t) => {
  const fail = () => new Transform({ transform (_chunk, _encoding, done) { done(new Error('wrapping')) } })
  const wraps: Record<string, (payload: Readable) => Readable> = {
    pipe: (payload) => payload.pipe(fail()),
    pipeline: (payload) => pipeline(payload, fail(), () => {})
  }
  for (const [name, wrap] of Object.entries(wraps)) {
    await t.test(name, async (t) => {
      const life = new Life()
      const closes = new Closes()
      const { base } = await startApp(t, { ...options, onClose: closes.onClose }, (app) => {
        app.addHook('onSend', async (_request, _reply, payload) => payload instanceof Readable ? wrap(payload) : payload)
        app.get('/', (_request, reply) => reply.sse(life.source))
      })
      const answer = await readStream(base)
      t.equal(answer.status, 500, 'Fastify answers, since nothing has been sent')
      t.match(JSON.parse(await answer.end()), { message: 'wrapping' })
      await life.over()
      await closes.first()
      t.equal(life.aborts, 1)
      t.strictSame(closes.reasons, ['error'])
    })
  }
})

t.test('an onSend hook that throws: an ordinary error, a source that is over, one onClose', async (t) => {
  const hooks: Record<string, (app: FastifyInstance) => unknown> = {
    'async, for streams': (app) => app.addHook('onSend', async (_request, _reply, payload) => {
      if (payload instanceof Readable) throw Object.assign(new Error('hook'), { statusCode: 418 })
    }),
    'sync, for streams': (app) => app.addHook('onSend', (_request, _reply, payload, done) => {
      if (payload instanceof Readable) done(Object.assign(new Error('hook'), { statusCode: 418 }))
      else done()
    }),
    'for every payload': (app) => app.addHook('onSend', async () => { throw Object.assign(new Error('hook'), { statusCode: 418 }) })
  }
  for (const [name, addHook] of Object.entries(hooks)) {
    await t.test(name, async (t) => {
      const life = new Life()
      const closes = new Closes()
      const { app, base } = await startApp(t, { ...options, onClose: closes.onClose }, (app) => {
        addHook(app)
        app.get('/', (_request, reply) => reply.sse(life.source))
      })
      const answer = await readStream(base)
      t.equal(answer.status, 418)
      t.match(answer.headers, { 'content-type': 'application/json; charset=utf-8' })
      t.match(JSON.parse(await answer.end()), { message: 'hook' })
      await life.over()
      await closes.first()
      t.equal(life.aborts, 1)
      t.strictSame(closes.reasons, ['error'])
      t.match(closes.all[0]?.error, Error)
      t.equal(app.sse.stats().open, 0)
    })
  }
})

t.test('an onSend hook that replaces the payload: its answer is sent, the source is over', async (t) => {
  const life = new Life()
  const closes = new Closes()
  const { base } = await startApp(t, { ...options, onClose: closes.onClose }, (app) => {
    app.addHook('onSend', async () => 'replaced')
    app.get('/', (_request, reply) => reply.sse(life.source))
  })
  const answer = await readStream(base)
  t.equal(await answer.end(), 'replaced')
  await life.over()
  await closes.first()
  t.strictSame(closes.reasons, ['error'])
  t.match(closes.all[0]?.error, { code: 'SSE_ERR_ALREADY_SENT' })
})

// ---- handlers

const handlers = (source: (context: SseContext) => AsyncGenerator<{ data: unknown }>): Record<string, RouteHandlerMethod> => ({
  sync: (_request, reply) => { reply.sse(source) },
  'sync with return': (_request, reply) => reply.sse(source),
  'async with return': async (_request, reply) => reply.sse(source),
  'async with return of the reply': async (_request, reply) => { reply.sse(source); return reply },
  'async with await': async (_request, reply) => { await reply.sse(source) },
  'async without either': async (_request, reply) => { reply.sse(source) },
  'async without either, later': async (_request, reply) => { await nextTurn(); reply.sse(source) }
})

t.test('every kind of handler gives the whole stream', async (t) => {
  for (const openAfter of [0, 100, Infinity]) {
    const closes = new Closes()
    const { base } = await startApp(t, { ...options, openAfter, onClose: closes.onClose }, (app) => {
      for (const [name, handler] of Object.entries(handlers(three))) app.get(`/${slug(name)}`, handler)
    })
    const names = Object.keys(handlers(three))
    for (const name of names) {
      const stream = await readStream(`${base}/${slug(name)}`)
      t.equal(stream.headers['content-length'], undefined, name)
      t.equal(await stream.end(), whole(1, 2, 3), `openAfter ${openAfter}: ${name}`)
    }
    t.strictSame(closes.reasons, names.map(() => 'complete'))
  }
})

t.test('a route that answers with a stream or with something else', async (t) => {
  const { base } = await startApp(t, options, (app) => {
    app.get('/', { schema: { sse: { message: Type.Integer() } } }, async (request, reply) =>
      request.headers.accept === 'text/event-stream' ? reply.sse([{ data: 1 }]) : { json: { list: [1] } })
  })
  t.equal(await (await readStream(base)).end(), whole(1))
  const json = await readStream(base, { headers: { accept: 'application/json' } })
  t.match(json.headers, { 'content-type': /^application\/json/ })
  t.equal(await json.end(), '{"json":{"list":[1]}}')
})

t.test('reply.sse() outside a handler gives the whole stream', async (t) => {
  const { base } = await startApp(t, options, (app) => {
    app.setNotFoundHandler((_request, reply) => { reply.sse(three) })
    app.get('/async-hook', { preHandler: async (_request, reply) => reply.sse(three) }, async () => 'not called')
    app.get('/callback-hook', { onRequest: (_request, reply) => { reply.sse(three) } }, async () => 'not called')
    app.get('/error-handler', { errorHandler: (_error, _request, reply) => { reply.sse(three) } }, async () => { throw teapot() })
  })
  for (const path of ['/none', '/async-hook', '/callback-hook', '/error-handler']) {
    t.equal(await (await readStream(base + path)).end(), whole(1, 2, 3), path)
  }
})

t.test('a handler that fails behind reply.sse(), in the same turn: its error is the answer, whatever is ready', async (t) => {
  const sources: Record<string, [source: () => SseSource, call?: SseOptions]> = {
    ready: [() => [{ data: 1 }]],
    empty: [() => []],
    'ready at once': [() => [{ data: 1 }], { openAfter: 0 }],
    'not waited for': [three, { openAfter: 0 }],
    'ready by promise': [async function * () { yield { data: 1 } }]
  }
  const fails: Record<string, (start: () => void) => RouteHandlerMethod> = {
    throws: (start) => () => { start(); throw teapot() },
    rejects: (start) => async () => { start(); throw teapot() }
  }
  for (const hook of [undefined, async (_request: unknown, _reply: unknown, payload: unknown) => { await nextTurn(); return payload }]) {
    for (const [name, [source, call]] of Object.entries(sources)) {
      for (const [how, failing] of Object.entries(fails)) {
        const closes = new Closes()
        const { base } = await startApp(t, { ...options, onClose: closes.onClose }, (app) => {
          if (hook !== undefined) app.addHook('onSend', hook)
          app.get('/', function (request, reply) { return failing(() => { reply.sse(source(), call) }).call(this, request, reply) })
        })
        const answer = await readStream(base)
        t.equal(answer.status, 418, `${name}, ${how}`)
        t.match(answer.headers, { 'content-type': /^application\/json/, 'cache-control': undefined })
        t.match(JSON.parse(await answer.end()), { statusCode: 418 })
        t.strictSame(closes.reasons, ['error'])
      }
    }
  }
})

t.test('a source and a handler that fail in the same turn: one answer, of the handler, however long a hook looks at it', async (t) => {
  const seen: unknown[] = []
  const { base } = await startApp(t, options, (app) => {
    app.addHook('onError', async (_request, _reply, error) => { seen.push(error.message); await nextTurn(); await nextTurn() })
    app.get('/', async (_request, reply) => {
      reply.sse(function * () { throw new Error('of the source') })
      throw teapot()
    })
  })
  const answer = await readStream(base)
  t.equal(answer.status, 418)
  t.match(JSON.parse(await answer.end()), { statusCode: 418 })
  t.strictSame(seen, [teapot().message])
})

t.test('what somebody has put in place of reply.send() goes on hearing of answers', async (t) => {
  const sent: string[] = []
  const { base } = await startApp(t, options, (app) => {
    app.addHook('onRequest', async (_request, reply) => {
      const { send } = reply
      reply.send = function (payload) {
        sent.push(payload instanceof Error ? payload.message : typeof payload)
        return send.call(this, payload)
      }
    })
    app.get('/', (_request, reply) => reply.sse(three))
    app.get('/fails', (_request, reply) => reply.sse(function * () { throw teapot() }))
  })
  t.equal(await (await readStream(base)).end(), whole(1, 2, 3))
  t.equal((await readStream(`${base}/fails`)).status, 418)
  t.strictSame(sent, ['object', teapot().message, teapot().message], 'the second time by the error handler')
})

t.test('a hook may send the head itself', async (t) => {
  const { base } = await startApp(t, options, (app) => {
    app.addHook('onSend', async (_request, reply, payload) => { reply.raw.flushHeaders(); return payload })
    app.get('/', (_request, reply) => reply.sse(three))
  })
  t.equal(await (await readStream(base)).end(), whole(1, 2, 3))
})

t.test('a handler that returns something else: that is the answer, and the stream tells of the mistake', async (t) => {
  const life = new Life()
  const closes = new Closes()
  const { base } = await startApp(t, { ...options, openAfter: Infinity, onClose: closes.onClose }, (app) => {
    app.get('/', async (_request, reply) => {
      reply.sse(async function * (context) { await nextTurn(); yield * life.source(context) })
      return { other: true }
    })
  })
  const answer = await readStream(base)
  t.equal(await answer.end(), '{"other":true}')
  await closes.first()
  t.strictSame(closes.reasons, ['error'])
  t.match(closes.all[0]?.error, { code: 'SSE_ERR_ALREADY_SENT' })
})

// ---- errors before the first event

const teapot = () => Object.assign(new Error('early'), { statusCode: 418 })

const failing: Record<string, () => SseSource> = {
  'an async generator': () => async function * () { await nextTurn(); throw teapot() },
  'an async generator object': () => (async function * () { throw teapot() })(),
  'a sync generator': () => function * () { throw teapot() },
  'a function': () => () => { throw teapot() },
  'an async function': () => async () => { throw teapot() },
  'an iterable': () => ({ [Symbol.asyncIterator] () { throw teapot() } }),
  'a Readable': () => new Readable({ objectMode: true, read () { this.destroy(teapot()) } }),
  'a ReadableStream': () => new ReadableStream({ pull (controller) { controller.error(teapot()) } })
}

const bearsNoTraceOfStream = (t: Test, headers: IncomingHttpHeaders) => {
  t.match(headers['content-type'], 'application/json', 'content-type is of the error')
  t.equal(headers['cache-control'], undefined, 'no cache-control')
  t.equal(headers['x-accel-buffering'], undefined, 'no x-accel-buffering')
}

t.test('an early error is an ordinary HTTP error', async (t) => {
  for (const place of ['setErrorHandler', 'errorHandler of the route'] as const) {
    await t.test(place, async (t) => {
      const closes = new Closes()
      const seen: unknown[] = []
      let onError = 0
      const handle = (error: Error & { statusCode?: number }, _request: FastifyRequest, reply: FastifyReply) => {
        seen.push(error)
        reply.code(error.statusCode ?? 599).send({ handled: error.message })
      }
      const route = place === 'setErrorHandler' ? {} : { errorHandler: handle }
      const { base } = await startApp(t, { ...options, onClose: closes.onClose }, (app) => {
        if (place === 'setErrorHandler') app.setErrorHandler(handle)
        app.addHook('onSend', async (_request, reply) => { reply.header('x-on-send', 'ran') })
        app.addHook('onError', async () => { onError++ })
        for (const [name, source] of Object.entries(failing)) {
          app.get(`/${slug(name)}`, route, (_request, reply) => reply.sse(source()))
          app.get(`/async/${slug(name)}`, route, async (_request, reply) => { reply.sse(source()) })
        }
        // eslint-disable-next-line no-throw-literal
        app.get('/non-error', route, (_request, reply) => reply.sse(function * () { throw 'a string' }))
        app.get('/late', route, (_request, reply) => reply.sse(function * () { yield { data: 1 }; throw teapot() }))
        app.get('/mismatch', { ...route, schema: { sse: { tick: Type.Integer() } } }, (_request, reply) =>
          reply.sse(function * () { yield { event: 'tick', data: 'seven' as unknown as number } }))
      })
      for (const name of Object.keys(failing)) {
        for (const path of [`/${slug(name)}`, `/async/${slug(name)}`]) {
          await t.test(`${name} ${path.startsWith('/async') ? 'from an async handler' : ''}`, async (t) => {
            seen.length = closes.all.length = onError = 0
            const answer = await readStream(base + path)
            t.equal(answer.status, 418)
            bearsNoTraceOfStream(t, answer.headers)
            t.equal(answer.headers['x-on-send'], 'ran')
            t.equal(await answer.end(), '{"handled":"early"}')
            t.match(seen, [{ message: 'early', statusCode: 418 }], 'the handler saw the error itself, once')
            t.equal(onError, 1)
            t.match(closes.all, [{ reason: 'error', error: seen[0], events: 0, bytes: 0 }])
          })
        }
      }
      await t.test('what is thrown is not an Error', async (t) => {
        seen.length = closes.all.length = 0
        const answer = await readStream(`${base}/non-error`)
        t.equal(answer.status, 500)
        bearsNoTraceOfStream(t, answer.headers)
        t.equal(answer.headers['x-on-send'], 'ran')
        t.match(seen, [{ code: 'SSE_ERR_SOURCE_FAILED', cause: 'a string' }])
        t.notMatch(await answer.end(), 'a string')
        t.match(closes.all, [{ reason: 'error', error: 'a string' }])
      })
      await t.test('the first event does not match its schema', async (t) => {
        seen.length = 0
        const answer = await readStream(`${base}/mismatch`)
        t.equal(answer.status, 500)
        bearsNoTraceOfStream(t, answer.headers)
        t.match(seen, [{ code: 'SSE_ERR_INVALID_DATA' }])
        t.notMatch(await answer.end(), 'seven')
      })
      await t.test('after the commit it is an event, and no handler is called', async (t) => {
        seen.length = closes.all.length = onError = 0
        const answer = await readStream(`${base}/late`)
        t.equal(answer.status, 200)
        t.equal(await answer.end(), `${PRELUDE}data: 1\n\n${FAILED}`)
        t.strictSame(seen, [])
        t.equal(onError, 0)
        t.match(closes.all, [{ reason: 'error', error: { message: 'early' }, events: 1 }])
      })
    })
  }
})

t.test('an early error keeps headers that the handler set itself', async (t) => {
  const { base } = await startApp(t, options, (app) => {
    app.get('/', (_request, reply) => reply.header('cache-control', 'private').header('x-mine', '1').sse(() => { throw teapot() }))
  })
  const answer = await readStream(base)
  t.match(answer.headers, { 'cache-control': 'private', 'x-mine': '1', 'content-type': /json/ })
  await answer.end()
})

// ---- who else calls itself sse

const fastifySse = createRequire(import.meta.url)('@fastify/sse') as FastifyPluginCallback // its types merge `reply.sse` too

t.test('@fastify/sse in the same scope is refused by a name', async (t) => {
  await t.test('theirs first', async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(fastifySse)
    await t.rejects(async () => { await app.register(sse) }, { code: 'SSE_ERR_ALREADY_REGISTERED', message: /@fastify\/sse/ })
  })
  await t.test('ours first', async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(sse)
    await t.rejects(async () => { await app.register(fastifySse); await app.ready() }, { code: 'SSE_ERR_ALREADY_REGISTERED', message: /@fastify\/sse/ })
  })
})

t.test('registered twice', async (t) => {
  await t.test('in one scope', async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(sse)
    await t.rejects(async () => { await app.register(sse) }, { code: 'SSE_ERR_ALREADY_REGISTERED' })
  })
  await t.test('in a scope and in one below it', async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(sse)
    app.register(async (child) => { await child.register(sse) })
    await t.rejects(async () => { await app.ready() }, { code: 'SSE_ERR_ALREADY_REGISTERED' })
  })
  await t.test('in two scopes side by side, each with its own options and counts', async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    const scopes: FastifyInstance[] = []
    for (const [name, more] of Object.entries({ a: {}, b: { end: false } })) {
      app.register(async (child) => {
        await child.register(sse, { ...options, ...more })
        child.get(`/${name}`, declared, (_request, reply) => reply.sse([{ data: name }]))
        scopes.push(child)
      })
    }
    const base = await app.listen({ port: 0, host: '127.0.0.1' })
    t.equal(await (await readStream(`${base}/a`)).end(), whole('a'))
    t.equal(await (await readStream(`${base}/b`)).end(), `${PRELUDE}data: "b"\n\n`)
    t.strictSame(scopes.map((scope) => scope.sse.stats().opened), [1, 1])
    t.notOk(app.hasDecorator('sse'))
  })
})

// ---- HTTP/2

interface Http2Reader extends Received { headers: IncomingHttpHeaders & { ':status'?: number }, stream: ClientHttp2Stream }

async function readHttp2 (session: ClientHttp2Session, path: string, headers: Record<string, string> = {}): Promise<Http2Reader> {
  const stream = session.request({ ':path': path, accept: 'text/event-stream', ...headers })
  const [answer] = await within(once(stream, 'response'), () => `an answer from ${path}`) as [Http2Reader['headers']]
  return Object.assign(new Received(stream), { headers: answer, stream })
}

const serveHttp2 = (app: FastifyInstance, life: Life) => {
  app.get('/trailers', (_request, reply) => reply.trailer('x-events', async () => 'one').sse([{ data: 1 }]))
  app.get('/finite', (_request, reply) => reply.sse(three))
  app.get('/alive', (_request, reply) => reply.sse(life.source))
  app.get('/early-error', (_request, reply) => reply.sse(() => { throw teapot() }))
}

function openSession (t: Test, base: string, more = {}): ClientHttp2Session {
  const session = connect(base, more)
  t.teardown(() => { session.destroy() })
  return session
}

t.test('HTTP/2 without TLS', async (t) => {
  const warnings: Error[] = []
  const onWarning = (warning: Error) => { warnings.push(warning) }
  process.on('warning', onWarning)
  t.teardown(() => { process.off('warning', onWarning) })
  const server = { http2: true, forceCloseConnections: true }

  await t.test('a stream, its end and its errors', async (t) => {
    const life = new Life()
    const { base } = await startApp(t, { ...options, server }, (app) => serveHttp2(app, life))
    const session = openSession(t, base)
    const stream = await readHttp2(session, '/finite')
    t.match(stream.headers, { ':status': 200, 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': /no-store/ })
    t.equal(stream.headers.connection, undefined)
    t.equal(stream.headers['transfer-encoding'], undefined)
    t.equal(await stream.end(), whole(1, 2, 3))

    const ended = await readHttp2(session, '/finite', AGAIN)
    t.equal(ended.headers[':status'], 204)
    t.equal(await ended.end(), '')

    const failed = await readHttp2(session, '/early-error')
    t.equal(failed.headers[':status'], 418)
    t.match(JSON.parse(await failed.end()), { message: 'early' })
    const trailing = await readHttp2(session, '/trailers')
    const trailers = once(trailing.stream, 'trailers')
    t.equal(await trailing.end(), whole(1))
    t.match((await within(trailers, () => 'trailers'))[0], { 'x-events': 'one' })

    const head = await readHttp2(session, '/alive', { ':method': 'HEAD' })
    t.match(head.headers, { ':status': 200, 'content-type': 'text/event-stream; charset=utf-8' })
    t.equal(await head.end(), '')
    t.equal(life.starts, 0)
    await nextTurn()
    t.strictSame(warnings, [], 'Node warns of headers that HTTP/2 does not have')
    await new Promise<void>((resolve) => { session.close(resolve) })
  })

  await t.test('a client that cancels, or whose session is gone', async (t) => {
    const life = new Life()
    const closes = new Closes()
    const { app, base } = await startApp(t, { ...options, server, onClose: closes.onClose }, (app) => serveHttp2(app, life))
    const session = openSession(t, base)
    const stream = await readHttp2(session, '/alive')
    await stream.until('alive')
    stream.stream.close(constants.NGHTTP2_CANCEL)
    await life.over()
    t.equal(life.aborts, 1)
    t.strictSame(closes.reasons, ['client'])

    await Promise.all([1, 2, 3].map(async () => (await readHttp2(session, '/alive')).until('alive')))
    t.equal(app.sse.stats().open, 3)
    session.destroy()
    await life.over(4)
    t.equal(life.aborts, 4)
    t.equal(app.sse.stats().open, 0)
  })

  await t.test('fifty streams in one session, and app.close()', async (t) => {
    const life = new Life()
    const { app, base } = await startApp(t, { ...options, server }, (app) => {
      app.get('/:n', (request, reply) => reply.sse(async function * (context) {
        yield { data: (request.params as { n: string }).n }
        yield * life.source(context)
      }))
    })
    const session = openSession(t, base)
    const streams = await Promise.all(Array.from({ length: 50 }, (_, n) => readHttp2(session, `/${n}`)))
    await Promise.all(streams.map(async (stream, n) => t.equal(await stream.until('alive'), `${PRELUDE}data: "${n}"\n\ndata: "alive"\n\n`)))
    const closing = app.close()
    const texts = await Promise.all(streams.map((stream) => stream.end()))
    for (const text of texts) t.match(text, /data: "alive"\n\nevent: sse\.bye\nretry: \d+\ndata: {"reason":"shutdown"}\n\n$/)
    await within(closing, () => 'app.close()')
    await life.over(50)
    t.equal(life.aborts, 50)
  })
})

const hasOpenssl = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

t.test('HTTP/2 over TLS, and HTTP/1.1 beside it', { skip: !hasOpenssl && 'there is no openssl' }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'fastify-typed-sse-'))
  t.teardown(() => { rmSync(folder, { recursive: true }) })
  const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost', '-keyout', keyFile, '-out', certFile], { stdio: 'ignore' })
  const [key, cert] = [readFileSync(keyFile), readFileSync(certFile)]

  const life = new Life()
  const closes = new Closes()
  const { app } = await startApp(t, { ...options, onClose: closes.onClose, server: { http2: true, https: { key, cert, allowHTTP1: true }, forceCloseConnections: true } }, (app) => serveHttp2(app, life))
  const { port } = app.server.address() as AddressInfo
  const session = openSession(t, `https://127.0.0.1:${port}`, { ca: cert, servername: 'localhost' })
  t.equal(await (await readHttp2(session, '/finite')).end(), whole(1, 2, 3))
  const stream = await readHttp2(session, '/alive')
  await stream.until('alive')
  stream.stream.close(constants.NGHTTP2_CANCEL)
  await life.over()
  t.strictSame(closes.reasons, ['complete', 'client'])

  const { request } = await import('node:https')
  const sent = request({ host: '127.0.0.1', port, path: '/finite', ca: cert, servername: 'localhost', headers: { accept: 'text/event-stream' }, agent: false }).end()
  const [response] = await within(once(sent, 'response'), () => 'an answer over HTTP/1.1')
  t.equal(response.httpVersion, '1.1')
  t.equal(await new Received(response).end(), whole(1, 2, 3))
  await new Promise<void>((resolve) => { session.close(resolve) })
})

// ---- inject

t.test('inject', async (t) => {
  const accept = 'text/event-stream'

  await t.test('a stream that ends', async (t) => {
    const { app } = await startApp(t, options, (app) => app.get('/', (_request, reply) => reply.sse(three)))
    const answer = await app.inject({ url: '/', headers: { accept } })
    t.equal(answer.statusCode, 200)
    t.equal(answer.headers['content-type'], 'text/event-stream; charset=utf-8')
    t.equal(answer.payload, whole(1, 2, 3))
    t.equal((await app.inject({ url: '/', headers: AGAIN })).statusCode, 204)
  })

  // light-my-request tells nobody that its payload was left (a Readable that Fastify sends is not closed either), so
  // that is what `signal` is for; without it the stream lives until the application closes.
  await t.test('a stream without an end, whose reader breaks out: app.close() closes it', async (t) => {
    const life = new Life()
    const { app } = await startApp(t, options, (app) => app.get('/', (_request, reply) => reply.sse(life.source)))
    const answer = await app.inject({ url: '/', headers: { accept }, payloadAsStream: true })
    let text = ''
    for await (const chunk of answer.stream()) {
      text += String(chunk)
      if (text.includes('alive')) break
    }
    t.equal(text, `${PRELUDE}data: "alive"\n\n`)
    await within(app.close(), () => 'app.close()')
    await life.over()
    t.equal(life.aborts, 1)
  })

  await t.test('a stream without an end: `signal` closes it', async (t) => {
    const life = new Life()
    const closes = new Closes()
    const { app } = await startApp(t, { ...options, onClose: closes.onClose }, (app) => app.get('/', (_request, reply) => reply.sse(life.source)))
    const controller = new AbortController()
    const answer = await app.inject({ url: '/', headers: { accept }, payloadAsStream: true, signal: controller.signal })
    const received = new Received(answer.stream())
    await received.until('alive')
    controller.abort()
    await t.rejects(received.end())
    await life.over()
    t.equal(life.aborts, 1)
    await closes.first()
    t.strictSame(closes.reasons, ['client'])
  })
})

// ---- methods

t.test('POST with a body', async (t) => {
  const life = new Life()
  const closes = new Closes()
  const source = pushed()
  let aborted: (() => boolean) | undefined
  const Body = Type.Object({ prompt: Type.String() })
  const { base } = await startApp(t, { ...options, onClose: closes.onClose }, (app) => {
    app.post('/', { schema: { body: Body, sse: { token: Type.String() } } }, (request, reply) =>
      reply.sse(async function * ({ signal, events }) {
        aborted = () => signal.aborted
        yield events.token((request.body as { prompt: string }).prompt)
        for await (const text of source) yield events.token(text)
      }))
    app.post('/alive', { schema: { body: Body } }, (_request, reply) => reply.sse(life.source))
  })

  await t.test('that is not valid: 400, and nothing starts', async (t) => {
    const answer = await readStream(base, { method: 'POST', body: '{}' })
    t.equal(answer.status, 400)
    t.match(JSON.parse(await answer.end()), { code: 'FST_ERR_VALIDATION' })
    t.equal(aborted, undefined)
    t.strictSame(closes.all, [])
  })

  await t.test('that is valid: the stream outlives the request', async (t) => {
    const stream = await readStream(base, { method: 'POST', body: '{"prompt":"hello"}' })
    t.equal(await stream.until('hello'), `${PRELUDE}event: token\ndata: "hello"\n\n`)
    source.push('world')
    await stream.until('world')
    t.equal(aborted?.(), false)
    source.push(null)
    t.equal(await stream.end(), `${PRELUDE}event: token\ndata: "hello"\n\nevent: token\ndata: "world"\n\n`, 'without sse.end, which only a GET has')
    t.strictSame(closes.reasons, ['complete'])
  })

  await t.test('and a client that leaves', async (t) => {
    const stream = await readStream(`${base}/alive`, { method: 'POST', body: '{"prompt":"hello"}' })
    await stream.until('alive')
    t.equal(life.aborts, 0)
    stream.close()
    await life.over()
    t.equal(life.aborts, 1)
    t.strictSame(closes.reasons, ['complete', 'client'])
  })

  await t.test('and the id of an end: a POST is never answered 204', async (t) => {
    const stream = await readStream(`${base}/alive`, { method: 'POST', body: '{"prompt":"hello"}', headers: AGAIN })
    t.equal(stream.status, 200)
    await stream.until('alive')
    stream.close()
    await life.over(2)
  })
})

t.test('HEAD: the headers, and the source never starts', async (t) => {
  const life = new Life()
  const closes = new Closes()
  const readables: Readable[] = []
  const webStreams: string[] = []
  const { app, base } = await startApp(t, { ...options, onClose: closes.onClose }, (app) => {
    app.get('/auto', (_request, reply) => reply.sse(life.source))
    app.get('/declared', { schema: { sse: { message: Type.String() } } }, (_request, reply) => reply.sse(life.source))
    app.head('/explicit', async (_request, reply) => { reply.sse(life.source) })
    app.route({ method: ['GET', 'HEAD'], url: '/both', handler: (_request, reply) => reply.sse(life.source), ...declared })
    app.get('/readable', (_request, reply) => {
      const readable = pushed()
      readables.push(readable)
      return reply.sse(readable)
    })
    app.get('/web', (_request, reply) => reply.sse(new ReadableStream({ cancel () { webStreams.push('cancelled') } })))
    app.get('/generator', (_request, reply) => reply.sse(life.source({ signal: new AbortController().signal } as SseContext)))
  })
  for (const path of ['/auto', '/declared', '/explicit', '/both', '/readable', '/web', '/generator']) {
    const answer = await readStream(base + path, { method: 'HEAD' })
    t.equal(answer.status, 200, path)
    t.match(answer.headers, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache, no-store, no-transform', 'x-accel-buffering': 'no' }, path)
    t.equal(answer.headers['content-length'], undefined, `${path}: its length is not 0`)
    t.equal(await answer.end(), '', path)
  }
  t.equal(life.starts, 0)
  t.strictSame(readables.map(({ destroyed }) => destroyed), [true])
  t.strictSame(webStreams, ['cancelled'])
  t.strictSame(closes.all, [], 'no stream was opened')
  t.equal(app.sse.stats().opened, 0)
})

t.test('HEAD, and then another request on the same connection', async (t) => {
  const { base } = await startApp(t, options, (app) => app.get('/', (_request, reply) => reply.sse([{ data: 1 }])))
  const client = await RawSocket.request(base, '/', { method: 'HEAD' })
  await client.until(({ text }) => text.includes('\r\n\r\n'))
  t.ok(client.text.endsWith('\r\n\r\n'), 'no body')
  client.ask('/')
  await client.until(({ text }) => text.includes(END))
  client.leave()
})

t.test('trailers', async (t) => {
  const life = new Life()
  const closes = new Closes()
  const { base } = await startApp(t, { ...options, onClose: closes.onClose }, (app) => {
    const counted = (reply: FastifyReply) => reply.trailer('x-events', async () => 'three')
    app.get('/finite', (_request, reply) => counted(reply).sse(three))
    app.get('/alive', (_request, reply) => counted(reply).sse(life.source))
  })
  const stream = await readStream(`${base}/finite`)
  t.equal(stream.headers.trailer, 'x-events')
  t.equal(await stream.end(), whole(1, 2, 3))
  t.strictSame(stream.response.trailers, { 'x-events': 'three' })

  const left = await readStream(`${base}/alive`)
  await left.until('alive')
  left.close()
  await life.over()

  const head = await readStream(`${base}/alive`, { method: 'HEAD' })
  t.equal(await head.end(), '')
  t.equal(life.starts, 1)
  t.strictSame(closes.reasons, ['complete', 'client'])
})

t.test('trailers, and app.close()', async (t) => {
  const life = new Life()
  const { app, base } = await startApp(t, options, (app) => {
    app.get('/', (_request, reply) => reply.trailer('x-mine', async () => 'yes').sse(life.source))
  })
  const stream = await readStream(base)
  await stream.until('alive')
  const closing = app.close()
  t.match(await stream.end(), /event: sse\.bye\n/)
  t.strictSame(stream.response.trailers, { 'x-mine': 'yes' })
  await within(closing, () => 'app.close()')
})

// ---- where routes stand

t.test('routes that are declared before the plugin has loaded', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  const schema = { sse: { tick: Type.Object({ n: Type.Integer() }) } }
  app.register(sse, options)
  app.get('/same-turn', { schema }, (_request, reply) => reply.sse([{ event: 'tick', data: { n: 1 } }]))
  app.get('/mismatch', { schema }, (_request, reply) => reply.sse(function * () { yield { event: 'tick', data: { n: 'one' as unknown as number } } }))
  app.get('/options', { config: { sse: { end: false } } }, (_request, reply) => reply.sse([{ data: 1 }]))
  app.register(async (child) => {
    child.get('/child', { schema }, (_request, reply) => reply.sse([{ event: 'tick', data: { n: 2 } }]))
  }, { prefix: '/v1' })
  const base = await app.listen({ port: 0, host: '127.0.0.1' })

  t.equal(await (await readStream(`${base}/same-turn`)).end(), `${PRELUDE}event: tick\ndata: {"n":1}\n\n${END}`)
  t.equal(await (await readStream(`${base}/v1/child`)).end(), `${PRELUDE}event: tick\ndata: {"n":2}\n\n${END}`)
  t.equal((await readStream(`${base}/same-turn`, { headers: AGAIN })).status, 204)
  t.equal((await readStream(`${base}/v1/child`, { headers: AGAIN })).status, 204)
  t.equal(await (await readStream(`${base}/options`)).end(), `${PRELUDE}data: 1\n\n`, 'config.sse counts')
  const mismatch = await readStream(`${base}/mismatch`)
  t.equal(mismatch.status, 500)
  t.match(JSON.parse(await mismatch.end()), { code: 'SSE_ERR_INVALID_DATA' })
})

t.test('a route with several methods', async (t) => {
  let calls = 0
  const { base } = await startApp(t, options, (app) => {
    app.route({
      method: ['GET', 'POST'],
      url: '/',
      schema: { sse: { tick: Type.Integer() } },
      handler: (_request, reply) => {
        calls++
        return reply.sse([{ event: 'tick', data: 1 }])
      }
    })
  })
  const tick = `${PRELUDE}event: tick\ndata: 1\n\n`
  t.equal(await (await readStream(base)).end(), tick + END)
  t.equal(await (await readStream(base, { method: 'POST', body: '{}' })).end(), tick)
  t.equal(await (await readStream(base, { method: 'POST', body: '{}', headers: AGAIN })).end(), tick)
  t.equal(calls, 3)
  t.equal((await readStream(base, { headers: AGAIN })).status, 204)
  t.equal(calls, 3, 'the 204 comes before the handler')
})

// ---- the log

t.test('a client that leaves is no warning in the log', async (t) => {
  const lines: Array<{ level: number, msg: string }> = []
  const stream = { write: (line: string) => { lines.push(JSON.parse(line)) } }
  const life = new Life()
  const closes = new Closes()
  const shout = () => new Transform({ transform: (chunk, _encoding, done) => done(null, chunk) })
  async function * silent ({ signal }: SseContext): AsyncGenerator<{ data: unknown }> { await once(signal, 'abort', { signal }) } // rejects with an AbortError
  const wrapped = { onSend: async (_request: FastifyRequest, _reply: FastifyReply, payload: unknown) => (payload as Readable).pipe(shout()) }
  const gate = new EventEmitter()
  async function * full () { for (;;) yield { data: 'x'.repeat(1_000) } }
  const { app, base } = await startApp(t, { ...options, onClose: closes.onClose, server: { logger: { level: 'trace', stream } } }, (app) => {
    for (const [name, handler] of Object.entries(handlers(life.source))) app.get(`/${slug(name)}`, handler)
    app.post('/post', (_request, reply) => reply.sse(life.source))
    app.get('/wrapped', wrapped, (_request, reply) => reply.sse(life.source))
    for (const [name, handler] of Object.entries(handlers(silent))) app.get(`/silent/${slug(name)}`, { config: { sse: { openAfter: Infinity } } }, handler)
    app.get('/slow-hook', { onSend: async () => { gate.emit('waits'); await once(gate, 'open') } }, (_request, reply) => reply.sse(life.source))
    app.get('/full', (_request, reply) => reply.sse(full))
    app.get('/full-wrapped', wrapped, (_request, reply) => reply.sse(full))
    app.get('/late-error', (_request, reply) => reply.sse(function * () { yield { data: 1 }; throw teapot() }))
  })
  let left = 0
  /** When the stream has closed, and what Fastify does of it after. */
  const cleaned = async () => {
    left++
    while (closes.all.length < left) await nextTurn()
    await (await readStream(`${base}/none`)).end()
    await nextTurn()
  }
  const grave = () => lines.filter(({ level }) => level >= 40)

  for (const name of [...Object.keys(handlers(silent)), 'wrapped']) {
    const reader = await readStream(`${base}/${slug(name)}`)
    await reader.until('alive')
    reader.close()
    await cleaned()
    t.strictSame(grave(), [], name)
  }
  const posted = await readStream(`${base}/post`, { method: 'POST', body: '{}' })
  await posted.until('alive')
  posted.close()
  await cleaned()
  t.strictSame(grave(), [], 'POST')

  for (const name of Object.keys(handlers(silent))) {
    const client = await RawSocket.request(base, `/silent/${slug(name)}`)
    while (app.sse.stats().open === 0) await nextTurn()
    client.leave()
    await cleaned()
    t.strictSame(grave(), [], `before the first event: ${name}`)
  }
  const waits = once(gate, 'waits')
  const early = await RawSocket.request(base, '/slow-hook')
  await within(waits, () => 'the hook')
  early.leave()
  while (closes.all.length === left) await nextTurn()
  gate.emit('open')
  await cleaned()
  t.strictSame(grave(), [], 'while an onSend hook waits')

  for (const path of ['/full', '/full-wrapped']) {
    for (const leave of ['leave', 'reset'] as const) {
      const client = await RawSocket.request(base, path)
      await client.until('xxx')
      client.stall()
      client[leave]()
      await cleaned()
      t.strictSame(grave(), [], `${path}: ${leave} in the middle of a write`)
    }
  }
  t.strictSame(new Set(closes.reasons), new Set(['client']))

  await (await readStream(`${base}/late-error`)).end()
  t.match(grave(), [{ level: 50, msg: 'event stream failed', err: { message: 'early' } }], 'what is grave is logged, once')
})
