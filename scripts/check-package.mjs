// Checks the package as users get it: packs it, installs the tarball outside the repository, type-checks a consumer
// under several compilers and settings, and runs it. `dist` must be up to date.
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
const bin = (name) => join(root, 'node_modules/.bin', name)
const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
const dev = manifest.devDependencies
/** The oldest versions that package.json allows. */
const floorOf = (name) => manifest.peerDependencies[name].match(/\d+\.\d+\.\d+/)[0]
const FLOOR = { fastify: floorOf('fastify'), ioredis: floorOf('ioredis') }

const results = { pass: 0, fail: 0 }

async function run (command, args, cwd) {
  try {
    return (await promisify(execFile)(command, args, { cwd, maxBuffer: 2 ** 26 })).stdout
  } catch (error) {
    throw new Error(`${error.message}\n${error.stdout ?? ''}`, { cause: error })
  }
}

async function check (name, what) {
  const start = Date.now()
  try {
    const result = await what()
    results.pass++
    console.log(`ok - ${name} (${Date.now() - start} ms)`)
    return result
  } catch (error) {
    results.fail++
    console.log(`not ok - ${name}\n${error.message.trimEnd().replaceAll(/^/gm, '    ')}`)
  }
}

async function checkAll (checks) {
  const queue = Object.entries(checks)
  await Promise.all(Array.from({ length: availableParallelism() }, async () => {
    for (let next; (next = queue.shift()) !== undefined;) await check(...next)
  }))
}

const STREAM = String.raw`:\nevent: tick\ndata: {"n":1}\nid: 1\n\nevent: tick\ndata: {"n":2}\n\nevent: sse.end\ndata: {}\nid: ~end\n\n`

const consumer = (imported, plugin) => `
import assert from 'node:assert/strict'
import { Type } from '@sinclair/typebox'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { fastify } from 'fastify'
${imported}
import type { EventsOf, Position, SseStats } from 'fastify-typed-sse'

const schema = { sse: { tick: Type.Object({ n: Type.Integer() }) } }

async function * ticks (): AsyncGenerator<EventsOf<typeof schema.sse>> {
  yield { event: 'tick', data: { n: 1 }, id: 1 }
  yield { event: 'tick', data: { n: 2 } }
}

async function main (): Promise<void> {
  const app = fastify().withTypeProvider<TypeBoxTypeProvider>()
  await app.register(${plugin}, { retry: false })
  app.get('/ticks', { schema, config: { sse: { heartbeat: false } } }, (request, reply) => reply.sse(ticks))
  app.get('/built', { schema }, (request, reply) => reply.sse(async function * ({ events, signal }) {
    if (!signal.aborted) yield events.tick({ n: 1 }, { id: '1' })
    yield { event: 'tick', data: { n: 2 } }
  }))

  // Types only: these routes are never asked.
  app.get('/wrong', { schema }, (request, reply) => reply.sse(function * ({ events }) {
    // @ts-expect-error
    yield events.tick({ n: '1' })
    // @ts-expect-error
    yield events.tick({ n: 1, m: 1 })
    // @ts-expect-error
    yield events.tock({ n: 1 })
  }))
  // @ts-expect-error
  app.get('/name', { schema }, (request, reply) => reply.sse(function * () { yield { event: 'tock', data: { n: 1 } } }))
  // @ts-expect-error
  app.get('/data', { schema }, (request, reply) => reply.sse(function * () { yield { event: 'tick', data: { n: '1' } } }))
  // @ts-expect-error
  app.get('/option', { schema }, (request, reply) => reply.sse(ticks, { hartbeat: 1 }))

  const rooms = app.sse.channel('ticks/:room', { events: schema.sse, snapshot: async function * ({ events }) { yield events.tick({ n: 0 }) } })
  app.get('/channel', { schema }, (request, reply) => reply.sse(rooms.at({ room: 1 }).subscribe({ from: 'oldest' })))
  const position: Position = await rooms.at({ room: 1 }).publish('tick', { n: 1 })
  // @ts-expect-error
  const wrongly = () => rooms.at({ room: 1 }).publish('tick', { n: '1' })
  // @ts-expect-error
  const nowhere = () => rooms.at({})
  assert.match(position, /^[\\w-]{8}\\.\\d+-\\d+$/)

  for (const url of ['/ticks', '/built']) {
    const response = await app.inject({ url, headers: { accept: 'text/event-stream' } })
    assert.equal(response.statusCode, 200)
    assert.equal(response.headers['content-type'], 'text/event-stream; charset=utf-8')
    assert.equal(response.body, '${STREAM}')
  }
  const stats: SseStats = app.sse.stats()
  assert.equal(stats.closed.complete, 2)
  await app.close()
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
`

