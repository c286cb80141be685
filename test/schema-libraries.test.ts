// Schemas that are not TypeBox 0.34's: TypeBox 1, JSON Schema by Ajv, and whatever implements Standard Schema.
import { type } from 'arktype'
import Fastify from 'fastify'
import swagger from '@fastify/swagger'
import t, { type Test } from 'tap'
import { Type } from 'typebox'
import * as v from 'valibot'
import { z } from 'zod'
import sse, { documentStreams, type SseOptions } from '../lib/index.js'
import { jsonSchema } from '../lib/json-schema/index.js'
import { stream as streamOf } from '../lib/client/index.js'

async function build (t: Test, schemas: Record<string, unknown>, items: unknown[], options: SseOptions = {}, openapi = '3.2.0') {
  const app = Fastify({ exposeHeadRoutes: false })
  t.teardown(() => app.close())
  await app.register(swagger, documentStreams({ openapi: { openapi, info: { title: 'Streams', version: '1' } } }))
  await app.register(sse, { retry: false, ...options })
  app.get('/', { schema: { sse: schemas } }, (_request, reply) => reply.sse(items as never))
  return app
}

async function stream (t: Test, schemas: Record<string, unknown>, items: unknown[], options: SseOptions = {}) {
  return (await build(t, schemas, items, options)).inject('/')
}

const failures = () => {
  const seen: Array<Record<string, unknown>> = []
  return { seen, options: { onError: (error: unknown) => { seen.push(error as Record<string, unknown>) } } }
}

/** The same payload to all of them: an object with a name of three characters at least and counts of 1 and more. */
const libraries: Record<string, { schema: unknown, vendor?: string }> = {
  'TypeBox 1': { schema: Type.Object({ name: Type.String({ minLength: 3 }), counts: Type.Array(Type.Integer({ minimum: 1 })), note: Type.Optional(Type.String()) }) },
  zod: { schema: z.object({ name: z.string().min(3), counts: z.array(z.int().min(1)), note: z.string().optional() }), vendor: 'zod' },
  valibot: { schema: v.object({ name: v.pipe(v.string(), v.minLength(3)), counts: v.array(v.pipe(v.number(), v.integer(), v.minValue(1))), note: v.optional(v.string()) }), vendor: 'valibot' },
  arktype: { schema: type({ name: 'string >= 3', counts: '(number.integer >= 1)[]', 'note?': 'string' }), vendor: 'arktype' },
  'jsonSchema()': {
    schema: jsonSchema({ type: 'object', required: ['name', 'counts'], properties: { name: { type: 'string', minLength: 3 }, counts: { type: 'array', items: { type: 'integer', minimum: 1 } }, note: { type: 'string' } }, dependencies: { note: ['name'] } }),
    vendor: 'ajv'
  }
}

for (const [library, { schema, vendor }] of Object.entries(libraries)) {
  t.test(`${library}: what matches goes out as it was given, and nothing else goes out`, async (t) => {
    const ok = { name: 'abc', counts: [1, 2] }
    const response = await stream(t, { e: schema }, [{ event: 'e', data: ok, id: '1' }])
    t.equal(response.body, ':\nevent: e\ndata: {"name":"abc","counts":[1,2]}\nid: 1\n\n')

    const bad = await stream(t, { e: schema }, [{ event: 'e', data: { name: 'a secret', counts: [1, -5] } }])
    t.equal(bad.statusCode, 500)
    t.equal(bad.json().code, 'SSE_ERR_INVALID_DATA')
    t.match(bad.json().message, /^Event `e` does not match its schema at \/counts\/1: /)
    t.notMatch(bad.json().message, /secret|-5/)
    if (vendor !== undefined) t.match(bad.json().message, `\`${vendor}\` refuses it, for reasons that are in \`issues\``)

    const { seen, options } = failures()
    const later = await stream(t, { e: schema }, [{ event: 'e', data: ok }, { event: 'e', data: { counts: [] } }], options)
    t.match(later.body, /^:\nevent: e\ndata: {"name":"abc","counts":\[1,2\]}\n\nevent: sse\.error\ndata: {.*}\n\n$/, 'with nothing of the bad one')
    const [error = {}] = seen
    t.match(error, { code: 'SSE_ERR_INVALID_DATA', event: 'e', path: /^\/(name)?$/ })
    t.equal(Array.isArray(error.issues), vendor !== undefined)
    t.notOk(Object.keys(error).includes('issues'), 'they may quote the payload, so loggers do not enumerate them')

    const dropped = await stream(t, { e: schema }, [{ event: 'e', data: ok }, { event: 'e', data: 1 }, { event: 'e', data: ok }], { validate: 'drop' })
    t.equal(dropped.body, ':\n' + 'event: e\ndata: {"name":"abc","counts":[1,2]}\n\n'.repeat(2))
  })

  if (vendor === undefined) continue // by TypeBox 1's own Value.Check, as with TypeBox 0.34
  t.test(`${library}: the client checks by the same schema`, async (t) => {
    const app = await build(t, { e: z.any() }, [{ event: 'e', data: { name: 'abc', counts: [1] } }, { event: 'e', data: { name: 'abc', counts: [0] } }])
    const url = await app.listen({ port: 0 })
    const seen: unknown[] = []
    await t.rejects(async () => { for await (const { data } of streamOf(url, { events: { e: schema as z.ZodType } })) seen.push(data) }, { code: 'SSE_ERR_INVALID_DATA', event: 'e' })
    t.strictSame(seen, [{ name: 'abc', counts: [1] }])
  })
}

