// From a route's schemas: what passes, what fails and how it is told, and that what passes goes out whole.
import { FormatRegistry, Type, type TSchema } from '@sinclair/typebox'
import Fastify, { type FastifyInstance } from 'fastify'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import sse, { type SseOptions } from '../lib/index.js'

/** The body of a stream of these items, on a route with these schemas. */
async function stream (t: Test, schemas: Record<string, unknown>, items: unknown[], options: SseOptions = {}, prepare: (app: FastifyInstance) => void = () => {}) {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sse, { retry: false, ...options })
  prepare(app)
  app.get('/', { schema: { sse: schemas } }, (_request, reply) => reply.sse(items as never))
  return app.inject('/')
}

const roundTrip = async (t: Test, schema: unknown, data: unknown, prepare?: (app: FastifyInstance) => void) => {
  const response = await stream(t, { e: schema }, [{ event: 'e', data }], {}, prepare)
  t.equal(response.statusCode, 200, response.body)
  const match = /^:\nevent: e\ndata: (.*)\n\n$/.exec(response.body)
  t.ok(match, response.body)
  return JSON.parse(match?.[1] ?? 'null')
}

t.test('what matches its schema comes through whole', async (t) => {
  const cases: Record<string, [schema: TSchema, data: unknown, received?: unknown]> = {
    'a date': [Type.Object({ at: Type.Date() }), { at: new Date(7) }, { at: '1970-01-01T00:00:00.007Z' }],
    'a date on top': [Type.Date(), new Date(7), '1970-01-01T00:00:00.007Z'],
    'optional, absent': [Type.Object({ a: Type.Integer(), b: Type.Optional(Type.String()) }), { a: 1 }],
    'optional, present': [Type.Object({ a: Type.Optional(Type.Integer()), b: Type.Optional(Type.String()) }), { b: 'x' }],
    'optional, undefined': [Type.Object({ a: Type.Optional(Type.Integer()), b: Type.String() }), { a: undefined, b: 'x' }, { b: 'x' }],
    'nullable, null': [Type.Object({ a: Type.Union([Type.String(), Type.Null()]) }), { a: null }],
    'nullable, set': [Type.Object({ a: Type.Union([Type.String(), Type.Null()]) }), { a: 'x' }],
    'nullable as a keyword': [Type.Object({ a: Type.String({ nullable: true }) }), { a: null }],
    any: [Type.Any(), { a: [1, { b: null }] }],
    'any inside': [Type.Object({ a: Type.Any(), u: Type.Unknown() }), { a: { deep: [1] }, u: 'x' }],
    'an array on top': [Type.Array(Type.Integer()), [1, 2, 3]],
    'an empty array': [Type.Array(Type.Integer()), []],
    'an array of objects': [Type.Array(Type.Object({ a: Type.Integer() })), [{ a: 1 }, { a: 2 }]],
    'a tuple': [Type.Tuple([Type.Integer(), Type.String()]), [1, 'x']],
    'an empty tuple': [Type.Tuple([]), []],
    'a string on top': [Type.String(), 'a "quoted" \\ line\n\u2028\u0085😀\ud800'],
    'a number on top': [Type.Number(), -0.5],
    'an integer on top': [Type.Integer(), 7],
    'a boolean on top': [Type.Boolean(), false],
    'null on top': [Type.Null(), null],
    'a literal': [Type.Literal('x'), 'x'],
    'an enum': [Type.Enum({ A: 'a', B: 'b', N: 3 }), 3],
    'an enum as a keyword': [Type.Unsafe({ type: 'string', enum: ['a', 'b'] }), 'b'],
    'a record': [Type.Record(Type.String(), Type.Integer()), { x: 1, 'y"': 2 }],
    'an empty record': [Type.Record(Type.String(), Type.Integer()), {}],
    'a record of objects': [Type.Record(Type.String(), Type.Object({ a: Type.Integer() })), { x: { a: 1 } }],
    'further properties, allowed': [Type.Object({ a: Type.Integer() }, { additionalProperties: true }), { a: 1, b: 2 }],
    'further properties of a type': [Type.Object({ a: Type.Integer() }, { additionalProperties: Type.String() }), { a: 1, b: 'x' }],
    'an intersection': [Type.Intersect([Type.Object({ a: Type.Integer() }), Type.Object({ b: Type.String() })]), { a: 1, b: 'x' }],
    'a union, first member': [Type.Union([Type.Object({ a: Type.Integer() }), Type.Object({ b: Type.String() })]), { a: 1 }],
    'a union, whose first member matches less': [Type.Union([Type.Object({ a: Type.Integer() }), Type.Object({ a: Type.Integer(), b: Type.String() })]), { a: 1, b: 'x' }],
    'a union of kinds': [Type.Array(Type.Union([Type.String(), Type.Integer(), Type.Null(), Type.Boolean(), Type.Object({ a: Type.Integer() }), Type.Array(Type.Integer()), Type.Date()])), ['x', 1, null, true, { a: 1 }, [2], new Date(0)], ['x', 1, null, true, { a: 1 }, [2], '1970-01-01T00:00:00.000Z']],
    'a discriminated union': [Type.Union([Type.Object({ kind: Type.Literal('a'), n: Type.Integer() }), Type.Object({ kind: Type.Literal('b'), s: Type.String() })]), { kind: 'b', s: 'x' }],
    'a record or an object': [Type.Union([Type.Object({ a: Type.Integer() }), Type.Record(Type.String(), Type.String())]), { z: 'x' }],
    'a recursive type': [Type.Recursive((This) => Type.Object({ v: Type.Integer(), kids: Type.Array(This) })), { v: 1, kids: [{ v: 2, kids: [] }] }],
    'a recursive type or null': [Type.Union([Type.Null(), Type.Recursive((This) => Type.Object({ v: Type.Integer(), next: Type.Union([This, Type.Null()]) }))]), { v: 1, next: { v: 2, next: null } }],
    'a template literal': [Type.TemplateLiteral('a-${1|2}'), 'a-1'], // eslint-disable-line no-template-curly-in-string -- TypeBox's own syntax
    'a module': [Type.Module({ P: Type.Object({ x: Type.Integer() }), L: Type.Array(Type.Ref('P')) }).Import('L'), [{ x: 1 }]],
    'a module of two that share a name': [Type.Object({ x: Type.Module({ A: Type.Integer() }).Import('A'), y: Type.Module({ A: Type.Object({ a: Type.String() }) }).Import('A') }), { x: 1, y: { a: 'x' } }],
    'tuples or arrays': [Type.Array(Type.Union([Type.Tuple([Type.Integer()]), Type.Tuple([]), Type.Array(Type.String())])), [[1], [], ['x']]],
    'empty tuples': [Type.Union([Type.Tuple([]), Type.Tuple([], { description: 'another' })]), []],
    'names that need quotes': [Type.Object({ 'a"b': Type.Integer(), '\u2028': Type.Integer() }), { 'a"b': 1, '\u2028': 3 }],
    'a recursive type beside itself': [Type.Recursive((This) => Type.Union([Type.String(), Type.Array(This)])), ['a', ['b', []]]],
    'a recursive type that holds itself at once': [Type.Recursive((This) => Type.Union([Type.String(), Type.Object({ next: Type.Union([This, This]) })])), { next: { next: 'a' } }],
    'a regular expression': [Type.RegExp(/^a+$/), 'aaa'],
    'an open record': [Type.Record(Type.String({ pattern: '^a' }), Type.Integer(), { additionalProperties: true }), { a: 1, b: 'x' }],
    'a schema with an $id, twice': [Type.Object({ a: Type.String({ $id: 'S' }), b: Type.Optional(Type.String({ $id: 'S' })) }), { a: 'x' }],
    'undefined in an array': [Type.Array(Type.Union([Type.Undefined(), Type.Integer()])), [1, undefined], [1, null]],
    'a number that is none in JSON': [Type.Object({ n: Type.Any() }), { n: Infinity }, { n: null }],
    'an open intersection': [Type.Intersect([Type.Object({ a: Type.Integer() })], { unevaluatedProperties: Type.String() }), { a: 1, b: 'x' }],
    'an instance with toJSON': [Type.Object({ a: Type.Integer() }), { a: 1, toJSON: () => ({ a: 1, json: true }) }, { a: 1 }],
    'a known format': [Type.Object({ at: Type.String({ format: 'date-time' }), who: Type.String({ format: 'email' }), id: Type.String({ format: 'uuid' }) }), { at: '2026-01-01T00:00:00Z', who: 'a@example.com', id: '00000000-0000-4000-8000-000000000000' }]
  }
  for (const [name, [schema, data, received = data]] of Object.entries(cases)) {
    await t.test(name, async (t) => { t.strictSame(await roundTrip(t, schema, data), received) })
  }
})