const contract = `
import type { Cluster, Redis } from 'ioredis'
import { memoryBroker, type Broker } from 'fastify-typed-sse'
import { redisBroker } from 'fastify-typed-sse/redis'
import { brokerContract } from 'fastify-typed-sse/testing'

const runs: Array<() => Promise<void>> = []
brokerContract({ test: (name, run) => runs.push(run), create: () => memoryBroker() })

// Types only: there is no Redis.
export const brokers = (redis: Redis, cluster: Cluster): Broker[] => [redisBroker({ client: redis, namespace: 'a' }), redisBroker({ client: cluster })]
// @ts-expect-error
export const none = () => redisBroker({ client: 'redis://localhost' })

void (async () => { for (const run of runs) await run() })().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
`

const testing = `
import assert from 'node:assert/strict'
import { Type } from '@sinclair/typebox'
import { fastify } from 'fastify'
import * as plugin from 'fastify-typed-sse'
import { collect, readEvents } from 'fastify-typed-sse/testing'

const tick = { tick: Type.Object({ n: Type.Integer() }) }

async function main (): Promise<void> {
  const app = fastify()
  await app.register(plugin.default)
  app.get('/ticks', { schema: { sse: tick } }, (request, reply) => reply.sse([{ event: 'tick', data: { n: 1 } }, { event: 'tick', data: { n: 2 } }]))
  const events = await collect(app, '/ticks', { events: tick, until: 2, on: { tick: ({ data }) => data.n.toFixed() } })
  assert.deepEqual(events, [{ event: 'tick', data: { n: 1 } }, { event: 'tick', data: { n: 2 } }])
  for await (const event of readEvents(await app.inject('/ticks'), { events: tick })) {
    const n: number = event.event === 'tick' ? event.data.n : 0
    assert.ok(n > 0)
    // @ts-expect-error
    void (event.event === 'tock')
  }
  // @ts-expect-error
  const wrongly = () => collect(app, '/ticks', { events: tick, until: 'tock' })
  assert.deepEqual(plugin.documentStreams({ hideUntagged: true }).hideUntagged, true)
  await app.close()
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
`

/** Schemas of other libraries: types of what goes in, and what is refused. */
const libraries = `
import assert from 'node:assert/strict'
import { fastify } from 'fastify'
import * as plugin from 'fastify-typed-sse'
import { jsonSchema } from 'fastify-typed-sse/json-schema'
import { z } from 'zod'

const sse = { tock: z.object({ n: z.int() }), tack: jsonSchema<{ n: number }>({ type: 'object', properties: { n: { type: 'integer' } } }) }

async function main (): Promise<void> {
  const app = fastify()
  await app.register(plugin.default, { retry: false })
  app.get('/', { schema: { sse } }, async (request, reply) => reply.sse([{ event: 'tock', data: { n: 1 } }, { event: 'tack', data: { n: 2 } }]))
  // @ts-expect-error
  app.get('/tock', { schema: { sse } }, async (request, reply) => reply.sse([{ event: 'tock', data: { n: 'x' } }]))
  // @ts-expect-error
  app.get('/tack', { schema: { sse } }, async (request, reply) => reply.sse([{ event: 'tack', data: { n: 'x' } }]))
  assert.equal((await app.inject('/')).body, ':\\nevent: tock\\ndata: {"n":1}\\n\\nevent: tack\\ndata: {"n":2}\\n\\n')
  for (const path of ['/tock', '/tack']) assert.match((await app.inject(path)).body, /SSE_ERR_INVALID_DATA/)
  await app.close()
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
`

/** Under Node.js; its types are what a page has, too. */
const client = `
import assert from 'node:assert/strict'
import { Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { fastify } from 'fastify'
import plugin from 'fastify-typed-sse'
import { SseClientError, stream, subscribe, type EventsOf, type ReceivedEvent } from 'fastify-typed-sse/client'

const route = { schema: { sse: { tick: Type.Object({ n: Type.Integer() }) } } }
type Tick = ReceivedEvent<'tick', { n: number }>

async function main (): Promise<void> {
  const app = fastify()
  // As a module of CommonJS has it, or as any other.
  await app.register('default' in plugin ? plugin.default as never : plugin)
  app.get('/ticks', route, (request, reply) => reply.sse(function * ({ events }) { yield events.tick({ n: 1 }, { id: '1' }) }))
  const url = await app.listen({ port: 0 }) + '/ticks'
  const seen: Tick[] = []
  for await (const event of stream<EventsOf<typeof route>>(url)) seen.push(event)
  for await (const event of stream(url, { events: route.schema.sse, check: Value.Check })) seen.push(event)
  assert.deepEqual(seen, [1, 2].map(() => ({ event: 'tick', data: { n: 1 }, id: '1' })))
  await assert.rejects(stream(url + '/nowhere').next(), (error) => error instanceof SseClientError && error.status === 404)

  const wrong = () => [
    // @ts-expect-error
    subscribe<EventsOf<typeof route>>(url, { on: { tock () {} } }),
    // @ts-expect-error
    subscribe<EventsOf<typeof route>>(url, { on: { tick ({ m }) { console.log(m) } } }),
    // @ts-expect-error
    stream(url, { events: route.schema.sse })
  ]
  assert.equal(typeof wrong, 'function')
  await app.close()
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
`