t.test('a schema says of itself what stands in a document, if it can', async (t) => {
  const itemOf = async (schema: unknown) => {
    const app = await build(t, { e: schema }, [])
    await app.ready()
    const { paths } = JSON.parse(JSON.stringify(app.swagger()))
    return paths['/'].get.responses[200].content['text/event-stream'].itemSchema.oneOf[0].properties.data.contentSchema
  }
  const expected = { type: 'object', properties: { n: { type: 'integer', minimum: 1 } }, required: ['n'] }
  t.match(await itemOf(Type.Object({ n: Type.Integer({ minimum: 1 }) })), expected)
  t.match(await itemOf(z.object({ n: z.int().min(1) })), expected)
  t.match(await itemOf(type({ n: 'number.integer >= 1' })), expected)
  t.match(await itemOf(jsonSchema({ ...expected, if: { required: ['m'] }, then: { required: ['n'] } })), { ...expected, if: { required: ['m'] } })
  t.strictSame(await itemOf(v.object({ n: v.number() })), {}, 'valibot by itself does not')
  t.strictSame(await itemOf(z.object({ title: z.string(), at: z.date() })), { type: 'object', properties: { title: { type: 'string' }, at: {} }, required: ['title', 'at'] }, 'a date has no form there, and the rest has')
  t.strictSame(await itemOf({ '~standard': { version: 1, vendor: 'wordless', validate: (value: unknown) => ({ value }), jsonSchema: { input () { throw new Error('no words') } } } }), {})
  const old = await build(t, { e: z.object({ n: z.number().nullable() }) }, [], {}, '3.0.3')
  await old.ready()
  t.match(JSON.stringify(old.swagger()), '"n":{"nullable":true,"type":"number"}', 'in the words of its version')
  const ark = await build(t, { e: type({ n: 'number', pair: ['string', 'number'] }) }, [], {}, '3.0.3')
  await ark.ready()
  t.match(JSON.stringify(ark.swagger()), /"n":{"type":"number"},"pair":{"type":"array".*?"items":\[{"type":"string"},{"type":"number"}\]/, 'arktype has none for it, so in those of draft-07')
  t.match(await itemOf(z.tuple([z.string(), z.int()])), { prefixItems: [{ type: 'string' }, { type: 'integer' }] })
})

t.test('a schema that takes its time is refused, and so is one that throws', async (t) => {
  t.equal((await stream(t, { e: z.string().refine(async () => true) }, [{ event: 'e', data: 'x' }])).json().code, 'SSE_ERR_INVALID_SCHEMA')
  const late = { '~standard': { version: 1, vendor: 'late', validate: async () => { throw new Error('nobody waits for it') } } }
  const response = await stream(t, { e: late }, [{ event: 'e', data: 'x' }])
  t.match(response.json(), { code: 'SSE_ERR_INVALID_SCHEMA', message: 'Expected the schema of event `e` in schema.sse of GET / to check at once, got an instance of Promise. Leave what is asynchronous to the source' })
  const throwing = { '~standard': { version: 1, vendor: 'throwing', validate () { throw new Error('unforeseen') } } }
  t.equal((await stream(t, { e: throwing }, [{ event: 'e', data: 'x' }])).json().code, 'SSE_ERR_NOT_SERIALIZABLE')
})

t.test('defaults and transforms are not for what is sent', async (t) => {
  const schema = z.object({ n: z.string().transform(Number), m: z.int().default(7) })
  t.equal((await stream(t, { e: schema }, [{ event: 'e', data: { n: '1' } }])).body, ':\nevent: e\ndata: {"n":"1"}\n\n')
  const filled = jsonSchema({ type: 'object', properties: { n: { type: 'integer', default: 1 } }, additionalProperties: false })
  t.equal((await stream(t, { e: filled }, [{ event: 'e', data: {} }])).body, ':\nevent: e\ndata: {}\n\n')
  for (const data of [{ n: '1' }, { n: 1, extra: true }, { n: NaN }]) {
    t.equal((await stream(t, { e: filled }, [{ event: 'e', data }])).json().code, 'SSE_ERR_INVALID_DATA', 'nothing is coerced or removed')
  }
})

t.test('channels take them', async (t) => {
  const app = await build(t, {}, [])
  const news = app.sse.channel('news', { events: { item: z.object({ n: z.int() }) } })
  app.get('/news', { schema: { sse: news.events } }, (_request, reply) => reply.sse(news.subscribe({ from: 'oldest' })))
  await news.publish('item', { n: 1 })
  await t.rejects(news.publish('item', { n: 'x' as never }), { code: 'SSE_ERR_INVALID_DATA', event: 'item', path: '/n' })
  const url = await app.listen({ port: 0 })
  const events = streamOf(`${url}/news`)
  const { value } = await events.next()
  t.match(value, { event: 'item', data: { n: 1 } })
  await events.return?.()
})

t.test('TypeBox 1: its own ways with a schema count', async (t) => {
  const cases: Record<string, { schema: unknown, good: unknown[], bad: Array<[data: unknown, path: string, message?: RegExp]> }> = {
    'a tuple': { schema: Type.Tuple([Type.String(), Type.Number()]), good: [['a', 1]], bad: [[['a'], '/'], [['a', 1, 2], '/'], [['a', 'b'], '/1']] },
    'a record': { schema: Type.Record(Type.String(), Type.Number()), good: [{ a: 1, 'b\n': 2 }], bad: [[{ a: 'x' }, '/a']] },
    'an enum': { schema: Type.Enum(['a', 'b']), good: ['a', 'b'], bad: [['c', '/']] },
    'a union': { schema: Type.Union([Type.Literal('a'), Type.Null()]), good: ['a', null], bad: [['b', '/']] },
    'an intersection': { schema: Type.Intersect([Type.Object({ a: Type.String() }), Type.Object({ b: Type.String() })]), good: [{ a: 'x', b: 'y' }], bad: [[{ a: 'x' }, '/b']] },
    'a cyclic type': { schema: Type.Cyclic({ Node: Type.Object({ next: Type.Optional(Type.Ref('Node')) }) }, 'Node'), good: [{ next: { next: {} } }], bad: [[{ next: { next: 1 } }, '/next/next']] },
    'a refinement': { schema: Type.Object({ n: Type.Refine(Type.Integer(), (n) => n % 2 === 0, () => 'must be even') }), good: [{ n: 2 }], bad: [[{ n: 1 }, '/n', /must be even$/], [{ n: 0.5 }, '/n', /integer$/]] },
    refinements: { schema: Type.Refine(Type.Refine(Type.String(), (text) => text !== 'a', () => 'not a'), (text) => text !== 'b', () => 'not b'), good: ['c'], bad: [['a', '/', /not a$/], ['b', '/', /not b$/]] },
    'a refinement of an object': { schema: Type.Refine(Type.Object({ a: Type.Integer(), b: Type.Integer() }), ({ a, b }) => a < b, () => 'a before b'), good: [{ a: 1, b: 2 }], bad: [[{ a: 2, b: 1 }, '/', /a before b$/]] },
    'a format': { schema: Type.String({ format: 'email' }), good: ['a@example.com'], bad: [['a', '/']] }
  }
  for (const [name, { schema, good, bad }] of Object.entries(cases)) {
    for (const data of good) t.equal((await stream(t, { e: schema }, [{ event: 'e', data }])).body, `:\nevent: e\ndata: ${JSON.stringify(data)}\n\n`, name)
    for (const [data, path, message = /./] of bad) {
      const { seen, options } = failures()
      await stream(t, { e: schema }, [{ event: 'e', data: good[0] }, { event: 'e', data }], options)
      t.match(seen, [{ code: 'SSE_ERR_INVALID_DATA', path, message }], `${name}: ${JSON.stringify(data)}`)
    }
  }
  t.equal((await stream(t, { e: Type.Object({ a: Type.Integer() }) }, [{ event: 'e', data: { a: 1, secret: 2 } }])).body, ':\nevent: e\ndata: {"a":1}\n\n', 'what is not declared stays at home')
  t.equal((await stream(t, { e: Type.String({ contentMediaType: 'text/plain' }) }, [{ event: 'e', text: 'a\nb' }])).body, ':\nevent: e\ndata: a\ndata: b\n\n')
  for (const schema of [Type.BigInt(), Type.Undefined(), Type.Symbol()]) await t.rejects(async () => (await build(t, { e: schema }, [])).ready(), { code: 'SSE_ERR_INVALID_SCHEMA' })
})

t.test('jsonSchema() knows the drafts, references and formats, and lets no slip of the pen through', async (t) => {
  const checks = (schema: object, data: unknown, options?: Parameters<typeof jsonSchema>[1]) => jsonSchema(schema, options)['~standard'].validate(data)
  const is = (given: unknown) => ({ value: given })
  t.strictSame(checks({ $schema: 'https://json-schema.org/draft/2020-12/schema', prefixItems: [{ type: 'string' }], items: false }, ['a']), is(['a']))
  t.match(checks({ $schema: 'https://json-schema.org/draft/2020-12/schema', prefixItems: [{ type: 'string' }], items: false }, ['a', 1]), { issues: [{ path: [] }] })
  t.match(checks({ $schema: 'https://json-schema.org/draft/2019-09/schema', dependentRequired: { a: ['b'] } }, { a: 1 }), { issues: [{ path: [] }] })
  t.strictSame(checks({ $schema: 'http://json-schema.org/draft-07/schema#', type: ['string', 'null'] }, null), is(null))
  t.match(checks({ type: 'object', properties: { 'a/b~': { $ref: 'other' } } }, { 'a/b~': 1 }, { references: [{ $id: 'other', type: 'string' }] }), { issues: [{ path: ['a/b~'] }] })
  t.match(checks({ type: 'string', format: 'date-time' }, 'soon'), { issues: [{ message: 'must match format "date-time"' }] })
  const refused: Array<[schema: object, message: RegExp]> = [
    [{ type: 'integer', minimun: 1 }, /unknown keyword: "minimun"/],
    [{ type: 'string', format: 'phone' }, /unknown format "phone"/],
    [{ $ref: 'nowhere' }, /nowhere/],
    [{ $async: true, type: 'string' }, /`\$async` takes its time/],
    [{ $schema: 'https://example.com/mine' }, /example\.com/],
    [{ type: 'nothing' }, /type/]
  ]
  for (const [schema, message] of refused) {
    t.throws(() => jsonSchema(schema), { code: 'SSE_ERR_INVALID_SCHEMA', message })
    t.throws(() => jsonSchema(schema), { message: /^Expected a JSON Schema that Ajv compiles: / })
  }
})

t.test('a schema in place of the map of events is told', async (t) => {
  for (const schema of [z.object({ a: z.string() }), Type.Object({ a: Type.String() }), type({ a: 'string' })]) {
    await t.rejects(async () => (await build(t, schema as never, [])).ready(), { code: 'SSE_ERR_INVALID_SCHEMA', message: 'Expected schema.sse of GET / to be an object of event names and their schemas, got a schema' })
  }
})