t.test('what other clients take for a line end is escaped, wherever a string stands', async (t) => {
  const text = 'a\u2028b\u2029c\u0085d'
  const escaped = 'a\\u2028b\\u2029c\\u0085d'
  const frame = async (schema: TSchema, data: unknown) => (await stream(t, { e: schema }, [{ event: 'e', data }])).body
  t.equal(await frame(Type.String(), text), `:\nevent: e\ndata: "${escaped}"\n\n`)
  t.equal(await frame(Type.Record(Type.String(), Type.String()), { [text]: text }), `:\nevent: e\ndata: {"${escaped}":"${escaped}"}\n\n`)
  t.equal(await frame(Type.Any(), { [text]: [text] }), `:\nevent: e\ndata: {"${escaped}":["${escaped}"]}\n\n`)
})

t.test('long text is escaped wherever JSON or the wire needs it, as short text is', async (t) => {
  const plain = 'the quick brown fox jumps over the lazy dog, '.repeat(4)
  const special = ['"', '\\', '\0', '\n', '\r', '\t', '\x1f', '\u0085', '\u2028', '\u2029', '\ud800', '\udfff', '\ud83c\udf89', '\x7f', 'é', '語']
  for (const text of ['a', plain]) {
    const payloads = special.flatMap((char) => [char + text, text + char, text + char + text, text])
    const response = await stream(t, { e: Type.String() }, payloads.map((data) => ({ event: 'e', data })))
    const expected = payloads.map((data) => `event: e\ndata: ${JSON.stringify(data).replace(/[\u0085\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n\n`)
    t.equal(response.body, `:\n${expected.join('')}`)
  }
})

