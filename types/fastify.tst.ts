// reply.sse() on every kind of route that Fastify has, with and without a type provider.
import type { FastifyPluginAsyncTypebox, TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import Fastify, { type FastifyInstance, type FastifyPluginAsync, type FastifyReply, type FastifyRequest } from 'fastify'
import { expect, test } from 'tstyche'
import sse from '../lib/index.js'
import type { SseStats } from './index.js'

const Tick = Type.Object({ n: Type.Integer() })
const schema = { sse: { tick: Tick } }
const Problem = Type.Object({ problem: Type.String() })

const app = Fastify()
const typed = Fastify().withTypeProvider<TypeBoxTypeProvider>()

test('registers on every kind of instance', () => {
  expect(app.register(sse)).type.toBeAssignableTo<FastifyInstance & PromiseLike<unknown>>()
  expect(app.register(sse, { heartbeat: 1_000 })).type.toBeAssignableTo<FastifyInstance>()
  typed.register(sse)
  typed.register(sse, { heartbeat: 1_000 })
  Fastify({ http2: true }).register(sse, { heartbeat: 1_000 })
  Fastify({ https: { key: '', cert: '' } }).register(sse, { heartbeat: 1_000 })
  Fastify({ http2: true, https: {} }).withTypeProvider<TypeBoxTypeProvider>().register(sse, { heartbeat: 1_000 })
})

test('the instance has the sums', () => {
  expect(app.sse.stats()).type.toBe<SseStats>()
  expect(typed.sse.stats()).type.toBe<SseStats>()
  // @ts-expect-error Cannot assign to 'sse' because it is a read-only property
  app.sse = { stats: typed.sse.stats }
})

test('get(url, options, handler)', () => {
  app.get('/', { schema }, (_request, reply) => reply.sse(async function * ({ events }) {
    yield events.tick({ n: 1 })
    yield { event: 'tick', data: { n: 1 } }
    // @ts-expect-error Type 'string' is not assignable to type 'number'
    yield events.tick({ n: '1' })
    // @ts-expect-error Object literal may only specify known properties, and 'm' does not exist in type '{ n: number; }'
    yield events.tick({ n: 1, m: 1 })
    // @ts-expect-error Property 'tock' does not exist on type 'EventBuilder<{ tick: { n: number; }; }>'
    yield events.tock({ n: 1 })
  }))
  // @ts-expect-error Type '"tock"' is not assignable to type '"tick"'
  app.get('/', { schema }, (_request, reply) => reply.sse(async function * () { yield { event: 'tock', data: { n: 1 } } }))
  // @ts-expect-error Type 'string' is not assignable to type 'number'
  app.get('/', { schema }, (_request, reply) => reply.sse(async function * () { yield { event: 'tick', data: { n: '1' } } }))
})

test('schemas written in the route', () => {
  app.get('/', { schema: { sse: { tick: Type.Object({ n: Type.Integer() }), done: Type.Null() } } }, (_request, reply) => reply.sse(function * ({ events }) {
    yield events.tick({ n: 1 })
    yield events.done(null)
    // @ts-expect-error Argument of type 'null' is not assignable to parameter of type '{ n: number; }'
    yield events.tick(null)
  }))
})

test('get(url, { handler })', () => {
  app.get('/', {
    schema,
    handler: (_request, reply) => reply.sse(function * ({ events }) {
      yield events.tick({ n: 1 })
      // @ts-expect-error Type 'string' is not assignable to type 'number'
      yield events.tick({ n: '1' })
    })
  })
})

test('route({})', () => {
  app.route({
    method: 'GET',
    url: '/',
    schema,
    handler: (_request, reply) => reply.sse(function * ({ events }) {
      yield events.tick({ n: 1 })
      // @ts-expect-error Type 'string' is not assignable to type 'number'
      yield events.tick({ n: '1' })
    })
  })
  typed.route({
    method: ['GET', 'POST'],
    url: '/',
    schema: { ...schema, querystring: Tick },
    async handler ({ query }, reply) {
      expect(query).type.toBe<{ n: number }>()
      return reply.sse(function * ({ events }) {
        yield events.tick(query)
        // @ts-expect-error Type 'string' is not assignable to type 'number'
        yield events.tick({ n: '1' })
      })
    }
  })
})

test('with a type provider', () => {
  typed.get('/', { schema }, (_request, reply) => reply.sse(async function * ({ events }) {
    yield events.tick({ n: 1 })
    yield { event: 'tick', data: { n: 1 } }
    // @ts-expect-error Type 'string' is not assignable to type 'number'
    yield events.tick({ n: '1' })
    // @ts-expect-error Object literal may only specify known properties, and 'm' does not exist in type '{ n: number; }'
    yield events.tick({ n: 1, m: 1 })
    // @ts-expect-error Property 'tock' does not exist on type
    yield events.tock({ n: 1 })
  }))
  // @ts-expect-error Type '"tock"' is not assignable to type '"tick"'
  typed.get('/', { schema }, (_request, reply) => reply.sse(async function * () { yield { event: 'tock', data: { n: 1 } } }))
  // @ts-expect-error Type 'string' is not assignable to type 'number'
  typed.get('/', { schema }, (_request, reply) => reply.sse(async function * () { yield { event: 'tick', data: { n: '1' } } }))
})

test('POST with a body', () => {
  typed.post('/', { schema: { ...schema, body: Type.Object({ from: Type.Integer() }) } }, (request, reply) => {
    expect(request.body).type.toBe<{ from: number }>()
    return reply.sse(function * ({ events }) {
      yield events.tick({ n: request.body.from })
      // @ts-expect-error Property 'n' is missing in type '{ from: number; }' but required in type '{ n: number; }'
      yield events.tick(request.body)
    })
  })
  app.post<{ Body: { from: number } }>('/', (request, reply) => reply.sse(function * () {
    yield { event: 'tick', data: request.body.from }
  }))
})

test('in plugins', () => {
  const plain: FastifyPluginAsync = async (child) => {
    child.get('/', { schema }, (_request, reply) => reply.sse(function * ({ events }) {
      yield events.tick({ n: 1 })
      // @ts-expect-error Type 'string' is not assignable to type 'number'
      yield events.tick({ n: '1' })
    }))
    child.withTypeProvider<TypeBoxTypeProvider>().get('/', { schema: { ...schema, querystring: Tick } }, ({ query }, reply) => reply.sse(function * ({ events }) {
      yield events.tick(query)
      // @ts-expect-error Type 'string' is not assignable to type 'number'
      yield events.tick({ n: '1' })
    }))
    expect(child.sse.stats()).type.toBe<SseStats>()
  }
  const withProvider: FastifyPluginAsyncTypebox<{ prefix: string }> = async (child) => {
    child.get('/', { schema: { ...schema, querystring: Tick } }, ({ query }, reply) => reply.sse(function * ({ events }) {
      yield events.tick(query)
      // @ts-expect-error Type 'string' is not assignable to type 'number'
      yield events.tick({ n: '1' })
    }))
    expect(child.sse.stats()).type.toBe<SseStats>()
  }
  app.register(plain)
  app.register(withProvider, { prefix: '/a' })
})

test('on HTTP/2', () => {
  Fastify({ http2: true }).get('/', { schema }, (_request, reply) => reply.sse(function * ({ events }) {
    yield events.tick({ n: 1 })
    // @ts-expect-error Type 'string' is not assignable to type 'number'
    yield events.tick({ n: '1' })
  }))
})

test('chains, and gives the reply back', () => {
  app.get('/', { schema }, (_request, reply) => {
    expect(reply.code(200).header('x-a', 'b').sse([{ event: 'tick', data: { n: 1 } }])).type.toBe(reply)
    expect(reply.sse([]).code(200)).type.toBe(reply)
    // @ts-expect-error Type 'string' is not assignable to type 'number'
    return reply.code(200).header('x-a', 'b').sse([{ event: 'tick', data: { n: '1' } }])
  })
})

test('beside schema.response', () => {
  app.get('/', { schema: { ...schema, response: { 404: Problem } } }, async (request, reply) => {
    if (request.id === '') return reply.code(404).send({ problem: 'none' })
    return reply.sse(function * ({ events }) {
      yield events.tick({ n: 1 })
      // @ts-expect-error Type 'string' is not assignable to type 'number'
      yield events.tick({ n: '1' })
    })
  })
  typed.get('/', { schema: { ...schema, response: { 404: Problem } } }, async (request, reply) => {
    // @ts-expect-error Type 'number' is not assignable to type 'string'
    if (request.id === '') return reply.code(404).send({ problem: 1 })
    if (request.id === 'a') return reply.code(404).send({ problem: 'none' })
    return reply.sse(function * ({ events }) { yield events.tick({ n: 1 }) })
  })
})

test('beside hooks', () => {
  typed.get('/', {
    schema,
    preHandler: async (request, reply) => { if (request.id === '') return reply.code(403).send() },
    onSend: async (_request, _reply, payload) => payload
  }, (_request, reply) => reply.sse(function * ({ events }) {
    yield events.tick({ n: 1 })
    // @ts-expect-error Type 'string' is not assignable to type 'number'
    yield events.tick({ n: '1' })
  }))
})

test('without schemas', () => {
  app.get('/', (_request, reply) => reply.sse(async function * () {
    yield 'a'
    yield { data: 1 }
    yield { text: 'a' }
    yield { event: 'x', data: { n: 1 }, id: 1 }
  }))
  typed.get('/', { schema: { querystring: Tick } }, ({ query }, reply) => reply.sse([{ event: 'x', data: query }]))
  // @ts-expect-error Property 'text' is missing in type '{ event: string; }'
  app.get('/', (_request, reply) => reply.sse(async function * () { yield { event: 'x' } }))
  // @ts-expect-error Argument of type 'string' is not assignable to parameter of type 'SseSource<AnySseEvent
  app.get('/', (_request, reply) => reply.sse('abc'))
})

test('schema.sse is a map', () => {
  // @ts-expect-error Type 'string' is not assignable to type
  app.get('/', { schema: { sse: 'tick' } }, (_request, reply) => reply)
})

test('a reply fits a helper that takes any reply, unchecked there', () => {
  function later (reply: FastifyReply): FastifyReply {
    return reply.header('x-a', 'b').sse([{ event: 'tick', data: { n: 1 } }])
  }
  async function handler (_request: FastifyRequest, reply: FastifyReply) {
    return reply.sse([{ event: 'anything', data: 1 }])
  }
  app.get('/', { schema }, (_request, reply) => later(reply))
  typed.get('/', { schema }, (_request, reply) => later(reply))
  app.get('/', { schema }, handler)
})
