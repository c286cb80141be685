// Every code block of the README is compiled as it is printed, and does what the text around it says.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { FastifyInstance } from 'fastify'
import { EventSource } from 'eventsource'
import t, { type Test } from 'tap'
import { RawSocket } from './helpers/raw-socket.js'

const root = resolve(fileURLToPath(import.meta.url), '../..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')

interface Block {
  title: string
  language: string
  code: string
}

/** Each block with the heading that it stands under, and a number where one heading has several. */
function blocksOf (markdown: string): Block[] {
  const blocks: Block[] = []
  let heading = ''
  const counts = new Map<string, number>()
  for (const [, title, language, code] of markdown.matchAll(/^#+ (.*)$|^```(\w+)\n([\s\S]*?)^```$/gm)) {
    if (title !== undefined) heading = title
    else {
      const key = `${heading} (${language})`
      const count = (counts.get(key) ?? 0) + 1
      counts.set(key, count)
      blocks.push({ title: `${key} ${count}`, language: language as string, code: code as string })
    }
  }
  return blocks
}

const blocks = blocksOf(readme)
const find = (title: string): Block => {
  const block = blocks.find((block) => block.title === title)
  assert(block, `the README has no block "${title}"; it has ${blocks.map(({ title }) => `"${title}"`).join(', ')}`)
  return block
}

const asEventSource = { accept: 'text/event-stream' }
const untilEnd = async (app: FastifyInstance, url: string, headers: Record<string, string> = asEventSource) =>
  (await app.inject({ url, headers })).body.replace(/^retry: \d+\n/, '')
const END = 'event: sse.end\ndata: {}\nid: ~end\n\n'

interface Exercise {
  /** What the block takes for granted, beside `app`, `Type`, `assert`, `EventsOf` and `ContextOf`. */
  given?: string
  /** What it does. */
  holds (app: FastifyInstance, t: Test, exported: Record<string, unknown>): Promise<void>
}

const snippets: Record<string, Exercise> = {
  'Typed events (ts) 1': {
    async holds (app, t) {
      const { statusCode, json } = await app.inject('/job')
      t.equal(statusCode, 200)
      t.throws(json, 'it is a stream, which the lines that do not compile end')
      t.equal(await untilEnd(app, '/job'), 'event: progress\ndata: {"done":1,"total":2}\n\nevent: result\ndata: {"url":"https://example.com/"}\n\nevent: sse.error\ndata: {"message":"The stream failed"}\n\n')
    }
  },
  'Typed events (ts) 2': {
    async holds (app, t) {
      t.equal(await untilEnd(app, '/count'), `event: tick\ndata: {"n":1}\n\nevent: tick\ndata: {"n":2}\n\nevent: tick\ndata: {"n":3}\n\n${END}`)
    }
  },
  'Resuming (ts) 1': {
    given: `
      const Order = Type.Object({ number: Type.String() })
      const orders = {
        async * since (id: string | undefined, _signal: AbortSignal) {
          for (const number of ['1', '2', '3']) if (id === undefined || number > id) yield { number }
        }
      }`,
    async holds (app, t) {
      t.equal(await untilEnd(app, '/orders', { ...asEventSource, 'last-event-id': '2' }), `event: order\ndata: {"number":"3"}\nid: 3\n\n${END}`)
    }
  },
  'Errors (ts) 1': {
    given: `
      const Row = Type.Array(Type.Integer())
      const reports = {
        async find (params: unknown) {
          return (params as { id: string }).id === '7' ? { async * rows () { yield [1, 2] } } : undefined
        }
      }`,
    async holds (app, t) {
      t.equal(await untilEnd(app, '/report/7'), `event: row\ndata: [1,2]\n\n${END}`)
      const missing = await app.inject('/report/8')
      t.equal(missing.statusCode, 404)
      t.equal(missing.json().message, 'No such report')
    }
  },
  'Ending (ts) 1': {
    given: `
      const Progress = Type.Object({ done: Type.Integer(), total: Type.Integer() })
      async function * importFile (_options: { signal: AbortSignal }) { yield [1, 1] as const }`,
    async holds (app, t) {
      t.equal(await untilEnd(app, '/import'), `event: progress\ndata: {"done":1,"total":1}\n\n${END}`)
      t.equal((await app.inject({ url: '/import', headers: { ...asEventSource, 'last-event-id': '~end' } })).statusCode, 204)
      t.equal(await untilEnd(app, '/import', {}), 'event: progress\ndata: {"done":1,"total":1}\n\n')
    }
  },
  'Ending (ts) 2': {
    given: `
      const Prompt = Type.Object({ prompt: Type.String() })
      const model = { async * complete (_body: unknown, _options: { signal: AbortSignal }) { yield * ['Hel', 'lo'] } }`,
    async holds (app, t) {
      const { body } = await app.inject({ method: 'POST', url: '/chat', payload: { prompt: 'hi' } })
      t.equal(body, 'data: {"delta":"Hel"}\n\ndata: {"delta":"lo"}\n\ndata: [DONE]\n\n')
    }
  },
  'Cancellation (ts) 1': {
    given: `
      import http from 'node:http'
      import type { AddressInfo } from 'node:net'
      const server = http.createServer((_request, response) => { response.write('a\\nb\\n') }).listen(0)
      app.addHook('onClose', async () => { server.closeAllConnections(); server.close() })
      const upstream = \`http://127.0.0.1:\${(server.address() as AddressInfo).port}\`
      export const log: string[] = []
      async function * lines (body: AsyncIterable<Uint8Array> | null) {
        for await (const chunk of body ?? []) yield * Buffer.from(chunk).toString().trimEnd().split('\\n')
      }`,
    async holds (app, t, { log }) {
      const base = await app.listen({ port: 0, host: '127.0.0.1' })
      const client = await RawSocket.request(base, '/mirror')
      await client.until('data: a\n\ndata: b\n\n')
      client.leave()
      while (app.sse.stats().open > 0) await delay(1)
      while ((log as string[]).length === 0) await delay(1)
      t.strictSame(log, ['stopped'])
    }
  },
  'Testing your streams (ts) 1': {
    async holds (_app, t) { t.pass('its own assertions have held') }
  }
}

const ts = createRequire(import.meta.url)('typescript') as typeof import('typescript')
const folder = join(root, '.tap', `readme-${process.pid}`)

/** A block as a program: what it takes for granted, then its own lines, unchanged. */
function program ({ given = '' }: Exercise, { code }: Block): string {
  const imports = given.match(/^\s*import .*$/gm) ?? []
  return [
    "import assert from 'node:assert/strict'",
    "import { Type } from '@sinclair/typebox'",
    "import Fastify from 'fastify'",
    "import sse, { type ContextOf, type EventsOf } from 'fastify-typed-sse'",
    ...imports,
    'export const app = Fastify()',
    'await app.register(sse)',
    given.replace(/^\s*import .*$/gm, ''),
    code,
    'void assert; void (0 as unknown as EventsOf<{}> | ContextOf<{}>); void Type'
  ].join('\n')
}

t.before(() => mkdirSync(folder, { recursive: true }))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

t.test('no block goes untested', async (t) => {
  const elsewhere = ['fastify-typed-sse (sh) 1', 'fastify-typed-sse (js) 1', 'fastify-typed-sse (js) 2', 'fastify-typed-sse (sh) 2', 'fastify-typed-sse (sh) 3', 'Proxies, HTTP/2, compression (sh) 1']
  t.strictSame(blocks.map(({ title }) => title).sort(), [...elsewhere, ...Object.keys(snippets)].sort())
})

t.test('the first server and its browser lines run as printed', async (t) => {
  const server = find('fastify-typed-sse (js) 1').code
  t.ok(server.includes('listen({ port: 3000 })'))
  t.ok(server.trimEnd().split('\n').slice(5).length <= 12, 'twelve lines after the imports')
  const file = join(folder, 'server.mts')
  writeFileSync(file, `${server.replace("from 'fastify-typed-sse'", `from '${pathToFileURL(join(root, 'lib/index.js'))}'`).replace('port: 3000', 'port: 0')}\nexport { app }\n`)
  const { app } = await import(pathToFileURL(file).href) as { app: FastifyInstance }
  t.teardown(() => app.close())
  const { port } = app.server.address() as { port: number }

  const logged: unknown[][] = []
  const sources: EventSource[] = []
  class Browser extends EventSource {
    constructor (path: string) {
      super(`http://127.0.0.1:${port}${path}`)
      sources.push(this)
    }
  }
  // eslint-disable-next-line no-new-func -- these are the README's own lines
  new Function('EventSource', 'console', find('fastify-typed-sse (js) 2').code)(Browser, { log: (...args: unknown[]) => { logged.push(args) } })
  while (logged.length < 2) await delay(5)
  for (const source of sources) source.close()
  t.strictSame(logged.slice(0, 2), [[1, '1'], [2, '2']])
})

t.test('every snippet compiles as printed', async (t) => {
  const files = Object.entries(snippets).map(([title, exercise], index) => {
    const file = join(folder, `snippet-${index}.mts`)
    writeFileSync(file, program(exercise, find(title)))
    return file
  })
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root)
  // Names that a snippet declares for the text's sake are not used by it.
  const compiler = ts.createProgram(files, { ...options, noUnusedLocals: false, noUnusedParameters: false, paths: { 'fastify-typed-sse': [join(root, 'lib/index.ts')] } })
  const complaints = ts.getPreEmitDiagnostics(compiler).map((diagnostic) => `${diagnostic.file?.fileName.split('/').at(-1)}: ${ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n')}`)
  t.strictSame(complaints, [])
})