t.test('numbers are written as JSON.stringify writes them', async (t) => {
  const edges = [0, -0, 7, 12, 999, 1_000, 1_001, 10_007, 999_999, 1_000_000, 1_000_001, 20_030_004, 1_700_000_000_000, 2 ** 31, 2 ** 53 - 1, 2 ** 53, 2 ** 53 + 2, 1e21, 0.1, 1e-7, 1.5e300, 5e-324]
  const numbers = [...edges, ...edges.map((n) => -n), ...fc.sample(fc.maxSafeInteger(), 200), ...fc.sample(fc.double({ noNaN: true, noDefaultInfinity: true }), 200)]
  const response = await stream(t, { e: Type.Number() }, numbers.map((data) => ({ event: 'e', data })))
  t.equal(response.body, `:\n${numbers.map((n) => `event: e\ndata: ${JSON.stringify(n)}\n\n`).join('')}`)
})

t.test('what is inherited is not sent, and what holds itself is refused', async (t) => {
  t.strictSame(await roundTrip(t, Type.Object({ ['__proto__']: Type.Optional(Type.Object({})), a: Type.Integer() }), { a: 1 }), { a: 1 })
  const cycle: { next?: unknown } = {}
  cycle.next = cycle
  const Node = Type.Recursive((This) => Type.Object({ next: Type.Optional(This) }))
  t.equal((await stream(t, { e: Node }, [{ event: 'e', data: cycle }])).json().code, 'SSE_ERR_NOT_SERIALIZABLE')
})

t.test('a property that the schema does not declare stays at home', async (t) => {
  t.strictSame(await roundTrip(t, Type.Object({ a: Type.Integer() }), { a: 1, secret: 2 }), { a: 1 })
  t.strictSame(await roundTrip(t, Type.Union([Type.Object({ a: Type.Integer() }), Type.Object({ b: Type.Integer() })]), { a: 1, secret: 2 }), { a: 1 })
  t.strictSame(await roundTrip(t, Type.Array(Type.Object({ a: Type.Integer() })), [{ a: 1, secret: 2 }]), [{ a: 1 }])
  t.strictSame(await roundTrip(t, Type.Record(Type.String({ pattern: '^a/' }), Type.Integer()), { 'a/1': 1, secret: 2 }), { 'a/1': 1 })
  t.strictSame(await roundTrip(t, Type.Module({ P: Type.Object({ a: Type.Integer() }) }).Import('P'), { a: 1, secret: 2 }), { a: 1 })
  t.strictSame(await roundTrip(t, Type.Object({ a: Type.Integer() }), { a: 1, toJSON: () => ({ a: 1, secret: 2 }) }), { a: 1 })
  t.strictSame(await roundTrip(t, Type.Object({ a: Type.Integer() }), { a: 1, secret: 2, toJSON () { return this } }), { a: 1 })
  t.strictSame(await roundTrip(t, Type.Tuple([Type.Object({ a: Type.Integer() }), Type.Object({ b: Type.Integer() })]), [{ a: 1, b: 2 }, { b: 1, a: 2 }]), [{ a: 1 }, { b: 1 }])
})

