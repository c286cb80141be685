// docs/migrating.md: what clients of a server receive before and after is the same.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { readEvents } from '../lib/testing/index.js'

const root = resolve(fileURLToPath(import.meta.url), '../..')
const folder = join(root, '.tap', `migrating-${process.pid}`)
const markdown = readFileSync(join(root, 'docs/migrating.md'), 'utf8')
const ts = createRequire(import.meta.url)('typescript') as typeof import('typescript')

interface Pair { title: string, before: string, after: string }

const pairs = markdown.split(/^## /m).slice(1).flatMap((section) => {
  const [from = ''] = section.split('\n')
  return section.split(/^### /m).slice(1).map((part): Pair => {
    const [title = ''] = part.split('\n')
    const [before, after, ...more] = [...part.matchAll(/^```\w+\n([\s\S]*?)^```$/gm)].map(([, code]) => code as string)
    if (before === undefined || after === undefined || more.length > 0) throw new Error(`${from}, ${title}: expected two blocks`)
    return { title: `${from}: ${title}`, before, after }
  })
})

interface Program {
  app: FastifyInstance
  publish?: (title: string) => unknown
}

t.before(() => mkdirSync(folder, { recursive: true }))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

const whole = (code: string) => `import Fastify from 'fastify'\nexport const app = Fastify()\n${code}${code.includes('const publish') ? 'export { publish }\n' : ''}`

let count = 0

async function run (code: string): Promise<Program & { base: string }> {
  const file = join(folder, `program-${++count}.mts`)
  writeFileSync(file, `// @ts-nocheck\n${whole(code).replace("from 'fastify-typed-sse'", `from '${pathToFileURL(join(root, 'lib/index.js'))}'`)}`)
  const program = await import(pathToFileURL(file).href) as Program
  const base = await program.app.listen({ port: 0, host: '127.0.0.1' })
  return { ...program, base }
}

/** The events that a client gets, without those of the plugin; where there is something to publish, it is published while the client is there. */
async function eventsOf (t: Test, { app, publish, base }: Awaited<ReturnType<typeof run>>, headers: Record<string, string> = {}): Promise<unknown[]> {
  const leaving = new AbortController()
  const response = await fetch(`${base}/${publish === undefined ? 'job' : 'news'}`, { headers: { accept: 'text/event-stream', ...headers }, signal: leaving.signal })
  t.equal(response.headers.get('content-type')?.split(';')[0], 'text/event-stream')
  const seen: unknown[] = []
  try {
    for await (const { event, data, id } of readEvents(response)) {
      if (event.startsWith('sse.')) continue
      seen.push(publish === undefined ? { event, data, id } : { event, data }) // a channel's ids are its own
      if (publish !== undefined && seen.length === 1) await publish('One')
      if (publish !== undefined && seen.length === 2) break
    }
  } finally {
    leaving.abort()
    app.server.closeAllConnections()
    await app.close()
  }
  return seen
}

const progress = (percent: number) => ({ event: 'progress', data: { percent }, id: String(percent) })
const item = (title: string) => ({ event: 'item', data: { title } })

t.test('there are pairs', async (t) => t.equal(pairs.length, 6))

for (const { title, before, after } of pairs) {
  t.test(title, async (t) => {
    const expected = before.includes('const publish') ? [item('Welcome'), item('One')] : [progress(0), progress(50), progress(100)]
    t.strictSame(await eventsOf(t, await run(before)), expected, 'before')
    t.strictSame(await eventsOf(t, await run(after)), expected, 'after')
    if (!title.includes('resumes')) return
    for (const code of [before, after]) t.strictSame(await eventsOf(t, await run(code), { 'last-event-id': '50' }), [progress(50), progress(100)])
  })
}

t.test('what comes after compiles as printed', async (t) => {
  const files = pairs.map(({ after }, index) => {
    const file = join(folder, `after-${index}.mts`)
    writeFileSync(file, whole(after))
    return file
  })
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root)
  const program = ts.createProgram(files, { ...options, noUnusedParameters: false, paths: { 'fastify-typed-sse': [join(root, 'lib/index.ts')] } })
  t.strictSame(ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => `${file?.fileName.split('/').at(-1)}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`), [])
})

t.test('options that the tables name are there', async (t) => {
  const { DEFAULTS } = await import('../lib/options.js')
  const here = [...markdown.matchAll(/^\| .* \| (.*) \|$/gm)].map(([, cell]) => cell as string).join('\n')
  for (const option of ['retry', 'heartbeat', 'onClose', 'end']) {
    t.ok(option in DEFAULTS, option)
    t.ok(here.includes(option) || markdown.includes(`\`${option}: false\``), option)
  }
})