for (const [index, [title, exercise]] of Object.entries(snippets).entries()) {
  t.test(`${title} does what it says`, async (t) => {
    const file = join(folder, `run-${index}.mts`)
    writeFileSync(file, program(exercise, find(title)).replace("from 'fastify-typed-sse'", `from '${pathToFileURL(join(root, 'lib/index.js'))}'`).replace('import assert', '// @ts-nocheck\nimport assert'))
    const { app, ...exported } = await import(pathToFileURL(file).href) as { app: FastifyInstance }
    t.teardown(() => app.close())
    await exercise.holds(app, t, exported)
  })
}

t.test('the tables name what there is', async (t) => {
  const { DEFAULTS } = await import('../lib/options.js')
  const errors = await import('../lib/errors.js')
  const section = (heading: string) => readme.slice(readme.indexOf(`\n## ${heading}\n`)).split('\n## ')[1] as string
  const options = [...section('Options').matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name)
  t.strictSame(options.sort(), [...Object.keys(DEFAULTS), 'metrics'].sort())
  const codes = [...section('Error codes').matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name)
  t.strictSame(codes.sort(), Object.keys(errors).sort())
  const cures = readFileSync(join(root, 'docs/errors.md'), 'utf8')
  for (const code of Object.keys(errors)) t.match(cures, new RegExp(`^### .*\\b${code}\\b`, 'm'))
})
