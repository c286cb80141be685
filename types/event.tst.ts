// What may be yielded on a route with schemas, and where the compiler says so when it may not.
import { Type } from '@sinclair/typebox'
import type { FastifyTypeProvider } from 'fastify'
import { expect, test } from 'tstyche'
import type { AnySseEvent, ContextOf, EventBuilder, EventsOf, EventUnion, PayloadOf, SseEvent, SseMessage, SseMeta, SseText, SseTextMessage } from './index.js'

const schemas = {
  tick: Type.Object({ n: Type.Integer() }),
  'user-joined': Type.Object({ name: Type.String(), via: Type.Optional(Type.String()) })
}
const Text = Type.String({ contentMediaType: 'text/plain' })

interface Payloads {
  tick: { n: number }
  'user-joined': { name: string, via?: string }
  message: string[]
}
declare const events: EventBuilder<Payloads>
declare function eventsOf<Schemas> (schemas: Schemas): EventsOf<Schemas>

test('a constructor has the name and the payload of its event', () => {
  expect(events.tick).type.toBe<(data: { n: number }, meta?: SseMeta) => SseEvent<'tick', { n: number }>>()
  expect(events['user-joined']({ name: 'a' })).type.toBe<SseEvent<'user-joined', { name: string, via?: string }>>()
  expect(events.message(['a'])).type.toBe<SseMessage<string[]>>()
  expect(events).type.not.toHaveProperty('tock')
})

test('a wrong call of a constructor is an error at what is wrong', () => {
  // @ts-expect-error Property 'tock' does not exist on type 'EventBuilder<Payloads>'
  events.tock({ n: 1 })
  events.tick({
    // @ts-expect-error Type 'string' is not assignable to type 'number'
    n: '1'
  })
  events.tick({
    n: 1,
    // @ts-expect-error Object literal may only specify known properties, and 'm' does not exist in type '{ n: number; }'
    m: 1
  })
  // @ts-expect-error Property 'n' is missing in type '{}' but required in type '{ n: number; }'
  events.tick({})
  // @ts-expect-error Object literal may only specify known properties, and 'name' does not exist in type '{ n: number; }'
  events.tick({ name: 'a' })
  // @ts-expect-error Expected 1-2 arguments, but got 0
  events.tick()
  // @ts-expect-error with 'exactOptionalPropertyTypes: true'
  events['user-joined']({ name: 'a', via: undefined })
  // @ts-expect-error Cannot assign to 'tick' because it is a read-only property
  events.tick = () => ({ event: 'tick', data: { n: 1 } })
})

test('meta', () => {
  expect(events.tick).type.toBeCallableWith({ n: 1 }, { id: 'a', retry: 1_000, comment: 'c' })
  expect(events.tick).type.toBeCallableWith({ n: 1 }, { id: 7 })
  expect(events.tick).type.toBeCallableWith({ n: 1 }, { id: undefined, retry: undefined, comment: undefined })
  expect(events.tick).type.not.toBeCallableWith({ n: 1 }, { id: true })
  expect(events.tick).type.not.toBeCallableWith({ n: 1 }, { id: null })
  expect(events.tick).type.not.toBeCallableWith({ n: 1 }, { retry: '1000' })
  expect(events.tick).type.not.toBeCallableWith({ n: 1 }, { comment: 1 })
  // @ts-expect-error Object literal may only specify known properties, but 'ID' does not exist in type 'SseMeta'. Did you mean to write 'id'?
  events.tick({ n: 1 }, { ID: '1' })
})

test('EventsOf is the events that schemas allow', () => {
  const events = eventsOf(schemas)
  expect(events).type.toBe<SseEvent<'tick', { n: number }> | SseEvent<'user-joined', { name: string, via?: string }>>()
  expect(events).type.toBeAssignableFrom({ event: 'tick' as const, data: { n: 1 }, id: 1, comment: 'c' })
  expect(events).type.not.toBeAssignableFrom({ event: 'tock' as const, data: { n: 1 } })
  expect(events).type.not.toBeAssignableFrom({ event: 'tick' as const, data: { n: '1' } })
  expect(events).type.not.toBeAssignableFrom({ event: 'tick' as const, data: { name: 'a' } })
  expect(events).type.not.toBeAssignableFrom({ data: { n: 1 } })
  expect(events).type.not.toBeAssignableFrom({ event: 'tick' as const, text: 'a' })
  expect(events).type.not.toBeAssignableFrom('a')
  expect(eventsOf({})).type.toBe<never>()
})

test('ContextOf gives a source that is declared elsewhere its constructors', () => {
  function * source ({ events, signal }: ContextOf<typeof schemas>) {
    expect(signal).type.toBe<AbortSignal>()
    yield events.tick({ n: 1 })
    // @ts-expect-error Property 'tock' does not exist
    yield events.tock({ n: 1 })
  }
  expect(source).type.toBeCallableWith({} as ContextOf<typeof schemas>)
})

