// What may be a source, and what a source is given.
import { Readable } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import { expect, test } from 'tstyche'
import type { AnySseEvent, ChannelEvent, CloseReason, EventBuilder, EventsOf, SourceFor, SseClosed, SseContext, SseSource, Subscription } from './index.js'

const schemas = {
  tick: Type.Object({ n: Type.Integer() }),
  note: Type.Object({ text: Type.String() })
}
type Events = EventsOf<typeof schemas>
declare function send (source: SourceFor<{ sse: typeof schemas }, unknown>): void
declare function sendAny (source: SourceFor<{ response: object }, unknown>): void

const tick: Events = { event: 'tick', data: { n: 1 } }
const wrong = { event: 'tick' as const, data: { n: '1' } }

test('the source of a route has the types of its schemas', () => {
  type Payloads = { tick: { n: number }, note: { text: string } }
  expect<SourceFor<{ sse: typeof schemas }, unknown>>().type.toBe<SseSource<Events, SseContext<EventBuilder<Payloads>>> | Subscription<ChannelEvent<Payloads>>>()
  expect<SourceFor<{ response: object }, unknown>>().type.toBe<SseSource | Subscription>()
  expect<SseSource>().type.toBe<SseSource<AnySseEvent, SseContext>>()
})

test('async generator function', () => {
  send(async function * ({ events, lastEventId, request, signal }) {
    expect(signal).type.toBe<AbortSignal>()
    expect(lastEventId).type.toBe<string | undefined>()
    expect(request).type.toBe<FastifyRequest>()
    yield events.tick({ n: 1 })
    yield events.note({ text: 'a' }, { id: 'a' })
    yield { event: 'tick', data: { n: 1 }, id: 7, retry: 1_000, comment: 'c' }
    // @ts-expect-error Property 'tock' does not exist on type 'EventBuilder<{ tick: { n: number; }; note: { text: string; }; }>'
    yield events.tock({ n: 1 })
  })
  send(async function * () {})
  // @ts-expect-error Type '"tock"' is not assignable to type '"note"'
  send(async function * () { yield { event: 'tock', data: { n: 1 } } })
  // @ts-expect-error The types of 'data.n' are incompatible between these types...Type 'string' is not assignable to type 'number'
  send(async function * () { yield { event: 'tick', data: { n: '1' } } })
  // @ts-expect-error Property 'n' is missing in type '{ text: string; }' but required in type '{ n: number; }'
  send(async function * () { yield { event: 'tick', data: { text: 'a' } } })
  // @ts-expect-error Property 'event' is missing in type '{ data: { n: number; }; }'
  send(async function * () { yield { data: { n: 1 } } })
  // @ts-expect-error Type 'string' is not assignable to type 'EventUnion
  send(async function * () { yield 'a' })
  // @ts-expect-error Types of property 'id' are incompatible
  send(async function * () { yield { event: 'tick', data: { n: 1 }, id: true } })
})

test('a context is not for writing', () => {
  send(async function * (context) {
    // @ts-expect-error Cannot assign to 'lastEventId' because it is a read-only property
    context.lastEventId = '1'
    // @ts-expect-error Property 'send' does not exist on type 'SseContext
    context.send()
  })
})

test('generator function', () => {
  send(function * ({ events }) {
    yield events.tick({ n: 1 })
    yield { event: 'tick', data: { n: 1 } }
  })
  // @ts-expect-error Type 'string' is not assignable to type 'number'
  send(function * () { yield { event: 'tick', data: { n: '1' } } })
})

test('function that returns an iterable, at once or by promise', () => {
  send(({ events }) => [events.tick({ n: 1 }), { event: 'note', data: { text: 'a' } }])
  send(async ({ events }) => [events.tick({ n: 1 }), { event: 'note', data: { text: 'a' } }])
  send(async ({ events }) => (async function * () { yield events.tick({ n: 1 }) })())
  send(() => Readable.from([tick]))
  send(async () => new ReadableStream<Events>())
  // @ts-expect-error Type 'string' is not assignable to type 'number'
  send(() => [{ event: 'tick', data: { n: '1' } }])
  // @ts-expect-error Type 'string' is not assignable to type 'number'
  send(async () => [{ event: 'tick', data: { n: '1' } }])
  // @ts-expect-error Type 'Promise<void>' is not assignable to type
  send(async () => {})
  // @ts-expect-error is not assignable to
  send(() => tick)
})

