// The demo as its users get it: `npm run demo`, and its page in a browser.
import { spawn, type ChildProcess } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { Validator } from '@seriousme/openapi-schema-validator'
import { EventSource } from 'eventsource'
import { chromium, type Page, type Request } from 'playwright-core'
import t from 'tap'
import { readEvents } from '../lib/testing/index.js'
import { skip as noRedis } from './helpers/redis-server.js'

const BROWSERS = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const browserPath = BROWSERS.find((path) => path !== undefined && existsSync(path))
const STREAMS = ['counter', 'machine', 'log'] as const

const TWO_OR_MORE = /^(?!1$)\d+$/

type Name = typeof STREAMS[number] | 'answer' | 'chat' | 'orders'

interface Step { count: number, order: number, item: string, state: string }

const noBrowser = browserPath === undefined && !process.env.CI && 'no chromium: set CHROMIUM_PATH to its executable'
const launched = {
  ...(browserPath === undefined ? {} : { executablePath: browserPath }),
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
}

t.test('the demo', { skip: noBrowser }, async (t) => {
  if (browserPath === undefined) throw new Error('There is no chromium, and this is CI: set CHROMIUM_PATH to its executable')

  const pictures = t.testdir()
  const temporary = mkdtempSync(join(tmpdir(), 'demo-test-')) // two runs at once would share a testdir, and each other's logs
  t.teardown(() => rmSync(temporary, { recursive: true, force: true }))
  const browser = await chromium.launch(launched)
  t.teardown(() => browser.close())
  const child = start(temporary)
  const kill = () => signalGroup(child, 'SIGKILL')
  t.teardown(kill)
  process.once('SIGALRM', kill) // what tap sends after a timeout; unhandled, it ends the process before any teardown
  const windows = await browser.newContext({ viewport: { width: 1360, height: 1000 } })
  windows.setDefaultTimeout(15_000)
  const errors: Error[] = []
  windows.on('weberror', (error) => errors.push(error.error()))
  const page = await windows.newPage()
  const requests: Request[] = []
  page.on('request', (request) => requests.push(request))
  const requestsOf = (name: Name) => requests.filter((request) => request.url().includes(`/streams/${name}`))
  const logged = () => readFileSync(join(temporary, String(logsIn(temporary)[0]), 'demo.log'), 'utf8')

  const url = await urlOf(child)
  await page.goto(url)

  await t.test('shows three streams', async (t) => {
    for (const name of STREAMS) await state(page, name, 'open')
    await text(page, 'counter', 'count', TWO_OR_MORE)
    await text(page, 'machine', 'last', TWO_OR_MORE)
    await text(page, 'log', 'entries', /INFO {2}GET \/ 200/)
    t.equal(await page.locator('[data-chart] path.line').count(), 8)
    t.match(await page.locator('[data-chart="load"] path.line-0').getAttribute('d'), /^M[\d.]+ [\d.]+L[\d.]+ [\d.]+/)
  })

  await t.test('shows an answer and stops it on the server', async (t) => {
    await page.click('[data-start]')
    await state(page, 'answer', 'open')
    await text(page, 'answer', 'running', /^1$/)
    await text(page, 'answer', 'text', /\S+ \S+ \S+/)
    await page.click('[data-stop]')
    await state(page, 'answer', 'stopped')
    await text(page, 'answer', 'note', /^The server says: answer 1 stopped after \d+ words$/)
    await text(page, 'answer', 'running', /^0$/)
    await text(page, 'answer', 'stopped', /^1$/)
    t.equal(await page.textContent('[data-finished]'), '0')
    t.match(logged(), /stream \/answers closed \(client\)/)
  })

  await t.test('resumes what is cut, exactly', async (t) => {
    const before = Object.fromEntries(await Promise.all(STREAMS.map(async (name) => [name, await lastId(page, name)])))
    // An entry of many lines is to be written while nobody reads. That is soon over, so the page itself must do it.
    await page.evaluate(`new MutationObserver((_, observer) => {
      if (document.querySelector('[data-panel="log"] .state').dataset.state !== 'reconnecting') return
      observer.disconnect()
      document.querySelector('[data-fail]').click()
    }).observe(document.querySelector('[data-panel="log"] .state'), { attributes: true })`)
    for (const name of STREAMS) await page.click(`[data-panel="${name}"] [data-cut]`)
    for (const name of STREAMS) {
      await text(page, name, 'note', /^Resumed after id \d+$/)
      await page.waitForFunction(`Number(document.querySelector('[data-panel="${name}"] [data-last]').textContent) > ${before[name]} + 1`)
    }
    await text(page, 'log', 'entries', /SyntaxError: .*\n\s+at /)

    for (const name of STREAMS) {
      const [note, ...opened] = [await page.textContent(`[data-panel="${name}"] [data-note]`), ...requestsOf(name)]
      t.equal(opened.length, 2, `${name}: one connection and one reconnection`)
      t.equal(`Resumed after id ${(await opened[1]?.allHeaders())?.['last-event-id']}`, note, `${name}: the page says what the browser sent`)
      t.equal(await page.textContent(`[data-panel="${name}"] [data-lost]`), '0', `${name}: nothing lost`)
      t.equal(await page.textContent(`[data-panel="${name}"] [data-repeated]`), '0', `${name}: nothing repeated`)
    }
    for (const name of ['counter', 'machine'] as const) {
      const ids = await shownIds(page, name)
      t.same(ids, ids.map((_, index) => Number(ids[0]) + index), `${name}: every id once, in order`)
    }
    const entries: Array<{ id: number, text: string }> = await page.evaluate(
      "Array.from(document.querySelectorAll('[data-entries] li'), (entry) => ({ id: Number(entry.dataset.id), text: entry.textContent + '\\n\\n' }))"
    )
    const shown = entries.map(({ text }) => text).join('')
    const end = entries.at(-1)?.id
    t.equal(shown, Buffer.from(logged()).subarray(0, end).subarray(-Buffer.byteLength(shown)).toString(), 'log: the page has what the file has')
  })

  await t.test('lets two windows chat', async (t) => {
    await enter(page, 'Ann')
    await say(page, 'Is anybody there?')
    const second = await windows.newPage()
    await second.goto(url)
    for (const name of STREAMS) await state(second, name, 'open') // all that it needs, beside a window that needs as much
    await enter(second, 'Ann')
    await text(second, 'chat', 'messages', /Is anybody there\?/)
    await text(second, 'chat', 'note', /^Shown from before you came: 1 message\.$/)
    for (const one of [page, second]) await here(one, ['Ann', 'Ann (2)'])

    const markup = '<img src=x onerror="throw 1"> <b>bold</b>'
    await say(second, markup)
    await text(page, 'chat', 'messages', /bold/)
    t.equal(await page.locator('[data-messages] li:last-child span').innerHTML(), markup.replaceAll('<', '&lt;').replaceAll('>', '&gt;'), 'what is said is text')
    t.same(await authors(page), ['Ann', 'Ann (2)'])

    const post = async (data: object) => (await page.request.post(new URL('/messages', url).href, { data })).status()
    t.equal(await post({ client: '0123456789abcdef', text: 'Who am I?' }), 403, 'one who is not there cannot speak')
    t.equal(await post({ client: '0123456789abcdef', text: 'a'.repeat(281) }), 400)
    t.equal(await post({ client: '0123456789abcdef', text: ' ' }), 400)
    t.equal((await page.request.get(url + '/streams/chat?client=0123456789abcdef&name=%3Cb%3E')).status(), 400, 'a name is no markup')

    // The page itself speaks while it is cut off: the second window hears it at once, and the page when it is back.
    await second.evaluate("window.gone = false; new MutationObserver(() => { window.gone ||= document.querySelector('[data-here]').children.length < 2 }).observe(document.querySelector('[data-here]'), { childList: true })")
    await page.fill('#message', 'Still there?')
    await page.evaluate(`new MutationObserver((_, observer) => {
      if (document.querySelector('[data-panel="chat"] .state').dataset.state !== 'reconnecting') return
      observer.disconnect()
      document.querySelector('[data-say] button').click()
    }).observe(document.querySelector('[data-panel="chat"] .state'), { attributes: true })`)
    await page.click('[data-panel="chat"] [data-cut]')
    await text(page, 'chat', 'note', /^Back again\. Replayed: 1 message\.$/)
    await text(second, 'chat', 'messages', /Still there\?/)
    t.equal(await second.evaluate('window.gone'), false, 'one who comes back soon was never away')

    await second.close()
    await here(page, ['Ann'])
    for (const part of ['lost', 'repeated']) t.equal(await page.textContent(`[data-panel="chat"] [data-${part}]`), '0', part)
    t.match(await page.textContent('[data-panel="chat"] [data-note]'), /^Back again/, 'without a word about itself')
  })

  await t.test('brings readers of orders back', async (t) => {
    const witness = await Witness.of(url)
    t.teardown(() => witness.leave())
    const shown = async () => Number(await page.textContent('[data-panel="orders"] [data-count]'))
    const since = async (pattern: RegExp) => {
      await text(page, 'orders', 'note', pattern)
      return pattern.exec(await page.textContent('[data-panel="orders"] [data-note]') ?? '')?.slice(1).map(Number) ?? []
    }
    const cut = async () => {
      await page.click('[data-panel="orders"] [data-cut]')
      await state(page, 'orders', 'cut')
      return await shown()
    }
    const burst = async () => {
      await Promise.all([page.waitForResponse(/burst/), page.click('[data-burst]')])
    }
    const board = async () => await page.evaluate(`({
      count: Number(document.querySelector('[data-panel="orders"] [data-count]').textContent),
      orders: Array.from(document.querySelectorAll('[data-column] li'), (card) => ({ order: Number(card.dataset.order), state: card.parentElement.dataset.column }))
        .sort((a, b) => a.order - b.order)
    })`) as { count: number, orders: object[] }
    const same = async (what: string) => {
      const { count, orders } = await board()
      await witness.reaches(count)
      t.same(orders, witness.boardAfter(count), what)
    }

    await t.test('who was cut has what was missed, once and in order', async (t) => {
      const gone = await cut()
      await witness.reaches(gone + 3)
      await page.click('[data-back]')
      const [events = 0, first, last = 0] = await since(/^Replayed: (\d+) events, (\d+) to (\d+)\.$/)
      t.equal(first, gone + 1, 'from the first that was missed')
      t.equal(events, last - gone, 'all of them')
      t.ok(events >= 3)
      const opened = requestsOf('orders').filter((request) => request.url().includes('?'))
      t.equal(opened.length, 2, 'one connection and one reconnection')
      await same('the board is as if it had never been away')
    })

    await t.test('who comes late sees the history', async (t) => {
      await burst() // so that there is more than is kept
      await page.click('[data-late]')
      await text(page, 'orders', 'late-note', /^The late joiner was shown the history: 50 events, \d+ to \d+\.$/)
      const counts: number[] = await page.evaluate("Array.from(document.querySelectorAll('[data-late-events] li'), (line) => Number(line.dataset.count))")
      t.equal(counts.length, 50)
      t.same(counts, counts.map((_, index) => Number(counts[0]) + index), 'every event once, in order')
      await same('and the first reader has the same')
    })

    await t.test('who was away for too long is told, and has the state', async (t) => {
      const gone = await cut()
      await burst()
      await page.click('[data-back]')
      const [missed, orders, count = 0] = await since(/^Reset, lost: the history does not reach back to event (\d+)\. The board was taken anew: (\d+) orders after event (\d+)\.$/)
      t.equal(missed, gone)
      t.equal(orders, 10)
      t.ok(count >= gone + 60)
      t.match((await page.locator('[data-panel="orders"] .frame').allTextContents()).join(''), /event: sse\.reset\ndata: \{"channel":"orders","reason":"lost"\}/)
      await same('the board is right')
    })

    await t.test('who stalls goes on without loss', async (t) => {
      await page.click('[data-stall]')
      const gone = await shown()
      await burst() // more than the history has
      await witness.reaches(gone + 62)
      t.equal(await shown(), gone, 'nothing is read meanwhile')
      await page.click('[data-stall]')
      const [events = 0, first, last = 0] = await since(/^Had waited: (\d+) events, (\d+) to (\d+)\.$/)
      t.equal(first, gone + 1)
      t.equal(events, last - gone)
      t.ok(events >= 62)
      await same('the board is right')
    })

    t.equal(await page.textContent('[data-panel="orders"] [data-lost]'), '0', 'nothing lost without a word')
    t.equal(await page.textContent('[data-panel="orders"] [data-repeated]'), '0', 'nothing repeated')
    const counts = (await page.locator('[data-panel="orders"] .frame').allTextContents()).flatMap((frame) => /"count":(\d+),"order"/.exec(frame)?.slice(1).map(Number) ?? [])
    t.ok(counts.length > 40)
    t.same(counts, counts.map((_, index) => Number(counts[0]) + index), 'every event once, in order')
  })

  await t.test('documents its streams, with a renderer that knows what an event is', async (t) => {
    const document = await page.request.get(new URL('/reference/openapi.json', url).href)
    const { valid, errors } = await new Validator().validate(await document.json())
    t.ok(valid, JSON.stringify(errors))

    const reference = await windows.newPage()
    const outside: string[] = []
    reference.on('request', (request) => { if (request.url().startsWith('http') && !request.url().startsWith(url)) outside.push(request.url()) })
    await reference.goto(new URL('/reference/#tag/streams/GET/streams/orders', url).href)
    await reference.click('[id$="GET/streams/orders.responses.200"]')
    const operation = reference.locator('[id$="GET/streams/orders"]').first()
    await operation.getByText('Stream item').waitFor()
    t.match(await operation.innerText(), /One of\s[^]*created\s[^]*An order in its new state\s[^]*data\s[^]*event\s[^]*id\s[^]*retry\s/)
    await operation.locator('.composition-selector').click()
    t.same(await reference.getByRole('option').allInnerTexts(), ['created', 'paid', 'shipped', 'board', 'sse.end', 'sse.error', 'sse.bye', 'sse.cursor', 'sse.reset'])
    t.same(outside, [], 'all of it is served from here')
    await reference.screenshot({ path: join(pictures, 'reference.png') })
    await reference.close()
  })

  await t.test('fits its window', async (t) => {
    for (const width of [1360, 390]) {
      await page.setViewportSize({ width, height: 900 })
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme })
        // For the eye: kept by `tap --save-fixture`.
        await page.screenshot({ path: join(pictures, `${width}-${colorScheme}.png`), fullPage: true })
      }
      t.equal(await page.evaluate('document.documentElement.scrollWidth'), width)
    }
  })

  await t.test('says goodbye and leaves nothing behind', async (t) => {
    const closed = once(child, 'close') // when all that hold its output are gone, which npm's own end would not tell
    signalGroup(child, 'SIGTERM')
    await text(page, 'counter', 'frames', /event: sse\.bye/)
    await state(page, 'counter', 'reconnecting')
    await closed
    t.same(logsIn(temporary), [])
    t.same(errors, [])
  })
})

