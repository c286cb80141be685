// Documents that @fastify/swagger makes of routes with streams.
import swagger, { type SwaggerOptions } from '@fastify/swagger'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Type } from '@sinclair/typebox'
import { Ajv2020 } from 'ajv/dist/2020.js'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import sse, { documentStreams, type SsePluginOptions } from '../lib/index.js'
import { jsonSchema } from '../lib/json-schema/index.js'
import { readEvents } from '../lib/testing/index.js'

const VERSIONS = ['3.0.3', '3.1.1', '3.2.0'] as const

type Tree = { [key: string]: any } // of documents, whose every part a test looks at

const info = { title: 'Streams', version: '1.0.0' }
const asEventSource = { accept: 'text/event-stream' }
const noHead = { exposeHeadRoutes: false }

interface Setup extends SsePluginOptions {
  swagger?: SwaggerOptions
  /** Whether @fastify/swagger is registered before this plugin. */
  isFirst?: boolean
}

async function build (t: Test, version: string, routes: (app: FastifyInstance) => unknown, { swagger: own, isFirst = true, ...options }: Setup = {}): Promise<FastifyInstance> {
  const app = Fastify(noHead)
  t.teardown(() => app.close())
  const addSwagger = async () => { await app.register(swagger, own ?? { openapi: { openapi: version, info } }) }
  if (isFirst) await addSwagger()
  await app.register(sse, options)
  if (!isFirst) await addSwagger()
  await routes(app)
  await app.ready()
  return app
}

/** As whoever asks for it gets it. */
const documentOf = (app: FastifyInstance): Tree => JSON.parse(JSON.stringify(app.swagger()))

async function document (t: Test, version: string, routes: (app: FastifyInstance) => unknown, setup?: Setup): Promise<Tree> {
  return documentOf(await build(t, version, routes, setup))
}

/** With 3.2 as it is meant to be: without what @fastify/swagger demands. */
const clean = (version: string): Setup => ({ swagger: documentStreams({ openapi: { openapi: version, info } }) })

async function assertValid (t: Test, given: Tree): Promise<void> {
  const validator = new Validator()
  const { valid, errors } = await validator.validate(structuredClone(given))
  t.ok(valid, `${given.openapi}: ${JSON.stringify(errors)}`)
  t.equal(validator.version, given.openapi.slice(0, 3))
  for (const [, ref = ''] of JSON.stringify(given).matchAll(/"\$ref":"(.*?)"/g)) {
    t.ok(ref.startsWith('#/') && ref.slice(2).split('/').reduce<any>((node, key) => node?.[key], given) !== undefined, `${ref} leads somewhere`)
  }
}

const id = { type: 'string', maxLength: 1024 }
const retry = { type: 'integer', minimum: 100 }
const named = (name: string) => ({ type: 'string', enum: [name] })
const json = (contentSchema: object) => ({ type: 'string', contentMediaType: 'application/json', contentSchema })
const object = (properties: Tree) => ({ type: 'object', required: Object.keys(properties), properties })
const own = (name: string, data: object, about = {}) => ({ title: name, ...about, type: 'object', required: ['event', 'data'], properties: { event: named(name), data, id, retry } })
const reserved = (name: string, description: string, data: object, fields = {}, optional = {}) => ({ title: name, description, type: 'object', required: ['event', 'data', ...Object.keys(fields)], properties: { event: named(name), data: json(data), ...fields, ...optional } })

const EMPTY = { type: 'object', maxProperties: 0 }
const MESSAGE = object({ message: { type: 'string' } })
const END = reserved('sse.end', 'The source is done. A client that reconnects with this id is answered 204.', EMPTY, { id: named('~end') })
const ERROR = reserved('sse.error', 'The stream failed. A client that reconnects goes on behind the last id that it got.', MESSAGE)
const BYE = reserved('sse.bye', 'The server ends the stream. A client may reconnect after `retry` milliseconds.', object({ reason: { type: 'string', enum: ['shutdown', 'maxDuration', 'maxConnections', 'disconnected', 'unauthorized'] } }), { retry })
const CURSOR = reserved('sse.cursor', 'The id says where the client stands.', EMPTY, { id })
const RESET = reserved('sse.reset', 'Events of the topic `channel` were missed.', object({ channel: { type: 'string' }, reason: { type: 'string', enum: ['unknown', 'epoch', 'ahead', 'lost'] } }), {}, { id })

