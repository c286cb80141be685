// The demo as its users get it: `npm run demo`, and its page in a browser.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { chromium, type Page, type Request } from 'playwright-core'
import t from 'tap'

const BROWSERS = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const browserPath = BROWSERS.find((path) => path !== undefined && existsSync(path))
const STREAMS = ['counter', 'machine', 'log'] as const

const TWO_OR_MORE = /^(?!1$)\d+$/

type Name = typeof STREAMS[number] | 'answer'

t.test('the demo', { skip: browserPath === undefined && !process.env.CI && 'no chromium: set CHROMIUM_PATH to its executable' }, async (t) => {
  if (browserPath === undefined) throw new Error('There is no chromium, and this is CI: set CHROMIUM_PATH to its executable')

  const pictures = t.testdir()
  const temporary = mkdtempSync(join(tmpdir(), 'demo-test-')) // two runs at once would share a testdir, and each other's logs
  t.teardown(() => rmSync(temporary, { recursive: true, force: true }))
  const browser = await chromium.launch({
    executablePath: browserPath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
  })
  t.teardown(() => browser.close())
  const child = start(temporary)
  const kill = () => signalGroup(child, 'SIGKILL')
  t.teardown(kill)
  process.once('SIGALRM', kill) // what tap sends after a timeout; unhandled, it ends the process before any teardown
  const page = await browser.newPage({ viewport: { width: 1360, height: 1000 } })
  page.setDefaultTimeout(15_000)
  const errors: Error[] = []
  page.on('pageerror', (error) => errors.push(error))
  const requests: Request[] = []
  page.on('request', (request) => requests.push(request))
  const requestsOf = (name: Name) => requests.filter((request) => request.url().includes(`/streams/${name}`))
  const logged = () => readFileSync(join(temporary, String(logsIn(temporary)[0]), 'demo.log'), 'utf8')

  await page.goto(await urlOf(child))

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

/** In a process group of its own, so that a signal reaches npm, its shell and the server. */
function start (temporary: string) {
  return spawn('npm', ['run', 'demo', '--silent'], {
    detached: true,
    env: { ...process.env, NODE_OPTIONS: '', PORT: '0', TMPDIR: temporary },
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

async function lastId (page: Page, name: Name): Promise<number> {
  return Number(await page.textContent(`[data-panel="${name}"] [data-last]`))
}

async function shownIds (page: Page, name: Name): Promise<number[]> {
  const frames = await page.locator(`[data-panel="${name}"] .frame`).allTextContents()
  return frames.flatMap((frame) => /^id: (\d+)$/m.exec(frame)?.slice(1).map(Number) ?? [])
}