t.test('the demo of a cluster', { skip: noRedis }, async (t) => {
  const child = start(t.testdir(), 'demo:cluster', { EVERY_MS: '5' })
  const kill = () => signalGroup(child, 'SIGKILL')
  t.teardown(kill)
  process.once('SIGALRM', kill)
  const over = once(child, 'exit')
  const url = await urlOf(child)

  await t.test('every client sees every number once, whatever becomes of the nodes', async (t) => {
    const clients = Array.from({ length: 12 }, () => {
      const seen: number[] = []
      const counts = { opened: 0, resets: 0 }
      const source = new EventSource(`${url}/ticks`)
      t.teardown(() => source.close())
      source.addEventListener('open', () => counts.opened++)
      source.addEventListener('sse.reset', () => counts.resets++)
      source.addEventListener('tick', ({ data }) => seen.push((JSON.parse(data) as { n: number }).n))
      return { seen, counts }
    })
    const lastOf = ({ seen }: { seen: number[] }) => seen.at(-1) ?? 0
    const all = async (number: number) => { while (clients.some((client) => lastOf(client) < number)) await delay(10) }
    await all(1)
    for (const what of ['restart', 'restart', 'restart', 'kill']) {
      for (const id of [1, 2, 3]) {
        t.equal((await fetch(`${url}/nodes/${id}/${what}`, { method: 'POST' })).status, 204)
        await all(Math.max(...clients.map(lastOf)) + 20)
      }
    }
    for (const { seen, counts } of clients) {
      t.strictSame(seen, seen.map((_, index) => index + (seen[0] as number)))
      t.equal(counts.resets, 0)
      t.ok(counts.opened > 1, `${counts.opened} connections`)
    }
  })

  await t.test('its page shows it', { skip: noBrowser }, async (t) => {
    const browser = await chromium.launch(launched)
    t.teardown(() => browser.close())
    const page = await browser.newPage()
    await page.goto(url)
    await page.waitForFunction("Number(document.querySelector('#seen').textContent) > 10")
    const before = await page.textContent('#node')
    t.match(before, /^node [123]$/)
    await page.click('li[data-serves] button')
    await page.waitForFunction("Number(document.querySelector('#opened').textContent) > 1")
    const seen = Number(await page.textContent('#seen'))
    await page.waitForFunction(`Number(document.querySelector('#seen').textContent) > ${seen + 10}`)
    t.equal(await page.textContent('#wrong'), '0')
    t.equal(await page.textContent('#resets'), '0')
  })

  signalGroup(child, 'SIGTERM')
  await over
})

