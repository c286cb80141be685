// Options at the three places where they may be given.
import { Type } from '@sinclair/typebox'
import Fastify, { type FastifyRequest } from 'fastify'
import { expect, test } from 'tstyche'
import sse from '../lib/index.js'
import type { CloseReason, SseOptions, SsePluginOptions } from './index.js'

const app = Fastify()
const schema = { sse: { tick: Type.Object({ n: Type.Integer() }) } }

test('every option', () => {
  expect<SseOptions>().type.toBeAssignableFrom({
    heartbeat: 1_000,
    retry: 1_000,
    openAfter: Infinity,
    validate: 'drop' as const,
    end: false,
    minimal: true,
    done: '[DONE]',
    maxDuration: 60_000,
    stallTimeout: 1_000,
    maxConnections: { total: 10, perKey: 1, key: (request: FastifyRequest) => request.ip },
    shutdown: { spread: 1_000 },
    onError: () => ({ message: 'no' }),
    onClose: () => {}
  })
  expect<SseOptions>().type.toBeAssignableFrom({ heartbeat: false as const, retry: false as const, validate: false as const, maxDuration: false as const, maxConnections: false as const })
  expect<SseOptions>().type.toBeAssignableFrom({ maxConnections: 10 })
  expect<SseOptions>().type.toBeAssignableFrom({})
})

test('an option may be undefined', () => {
  expect<{ [Name in keyof SseOptions]-?: undefined }>().type.toBeAssignableTo<SseOptions>()
  expect<{ [Name in keyof SsePluginOptions]-?: undefined }>().type.toBeAssignableTo<SsePluginOptions>()
})

test('a value of another type is an error', () => {
  expect<SseOptions>().type.not.toBeAssignableFrom({ heartbeat: '1000' })
  expect<SseOptions>().type.not.toBeAssignableFrom({ heartbeat: true })
  expect<SseOptions>().type.not.toBeAssignableFrom({ retry: null })
  expect<SseOptions>().type.not.toBeAssignableFrom({ openAfter: false })
  expect<SseOptions>().type.not.toBeAssignableFrom({ validate: true })
  expect<SseOptions>().type.not.toBeAssignableFrom({ validate: 'ignore' as const })
  expect<SseOptions>().type.not.toBeAssignableFrom({ end: 1 })
  expect<SseOptions>().type.not.toBeAssignableFrom({ minimal: 'yes' })
  expect<SseOptions>().type.not.toBeAssignableFrom({ done: true })
  expect<SseOptions>().type.not.toBeAssignableFrom({ maxDuration: true })
  expect<SseOptions>().type.not.toBeAssignableFrom({ stallTimeout: false })
  expect<SseOptions>().type.not.toBeAssignableFrom({ maxConnections: { total: '10' } })
  expect<SseOptions>().type.not.toBeAssignableFrom({ maxConnections: { key: () => true } })
  expect<SseOptions>().type.not.toBeAssignableFrom({ shutdown: false })
  expect<SseOptions>().type.not.toBeAssignableFrom({ shutdown: { spread: '1000' } })
  expect<SseOptions>().type.not.toBeAssignableFrom({ onError: 'no' })
  expect<SseOptions>().type.not.toBeAssignableFrom({ onClose: (reason: string) => reason })
})

test('at the plugin', () => {
  app.register(sse, { heartbeat: 1_000, metrics: {} })
  // @ts-expect-error Type 'string' is not assignable to type 'number | false | undefined'
  app.register(sse, { heartbeat: '1000' })
  // @ts-expect-error Object literal may only specify known properties, and 'hartbeat' does not exist in type
  app.register(sse, { hartbeat: 1_000 })
})

test('at the route', () => {
  app.get('/', { schema, config: { sse: { heartbeat: 1_000 } } }, (request, reply) => {
    expect(request.routeOptions.config.sse?.heartbeat).type.toBeAssignableTo<number | false | undefined>()
    return reply.sse(function * ({ events }) { yield events.tick({ n: 1 }) })
  })
  app.route({ method: 'GET', url: '/', schema, config: { sse: { end: false }, other: 1 }, handler: (_request, reply) => reply.sse([]) })
  // @ts-expect-error is not assignable to
  app.get('/', { schema, config: { sse: { heartbeat: '1000' } } }, (_request, reply) => reply.sse([]))
  // @ts-expect-error is not assignable to
  app.get('/', { config: { sse: { validate: 'ignore' } } }, (_request, reply) => reply.sse([]))
  // @ts-expect-error is not assignable to
  app.route({ method: 'GET', url: '/', config: { sse: { end: 1 } }, handler: (_request, reply) => reply.sse([]) })
})

test('at the route, an unknown key is left to the check at registration, unless the options are declared', () => {
  // Fastify infers the type of `config` from what is there, so that nothing in it is in excess.
  app.get('/', { config: { sse: { hartbeat: 1_000 } } }, (_request, reply) => reply.sse([]))
  // @ts-expect-error Object literal may only specify known properties, but 'hartbeat' does not exist in type 'SseOptions'
  app.get('/', { config: { sse: { hartbeat: 1_000 } satisfies SseOptions } }, (_request, reply) => reply.sse([]))
})

test('at the call', () => {
  app.get('/', { schema }, (_request, reply) => reply.sse([], { heartbeat: 1_000 }))
  // @ts-expect-error Type 'string' is not assignable to type 'number | false | undefined'
  app.get('/', { schema }, (_request, reply) => reply.sse([], { heartbeat: '1000' }))
  // @ts-expect-error Object literal may only specify known properties, but 'hartbeat' does not exist in type 'SseOptions'
  app.get('/', { schema }, (_request, reply) => reply.sse([], { hartbeat: 1_000 }))
  // @ts-expect-error Object literal may only specify known properties, and 'metrics' does not exist in type 'SseOptions'
  app.get('/', { schema }, (_request, reply) => reply.sse([], { metrics: {} }))
})

test('callbacks know what they get', () => {
  app.register(sse, {
    onError (error, request) {
      expect(error).type.toBe<unknown>()
      expect(request).type.toBe<FastifyRequest>()
      return 'gone'
    },
    onClose ({ request, reason, durationMs, events, bytes, error }) {
      expect(request).type.toBe<FastifyRequest>()
      expect(reason).type.toBe<CloseReason>()
      expect([durationMs, events, bytes]).type.toBe<number[]>()
      expect(error).type.toBe<unknown>()
      // @ts-expect-error This comparison appears to be unintentional because the types 'CloseReason' and '"done"' have no overlap
      if (reason === 'done') throw error
    },
    maxConnections: { perKey: 1, key: (request) => request.ip }
  })
})