t.test('nor does one of a value whose name the schema leaves open', async (t) => {
  const User = Type.Object({ name: Type.String() })
  const ann = { name: 'Ann', secret: 1 }
  const told = { name: 'Ann' }
  const open = { additionalProperties: User }
  const cases: Array<[schema: unknown, data: unknown, received: unknown]> = [
    [Type.Object({}, open), { x: ann }, { x: told }],
    [Type.Object({ me: User, n: Type.Integer() }, open), { x: ann, me: ann, n: 1 }, { x: told, me: told, n: 1 }],
    [Type.Object({ me: User }, { additionalProperties: true }), { me: ann, x: ann }, { me: told, x: ann }],
    [Type.Object({}, { additionalProperties: Type.Array(User) }), { x: [ann] }, { x: [told] }],
    [Type.Object({}, { additionalProperties: Type.Ref('User') }), { x: ann }, { x: told }],
    [{ type: 'object', properties: {}, additionalProperties: { type: 'object', properties: { name: { type: 'string' } } } }, { x: ann }, { x: told }],
    [Type.Record(Type.String({ pattern: '^a' }), Type.Integer(), open), { a: 1, x: ann }, { a: 1, x: told }],
    [Type.Intersect([Type.Object({ a: User }), Type.Object({ b: User })], { unevaluatedProperties: User }), { a: ann, b: ann, x: ann }, { a: told, b: told, x: told }],
    [Type.Intersect([Type.Object({ a: Type.Optional(User) }), Type.Record(Type.String(), User)]), { a: ann, x: ann }, { a: told, x: told }],
    [Type.Union([Type.Object({ n: Type.Integer() }), Type.Record(Type.String({ pattern: '^x' }), User)]), { x: ann, y: ann }, { x: told }],
    [Type.Recursive((This) => Type.Intersect([Type.Object({ n: Type.Integer() }), Type.Object({ m: Type.Integer() })], { unevaluatedProperties: This })), { n: 1, m: 2, x: { n: 3, m: 4 } }, { n: 1, m: 2, x: { n: 3, m: 4 } }]
  ]
  const share = (app: FastifyInstance) => { app.addSchema({ ...User, $id: 'User' }) }
  for (const [schema, data, received] of cases) t.strictSame(await roundTrip(t, schema, data, share), received)
})

t.test('a shared schema is found by $ref, in whatever order they come', async (t) => {
  const User = Type.Object({ name: Type.String(), friend: Type.Optional(Type.Ref('User')) }, { $id: 'User' })
  const share = (app: FastifyInstance) => { app.addSchema(User) }
  const ann = { name: 'Ann', friend: { name: 'Bob' } }
  t.strictSame(await roundTrip(t, Type.Ref('User'), ann, share), ann)
  t.strictSame(await roundTrip(t, Type.Object({ who: Type.Ref('User') }), { who: ann }, share), { who: ann })
  t.strictSame(await roundTrip(t, Type.Array(Type.Unsafe({ $ref: 'User#' })), [ann], share), [ann])
  t.strictSame(await roundTrip(t, { $ref: 'User#' }, ann, share), ann)

  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sse)
  app.get('/', { schema: { sse: { e: Type.Ref('Late') } } }, (_request, reply) => reply.sse([{ event: 'e', data: 1 }] as never))
  app.addSchema(Type.Integer({ $id: 'Late' }))
  t.match((await app.inject('/')).body, 'event: e\ndata: 1\n\n')
})