test('async iterable', () => {
  expect(send).type.toBeCallableWith((async function * () { yield tick })())
  expect(send).type.not.toBeCallableWith((async function * () { yield wrong })())
})

test('array and other iterables', () => {
  send([{ event: 'tick', data: { n: 1 } }, { event: 'note', data: { text: 'a' } }])
  send(new Set([tick]))
  send([])
  // @ts-expect-error Object literal may only specify known properties, and 'm' does not exist in type '{ n: number; }'
  send([{ event: 'tick', data: { n: 1, m: 1 } }])
  // @ts-expect-error Type 'string' is not assignable to type 'number'
  send([{ event: 'tick', data: { n: '1' } }])
  expect(send).type.not.toBeCallableWith(new Set([wrong]))
})

test('Readable, whose chunks have no type', () => {
  expect(send).type.toBeCallableWith(Readable.from([tick]))
  expect(send).type.toBeCallableWith(new Readable({ objectMode: true }))
})

test('web ReadableStream, imported or global', () => {
  expect(send).type.toBeCallableWith(new ReadableStream<Events>())
  expect(send).type.toBeCallableWith(new globalThis.ReadableStream<Events>())
  expect(send).type.not.toBeCallableWith(new ReadableStream<typeof wrong>())
  expect(send).type.not.toBeCallableWith(new ReadableStream<Uint8Array>())
})

test('anything else is no source', () => {
  expect(send).type.not.toBeCallableWith('abc')
  expect(send).type.not.toBeCallableWith(tick)
  expect(send).type.not.toBeCallableWith(null)
  expect(send).type.not.toBeCallableWith(undefined)
  expect(send).type.not.toBeCallableWith(Promise.resolve([tick]))
  expect(send).type.not.toBeCallableWith()
})

test('a source that is declared elsewhere', () => {
  async function * ticks ({ signal, lastEventId }: SseContext): AsyncGenerator<Events> {
    for (let n = Number(lastEventId ?? 0); !signal.aborted; n++) yield { event: 'tick', data: { n } }
  }
  async function * notes ({ signal }: Pick<SseContext, 'signal'>) {
    if (!signal.aborted) yield { event: 'note' as const, data: { text: 'a' } }
  }
  async function * anything () {
    yield { event: 'tick', data: { n: 1 } }
  }
  send(ticks)
  send(notes)
  sendAny(ticks)
  sendAny(anything)
  // @ts-expect-error Type 'string' is not assignable to type '"note"'
  send(anything)
})

test('a source without schemas', () => {
  sendAny(async function * ({ signal }) {
    expect(signal).type.toBe<AbortSignal>()
    yield 'a'
    yield { data: 1 }
    yield { text: 'a', id: 1 }
    yield { event: 'x', data: { n: 1 } }
    yield { event: 'x', text: 'a' }
  })
  sendAny(({ events: { tick } }) => tick === undefined ? [] : [tick({ n: 1 }, { id: 1 })])
  // @ts-expect-error Property 'text' is missing in type '{ event: string; }'
  sendAny(async function * () { yield { event: 'x' } })
  // @ts-expect-error Types of property 'text' are incompatible
  sendAny(async function * () { yield { event: 'x', data: 1, text: 'a' } })
  // @ts-expect-error Argument of type 'string' is not assignable to parameter of type 'SseSource
  sendAny('abc')
  // @ts-expect-error Type 'string' is not assignable to type 'Events<AnySseEvent>
  sendAny(() => 'abc')
  // @ts-expect-error Type 'number' is not assignable to type 'AnySseEvent'
  sendAny(async function * () { yield 1 })
})

test('why a stream closed', () => {
  expect<CloseReason>().type.toBe<'complete' | 'client' | 'error' | 'stalled' | 'maxDuration' | 'shutdown' | 'disconnected' | 'unauthorized' | 'slow'>()
  expect<SseClosed>().type.toBe<{ request: FastifyRequest, reason: CloseReason, durationMs: number, events: number, bytes: number, error: unknown }>()
})