const LAST_EVENT_ID = {
  in: 'header',
  name: 'last-event-id',
  required: false,
  schema: id,
  description: 'The id of the last event that the client got, to go on behind it. Where there is no such header, `lastEventId` in the query counts'
}
const failure = (description: string) => ({
  description,
  content: {
    'application/json': {
      schema: { type: 'object', required: ['statusCode', 'error', 'message'], properties: { statusCode: { type: 'integer' }, code: { type: 'string' }, error: { type: 'string' }, message: { type: 'string' } } }
    }
  }
})
const ENDED = { description: 'The stream has ended: to a client that brings the id of `sse.end`' }
const NOT_NOW = {
  headers: { 'retry-after': { schema: { type: 'integer' }, description: 'Seconds' } },
  ...failure('No stream now: too many are open (`SSE_ERR_TOO_MANY_CONNECTIONS`), the server shuts down (`SSE_ERR_CLOSING`), or it was ended before it began (`SSE_ERR_ENDED`). An EventSource is answered 200 and told to come back')
}
const FORBIDDEN = failure('The client may not have this stream (`SSE_ERR_FORBIDDEN`)')
const LOST = failure('Events that came before are not kept any more (`SSE_ERR_EVENTS_LOST`)')
const RESETS = { 'sse-reset': { schema: { type: 'string' }, description: 'Topics of which events were missed, each with the reason, as `sse.reset` tells them' } }
const stream = (itemSchema: Tree, { description = 'A stream of server-sent events.', ...rest }: Tree = {}) => ({ description, ...rest, content: { 'text/event-stream': { itemSchema } } })

const Tick = Type.Object({ n: Type.Integer({ description: 'Counts' }) }, { title: 'Tick', description: 'One a second' })
const TICK = { ...object({ n: { type: 'integer', description: 'Counts' } }), title: 'Tick', description: 'One a second' }

/** A route of each kind. */
function everything (app: FastifyInstance): void {
  const orders = app.sse.channel('orders/:shop', { events: { placed: Type.Object({ at: Type.Date() }) } })
  const handler = async () => 'of no interest'
  app.get('/ticks', { schema: { summary: 'Ticks', headers: Type.Object({ 'x-own': Type.String() }), response: { 404: Type.String() }, sse: { tick: Tick, log: Type.String({ contentMediaType: 'text/plain', description: 'Lines' }), message: Type.Boolean() } } }, handler)
  app.get('/:shop/orders', { schema: { sse: orders.events } }, handler)
  app.post('/chat', { schema: { sse: { delta: Type.Object({ text: Type.String() }) } }, config: { sse: { minimal: true, done: '[DONE]' } } }, handler)
  app.get('/any', { config: { sse: {} } }, handler)
  app.get('/other', handler)
}

const PATHS_IN_3_2 = {
  '/ticks': {
    get: {
      summary: 'Ticks',
      parameters: [LAST_EVENT_ID, { in: 'header', name: 'x-own', required: true, schema: { type: 'string' } }],
      responses: {
        200: stream({
          oneOf: [
            own('tick', json(TICK), { description: 'One a second' }),
            own('log', { type: 'string', contentMediaType: 'text/plain', description: 'Lines' }, { description: 'Lines' }),
            { title: 'message', type: 'object', required: ['data'], properties: { event: named('message'), data: json({ type: 'boolean' }), id, retry } },
            END, ERROR, BYE
          ]
        }),
        204: ENDED,
        404: { description: 'Default Response', content: { 'application/json': { schema: { type: 'string' } } } },
        503: NOT_NOW
      }
    }
  },
  '/{shop}/orders': {
    get: {
      parameters: [LAST_EVENT_ID, { in: 'path', name: 'shop', required: true, schema: { type: 'string' } }],
      responses: {
        200: stream({ oneOf: [own('placed', json(object({ at: { type: 'string', format: 'date-time' } }))), END, ERROR, BYE, CURSOR, RESET] }, { headers: RESETS }),
        204: ENDED,
        403: FORBIDDEN,
        503: NOT_NOW
      }
    }
  },
  '/chat': {
    post: {
      responses: {
        200: stream({ anyOf: [{ title: 'delta', ...object({ data: json(object({ text: { type: 'string' } })) }) }, { title: 'error', ...object({ data: json(object({ error: MESSAGE })) }) }] }, { description: 'A stream of server-sent events. They are data alone. The last one is `[DONE]`.' }),
        503: NOT_NOW
      }
    }
  },
  '/any': {
    get: {
      parameters: [LAST_EVENT_ID],
      responses: {
        200: stream({ anyOf: [{ title: 'event', type: 'object', required: ['data'], properties: { event: { type: 'string' }, data: { type: 'string' }, id, retry } }, END, ERROR, BYE, CURSOR, RESET] }, { headers: RESETS }),
        204: ENDED,
        403: FORBIDDEN,
        503: NOT_NOW
      }
    }
  },
  '/other': { get: { responses: { 200: { description: 'Default Response' } } } }
}

/** What a document has in place of its parts. */
function replace (node: unknown, change: (node: Tree) => Tree): unknown {
  if (Array.isArray(node)) return node.map((child) => replace(child, change))
  if (typeof node !== 'object' || node === null) return node
  return change(Object.fromEntries(Object.entries(node).map(([key, child]) => [key, replace(child, change)])))
}