/** For a browser: no types of Node.js or Fastify are there. */
const page = `
import { Type } from '@sinclair/typebox'
import { stream, subscribe, type EventsOf } from 'fastify-typed-sse/client'

const schemas = { tick: Type.Object({ n: Type.Integer() }) }
const ticks = subscribe<EventsOf<typeof schemas>>(new EventSource('/ticks'), {
  on: { tick: ({ n }, { id }) => { document.title = n.toFixed() + id } },
  onState: (state, error) => { document.body.className = error?.code ?? state }
})
addEventListener('pagehide', () => ticks.close())
const leaving = new AbortController()
for await (const { data } of stream<EventsOf<typeof schemas>>('/ticks', { method: 'POST', body: new FormData(), signal: leaving.signal, credentials: 'include', priority: 'low' })) {
  document.title = data.n.toFixed()
  // @ts-expect-error
  document.title = data.n
}
`

const plain = (plugin) => `
const assert = require('node:assert/strict')
const { Type } = require('@sinclair/typebox')
const app = require('fastify')()
const main = async () => {
  await app.register(${plugin}, { retry: false })
  app.get('/', { schema: { sse: { tick: Type.Object({ n: Type.Integer() }) } } }, (request, reply) => reply.sse([{ event: 'tick', data: { n: 1 }, id: 1 }, { event: 'tick', data: { n: 2 } }]))
  const { body } = await app.inject({ url: '/', headers: { accept: 'text/event-stream' } })
  assert.equal(body, '${STREAM}')
  assert.equal(new (require('fastify-typed-sse').SSE_ERR_INVALID_DATA)('x').code, 'SSE_ERR_INVALID_DATA')
  assert.equal(typeof require('fastify-typed-sse/testing').brokerContract, 'function')
  assert.equal(typeof require('fastify-typed-sse/redis').redisBroker, 'function')
  assert.equal(typeof require('fastify-typed-sse/client').stream, 'function')
  assert.equal(typeof require('fastify-typed-sse/json-schema').jsonSchema, 'function')
}
main().catch((error) => { console.error(error); process.exitCode = 1 })
`

const tsconfig = (options, include = ['*.ts']) => JSON.stringify({
  compilerOptions: { target: 'es2022', lib: ['es2023'], types: ['node'], strict: true, skipLibCheck: false, outDir: 'out', rootDir: '.', ...options },
  include
})

const strictest = { exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true }