t.test('a JSON Schema that nobody made with TypeBox is checked all the same', async (t) => {
  const share = (app: FastifyInstance) => {
    app.addSchema({ $id: 'tree', type: 'object', properties: { t: { $ref: '#/x-types/v' }, kids: { type: 'array', items: { $ref: '#' } } }, 'x-types': { v: { type: 'string' } } })
    app.addSchema({ $id: 'node', type: 'object', properties: { v: { type: 'integer' }, next: { $ref: 'node#' } }, required: ['v'] })
    app.addSchema({ $id: 'one', type: 'object', properties: { id: { $id: '#id', type: 'string' } } })
    app.addSchema({ $id: 'two', type: 'object', properties: { id: { $id: '#id', type: 'integer' } } })
  }
  const good: Array<[schema: object, data: unknown]> = [
    [{}, { a: 1 }],
    [{ type: 'object' }, {}],
    [{ type: 'array' }, [1, 'x']],
    [{ type: 'object', properties: { a: { properties: { b: { type: 'boolean' } } } } }, { a: { b: true } }],
    [{ type: 'array', minItems: 0, maxItems: 0 }, []],
    [{ type: ['string', 'null'] }, null],
    [{ type: 'string', nullable: true, 'x-note': 'n' }, null],
    [{ enum: ['a', 1, null] }, null],
    [{ const: 'a' }, 'a'],
    [{ anyOf: [{ type: 'string' }, { type: 'integer' }] }, 7],
    [{ allOf: [{ type: 'object', properties: { a: { type: 'integer' } } }] }, { a: 1 }],
    [{ not: { type: 'string' } }, 7],
    [{ type: 'array', items: [{ type: 'integer' }], minItems: 1, maxItems: 1, additionalItems: false }, [1]],
    [{ type: 'object', patternProperties: { '^(.*)$': { type: 'integer' } } }, { a: 1 }],
    [{ type: 'array', items: { type: 'string' }, maxItems: 0 }, []],
    [{ type: 'object', additionalProperties: { type: 'object', additionalProperties: { type: 'number' } } }, { a: { b: 1 }, b: { c: 1 } }],
    [{ type: 'object', properties: { m: { type: 'object', patternProperties: { '^a': { type: 'integer' } }, additionalProperties: { type: 'string' } } } }, { m: { a: 1, b: 'x' } }],
    [{ type: 'object', definitions: { address: { $id: '#address', type: 'object', properties: { city: { type: 'string' } } } }, required: ['name'], properties: { name: { type: 'string' }, address: { $ref: '#address' } } }, { name: 'Ann', address: { city: 'Bern' } }],
    [{ type: 'object', properties: { n: { $anchor: 'n', type: 'integer' }, m: { $ref: '#n' } } }, { n: 1, m: 2 }],
    [{ type: 'array', items: { anyOf: [{ $ref: 'one#id' }, { $ref: 'two#id' }] } }, ['a', 1]],
    [{ $ref: 'node#' }, { v: 1, next: { v: 2 } }],
    [{ $ref: 'node#', nullable: true }, null],
    [{ $ref: 'tree' }, { t: 'a', kids: [{ t: 'b', kids: [] }] }],
    [{ type: 'object', properties: { me: { $ref: '#' }, v: { $ref: '#/x-types/v' }, far: { $ref: 'tree' } }, 'x-types': { v: { type: 'integer' } } }, { v: 1, me: { v: 2, far: { t: 'a' } } }],
    [{ type: ['object', 'null'], properties: { a: { type: 'string' } } }, { a: 'x' }],
    [{ type: ['string', 'null'], maxLength: 5 }, 'abc'],
    [{ const: null }, null],
    [{ enum: ['a'], nullable: true }, null],
    [{ type: 'object', properties: { a: true } }, { a: [1] }],
    [{ $defs: { n: { type: 'integer' } }, type: 'array', items: { $ref: '#/$defs/n' } }, [1]],
    [{ type: 'object', properties: { v: { $ref: 'node#/properties/v' } } }, { v: 1 }],
    [{ type: 'object', properties: { a: { $ref: '#/$defs/a~1b' } }, $defs: { 'a/b': { type: 'integer' } } }, { a: 1 }]
  ]
  for (const [schema, data] of good) {
    t.strictSame(await roundTrip(t, schema, data, share), data)
  }
  const bad: Array<[schema: object, data: unknown, path: string]> = [
    [{ type: 'object', required: ['a'], properties: { a: { type: 'integer' } } }, { a: '1' }, '/a'],
    [{ type: 'string', nullable: true }, 7, '/'],
    [{ type: 'object', additionalProperties: { type: 'object', additionalProperties: { type: 'number' } } }, { a: { b: 'x' }, b: { b: 1 } }, '/a/b'],
    [{ type: 'object', properties: { m: { type: 'object', patternProperties: { '^a': { type: 'integer' } }, additionalProperties: { type: 'string' } } } }, { m: { a: 1, b: 2 } }, '/m/b'],
    [{ $ref: 'node#' }, { v: 1, next: { v: 'x' } }, '/next'],
    [{ type: 'integer', not: { const: 5 } }, 5, '/'],
    [{ type: 'integer', not: { const: 5 } }, 'x', '/'],
    [{ type: 'string', anyOf: [{ type: 'string' }, { type: 'integer' }] }, 7, '/'],
    [{ type: 'string', enum: ['a', 'bb'], minLength: 2 }, 'a', '/'],
    [{ $ref: 'node#', type: 'object', required: ['next'] }, { v: 1 }, '/'],
    [{ type: ['string', 'null'], maxLength: 2 }, 'abc', '/'],
    [{ type: 'object', properties: { a: false } }, { a: 1 }, '/a'],
    [{ $ref: 'tree' }, { t: { kids: [{ t: 7 }] } }, '/t']
  ]
  for (const [schema, data, path] of bad) {
    const response = await stream(t, { e: schema }, [{ event: 'e', data }], {}, share)
    t.equal(response.json().code, 'SSE_ERR_INVALID_DATA')
    t.match(response.json().message, `at ${path}`)
  }
})