/** The schema is that of an event, for want of a better word. */
const as31 = (paths: unknown) => replace(paths, (node) => {
  if ('itemSchema' in node) return { schema: node.itemSchema }
  return node.content?.['text/event-stream'] === undefined ? node : { ...node, description: node.description.replace('events.', 'events. The schema is that of one event.') }
})

/** Nor is there a word for what a string holds. */
const as30 = (paths: unknown) => replace(as31(paths), ({ contentMediaType, contentSchema, ...node }) => contentSchema === undefined
  ? node
  : { ...node, description: 'JSON, by the schema in `x-contentSchema`', 'x-contentMediaType': contentMediaType, 'x-contentSchema': contentSchema })

t.test('every route with a stream is documented, wherever @fastify/swagger stands', async (t) => {
  const expected = { '3.0.3': as30(PATHS_IN_3_2), '3.1.1': as31(PATHS_IN_3_2), '3.2.0': PATHS_IN_3_2 }
  for (const version of VERSIONS) {
    for (const isFirst of [true, false]) {
      const given = await document(t, version, everything, { ...clean(version), isFirst })
      t.strictSame(given, { openapi: version, info, components: { schemas: {} }, paths: expected[version] }, version)
      await assertValid(t, given)
    }
  }
})

t.test('without documentStreams() it says the same, and of 3.2 that the stream as a whole is an array', async (t) => {
  for (const version of VERSIONS) {
    for (const isFirst of [true, false]) {
      const given = await document(t, version, everything, { isFirst })
      const wanted = await document(t, version, everything, clean(version))
      t.strictSame(given, replace(wanted, (node) => 'itemSchema' in node ? { schema: { type: 'array' }, ...node } : node), version)
      await assertValid(t, given)
    }
  }
})

t.test('routes of child plugins are documented', async (t) => {
  const given = await document(t, '3.2.0', (app) => app.register(async (child) => {
    child.get('/ticks', { schema: { sse: { tick: Tick } } }, async () => '')
  }, { prefix: '/child' }), clean('3.2.0'))
  t.strictSame(given.paths['/child/ticks'].get.responses['200'], stream({ oneOf: [own('tick', json(TICK), { description: 'One a second' }), END, ERROR, BYE] }))
})

/** Each event's schema, as the document has it. */
function eventsOf (given: Tree, path: string, method = 'get'): Tree[] {
  const media = given.paths[path][method].responses['200'].content['text/event-stream']
  const { oneOf, anyOf } = media.itemSchema ?? media.schema
  return oneOf ?? anyOf
}

/** Of an event, by its title, the schema of its payload. */
const payloadOf = (given: Tree, path: string, title: string) => {
  const { data } = eventsOf(given, path).find((event) => event.title === title)?.properties
  return data.contentSchema ?? data['x-contentSchema']
}

t.test('references lead somewhere, and everything else comes through', async (t) => {
  const Tree = Type.Recursive((This) => Type.Object({ name: Type.String(), children: Type.Array(This) }))
  const modules = [Type.String(), Type.Integer()].map((name) => Type.Module({ User: Type.Object({ name, friend: Type.Optional(Type.Ref('User')) }, { description: 'Has friends' }) }))
  const sent = {
    tree: Tree,
    user: modules[0]?.Import('User'),
    other: modules[1]?.Import('User'),
    shared: Type.Ref('Shared'),
    part: { type: 'object', properties: { x: { $ref: 'Shared#/properties/x' } } },
    local: { type: 'object', $defs: { 'a/b': { type: 'string', title: 'Local' } }, properties: { a: { $ref: '#/$defs/a~1b' }, again: { $ref: '#' } } },
    known: Type.Object({ d: Type.Null() }, { $id: 'Known', title: 'Known by its id' }),
    text: Type.String({ contentMediaType: 'text/plain', $id: 'Text' }),
    tuple: Type.Tuple([Type.Integer(), Type.String()]),
    list: { type: 'array', items: [{ type: 'string' }], minItems: 1, maxItems: 1 },
    dates: Type.Record(Type.String(), Type.Date({ minimumTimestamp: 0, description: 'Since' })),
    code: Type.RegExp(/^a$/),
    nullable: { type: 'string', nullable: true },
    yes: true as unknown as object
  }
  for (const version of VERSIONS) {
    const given = await document(t, version, (app) => {
      app.addSchema({ $id: 'Shared', type: 'object', title: 'Shared', properties: { x: { type: 'integer' }, again: { $ref: '#' } } })
      app.get('/a', { schema: { sse: sent } }, async () => '')
      app.get('/b', { schema: { sse: sent } }, async () => '')
    }, clean(version))
    await assertValid(t, given)
    t.strictSame(given.paths['/a'].get.responses['204'], ENDED)

    const lookUp = ({ $ref }: { $ref: string }) => given.components.schemas[$ref.split('/').at(-1) as string]
    const payload = (name: string, path = '/a') => payloadOf(given, path, name)
    t.strictSame(lookUp(payload('tree')).properties.children.items, payload('tree'))
    t.strictSame(lookUp(payload('user')), { title: 'User', description: 'Has friends', type: 'object', required: ['name'], properties: { name: { type: 'string' }, friend: payload('user') } })
    t.equal(lookUp(payload('other')).properties.name.type, 'integer', 'of another module')
    t.equal(lookUp(payload('shared')).title, 'Shared')
    t.strictSame(lookUp(payload('shared')).properties.again, payload('shared'))
    t.match(payload('part').properties.x.$ref, /\/properties\/x$/)
    t.strictSame(Object.keys(payload('local')), ['type', 'properties'])
    t.strictSame(lookUp(payload('local').properties.a), { title: 'Local', type: 'string' })
    t.strictSame(lookUp(payload('local').properties.again).properties.again, payload('local').properties.again)
    t.strictSame(lookUp(payload('known')).title, 'Known by its id')
    t.strictSame(payload('known'), payload('known', '/b'))
    t.strictSame(payload('dates').additionalProperties, { type: 'string', format: 'date-time', description: 'Since' })
    t.strictSame(payload('code'), { type: 'string', pattern: '^a$' })
    t.strictSame(payload('yes'), true)
    t.strictSame(payload('nullable'), version === '3.0.3' ? { type: 'string', nullable: true } : { type: ['string', 'null'] })
    const items = [{ type: 'integer' }, { type: 'string' }]
    t.strictSame(payload('tuple'), { type: 'array', minItems: 2, maxItems: 2, ...version === '3.0.3' ? { items, additionalItems: false } : { prefixItems: items, items: false } })
    t.strictSame(payload('list'), { type: 'array', minItems: 1, maxItems: 1, [version === '3.0.3' ? 'items' : 'prefixItems']: [{ type: 'string' }] })
  }
})