/** One folder with everything installed; below it a package of each kind, which finds it there. */
async function install (folder, tarball, { fastify, ioredis }, compilers) {
  const write = async (path, text) => {
    await mkdir(join(folder, path, '..'), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  await write('package.json', JSON.stringify({
    private: true,
    dependencies: {
      'fastify-typed-sse': `file:${tarball}`,
      '@fastify/type-provider-typebox': '5.2.0',
      '@sinclair/typebox': manifest.dependencies['@sinclair/typebox'],
      '@types/node': dev['@types/node'],
      fastify,
      ioredis,
      zod: dev.zod,
      ...compilers
    }
  }))
  const defaultImport = consumer("import sse from 'fastify-typed-sse'", 'sse')
  await write('esm/package.json', '{ "type": "module" }')
  await write('esm/default.ts', defaultImport)
  await write('esm/contract.ts', contract)
  await write('esm/client.ts', client)
  await write('esm/libraries.ts', libraries)
  await write('esm/testing.ts', testing)
  await write('esm/nodenext.json', tsconfig({ module: 'nodenext', ...strictest, verbatimModuleSyntax: true }))
  await write('esm/bundler.json', tsconfig({ module: 'esnext', moduleResolution: 'bundler' }))
  await write('cjs/package.json', '{ "type": "commonjs" }')
  await write('cjs/default.ts', defaultImport)
  await write('cjs/client.ts', client)
  await write('cjs/libraries.ts', libraries)
  await write('cjs/testing.ts', testing)
  await write('cjs/require.ts', consumer("import sse = require('fastify-typed-sse')", 'sse.default'))
  await write('cjs/node16.json', tsconfig({ module: 'node16', ...strictest }))
  await write('cjs/nodenext.json', tsconfig({ module: 'nodenext', ...strictest }))
  await write('cjs/commonjs.json', tsconfig({ module: 'commonjs', moduleResolution: 'node10', esModuleInterop: true, outDir: 'out10' }, ['default.ts', 'require.ts'])) // it knows no subpaths
  await write('cjs/bundler.json', tsconfig({ module: 'commonjs', moduleResolution: 'bundler' }))
  await write('page/package.json', '{ "type": "module" }')
  await write('page/page.ts', page)
  await write('page/bundler.json', tsconfig({ module: 'esnext', moduleResolution: 'bundler', lib: ['es2022', 'dom', 'dom.iterable', 'dom.asynciterable'], types: [], ...strictest, noEmit: true }))
  await write('cjs/module.cjs', plain("require('fastify-typed-sse')"))
  await write('cjs/member.cjs', plain("require('fastify-typed-sse').default"))
  await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--no-package-lock', '--ignore-scripts'], folder)
}

function checkContents (files) {
  const odd = files.map(({ path }) => path).filter((path) => !/^(?:dist|docs|lib|types)\/|^(?:package\.json|README\.md|LICENSE)$/.test(path) || path.includes('.tst.'))
  if (odd.length > 0) throw new Error(`Not for users: ${odd.join(', ')}`)
}

const temporary = await mkdtemp(join(tmpdir(), 'check-package-'))
try {
  const packed = await check('npm pack', async () => JSON.parse(await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', temporary], root))[0])
  if (packed !== undefined) {
    const tarball = join(temporary, packed.filename)
    const latest = join(temporary, 'latest')
    const floor = join(temporary, 'floor')
    await checkAll({
      'the tarball holds what users need': async () => checkContents(packed.files),
      publint: () => run(bin('publint'), [tarball, '--strict'], root),
      attw: () => run(bin('attw'), [tarball, '--profile', 'node16', '--no-emoji'], root),
      [`install with fastify ${dev.fastify}`]: () => install(latest, tarball, dev, { typescript: dev.typescript, typescript7: 'npm:typescript@7' }),
      [`install with fastify ${FLOOR.fastify}`]: () => install(floor, tarball, FLOOR, { typescript: dev.typescript })
    })

    const tsc = (folder, compiler, ...args) => run(process.execPath, [join(folder, 'node_modules', compiler, 'bin/tsc'), ...args], folder)
    const node = (folder, ...files) => async () => { for (const file of files) await run(process.execPath, [file], folder) }
    await checkAll({
      'types: TypeScript 5.9, ESM, nodenext': () => tsc(latest, 'typescript', '-p', 'esm/nodenext.json'),
      'types: TypeScript 5.9, CommonJS, node16': () => tsc(latest, 'typescript', '-p', 'cjs/node16.json'),
      'types: TypeScript 5.9, CommonJS, node10': () => tsc(latest, 'typescript', '-p', 'cjs/commonjs.json'),
      'types: TypeScript 5.9, ESM, bundler': () => tsc(latest, 'typescript', '-p', 'esm/bundler.json', '--noEmit'),
      'types: TypeScript 5.9, a page': () => tsc(latest, 'typescript', '-p', 'page/bundler.json'),
      'types: TypeScript 7, a page': () => tsc(latest, 'typescript7', '-p', 'page/bundler.json'),
      'types: TypeScript 7, ESM, nodenext': () => tsc(latest, 'typescript7', '-p', 'esm/nodenext.json', '--noEmit'),
      'types: TypeScript 7, CommonJS, nodenext': () => tsc(latest, 'typescript7', '-p', 'cjs/nodenext.json', '--noEmit'),
      'types: TypeScript 7, CommonJS, bundler': () => tsc(latest, 'typescript7', '-p', 'cjs/bundler.json', '--noEmit'),
      [`types: fastify ${FLOOR.fastify}, TypeScript 5.9, ESM, nodenext`]: () => tsc(floor, 'typescript', '-p', 'esm/nodenext.json')
    })
    await checkAll({
      'run: ESM': node(latest, 'esm/out/default.js', 'esm/out/contract.js', 'esm/out/client.js', 'esm/out/libraries.js', 'esm/out/testing.js'),
      'run: CommonJS, default import under node16 and node10': node(latest, 'cjs/out/default.js', 'cjs/out/client.js', 'cjs/out/libraries.js', 'cjs/out/testing.js', 'cjs/out10/default.js'),
      'run: CommonJS, import sse = require()': node(latest, 'cjs/out/require.js'),
      'run: CommonJS, plain require()': node(latest, 'cjs/module.cjs'),
      'run: CommonJS, plain require().default': node(latest, 'cjs/member.cjs'),
      [`run: fastify ${FLOOR.fastify}, ESM`]: node(floor, 'esm/out/default.js', 'esm/out/testing.js')
    })
  }
} finally {
  await rm(temporary, { recursive: true, force: true })
}
console.log(`# { total: ${results.pass + results.fail}, pass: ${results.pass}, fail: ${results.fail} }`)
process.exitCode = results.fail === 0 ? 0 : 1
