// Options are checked where they are given: a bad one stops the start, by a message that names it.
import Fastify from 'fastify'
import t from 'tap'
import { DEFAULTS, resolveOptions, resolvePluginOptions } from '../lib/options.js'
import sse from '../lib/index.js'

const code = 'SSE_ERR_INVALID_OPTION'

t.test('the defaults are those of the documentation', async (t) => {
  t.strictSame(resolvePluginOptions({}), {
    heartbeat: 15_000,
    retry: 3_000,
    openAfter: 100,
    validate: 'throw',
    end: true,
    minimal: false,
    done: undefined,
    maxDuration: false,
    stallTimeout: 30_000,
    maxConnections: false,
    shutdown: { spread: 5_000 },
    onError: undefined,
    onClose: undefined
  })
})

t.test('a value out of its range is refused by name', async (t) => {
  const bad: Record<string, unknown[]> = {
    heartbeat: [0, -1, 1.5, NaN, Infinity, '15', true, null, 2 ** 31],
    retry: [0, 99, 1.5, '3000', true, 2 ** 31],
    openAfter: [-1, 1.5, NaN, false, '100', -Infinity],
    validate: [true, 'warn', null],
    end: ['true', 1, null],
    minimal: ['true', 1],
    done: [true, 'a\nb', 'a\rb', 1],
    maxDuration: [0, -1, true, Infinity, '1000'],
    stallTimeout: [0, false, Infinity, '1000'],
    maxConnections: [0, -1, 1.5, true, '10', [], null],
    shutdown: [true, 5000, null, []],
    onError: ['log', {}, null],
    onClose: [true],
    metrics: [true, null, () => {}]
  }
  for (const [name, values] of Object.entries(bad)) {
    for (const value of values) {
      t.throws(() => resolvePluginOptions({ [name]: value }), { code, message: new RegExp(`^Expected \`${name}\` in the plugin's options to be .*, got `) }, `${name}: ${String(value)}`)
    }
  }
})

t.test('a value at the edge of its range is taken', async (t) => {
  const good: Record<string, unknown[]> = {
    heartbeat: [1, 2 ** 31 - 1, false],
    retry: [100, false],
    openAfter: [0, Infinity],
    validate: ['throw', 'drop', false],
    end: [true, false],
    maxDuration: [1, 2 ** 31 - 1, false],
    stallTimeout: [1],
    maxConnections: [1, false, { total: 1 }, { perKey: 1 }, { total: 9, perKey: 9, key: () => 'k' }],
    shutdown: [{ spread: 0 }, {}],
    onClose: [() => {}]
  }
  for (const [name, values] of Object.entries(good)) {
    for (const value of values) t.doesNotThrow(() => resolvePluginOptions({ [name]: value }), `${name}: ${String(value)}`)
  }
})

t.test('an unknown option is refused, with the known ones', async (t) => {
  t.throws(() => resolvePluginOptions({ heartBeat: 1 }), { code, message: /^Unknown option `heartBeat` in the plugin's options\. Known are `heartbeat`, `retry`, / })
  t.throws(() => resolvePluginOptions({ toString: 1 }), { code, message: /^Unknown option `toString`/ })
  t.throws(() => resolvePluginOptions({ maxConnections: { max: 1 } }), { code, message: /^Unknown option `maxConnections\.max`.* `maxConnections\.total`/ })
  t.throws(() => resolvePluginOptions({ maxConnections: { total: 0 } }), { code, message: /^Expected `maxConnections\.total`.* to be an integer >= 1, got `0` \(number\)$/ })
  t.throws(() => resolvePluginOptions({ shutdown: { spread: -1 } }), { code, message: /^Expected `shutdown\.spread`/ })
  t.throws(() => resolvePluginOptions({ metrics: { open: 1 } }), { code, message: /^Expected `metrics\.open`/ })
  t.throws(() => resolveOptions({ metrics: {} }, DEFAULTS, 'config.sse of GET /'), { code, message: /^Unknown option `metrics` in config\.sse of GET \// })
  t.throws(() => resolvePluginOptions(7), { code, message: "Expected the plugin's options to be an object, got `7` (number)" })
})

t.test('options that contradict each other are refused, both by name', async (t) => {
  t.throws(() => resolvePluginOptions({ done: '[DONE]' }), { code, message: '`done` in the plugin\'s options needs `minimal: true`: other streams end with `sse.end`' })
  t.throws(() => resolvePluginOptions({ openAfter: 50, maxDuration: 50 }), { code, message: /^`openAfter` \(50\) .* less than `maxDuration` \(50\)/ })
  t.doesNotThrow(() => resolvePluginOptions({ maxDuration: 50 }), 'what nobody gave contradicts nothing')
  t.throws(() => resolvePluginOptions({ maxConnections: {} }), { code, message: /needs `total` or `perKey`/ })
  t.throws(() => resolvePluginOptions({ maxConnections: { total: 1, perKey: 2 } }), { code, message: /`maxConnections\.perKey` \(2\) .* more than `maxConnections\.total` \(1\)/ })
  t.throws(() => resolvePluginOptions({ maxConnections: { key: () => 'k' } }), { code, message: /^`maxConnections\.key` .* needs `maxConnections\.perKey`/ })
})

t.test('the nearer option wins, and one that is undefined is none', async (t) => {
  const plugin = resolvePluginOptions({ heartbeat: 5, retry: 200, shutdown: { spread: 200 } })
  const route = resolveOptions({ heartbeat: undefined, retry: false }, plugin, 'config.sse')
  t.equal(route.heartbeat, 5)
  t.equal(route.retry, false)
  t.equal(route.shutdown.spread, 200)
  t.equal(resolveOptions({ shutdown: {} }, plugin, 'config.sse').shutdown.spread, 200)
})

t.test('a route can leave the kind of stream that the plugin has set', async (t) => {
  const plugin = resolvePluginOptions({ minimal: true, done: '[DONE]' })
  t.equal(resolveOptions({ minimal: false }, plugin, 'config.sse').minimal, false)
  t.throws(() => resolveOptions({ minimal: false, done: '[DONE]' }, plugin, 'config.sse'), { code })
})

t.test("what register() itself takes is none of the plugin's options", async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sse, { prefix: '/x', logLevel: 'silent' } as never)
  t.ok(app.hasReplyDecorator('sse'))
})

t.test('a bad option of the plugin stops its registration', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await t.rejects(async () => { await app.register(sse, { heartbeat: 'often' } as never) }, { code, message: /`heartbeat`.*"often" \(string\)/ })
})

t.test('a bad option of a route stops its declaration, and names the route', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sse)
  t.throws(() => app.get('/a', { config: { sse: { retry: 1 } } }, () => 'never'), { code, message: /^Expected `retry` in config\.sse of GET \/a to be / })
  t.throws(() => app.get('/b', { config: { sse: 'on' as never } }, () => 'never'), { code, message: 'Expected config.sse of GET /b to be an object, got "on" (string)' })
})

t.test('a bad option of a call is an error of its request', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sse)
  app.get('/', (_request, reply) => reply.sse(['a'], { retry: 1 }))
  const response = await app.inject('/')
  t.equal(response.statusCode, 500)
  t.equal(response.json().code, code)
  t.match(response.json().message, /^Expected `retry` in the options of reply\.sse\(\)/)
})