t.test('schemas of one $id that differ are different components', async (t) => {
  const same = (properties: Parameters<typeof Type.Object>[0]) => Type.Object(properties, { $id: 'Same' })
  for (const version of VERSIONS) {
    const app = await build(t, version, (app) => {
      app.addSchema(Type.Object({ shared: Type.Integer() }, { $id: 'Same' }))
      app.get('/a', { schema: { sse: { x: same({ n: Type.Integer() }) } } }, (_request, reply) => reply.sse([]))
      app.get('/b', { schema: { sse: { x: same({ m: Type.String() }), again: Type.Array(Type.Ref('Same')) } } }, (_request, reply) => reply.sse([]))
      app.get('/c', { schema: { sse: { x: same({ n: Type.Integer() }) } } }, (_request, reply) => reply.sse([]))
      app.get('/d', { schema: { sse: { x: Type.Recursive((This) => Type.Object({ kids: Type.Array(This) }), { $id: 'Tree' }) } } }, (_request, reply) => reply.sse([]))
      app.get('/e', { schema: { sse: { x: Type.Recursive((This) => Type.Object({ next: Type.Optional(This) }), { $id: 'Tree' }) } } }, (_request, reply) => reply.sse([]))
    })
    for (let time = 0; time < 2; time++) {
      const document = documentOf(app)
      const payload = (path: string, event = 'x') => {
        const { itemSchema, schema } = document.paths[path].get.responses[200].content['text/event-stream']
        const { data } = (version === '3.2.0' ? itemSchema : schema).oneOf.find(({ title }: Tree) => title === event).properties
        return data[version === '3.0.3' ? 'x-contentSchema' : 'contentSchema']
      }
      const at = ({ $ref }: Tree): Tree => $ref.split('/').slice(1).reduce((node: Tree, key: string) => node[key], document)
      t.strictSame(['/a', '/b', '/c', '/d', '/e'].map((path) => Object.keys(at(payload(path)).properties)), [['n'], ['m'], ['n'], ['kids'], ['next']])
      t.strictSame(Object.keys(at(payload('/b', 'again').items).properties), ['shared'], 'of another event it is the shared one')
      t.strictSame(at(payload('/d')).properties.kids.items, payload('/d'))
      t.strictSame(at(payload('/e')).properties.next, payload('/e'), 'a reference leads to the one that it stands in')
    }
  }
})

t.test('a component can be called by its title', async (t) => {
  const given = await document(t, '3.1.1', (app) => {
    app.get('/a', { schema: { sse: { tree: { type: 'object', properties: { name: { type: 'string' }, again: { $ref: '#/properties/name' }, children: { type: 'array', items: { $ref: '#' } } } } } } }, async () => '')
  }, { swagger: documentStreams({ openapi: { openapi: '3.1.1', info }, refResolver: { buildLocalReference: (schema: Tree) => String(schema.title) } }) })
  await assertValid(t, given)
  t.strictSame(Object.keys(given.components.schemas).sort(), ['name', 'tree'], 'that of a schema within itself is the name of the event')
})

