// What a client is given, by what a server says, and what it may not ask for.
import { Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { Value } from '@sinclair/typebox/value'
import { EventSource as EventsourceClient } from 'eventsource'
import { expect, test } from 'tstyche'
import { EventSource as UndiciClient } from 'undici'
import { stream, subscribe, type ByeReason, type ClientError, type ClientState, type EventSourceLike, type EventsOf, type Received, type ReceivedEvent, type ReceivedOf, type SseClientError, type StandardSchema } from '../lib/client/index.js'
import type { EventsOf as ServerEventsOf } from '../lib/index.js'

const schemas = {
  tick: Type.Object({ n: Type.Integer() }),
  note: Type.Object({ text: Type.String(), at: Type.Date() }),
  message: Type.Array(Type.String())
}
/** As `typeof route` gives it. */
interface Route { method: 'GET', url: string, schema: { querystring: object, sse: typeof schemas } }
type Events = EventsOf<typeof schemas>

type Tick = ReceivedEvent<'tick', { n: number }>
type Note = ReceivedEvent<'note', { text: string, at: string }>
type Message = ReceivedEvent<'message', string[]>
type All = Tick | Note | Message

declare const standard: StandardSchema<{ m: number }>
declare const isTick: (data: unknown) => data is { n: number }

test('what is received of what is sent', () => {
  expect<ReceivedOf<Events>>().type.toBe<All>()
  expect<ReceivedOf<ServerEventsOf<typeof schemas>>>().type.toBe<All>()
  expect<EventsOf<Route>>().type.toBe<Events>()
  expect<ReceivedOf<unknown>>().type.toBe<ReceivedEvent>()
  expect<ReceivedOf<EventsOf<{ line: ReturnType<typeof Type.String> }>>>().type.toBe<ReceivedEvent<'line', string>>()
})

test('what JSON makes of a payload', () => {
  expect<Received<Date>>().type.toBe<string>()
  expect<Received<{ a: Date[], b?: { c: Date | null }, d: [Date, 1], e: unknown }>>().type.toBe<{ a: string[], b?: { c: string | null }, d: [string, 1], e: unknown }>()
})

test('stream() gives events that can be told apart', async () => {
  for await (const event of stream<Events>('/ticks')) {
    expect(event).type.toBe<All>()
    expect(event.id).type.toBe<string>()
    if (event.event === 'note') expect(event.data).type.toBe<{ text: string, at: string }>()
    // @ts-expect-error This comparison appears to be unintentional because the types
    if (event.event === 'tock') throw event
    // @ts-expect-error Property 'm' does not exist on type '{ n: number; }'
    if (event.event === 'tick') void event.data.m
  }
  for await (const event of stream<EventsOf<Route>>(new URL('http://localhost/'))) expect(event).type.toBe<All>()
  for await (const event of stream('/ticks')) expect(event).type.toBe<ReceivedEvent>()
})

test('stream() takes what fetch takes, but for what can be sent only once', () => {
  expect(stream).type.toBeCallableWith('/ticks', { method: 'POST', headers: { authorization: 'x' }, body: '{}', signal: AbortSignal.timeout(1), credentials: 'include' })
  expect(stream).type.toBeCallableWith('/ticks', { headers: async () => [['authorization', 'x']], body: new Uint8Array(1), silence: false, maxSize: 1, done: '[DONE]' })
  expect(stream).type.not.toBeCallableWith('/ticks', { body: new ReadableStream() })
  expect(stream).type.not.toBeCallableWith('/ticks', { redirect: 'follow' })
  expect(stream).type.not.toBeCallableWith('/ticks', { silence: true })
  expect(stream).type.not.toBeCallableWith('/ticks', { slience: 1 })
  // @ts-expect-error Object literal may only specify known properties
  stream<Events>('/ticks', { on: { tick () {} } })
})

test('subscribe() knows the names and the data of events', () => {
  subscribe<Events>('/ticks', {
    on: {
      tick (data, event) {
        expect(data).type.toBe<{ n: number }>()
        expect(event).type.toBe<Tick>()
      },
      message: (data) => expect(data).type.toBe<string[]>(),
      'sse.reset': (reset, { id }) => {
        expect(reset.reason).type.toBe<'unknown' | 'epoch' | 'ahead' | 'lost'>()
        expect(id).type.toBe<string>()
      },
      'sse.bye': ({ reason }) => expect(reason).type.toBe<ByeReason>()
    }
  })
  subscribe<EventsOf<Route>>('/ticks', { on: { note: ({ at }) => expect(at).type.toBe<string>() } })
  // @ts-expect-error 'tock' does not exist in type
  subscribe<Events>('/ticks', { on: { tock () {} } })
  // @ts-expect-error Property 'm' does not exist on type '{ n: number; }'
  subscribe<Events>('/ticks', { on: { tick ({ m }) { void m } } })
  // @ts-expect-error Type 'number' is not assignable to type 'string'
  subscribe<Events>('/ticks', { on: { tick (data: { n: string }) { void data } } })
  // @ts-expect-error ''sse.rest'' does not exist in type
  subscribe<Events>('/ticks', { on: { 'sse.rest' () {} } })
  // @ts-expect-error Property 'on' is missing in type '{}'
  subscribe<Events>('/ticks', {})
  // @ts-expect-error 'onerror' does not exist in type
  subscribe<Events>('/ticks', { on: {}, onerror () {} })
  subscribe('/ticks', { on: { anything: (data) => expect(data).type.toBe<unknown>() } })
})

test('what is passed for the check gives the types', async () => {
  subscribe('/ticks', {
    events: { ...schemas, other: standard, tock: isTick },
    check: Value.Check,
    on: {
      tick: ({ n }) => expect(n).type.toBe<number>(),
      other: ({ m }) => expect(m).type.toBe<number>(),
      tock: ({ n }) => expect(n).type.toBe<number>(),
      note: ({ at }) => expect(at).type.toBe<string>()
    }
  })
  for await (const event of stream('/ticks', { events: { other: standard, tock: isTick } })) {
    expect(event).type.toBe<ReceivedEvent<'other', { m: number }> | ReceivedEvent<'tock', { n: number }>>()
  }
  const compiled = TypeCompiler.Compile(schemas.tick)
  for await (const { data } of stream('/ticks', { events: { tick: (data: unknown): data is { n: number } => compiled.Check(data) } })) expect(data).type.toBe<{ n: number }>()
  // @ts-expect-error 'tock' does not exist in type
  subscribe('/ticks', { events: schemas, check: Value.Check, on: { tock () {} } })
  // @ts-expect-error Property 'check' is missing in type
  subscribe('/ticks', { events: schemas, on: {} })
  expect(stream).type.not.toBeCallableWith('/ticks', { events: schemas })
  expect(stream).type.toBeCallableWith('/ticks', { events: { other: standard, tock: isTick } })
})

test('an EventSource of any kind', () => {
  expect(new EventsourceClient('')).type.toBeAssignableTo<EventSourceLike>()
  expect(new UndiciClient('')).type.toBeAssignableTo<EventSourceLike>()
  expect(new EventSource('')).type.toBeAssignableTo<EventSourceLike>()
  expect(subscribe).type.toBeCallableWith(new EventsourceClient(''), { on: {}, connect: (url: string) => new UndiciClient(url) })
})

test('states and errors', () => {
  const ticks = subscribe<Events>('/ticks', {
    on: {},
    onState (state, error) {
      expect(state).type.toBe<ClientState>()
      expect(error).type.toBe<ClientError | undefined>()
      // @ts-expect-error This comparison appears to be unintentional because the types
      if (error?.code === 'SSE_ERR_OTHER') throw error
    },
    reconnect: ({ status = 0 }, failures) => status !== 503 && failures < 10
  })
  expect(ticks.state).type.toBe<'connecting' | 'open' | 'closed'>()
  expect(ticks.close()).type.toBe<void>()
  // @ts-expect-error Cannot assign to 'state' because it is a read-only property
  ticks.state = 'open'
  expect<SseClientError>().type.toBeAssignableTo<ClientError>()
})