t.test('any value of a schema comes back equal', async (t) => {
  const schema = Type.Object({
    s: Type.String(),
    n: Type.Union([Type.Number(), Type.Null()]),
    o: Type.Optional(Type.Object({ b: Type.Boolean(), l: Type.Array(Type.String()) })),
    r: Type.Record(Type.String(), Type.Integer()),
    u: Type.Union([Type.String(), Type.Array(Type.Integer())]),
    x: Type.Any()
  })
  const json = fc.jsonValue()
  const value = fc.record({
    s: fc.string({ unit: 'binary' }),
    n: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }), { nil: null }),
    o: fc.option(fc.record({ b: fc.boolean(), l: fc.array(fc.string({ unit: 'binary' })) }), { nil: undefined }),
    r: fc.dictionary(fc.string({ unit: 'binary' }), fc.integer()),
    u: fc.oneof(fc.string({ unit: 'grapheme' }), fc.array(fc.integer())),
    x: json
  })
  const values = fc.sample(value, 400)
  const response = await stream(t, { e: schema }, values.map((data) => ({ event: 'e', data })))
  const frames = response.body.slice(':\n'.length).split('\n\n').slice(0, -1)
  t.strictSame(frames.map((frame) => JSON.parse(frame.slice('event: e\ndata: '.length))), JSON.parse(JSON.stringify(values)))
  t.notMatch(response.body, /[\u2028\u2029\u0085\r]/)
})

t.test('a bad first event is a 500 with the code, the place, and no payload', async (t) => {
  const response = await stream(t, { tick: Type.Object({ n: Type.Integer() }) }, [{ event: 'tick', data: { n: 's3cret' } }])
  t.equal(response.statusCode, 500)
  t.strictSame(response.json(), { statusCode: 500, code: 'SSE_ERR_INVALID_DATA', error: 'Internal Server Error', message: 'Event `tick` does not match its schema at /n: Expected integer' })
  t.notOk(response.headers['x-accel-buffering'], 'no header of the stream is left over')
})

t.test('a bad later event ends the stream, with nothing of it written', async (t) => {
  const good = { event: 'tick', data: { n: 1 }, id: '1' }
  for (const bad of [{ event: 'tick', data: { n: 'x' } }, { event: 'tock', data: 1 }, { event: 'tick', data: { n: 2 }, id: 'a\nb' }, { event: 'tick', data: undefined }, { data: 1 }, 'text', 7]) {
    const response = await stream(t, { tick: Type.Object({ n: Type.Integer() }) }, [good, bad, good])
    t.equal(response.body, ':\nevent: tick\ndata: {"n":1}\nid: 1\n\nevent: sse.error\ndata: {"message":"The stream failed"}\n\n')
  }
})

t.test('an unknown event is told with the known ones', async (t) => {
  const response = await stream(t, { tick: Type.Any(), done: Type.Null() }, [{ event: 'tock', data: 1 }])
  t.equal(response.json().code, 'SSE_ERR_UNKNOWN_EVENT')
  t.equal(response.json().message, 'Unknown event "tock" (string). The route\'s schema.sse has `tick`, `done`')
})

t.test('a route without events can send none', async (t) => {
  t.match((await stream(t, {}, [{ event: 'tock', data: 1 }])).json().message, /schema\.sse has none$/)
})