t.test('what a schema of jsonSchema() refers to is in the document', async (t) => {
  const $schema = 'http://json-schema.org/draft-07/schema#'
  const references = [
    { $id: 'https://e.com/money#', $schema, type: 'object', definitions: { unit: { enum: ['EUR'] } }, properties: { amount: { type: 'number' }, unit: { $ref: '#/definitions/unit' }, change: { $ref: '#' }, note: { $ref: 'note' } } },
    { $id: 'https://e.com/note', type: 'string' },
    { $id: 'https://e.com/', type: 'boolean' },
    { $id: 'never', type: 'null' }
  ]
  const sent = {
    price: jsonSchema({ $schema, $id: 'https://e.com/price', $defs: { own: { type: 'integer' } }, type: 'object', properties: { own: { $ref: '#/$defs/own' }, money: { $ref: 'money' }, unit: { $ref: 'https://e.com/money#/definitions/unit' } } }, { references }),
    flag: jsonSchema({ $ref: 'https://e.com/' }, { references })
  }
  for (const version of VERSIONS) {
    const given = await document(t, version, (app) => app.get('/a', { schema: { sse: sent } }, async () => ''), clean(version))
    await assertValid(t, given)
    const lookUp = ({ $ref }: { $ref: string }) => given.components.schemas[$ref.split('/').at(-1) as string]
    const { properties } = lookUp(payloadOf(given, '/a', 'price'))
    const money = lookUp(properties.money)
    t.strictSame(lookUp(properties.own), { title: 'own', type: 'integer' })
    t.strictSame(money, { title: 'money', type: 'object', properties: { amount: { type: 'number' }, unit: properties.unit, change: properties.money, note: money.properties.note } })
    t.strictSame(lookUp(properties.unit), { title: 'unit', enum: ['EUR'] })
    t.strictSame(lookUp(money.properties.note), { title: 'note', type: 'string' })
    t.strictSame(lookUp(payloadOf(given, '/a', 'flag')), { title: 'flag', type: 'boolean' })
    t.notMatch(JSON.stringify(given), '"null"', 'and nothing else is')
  }
})

t.test('what is on the wire is what the document says', async (t) => {
  const failing = async function * () {
    yield { event: 'tick', data: { n: 1 }, id: '1', retry: 500 }
    throw new Error('of no interest')
  }
  const app = await build(t, '3.1.1', (app) => {
    const schema = { sse: { tick: Tick, log: Type.String({ contentMediaType: 'text/plain' }), message: Type.Array(Type.Date()) } }
    const orders = app.sse.channel('orders', { events: { placed: Type.Integer() } })
    app.get('/ticks', { schema }, (_request, reply) => reply.sse([{ event: 'tick', data: { n: 1 }, id: 1 }, { event: 'log', data: 'two\nlines' }, { data: [new Date(0)] }]))
    app.get('/failing', { schema }, (_request, reply) => reply.sse(failing as never))
    app.get('/ending', { schema, config: { sse: { maxDuration: 20, openAfter: 0 } } }, (_request, reply) => reply.sse(() => new ReadableStream<never>()))
    app.get('/orders', { schema: { sse: orders.events }, config: { sse: { maxDuration: 150 } } }, (_request, reply) => reply.sse(orders.subscribe({ from: 'oldest' })))
    app.get('/minimal', { schema: { sse: { tick: Tick } }, config: { sse: { minimal: true } } }, (_request, reply) => reply.sse(failing as never))
    app.addHook('onReady', async () => { await orders.publish('placed', 1) })
  })
  const given = documentOf(app)
  const ajv = new Ajv2020({ strict: false, validateFormats: false })

  const seen = new Set<string>()
  for (const [path, lastEventId] of [['/ticks', ''], ['/failing', ''], ['/ending', ''], ['/orders', ''], ['/orders', 'unknown'], ['/minimal', '']] as const) {
    const response = await app.inject({ url: path, headers: { ...asEventSource, 'last-event-id': lastEventId } })
    const { schema } = given.paths[path].get.responses['200'].content['text/event-stream']
    // By the fields as they stand on the wire, and only then by what they hold.
    const frames = response.body.split('\n\n').map((frame) => frame.split('\n').filter((line) => /^(?:event|data|id|retry): /.test(line))).filter((lines) => lines.some((line) => line.startsWith('data')))
    t.equal(frames.length, (await readEvents(response)).length)
    for (const lines of frames) {
      const fields: Tree = {}
      for (const line of lines) {
        const [, name = '', value = ''] = /^(\w+): (.*)$/.exec(line) ?? []
        fields[name] = name === 'retry' ? Number(value) : name in fields ? `${fields[name]}\n${value}` : value
      }
      t.ok(ajv.validate(schema, fields), `${JSON.stringify(fields)} ${JSON.stringify(ajv.errors)}`)
      const { properties: { data }, title } = (schema.oneOf ?? schema.anyOf).find((one: object) => ajv.validate(one, fields) && holds(one, fields))
      seen.add(title)
      t.ok(data.contentSchema === undefined || ajv.validate(data.contentSchema, JSON.parse(fields.data)), title)
    }
  }
  t.strictSame([...seen].sort(), ['error', 'log', 'message', 'placed', 'sse.bye', 'sse.cursor', 'sse.end', 'sse.error', 'sse.reset', 'tick'])

  /** Of data alone, nothing else tells which it is. */
  function holds ({ properties: { data } }: Tree, fields: Tree): boolean {
    return data.contentSchema === undefined || ajv.validate(data.contentSchema, JSON.parse(fields.data))
  }
})

