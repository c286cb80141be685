// The folders mean something: imports point one way, nothing stands apart, and each file holds one concept.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = resolve(fileURLToPath(import.meta.url), '../..')

/** What package.json exports. */
const ENTRIES = ['lib/index.ts', 'lib/client/index.ts', 'lib/json-schema/index.ts', 'lib/redis/index.ts', 'lib/testing/index.ts']

/** Lowest first. A file may import from its own layer and from those above it in this list. */
const LAYERS = [['types'], ['lib/describe', 'lib/errors'], ['lib/wire'], ['lib/options', 'lib/clock', 'lib/guard', 'lib/metrics'], ['lib/stream'], ['lib/schema'], ['lib/openapi', 'lib/channel'], ['lib/plugin', 'lib/client', 'lib/json-schema', 'lib/redis', 'lib/testing'], ['lib/index']]

const files = ['lib', 'types']
  .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file)))
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.tst.ts'))

const imports = new Map(files.map((file) => [file, importsOf(file)]))

function importsOf (file: string): { target: string, isType: boolean }[] {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(/^(?:import|export)\s(type\s)?[^']*?'(\.[^']+)'/gm)].map(([, type, path = '']) => ({
    target: relative(root, resolve(root, dirname(file), path)).replace(/\.js$/, '.ts'),
    isType: type !== undefined
  }))
}

const layerOf = (file: string) => LAYERS.findIndex((layer) => layer.some((part) => file === `${part}.ts` || file.startsWith(`${part}/`)))

t.test('each file belongs to a layer', async (t) => {
  t.ok(files.length > 20)
  t.strictSame(files.filter((file) => layerOf(file) === -1), [])
})

t.test('imports point down', async (t) => {
  for (const [file, targets] of imports) {
    for (const { target } of targets) t.ok(layerOf(target) <= layerOf(file), `${file} imports ${target}`)
  }
})

t.test('types emit no code: they are imported as types alone', async (t) => {
  for (const [file, targets] of imports) {
    if (file.startsWith('types/')) continue
    for (const { target, isType } of targets) if (target.startsWith('types/')) t.ok(isType, `${file} imports ${target}`)
  }
})

t.test('no file imports itself, by whatever way', async (t) => {
  for (const file of files) {
    const reached = new Set<string>()
    const walk = (from: string) => {
      for (const { target, isType } of imports.get(from) ?? []) {
        if (isType || reached.has(target)) continue
        reached.add(target)
        walk(target)
      }
    }
    walk(file)
    t.notOk(reached.has(file), file)
  }
})

t.test('the wire is pure: neither Fastify nor streams', async (t) => {
  for (const file of files.filter((file) => file.startsWith('lib/wire/'))) {
    t.notMatch(readFileSync(join(root, file), 'utf8'), /from '(?:fastify|node:)/, file)
  }
})

t.test('the client is for pages: it has what stands beside it, types, the parser, and names that the wire reserves', async (t) => {
  const allowed = /^lib\/client\/|^lib\/wire\/(?:reserved|parse)\.ts$/
  for (const [file, targets] of imports) {
    if (!allowed.test(file)) {
      t.strictSame(targets.filter(({ target }) => target.startsWith('lib/client/')), [], `${file} does without the client`)
      continue
    }
    t.strictSame(targets.filter(({ target, isType }) => !isType && !allowed.test(target)), [], file)
    t.notMatch(readFileSync(join(root, file), 'utf8'), /from '(?:fastify|node:|@)/, file)
  }
})

t.test('types for a page need neither Fastify nor Node.js', async (t) => {
  const reached = new Set<string>()
  const walk = (file: string) => {
    if (reached.has(file)) return
    reached.add(file)
    t.notMatch(readFileSync(join(root, file), 'utf8'), /from '(?:fastify|node:)/, file)
    for (const { target } of imports.get(file) ?? []) walk(target)
  }
  walk('lib/client/index.ts')
  t.ok(reached.has('types/event.ts'))
})

t.test('every file is reached from an entry, so that coverage counts it', async (t) => {
  const reached = new Set<string>()
  const walk = (file: string) => {
    if (reached.has(file)) return
    reached.add(file)
    for (const { target } of imports.get(file) ?? []) walk(target)
  }
  for (const entry of ENTRIES) walk(entry)
  t.strictSame(files.filter((file) => !reached.has(file)), [])
})