test('EventsOf checks a generator that is declared elsewhere', () => {
  async function * generator (): AsyncGenerator<EventsOf<typeof schemas>> {
    yield { event: 'tick', data: { n: 1 } }
    yield { event: 'user-joined', data: { name: 'a' }, id: '1' }
    // @ts-expect-error Type '"tock"' is not assignable to type '"tick" | "user-joined"'
    yield { event: 'tock', data: { n: 1 } }
    // @ts-expect-error Object literal may only specify known properties, and 'name' does not exist in type '{ n: number; }'
    yield { event: 'tick', data: { name: 'a' } }
    // @ts-expect-error Object literal may only specify known properties, and 'm' does not exist in type
    yield { event: 'tick', data: { n: 1, m: 1 } }
  }
  expect(generator()).type.toBeAssignableTo<AsyncIterable<EventUnion<{ tick: { n: number }, 'user-joined': { name: string, via?: string } }>>>()
})

test('an event called message needs no name', () => {
  const events = eventsOf({ message: schemas.tick })
  expect(events).type.toBe<SseMessage<{ n: number }>>()
  expect(events).type.toBeAssignableFrom({ data: { n: 1 } })
  expect(events).type.toBeAssignableFrom({ event: 'message' as const, data: { n: 1 } })
  expect(events).type.toBeAssignableFrom({ event: undefined, data: { n: 1 } })
  expect(events).type.not.toBeAssignableFrom({ data: { n: '1' } })
  expect(events).type.not.toBeAssignableFrom('a')
})

test('text is for events whose payload is a string, a bare string for message', () => {
  const events = eventsOf({ message: Text, log: Text, tick: schemas.tick })
  expect(events).type.toBe<SseMessage<string> | SseTextMessage | string | SseEvent<'log', string> | SseText<'log'> | SseEvent<'tick', { n: number }>>()
  expect(events).type.toBeAssignableFrom({ event: 'log' as const, text: 'a' })
  expect(events).type.toBeAssignableFrom({ text: 'a' })
  expect(events).type.toBeAssignableFrom('a')
  expect(events).type.not.toBeAssignableFrom({ event: 'tick' as const, text: 'a' })
  expect(events).type.not.toBeAssignableFrom({ event: 'log' as const, text: 1 })
  // In variables: a literal would be refused for its excess property alone, which one that is yielded is not.
  const both = { text: 'a', data: 'a' }
  const bothLog = { ...both, event: 'log' as const }
  expect(events).type.not.toBeAssignableFrom(both)
  expect(events).type.not.toBeAssignableFrom(bothLog)
  expect(eventsOf({ log: Text })).type.not.toBeAssignableFrom('a')
  expect(eventsOf({ log: Text })).type.not.toBeAssignableFrom({ text: 'a' })
})

test('a string that is one of a few is no text', () => {
  const State = Type.Union([Type.Literal('on'), Type.Literal('off')])
  expect(eventsOf({ state: State })).type.toBe<SseEvent<'state', 'on' | 'off'>>()
})

test('a schema that no provider knows leaves the payload to the run-time check, but not the name', () => {
  const events = eventsOf({ log: { type: 'string', contentMediaType: 'text/plain' } })
  expect(events).type.toBe<SseEvent<'log', unknown> | SseText<'log'>>()
  expect(events).type.not.toBeAssignableFrom({ event: 'tick' as const, data: 'a' })
})

test('without schemas any name and any data go, but either data or text', () => {
  expect<AnySseEvent>().type.toBeAssignableFrom('a')
  expect<AnySseEvent>().type.toBeAssignableFrom({ data: { any: ['thing'] } })
  expect<AnySseEvent>().type.toBeAssignableFrom({ text: 'a' })
  expect<AnySseEvent>().type.toBeAssignableFrom({ event: 'x', data: null, id: 1, retry: 1_000, comment: 'c' })
  expect<AnySseEvent>().type.toBeAssignableFrom({ event: 'x', text: 'a' })
  expect<AnySseEvent>().type.not.toBeAssignableFrom({ event: 'x' })
  expect<AnySseEvent>().type.not.toBeAssignableFrom({ event: 1, data: 1 })
  expect<AnySseEvent>().type.not.toBeAssignableFrom({ text: 1 })
  expect<AnySseEvent>().type.not.toBeAssignableFrom({ data: 1, text: 'a' })
  expect<AnySseEvent>().type.not.toBeAssignableFrom({ data: 1, id: true })
  expect<AnySseEvent>().type.not.toBeAssignableFrom(1)
})

test('a payload is what the type provider makes of the schema, else what TypeBox does', () => {
  interface Provider extends FastifyTypeProvider {
    validator: 'not this'
    serializer: this['schema'] extends { is: infer Payload } ? Payload : unknown
  }
  expect<PayloadOf<Provider, { is: 'provided' }>>().type.toBe<'provided'>()
  expect<PayloadOf<Provider, typeof schemas.tick>>().type.toBe<{ n: number }>()
  expect<PayloadOf<FastifyTypeProvider, typeof schemas.tick>>().type.toBe<{ n: number }>()
  expect<PayloadOf<FastifyTypeProvider, { $ref: 'shared#' }>>().type.toBe<unknown>()
})