/** Reads all orders without a break. */
class Witness {
  readonly #news = new EventEmitter()
  readonly #steps: Step[] = []
  readonly #response: IncomingMessage
  #board: { count: number, orders: Step[] } | undefined

  static async of (url: string): Promise<Witness> {
    // Not by fetch, which opens the next connection as soon as one is gone: the server waits for it when it closes.
    const [response] = await once(get(new URL('/streams/orders?client=0123456789abcdef', url), { agent: false }), 'response') as [IncomingMessage]
    const witness = new Witness(response)
    void witness.#read().catch(() => {}) // it has been told to leave
    while (witness.#board === undefined) await once(witness.#news, 'news')
    return witness
  }

  private constructor (response: IncomingMessage) {
    this.#response = response
  }

  async #read (): Promise<void> {
    for await (const { event, data } of readEvents(this.#response)) {
      if (event === 'board') this.#board = data as { count: number, orders: Step[] } // as the demo's schemas say
      else if (!event.startsWith('sse.')) this.#steps.push(data as Step)
      this.#news.emit('news')
    }
  }

  async reaches (count: number): Promise<void> {
    while ((this.#steps.at(-1)?.count ?? 0) < count) await once(this.#news, 'news')
  }

  boardAfter (count: number): object[] {
    const orders = new Map(this.#board?.orders.map(({ order, state }) => [order, state]))
    for (const step of this.#steps) if (step.count <= count) orders.set(step.order, step.state)
    return Array.from(orders, ([order, state]) => ({ order, state })).sort((a, b) => a.order - b.order).slice(-10)
  }

  leave (): void {
    this.#response.destroy()
  }
}

/** In a process group of its own, so that a signal reaches npm, its shell and the server. */
function start (temporary: string, script = 'demo', env = {}) {
  return spawn('npm', ['run', script, '--silent'], {
    detached: true,
    env: { ...process.env, NODE_OPTIONS: '', PORT: '0', TMPDIR: temporary, ...env },
    stdio: ['ignore', 'pipe', 'inherit']
  })
}

/** What it prints when it has been built and listens. */
async function urlOf ({ stdout }: ReturnType<typeof start>): Promise<string> {
  for await (const line of createInterface(stdout)) {
    const [url] = /http:\S+$/.exec(line) ?? []
    if (url !== undefined) return url
  }
  throw new Error('The demo did not start')
}

function signalGroup ({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal)
  } catch {
    // The group is gone already.
  }
}

function logsIn (directory: string): string[] {
  return readdirSync(directory).filter((name) => name.startsWith('fastify-typed-sse-demo-'))
}

async function state (page: Page, name: Name, wanted: string): Promise<void> {
  await page.waitForSelector(`[data-panel="${name}"] [data-state="${wanted}"]`)
}

async function text (page: Page, name: Name, part: string, wanted: RegExp): Promise<void> {
  await page.waitForFunction(`${wanted}.test(document.querySelector('[data-panel="${name}"] [data-${part}]').textContent)`)
}

async function enter (page: Page, name: string): Promise<void> {
  await page.fill('#name', name)
  await page.click('[data-enter]')
  await state(page, 'chat', 'open')
}

async function say (page: Page, text: string): Promise<void> {
  await page.fill('#message', text)
  await page.click('[data-say] button')
  await page.waitForFunction("document.querySelector('#message').value === ''")
}

async function here (page: Page, names: string[]): Promise<void> {
  await page.waitForFunction(`Array.from(document.querySelectorAll('[data-here] li'), (name) => name.textContent).join() === '${names.join()}'`)
}

async function authors (page: Page): Promise<string[]> {
  return await page.locator('[data-messages] b').allTextContents()
}

async function lastId (page: Page, name: Name): Promise<number> {
  return Number(await page.textContent(`[data-panel="${name}"] [data-last]`))
}

async function shownIds (page: Page, name: Name): Promise<number[]> {
  const frames = await page.locator(`[data-panel="${name}"] .frame`).allTextContents()
  return frames.flatMap((frame) => /^id: (\d+)$/m.exec(frame)?.slice(1).map(Number) ?? [])
}