t.test('what the plugin answers is in the document', async (t) => {
  const app = await build(t, '3.1.1', (app) => {
    const orders = app.sse.channel('orders', { events: { placed: Type.Integer() }, authorize: () => false })
    const lost = app.sse.channel('lost', { events: { placed: Type.Integer() } })
    const schema = { sse: orders.events }
    app.get('/full', { schema, config: { sse: { maxConnections: { total: 1, perKey: 1, key: () => 'all' }, openAfter: 0 } } }, (_request, reply) => reply.sse(() => new ReadableStream<never>()))
    app.get('/guarded', { schema }, (_request, reply) => reply.sse(orders.subscribe()))
    app.get('/lost', { schema, config: { sse: { minimal: true } } }, (_request, reply) => reply.sse(lost.subscribe({ from: 'of-another-life.1-1' })))
  })
  const { paths } = documentOf(app)
  const ajv = new Ajv2020({ strict: false })
  const holding = await app.inject({ url: '/full', payloadAsStream: true })
  t.teardown(() => { holding.raw.res.destroy() })
  const asked = [
    ['/full', { 'last-event-id': '~end' }, 204],
    ['/full', {}, 503],
    ['/guarded', {}, 403],
    ['/lost', {}, 410]
  ] as const
  for (const [url, headers, status] of asked) {
    const response = await app.inject({ url, headers })
    t.equal(response.statusCode, status)
    const documented = paths[url].get.responses[status]
    t.equal(documented.content === undefined, response.body === '')
    if (response.body !== '') {
      t.ok(ajv.validate(documented.content['application/json'].schema, response.json()), response.body)
      t.ok(documented.description.includes(response.json().code))
    }
    for (const name of Object.keys(documented.headers ?? {})) t.ok(name in response.headers, name)
  }
  const { 200: _, ...others } = paths['/lost'].get.responses
  t.strictSame(others, { 403: FORBIDDEN, 410: LOST, 503: NOT_NOW })
})

t.test('a document tells what the options of a route make of it', async (t) => {
  const given = await document(t, '3.1.1', (app) => {
    const schema = { sse: { tick: Tick } }
    app.get('/open', { schema, config: { sse: { end: false } } }, async () => '')
    app.post('/post', { schema }, async () => '')
    app.route({ method: ['GET', 'POST'], url: '/both', schema, handler: async () => '' })
    app.get('/told', { schema, config: { sse: { onError: () => 'mine' } } }, async () => '')
    app.get('/told/minimal', { schema, config: { sse: { onError: () => 'mine', minimal: true } } }, async () => '')
    app.get('/none', { schema: { sse: {} } }, async () => '')
    app.get('/text', { config: { sse: { minimal: true } } }, async () => '')
  })
  await assertValid(t, given)
  const titles = (path: string, method?: string) => eventsOf(given, path, method).map(({ title }) => title)
  const statuses = (path: string, method = 'get') => Object.keys(given.paths[path][method].responses)
  t.strictSame(titles('/open'), ['tick', 'sse.error', 'sse.bye'])
  t.strictSame(statuses('/open'), ['200', '503'])
  t.strictSame(titles('/post', 'post'), ['tick', 'sse.error', 'sse.bye'])
  t.strictSame(statuses('/post', 'post'), ['200', '503'])
  t.strictSame(titles('/both', 'post'), ['tick', 'sse.end', 'sse.error', 'sse.bye'])
  t.strictSame(statuses('/both'), ['200', '204', '503'])
  t.strictSame(payloadOf(given, '/told', 'sse.error'), {})
  t.strictSame(payloadOf(given, '/told/minimal', 'error'), object({ error: {} }))
  t.strictSame(titles('/none'), ['sse.end', 'sse.error', 'sse.bye'])
  t.strictSame(eventsOf(given, '/text')[0], { title: 'event', ...object({ data: { type: 'string' } }) })
  t.notOk('parameters' in given.paths['/text'].get, 'there are no ids to come back with')
})

