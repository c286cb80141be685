// Types of events, by schemas of other libraries.
import type { TypeBoxTypeProvider } from 'type-provider-typebox-6'
import { type } from 'arktype'
import Fastify, { type FastifyTypeProvider } from 'fastify'
import { expect, test } from 'tstyche'
import { Type } from 'typebox'
import * as v from 'valibot'
import { z } from 'zod'
import sse, { type EventsOf } from '../lib/index.js'
import { stream, type ReceivedEvent, type ReceivedOf } from '../lib/client/index.js'
import { jsonSchema } from '../lib/json-schema/index.js'

const app = Fastify()
await app.register(sse)

test('a Standard Schema types what a route may send', () => {
  for (const sse of [{ tick: z.object({ n: z.int() }) }, { tick: v.object({ n: v.number() }) }, { tick: type({ n: 'number' }) }, { tick: jsonSchema<{ n: number }>({ type: 'object' }) }] as const) {
    app.get('/', { schema: { sse } }, (_request, reply) => {
      expect(reply.sse).type.toBeCallableWith([{ event: 'tick' as const, data: { n: 1 } }])
      expect(reply.sse).type.not.toBeCallableWith([{ event: 'tick' as const, data: { n: 'x' } }])
      expect(reply.sse).type.not.toBeCallableWith([{ event: 'tock' as const, data: { n: 1 } }])
      return reply
    })
  }
})

test('what goes in is what is sent', () => {
  const route = { schema: { sse: { tick: z.object({ n: z.string().transform(Number), m: z.int().default(7), at: z.date() }) } } }
  app.get('/', route, (_request, reply) => reply.sse([{ event: 'tick', data: { n: '1', at: new Date() } }]))
  expect<ReceivedOf<EventsOf<typeof route>>>().type.toBe<ReceivedEvent<'tick', { n: string, m?: number | undefined, at: string }>>()
})

test('a type provider, which knows what comes out or nothing at all, does not change that', () => {
  interface OfOutputs extends FastifyTypeProvider { serializer: this['schema'] extends { _output: infer Output } ? Output : unknown }
  const len = z.object({ n: z.string().transform(Number), m: z.int().default(7) })
  const schemas = { len, val: v.object({ n: v.number() }), ark: type({ n: 'number' }) }
  const ofOutputs = app.withTypeProvider<OfOutputs>()
  ofOutputs.get('/', { schema: { sse: schemas } }, (_request, reply) => {
    expect(reply.sse).type.toBeCallableWith([{ event: 'len' as const, data: { n: '1' } }, { event: 'val' as const, data: { n: 1 } }, { event: 'ark' as const, data: { n: 1 } }])
    expect(reply.sse).type.not.toBeCallableWith([{ event: 'len' as const, data: { n: 1, m: 7 } }])
    expect(reply.sse).type.not.toBeCallableWith([{ event: 'val' as const, data: {} }])
    return reply
  })
  const ofTypeBox = app.withTypeProvider<TypeBoxTypeProvider>()
  ofTypeBox.get('/', { schema: { sse: schemas } }, (_request, reply) => {
    expect(reply.sse).type.toBeCallableWith([{ event: 'len' as const, data: { n: '1' } }, { event: 'val' as const, data: { n: 1 } }, { event: 'ark' as const, data: { n: 1 } }])
    expect(reply.sse).type.not.toBeCallableWith([{ event: 'len' as const, data: { n: 1, m: 7 } }])
    expect(reply.sse).type.not.toBeCallableWith([{ event: 'val' as const, data: {} }])
    return reply
  })
  for (const { publish } of [ofOutputs.sse.channel('c', { events: schemas }), ofTypeBox.sse.channel('c', { events: schemas })]) {
    expect(publish).type.toBeCallableWith('len', { n: '1' })
    expect(publish).type.not.toBeCallableWith('val', { totally: 'wrong' })
  }
})

test('a client that checks gets what comes out', async () => {
  for await (const event of stream('/', { events: { tick: z.object({ n: z.string().transform(Number) }) } })) {
    expect(event).type.toBe<ReceivedEvent<'tick', { n: number }>>()
  }
})

test('TypeBox 1, with its type provider', () => {
  const schemas = { tick: Type.Object({ n: Type.Integer(), s: Type.Optional(Type.String()) }) }
  const typed = app.withTypeProvider<TypeBoxTypeProvider>()
  typed.get('/', { schema: { sse: schemas } }, (_request, reply) => {
    expect(reply.sse).type.toBeCallableWith([{ event: 'tick' as const, data: { n: 1 } }])
    expect(reply.sse).type.not.toBeCallableWith([{ event: 'tick' as const, data: { n: 'x' } }])
    return reply
  })
  const channel = typed.sse.channel('ticks', { events: schemas })
  expect(channel.publish).type.toBeCallableWith('tick', { n: 1 })
  expect(channel.publish).type.not.toBeCallableWith('tick', { n: 'x' })
  expect<ReceivedOf<EventsOf<typeof schemas, TypeBoxTypeProvider>>>().type.toBe<ReceivedEvent<'tick', { n: number, s?: string }>>()
})