t.test("validate: 'drop' leaves out what does not match, and only that", async (t) => {
  const dropped: string[] = []
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sse, { retry: false, validate: 'drop', metrics: { drop: ({ event }) => { dropped.push(event) } } })
  app.get('/', { schema: { sse: { n: Type.Integer() } } }, (_request, reply) => reply.sse([
    { event: 'n', data: 'x' }, { event: 'n', data: 1 }, { event: 'm', data: 1 }, { event: 'n', data: 2 }
  ] as never))
  app.get('/field', { schema: { sse: { n: Type.Integer() } } }, (_request, reply) => reply.sse([{ event: 'n', data: 1, id: 'a\n' }]))
  t.equal((await app.inject('/')).body, ':\nevent: n\ndata: 1\n\nevent: n\ndata: 2\n\n')
  t.strictSame(dropped, ['n', 'm'])
  t.equal(app.sse.stats().dropped, 2)
  t.equal((await app.inject('/field')).json().code, 'SSE_ERR_INVALID_FIELD', 'a forged field is never dropped in silence')
  t.equal((await stream(t, { n: Type.Integer() }, [{ event: 'n', text: 'x' }, { event: 'n', data: undefined }, { event: 'n', data: 1 }], { validate: 'drop' })).body, ':\nevent: n\ndata: 1\n\n')

  const untyped = Fastify()
  t.teardown(() => untyped.close())
  await untyped.register(sse, { validate: 'drop' })
  untyped.get('/', (_request, reply) => reply.sse([7 as never]))
  t.equal((await untyped.inject('/')).json().code, 'SSE_ERR_INVALID_EVENT', 'nor what is no event')
})

t.test('validate: false checks no payload, but every field', async (t) => {
  const schemas = { n: Type.Integer(), log: Type.String({ contentMediaType: 'text/plain' }), o: Type.Object({ a: Type.Integer() }) }
  const response = await stream(t, schemas, [
    { event: 'n', data: 'x' }, { event: 'n', data: { deep: [1] } }, { event: 'other', data: 1 }, { event: 'other', text: 'a' },
    { event: 'log', data: 'a\nb' }, { event: 'log', data: 7 }, { event: 'o', data: { a: 'not a number' } }
  ], { validate: false })
  t.equal(response.body, ':\nevent: n\ndata: "x"\n\nevent: n\ndata: {"deep":[1]}\n\nevent: other\ndata: 1\n\nevent: other\ndata: a\n\nevent: log\ndata: a\ndata: b\n\nevent: log\ndata: 7\n\nevent: o\ndata: {"a":"not a number"}\n\n')
  t.equal((await stream(t, schemas, [{ event: 'a\nb', data: 1 }], { validate: false })).json().code, 'SSE_ERR_INVALID_FIELD')
})

t.test('text is for events whose schema says text/plain', async (t) => {
  const log = Type.String({ contentMediaType: 'text/plain', maxLength: 9 })
  const response = await stream(t, { log, message: log, s: Type.String() }, [
    { event: 'log', text: 'a\nb' }, { event: 'log', data: 'c' }, 'bare', { text: 'bare' }, { event: 's', data: 'json' }
  ])
  t.equal(response.body, ':\nevent: log\ndata: a\ndata: b\n\nevent: log\ndata: c\n\ndata: bare\n\ndata: bare\n\nevent: s\ndata: "json"\n\n')
  t.equal((await stream(t, { log }, [{ event: 'log', text: '0123456789' }])).json().code, 'SSE_ERR_INVALID_DATA', 'it is checked too')
  const refused = (await stream(t, { s: Type.String() }, [{ event: 's', text: 'x' }])).json()
  t.equal(refused.code, 'SSE_ERR_INVALID_DATA')
  t.match(refused.message, /sent as JSON, so give it `data`/)
})

t.test('the constructors build what can be yielded', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sse, { retry: false })
  const log = Type.String({ contentMediaType: 'text/plain' })
  const seen: unknown[] = []
  let symbol: unknown = 'not looked at'
  app.get('/typed', { schema: { sse: { tick: Type.Integer(), message: Type.Integer(), log, constructor: Type.Integer() } } }, (_request, reply) =>
    reply.sse(function * ({ events }) {
      seen.push(events.tick(1), events.tick(1, { id: '1', retry: 100, comment: 'c' }), events.message(2), events.log('a\nb'), Object.keys(events))
      yield events.tick(1, { id: '1', retry: 100, comment: 'c' })
      yield events.message(2)
      yield events.log('a\nb')
      yield events.constructor(3)
    }))
  app.get('/text', { schema: { sse: { message: log } } }, (_request, reply) => reply.sse(function * ({ events }) { yield events.message('a\nb', { id: '1' }) }))
  app.get('/any', (_request, reply) => reply.sse(function * ({ events }) {
    symbol = (events as unknown as Record<symbol, unknown>)[Symbol.iterator]
    yield events.tick!({ n: 1 })
    yield events.message!(1, { id: '' })
  }))
  t.equal((await app.inject('/typed')).body, ':\n: c\nevent: tick\nretry: 100\ndata: 1\nid: 1\n\ndata: 2\n\nevent: log\ndata: a\ndata: b\n\nevent: constructor\ndata: 3\n\n')
  t.strictSame(seen, [{ event: 'tick', data: 1 }, { event: 'tick', data: 1, id: '1', retry: 100, comment: 'c' }, { data: 2 }, { event: 'log', data: 'a\nb' }, ['tick', 'message', 'log', 'constructor']])
  t.equal((await app.inject('/any')).body, ':\nevent: tick\ndata: {"n":1}\n\ndata: 1\nid: \n\n')
  t.equal((await app.inject('/text')).body, ':\ndata: a\ndata: b\nid: 1\n\n')
  t.equal(symbol, undefined, 'for any name, which a symbol is not')
})