t.test('what only channels send is documented where a channel could be the source', async (t) => {
  const given = await document(t, '3.1.1', (app) => {
    app.get('/tick', { schema: { sse: { tick: Tick } } }, async () => '')
    app.get('/placed', { schema: { sse: { placed: Tick } } }, async () => '')
    app.get('/more', { schema: { sse: { paid: Tick, placed: Tick, tick: Tick } } }, async () => '')
    app.sse.channel('orders', { events: { placed: Tick, paid: Tick } }) // later than the routes
  })
  const hasReset = (path: string) => eventsOf(given, path).some(({ title }) => title === 'sse.reset')
  t.strictSame(['/tick', '/placed', '/more'].map(hasReset), [false, false, true])
})

t.test('responses that the user has declared stay theirs', async (t) => {
  const theirs = { type: 'object', description: 'Theirs', properties: { a: { type: 'string' } } }
  const content = { 'application/xml': { schema: { type: 'string' } } }
  const declared = {
    report: { 200: theirs },
    shared: { 200: { $ref: 'Report#' } },
    content: { 200: { description: 'Theirs', content } },
    stream: { 200: { description: 'Theirs', content: { 'text/event-stream': { schema: { type: 'string' } } } } },
    nothing: { 200: { type: 'null', description: 'Theirs' } },
    headers: { 200: { ...theirs, headers: { 'x-a': { type: 'integer' } }, 'x-response-description': 'Told' } },
    range: { '2xx': theirs },
    error: { 503: theirs, 204: { type: 'null', description: 'Theirs' } },
    errors: { '5xx': theirs },
    default: { default: theirs }
  }
  const given = await document(t, '3.1.1', (app) => {
    app.addSchema({ $id: 'Report', ...theirs })
    for (const [name, response] of Object.entries(declared)) app.get(`/${name}`, { schema: { response, sse: { tick: Tick } } }, async () => ({ a: 'b', c: 'd' }))
    app.get('/produces', { schema: { produces: ['text/csv', 'text/html'], response: { 200: { type: 'string' } }, sse: { tick: Tick } } as object }, async () => '')
  })
  await assertValid(t, given)
  const responses = (name: string) => given.paths[`/${name}`].get.responses
  const EVENTS = { schema: { oneOf: [own('tick', json(TICK), { description: 'One a second' }), END, ERROR, BYE] } }
  const JSON_ = { 'application/json': { schema: theirs } }
  t.strictSame(responses('report'), { 200: { description: 'Theirs', content: { ...JSON_, 'text/event-stream': EVENTS } }, 204: ENDED, 503: NOT_NOW })
  t.match(responses('shared')['200'].content['application/json'].schema.$ref, /^#\/components\/schemas\//)
  t.strictSame(responses('content')['200'], { description: 'Theirs', content: { ...content, 'text/event-stream': EVENTS } })
  t.strictSame(responses('stream')['200'], declared.stream[200])
  t.strictSame(responses('nothing')['200'], { description: 'Theirs', content: { 'text/event-stream': EVENTS } })
  t.strictSame(responses('headers')['200'].headers, { 'x-a': { schema: { type: 'integer' } } })
  t.equal(responses('headers')['200'].description, 'Told')
  t.strictSame(responses('range'), { '2XX': { description: 'Theirs', content: { ...JSON_, 'text/event-stream': EVENTS } }, 503: NOT_NOW })
  t.strictSame([responses('error')['503'], responses('error')['204']], [{ description: 'Theirs', content: JSON_ }, { description: 'Theirs' }])
  t.strictSame(Object.keys(responses('errors')), ['200', '204', '5XX'])
  t.strictSame(Object.keys(responses('default')), ['200', '204', 'default'])
  t.strictSame(Object.keys(responses('produces')['200'].content), ['text/csv', 'text/html', 'text/event-stream'])
})

t.test('Fastify itself sees nothing of it', async (t) => {
  const response = { 404: Type.Object({ why: Type.String() }) }
  const seen: unknown[] = []
  const app = await build(t, '3.1.1', (app) => {
    app.setErrorHandler((error, _request, reply) => reply.code(503).send({ mine: (error as Error).message }))
    app.setSerializerCompiler(({ schema }) => {
      seen.push(schema)
      return JSON.stringify
    })
    app.get('/', { schema: { response, sse: { tick: Tick } } }, (_request, reply) => reply.sse(function * () { throw new Error('e') }))
  })
  t.strictSame((await app.inject({ url: '/', headers: { 'last-event-id': 'a'.repeat(2_000) } })).json(), { mine: 'e' }, 'no header is refused, and no property is lost')
  t.strictSame(seen, [response[404]], 'the user\'s own is compiled, and no other')
})

t.test('the header that a user declares counts', async (t) => {
  const mine = { type: 'string', pattern: '^\\d+$', description: 'A number' }
  const given = await document(t, '3.1.1', (app) => {
    app.addSchema({ $id: 'Headers', type: 'object', properties: { 'last-event-id': mine }, required: ['last-event-id'] })
    app.get('/own', { schema: { headers: { type: 'object', properties: { 'last-event-id': mine } }, sse: { tick: Tick } } }, async () => '')
    app.get('/shared', { schema: { headers: { $ref: 'Headers#' }, sse: { tick: Tick } } }, async () => '')
  })
  const MINE = { in: 'header', name: 'last-event-id', required: false, description: 'A number', schema: { type: 'string', pattern: '^\\d+$' } }
  t.strictSame(given.paths['/own'].get.parameters, [MINE])
  t.strictSame(given.paths['/shared'].get.parameters, [{ ...MINE, required: true }])
})

t.test('a route has one transform: its own, or that which documentStreams() was given', async (t) => {
  const tagged = (tag: string): NonNullable<Extract<SwaggerOptions, { transform?: unknown }>['transform']> => ({ schema, url }) => ({ schema: { ...schema, tags: [tag] }, url: `/${tag}${url}` })
  const routes = (app: FastifyInstance) => {
    app.get('/ticks', { schema: { sse: { tick: Tick } } }, async () => '')
    app.get('/own', { schema: { sse: { tick: Tick } }, config: { swaggerTransform: tagged('own') } }, async () => '')
    app.get('/none', { schema: { sse: { tick: Tick } }, config: { swaggerTransform: false } }, async () => '')
    app.get('/hidden', { schema: { hide: true, sse: { tick: Tick } } }, async () => '')
    app.get('/other', async () => '')
  }
  for (const version of VERSIONS) {
    const options: SwaggerOptions = { openapi: { openapi: version, info }, transform: tagged('all'), transformObject: (given) => ({ ...'openapiObject' in given ? given.openapiObject : {}, 'x-mine': true }) as object }
    const given = await document(t, version, routes, { swagger: documentStreams(options) })
    t.strictSame(Object.keys(given.paths), ['/all/ticks', '/own/own', '/none', '/all/other'])
    t.strictSame(given.paths['/all/ticks'].get.tags, ['all'])
    t.strictSame(eventsOf(given, '/all/ticks').map(({ title }) => title), eventsOf(given, '/own/own').map(({ title }) => title))
    t.strictSame(given.paths['/none'].get, { responses: { 200: { description: 'Default Response' } } })
    t.strictSame(Object.keys(given), ['openapi', 'info', 'components', 'paths', 'x-mine'], 'nothing is left of how it was done')
    t.strictSame(Object.keys((await document(t, version, routes, { swagger: options })).paths), ['/ticks', '/own/own', '/none', '/all/other'], 'without documentStreams() the document\'s is not called')
  }
})

t.test('documentStreams() leaves the array of a user\'s own alone', async (t) => {
  const response = { 200: { description: 'Mine', content: { 'text/event-stream': { schema: { type: 'array', minItems: 1 }, itemSchema: {} } } } }
  const given = await document(t, '3.2.0', (app) => {
    app.get('/mine', { schema: { response } }, async () => '')
    app.addHttpMethod('PURGE')
    app.route({ method: 'PURGE', url: '/mine', schema: { sse: { tick: Tick } }, handler: async () => '' })
  }, clean('3.2.0'))
  t.strictSame(given.paths['/mine'].get.responses, response)
  t.strictSame(Object.keys(given.paths['/mine'].additionalOperations.PURGE.responses['200'].content['text/event-stream']), ['itemSchema'])
})

t.test('Swagger 2.0 has no words for streams', async (t) => {
  for (const wrap of [(options: SwaggerOptions) => options, documentStreams<SwaggerOptions>]) {
    const given = await document(t, '2.0', (app) => {
      app.get('/ticks', { schema: { summary: 'Ticks', sse: { tick: Tick } } }, async () => '')
      app.get('/any', { config: { sse: {} } }, async () => '')
    }, { swagger: wrap({ swagger: { info } }) })
    t.strictSame(given.paths, { '/ticks': { get: { summary: 'Ticks', responses: { 200: { description: 'Default Response' } } } }, '/any': { get: { responses: { 200: { description: 'Default Response' } } } } })
  }
  const transform = () => ({ schema: { summary: 'Transformed' }, url: '/elsewhere' })
  const given = await document(t, '2.0', (app) => { app.get('/ticks', { schema: { sse: { tick: Tick } } }, async () => '') }, { swagger: documentStreams({ swagger: { info }, transform }) })
  t.strictSame(given, { swagger: '2.0', info, definitions: {}, paths: { '/elsewhere': { get: { summary: 'Transformed', responses: { 200: { description: 'Default Response' } } } } } })
})

t.test('the YAML form has the same', async (t) => {
  const app = await build(t, '3.2.0', everything, clean('3.2.0'))
  const yaml = app.swagger({ yaml: true })
  t.match(yaml, /^ +text\/event-stream:\n +itemSchema:$/m)
  t.notMatch(yaml, 'x-fastify-typed-sse')
})
