// The testing helpers: what they give is typed by the route's schemas, and so is what they call back with.
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import swagger from '@fastify/swagger'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import { describe, expect, test } from 'tstyche'
import { documentStreams } from '../lib/index.js'
import { collect, readEvents } from '../lib/testing/index.js'
import type { ReadEvent, ReadEventOf, ReadReserved } from './testing.js'

const app = Fastify()
const schemas = { tick: Type.Object({ n: Type.Integer(), at: Type.Date() }), words: Type.String() }

type Own = ReadEvent<'tick', { n: number, at: string }> | ReadEvent<'words', string>

test('events are those of the schemas, as they are on the wire, and the plugin\'s own', () => {
  expect<ReadEventOf<typeof schemas>>().type.toBe<Own | ReadReserved>()
  expect<ReadEventOf<Record<never, never>>>().type.toBe<ReadEvent>()
  expect<Extract<ReadEventOf<typeof schemas>, { event: 'sse.bye' }>['data']['reason']>().type.toBeAssignableFrom<'shutdown' | 'maxConnections'>()
})

describe('readEvents', () => {
  test('takes bodies, and answers that have one', () => {
    expect(readEvents).type.toBeCallableWith('')
    expect(readEvents).type.toBeCallableWith(new Uint8Array())
    expect(readEvents).type.toBeCallableWith(process.stdin)
    expect(readEvents).type.toBeCallableWith(new Blob([]).stream())
    expect(readEvents).type.toBeCallableWith(new Response())
    expect(readEvents).type.toBeCallableWith(new Response().body)
    expect(app.inject('/').then((response) => readEvents(response))).type.toBe<Promise<ReadEvent[]>>()
    expect(readEvents).type.not.toBeCallableWith(42)
    expect(readEvents).type.not.toBeCallableWith({})
    expect(readEvents).type.not.toBeCallableWith('', { until: 1 })
  })

  test('is typed by the schemas that it is given', async () => {
    expect(await readEvents('')).type.toBe<ReadEvent[]>()
    expect(await readEvents('', { events: schemas })).type.toBe<Array<Own | ReadReserved>>()
    for await (const event of readEvents('', { events: schemas })) expect(event).type.toBe<Own | ReadReserved>()
  })
})

describe('collect', () => {
  test('takes an application of any kind', () => {
    expect(collect).type.toBeCallableWith(app, '/')
    expect(collect).type.toBeCallableWith(Fastify({ http2: true }), '/')
    expect(collect).type.toBeCallableWith(app.withTypeProvider<TypeBoxTypeProvider>(), '/')
    expect(collect).type.not.toBeCallableWith(app)
  })

  test('is typed by the schemas that it is given', async () => {
    expect(await collect(app, '/')).type.toBe<ReadEvent[]>()
    expect(await collect(app, '/', { events: schemas })).type.toBe<Array<Own | ReadReserved>>()
  })

  test('waits for events that there are', () => {
    expect(collect).type.toBeCallableWith(app, '/', { events: schemas, until: 'tick' })
    expect(collect).type.toBeCallableWith(app, '/', { events: schemas, until: 'sse.end' })
    expect(collect).type.toBeCallableWith(app, '/', { events: schemas, until: 3 })
    expect(collect).type.not.toBeCallableWith(app, '/', { events: schemas, until: 'tock' })
    expect(collect).type.toBeCallableWith(app, '/', { until: 'tock' })
    void collect(app, '/', {
      events: schemas,
      until (event, events) {
        expect(event).type.toBe<Own | ReadReserved>()
        expect(events).type.toBe<ReadonlyArray<Own | ReadReserved>>()
        return event.event === 'tick' && event.data.n > 1
      }
    })
  })

  test('calls back with what has come', () => {
    void collect(app, '/', {
      events: schemas,
      on: {
        tick: (event) => expect(event).type.toBe<ReadEvent<'tick', { n: number, at: string }>>(),
        'sse.reset': ({ data }) => expect(data).type.toBe<{ readonly channel: string, readonly reason: 'unknown' | 'epoch' | 'ahead' | 'lost' }>()
      }
    })
    void collect(app, '/', { on: { tock: (event) => expect(event).type.toBe<ReadEvent>() } })
    expect(collect).type.not.toBeCallableWith(app, '/', { events: schemas, on: { tock () {} } })
    expect(collect).type.not.toBeCallableWith(app, '/', { via: 'wire' })
  })
})

test('documentStreams() gives back what @fastify/swagger takes', () => {
  expect(app.register).type.toBeCallableWith(swagger, documentStreams({ openapi: { openapi: '3.2.0', info: { title: 't', version: '1' } } }))
  expect(documentStreams({ hideUntagged: true })).type.toBe<{ hideUntagged: boolean }>()
})