t.test('a bad event is an exception at its yield, which the source may catch', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sse, { retry: false })
  app.get('/', { schema: { sse: { n: Type.Integer() } } }, (_request, reply) => reply.sse(async function * ({ events }) {
    for (const value of ['x', 1]) {
      try {
        yield events.n(value as number)
      } catch (error) {
        yield events.n((error as { code: string }).code === 'SSE_ERR_INVALID_DATA' ? 42 : 0)
      }
    }
  }))
  t.equal((await app.inject('/')).body, ':\nevent: n\ndata: 42\n\nevent: n\ndata: 1\n\n')
})

t.test('a bad schema stops the start, and names event and route', async (t) => {
  const code = 'SSE_ERR_INVALID_SCHEMA'
  const declare = async (schemas: unknown) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(sse)
    app.get('/x', { schema: { sse: schemas as Record<string, unknown> } }, () => 'never')
    await app.ready()
  }
  for (const schemas of [7, [], null, Type.Object({})]) await t.rejects(declare(schemas), { code, message: /schema\.sse of GET \/x/ })
  for (const name of ['open', 'error', 'sse.end', 'a\nb', 'a\rb', 'a\0', '']) await t.rejects(declare({ [name]: Type.Any() }), { code }, JSON.stringify(name))
  for (const schema of [7, null, undefined, [], { type: 'strange' }, { type: 'array', items: [{}] }, { const: {} }, { maxLength: 1 }, { type: 'object', properties: {}, patternProperties: { '^a': {} } }, { type: 'object', patternProperties: { '^a': {}, '^b': {} } }, { type: 'array', items: [{}], minItems: 1, maxItems: 1, uniqueItems: true }, { type: 'array', maxItems: 0, contains: {} }, Type.Unsafe({ $ref: '#nobody' }), Type.Unsafe({ $ref: '#/%zz' }), { type: 7 }, { type: 'object', dependentRequired: {} }, Type.Unsafe({ type: 'string', oneOf: [] }), Type.Function([], Type.Any()), Type.BigInt(), Type.Void(), Type.Undefined(), Type.Object({ a: Type.Promise(Type.Any()) }), Type.Array(Type.Uint8Array()), Type.Ref('Nobody'), Type.Unsafe({ $ref: '#/a/b/c' }), Type.Object({ a: Type.String({ format: 'nonsense' }) })]) {
    await t.rejects(declare({ tick: schema }), { code, message: /event `tick` in schema\.sse of GET \/x/ })
  }
})

t.test('a format that says nothing of strings lets them pass', async (t) => {
  for (const format of ['password', 'int32']) t.equal(await roundTrip(t, Type.String({ format }), 'any'), 'any')
})

t.test('a format that is registered with TypeBox counts before the known ones', async (t) => {
  FormatRegistry.Set('even-length', (value) => value.length % 2 === 0)
  t.teardown(() => { FormatRegistry.Delete('even-length') })
  t.equal(await roundTrip(t, Type.String({ format: 'even-length' }), 'ab'), 'ab')
  t.equal((await stream(t, { e: Type.String({ format: 'even-length' }) }, [{ event: 'e', data: 'abc' }])).json().code, 'SSE_ERR_INVALID_DATA')
  for (const [format, bad] of [['email', 'x'], ['date', '2026-13-01'], ['uuid', 'x'], ['uri', 'x'], ['regex', '('], ['byte', '?']]) {
    t.equal((await stream(t, { e: Type.String({ format: format as string }) }, [{ event: 'e', data: bad }])).json().code, 'SSE_ERR_INVALID_DATA', String(format))
    t.notOk(FormatRegistry.Has(String(format)), 'nobody else is told')
  }
})
