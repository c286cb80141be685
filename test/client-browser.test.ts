// The client in the browsers themselves, in a window and in a worker: one page, and the same account of it from each.
import { EventEmitter, once } from 'node:events'
import { existsSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import cors from '@fastify/cors'
import { Type } from '@sinclair/typebox'
import { build } from 'esbuild'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { chromium } from 'playwright-core'
import t, { type Test } from 'tap'
import { openInFirefox } from './helpers/firefox.js'
import { serve } from './helpers/serve.js'

const schemas = { tick: Type.Object({ n: Type.Integer() }) }

const find = (paths: (string | undefined)[]) => paths.find((path) => path !== undefined && existsSync(path))

async function openInChromium (t: Test, executablePath: string, url: string): Promise<void> {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] })
  t.teardown(() => browser.close())
  const page = await browser.newPage()
  await page.goto(url)
}

const browsers = {
  chromium: { path: find([process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']), open: openInChromium },
  'firefox-esr': { path: find([process.env.FIREFOX_PATH, '/usr/bin/firefox-esr', '/usr/bin/firefox']), open: openInFirefox }
}

const page = fileURLToPath(new URL('helpers/client-page.js', import.meta.url))

async function scriptFrom (contents: string): Promise<string> {
  const { outputFiles: [{ text }] } = await build({ stdin: { contents: contents.replace('PAGE', JSON.stringify(page)), resolveDir: '/' }, bundle: true, format: 'esm', target: 'es2022', write: false }) as unknown as { outputFiles: [{ text: string }] } // as `write` has it
  return text
}

const WORKER = `
import { run } from PAGE
self.onmessage = async ({ data }) => self.postMessage(await run(data).catch(String))`

const WINDOW = `
import { run } from PAGE
const other = new URLSearchParams(location.search).get('other')
const fromWorker = new Promise((resolve) => {
  const worker = new Worker('../worker/worker.js', { type: 'module' })
  worker.onmessage = ({ data }) => resolve(data)
  worker.onerror = ({ message }) => resolve(message)
  worker.postMessage(other)
})
const results = { window: await run(other).catch(String), worker: await fromWorker }
await fetch('report', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(results) })`

/** Of three ticks, those behind the one that the client has; the first time only as many as given, and then what `end` does. */
function ticks (reply: FastifyReply, most = 3, end = () => {}): FastifyReply {
  return reply.sse(async function * ({ lastEventId }) {
    for (let n = Number(lastEventId ?? 0) + 1; n <= 3; n++) {
      if (n > most) {
        await turn() // what was given is written
        return end()
      }
      yield { event: 'tick', data: { n }, id: String(n) }
    }
  }, { openAfter: 0, end: most === 3 })
}

/** Routes that misbehave by the count of their requests; a page's window and its worker ask at the same time, under names of their own. */
function routes (app: FastifyInstance, seen: unknown[]): void {
  const counts = new Map<string, number>()
  const count = (name: string) => {
    counts.set(name, (counts.get(name) ?? 0) + 1)
    return counts.get(name) as number // set above
  }
  const options = { schema: { sse: schemas } }
  for (const who of ['window', 'worker']) {
    app.get(`/${who}/ticks`, options, (_request, reply) => ticks(reply))
    app.get(`/${who}/flaky`, { ...options, exposeHeadRoute: false }, (request, reply) => {
      const get = count(`${who} flaky`)
      seen.push([who, 'GET', request.url.replace(/.*flaky/, ''), request.headers['last-event-id']])
      return get === 2 ? reply.code(502).send() : ticks(reply, get === 1 ? 1 : 3)
    })
    app.head(`/${who}/flaky`, (request, reply) => {
      seen.push([who, 'HEAD', request.url.replace(/.*flaky/, ''), request.headers['last-event-id']])
      return reply.code(count(`${who} head`) === 1 ? 502 : 200).type('text/event-stream').send()
    })
    app.get(`/${who}/over`, (_request, reply) => reply.code(204).send())
    app.get(`/${who}/mute`, options, (request, reply) => {
      if (request.method === 'HEAD' || count(`${who} mute`) > 1) return ticks(reply)
      return reply.sse(async function * ({ signal }) { await once(signal, 'abort') }, { openAfter: 0 })
    })
    app.get(`/${who}/cut`, options, (_request, reply) => ticks(reply, count(`${who} cut`) === 1 ? 1 : 3, () => { reply.raw.destroy() }))
    app.post(`/${who}/count`, { schema: { body: Type.Object({ to: Type.Integer() }), sse: schemas } }, (request, reply) => {
      seen.push([who, request.headers.authorization])
      return reply.sse(function * () { for (let n = 1; n <= (request.body as { to: number }).to; n++) yield { event: 'tick', data: { n } } })
    })
    app.get(`/${who}/away`, (request, reply) => reply.redirect(request.headers.authorization === undefined ? 'ticks' : `http://127.0.0.1:1/${who}`))
    app.post(`/${who}/away`, (_request, reply) => reply.redirect('ticks', 307))
  }
  app.addContentTypeParser('text/plain', { parseAs: 'string' }, (_request, _body, done) => done(null))
}

const ALL = [[1, '1'], [2, '2'], [3, '3']]

/** What a page is to tell. */
const EXPECTED = {
  'a subscription ends with its stream': { seen: ALL, states: [['open'], ['closed']], lastEventId: '3' },
  'an EventSource is taken over': { seen: ALL, states: [['open'], ['closed']], lastEventId: '3' },
  'a proxy\'s 502 is survived': { seen: ALL, states: [['open'], ['connecting', 'SSE_ERR_DISCONNECTED'], ['connecting', 'SSE_ERR_DISCONNECTED'], ['connecting', 502], ['open'], ['closed']], lastEventId: '3' },
  '204 is the end': { seen: [], states: [['connecting', 'SSE_ERR_DISCONNECTED'], ['closed']], lastEventId: '' },
  '404 is the end': { seen: [], states: [['connecting', 'SSE_ERR_DISCONNECTED'], ['closed', 404]], lastEventId: '' },
  'a silent connection is given up': { seen: ALL, states: [['open'], ['connecting', 'SSE_ERR_SILENT'], ['open'], ['closed']], lastEventId: '3' },
  'a stream is iterated to its end': { seen: ALL, states: [['open'], ['closed']] },
  'a connection that is cut is resumed': { seen: ALL, states: [['open'], ['connecting', 'SSE_ERR_DISCONNECTED'], ['open'], ['closed']] },
  'another origin is resumed, too': { seen: ALL, states: [['open'], ['connecting', 'SSE_ERR_DISCONNECTED'], ['open'], ['closed']] },
  'a POST is stopped by leaving the loop': { n: 1 },
  'a redirect is followed where there is nothing to lose': { seen: ALL, states: [['open'], ['closed']] },
  'a redirect is refused where there is': { seen: [], states: [['closed', 0]], failed: 'SSE_ERR_NO_STREAM' },
  'a body is not redirected': { seen: [], states: [['closed', 0]], failed: 'SSE_ERR_NO_STREAM' }
}

const flaky = (who: string) => [[who, 'GET', '', undefined], [who, 'GET', '', '1'], [who, 'HEAD', '?lastEventId=1', undefined], [who, 'HEAD', '?lastEventId=1', undefined], [who, 'GET', '?lastEventId=1', undefined], [who, 'Bearer secret']]

for (const [name, { path, open }] of Object.entries(browsers)) {
  t.test(name, { skip: path === undefined && !process.env.CI && `no ${name}` }, async (t) => {
    if (path === undefined) throw new Error(`There is no ${name}, and this is CI`)
    const reports = new EventEmitter()
    const seen: unknown[][] = []
    const other = await serve(t, async (app) => {
      await app.register(cors, { allowedHeaders: ['last-event-id'] })
      routes(app, [])
    }, { retry: 100 })
    const script = await scriptFrom(WINDOW)
    const worker = await scriptFrom(WORKER)
    const served = await serve(t, (app) => {
      routes(app, seen)
      app.get('/window/page.html', (_request, reply) => reply.type('text/html').send('<!doctype html><title>client</title><script type="module" src="page.js"></script>'))
      app.get('/window/page.js', (_request, reply) => reply.type('text/javascript').send(script))
      app.get('/worker/worker.js', (_request, reply) => reply.type('text/javascript').send(worker))
      app.post('/window/report', { bodyLimit: 2 ** 20 }, (request, reply) => {
        reports.emit('report', request.body)
        return reply.code(204).send()
      })
    }, { retry: 100 })

    const reported = once(reports, 'report')
    await open(t, path, `${served.base}/window/page.html?other=${encodeURIComponent(other.base)}`)
    const [results] = await reported
    t.strictSame(results.window, EXPECTED)
    t.strictSame(results.worker, EXPECTED)
    for (const who of ['window', 'worker']) t.strictSame(seen.filter(([of]) => of === who), flaky(who))
    t.strictSame(served.closed.filter(({ request }) => request.method === 'POST').map(({ reason }) => reason), ['client', 'client'])
  })
}
