// Channels: parameters from the name, payloads from the schemas, and routes that have the same events.
import { Type } from '@sinclair/typebox'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify, { type FastifyRequest } from 'fastify'
import { expect, test } from 'tstyche'
import sse from '../lib/index.js'
import type { Channel, ChannelParams, DisconnectWhere, ParamNames, Position, Subscription, Topic } from './index.js'

const app = Fastify()
void app.register(sse)

const Order = Type.Object({ id: Type.Integer() })
const Payment = Type.Object({ id: Type.Integer(), amount: Type.Number() })
const events = { created: Order, paid: Payment }

const orders = app.sse.channel('orders/:tenant', { events })
const news = app.sse.channel('news', { events: { headline: Type.String() } })

test('parameters are those in the name', () => {
  expect<ParamNames<'news'>>().type.toBe<never>()
  expect<ParamNames<'orders/:tenant'>>().type.toBe<'tenant'>()
  expect<ParamNames<':a/b/:c'>>().type.toBe<'a' | 'c'>()
  expect<ChannelParams<'orders/:tenant'>>().type.toBe<{ readonly tenant: string | number }>()
  expect(orders.at).type.toBeCallableWith({ tenant: 'acme' })
  expect(orders.at).type.toBeCallableWith({ tenant: 7 })
  expect(orders.at).type.not.toBeCallableWith({})
  expect(orders.at).type.not.toBeCallableWith({ tennant: 'acme' })
  expect(orders.at).type.not.toBeCallableWith({ tenant: undefined })
})

test('a channel with parameters has topics, one without is its own', () => {
  expect(orders).type.toBe<Channel<'orders/:tenant', typeof events>>()
  expect(orders).type.not.toHaveProperty('publish')
  expect(orders).type.not.toHaveProperty('subscribe')
  expect(orders.name).type.toBe<'orders/:tenant'>()
  expect(orders.events).type.toBe<typeof events>()
  expect(orders.at({ tenant: 'acme' })).type.toBe<Topic<{ created: { id: number }, paid: { id: number, amount: number } }>>()
  expect(news).type.toBeAssignableTo<Topic<{ headline: string }>>()
  expect(news).type.not.toHaveProperty('at')
})

test('publish takes events of the channel', () => {
  const topic = orders.at({ tenant: 'acme' })
  expect(topic.publish('created', { id: 1 })).type.toBe<Promise<Position>>()
  expect(topic.publish('paid', { id: 1, amount: 2 }, { dedupe: 'a' })).type.toBe<Promise<string>>()
  expect(news.publish('headline', 'a')).type.toBe<Promise<string>>()
  // @ts-expect-error Argument of type '"gone"' is not assignable to parameter of type '"created" | "paid"'
  void topic.publish('gone', { id: 1 })
  // @ts-expect-error Type 'string' is not assignable to type 'number'
  void topic.publish('created', { id: '1' })
  // @ts-expect-error Object literal may only specify known properties, and 'total' does not exist in type '{ id: number; }'
  void topic.publish('created', { id: 1, total: 2 })
  // @ts-expect-error Property 'amount' is missing in type '{ id: number; }'
  void topic.publish('paid', { id: 1 })
})

test('filters, keys and snapshots see the channel’s events', () => {
  orders.at({ tenant: 'acme' }).subscribe({
    filter: (event, request) => {
      expect(event).type.toBe<{ readonly event: 'created', readonly data: { id: number } } | { readonly event: 'paid', readonly data: { id: number, amount: number } }>()
      expect(request).type.toBe<FastifyRequest>()
      return event.event === 'paid' && event.data.amount > 1
    },
    authorize: async ({ request, topic, params }) => {
      expect(topic).type.toBe<string>()
      return request.ip === params['tenant']
    },
    from: 'oldest',
    key: 'user-7'
  })
  app.sse.channel('prices/:symbol', {
    events: { price: Type.Object({ at: Type.Number() }) },
    slow: 'latest',
    key: ({ event, data }) => {
      expect(event).type.toBe<'price'>()
      expect(data).type.toBe<{ at: number }>()
      return event
    },
    snapshot: async function * ({ params, signal, events }) {
      expect(params).type.toBe<{ readonly symbol: string }>()
      expect(signal).type.toBe<AbortSignal>()
      yield events.price({ at: 1 })
      yield { event: 'price' as const, data: { at: 1 } }
      // @ts-expect-error Type 'string' is not assignable to type 'number'
      yield events.price({ at: '1' })
    },
    authorize: ({ params }) => params.symbol !== ''
  })
  app.sse.channel('prices', {
    events: { price: Type.Object({ at: Type.Number() }) },
    // @ts-expect-error Type '"cost"' is not assignable to type '"price"'
    snapshot: () => [{ event: 'cost' as const, data: { at: 1 } }]
  })
  // @ts-expect-error Type '"sometimes"' is not assignable to type
  app.sse.channel('prices', { events, slow: 'sometimes' })
  // @ts-expect-error 'maximum' does not exist in type 'ChannelHistory'
  app.sse.channel('prices', { events, history: { maximum: 1 } })
})

test('a route takes the topics whose events it has', () => {
  const { tenant } = { tenant: 'acme' }
  app.get('/a', { schema: { sse: orders.events } }, (_request, reply) => reply.sse(orders.at({ tenant }).subscribe()))
  app.get('/b', { schema: { sse: { ...orders.events, other: Order } } }, (_request, reply) => reply.sse(orders.at({ tenant }).subscribe()))
  app.get('/c', (_request, reply) => reply.sse(orders.at({ tenant }).subscribe()))
  // @ts-expect-error is not assignable to parameter of type
  app.get('/d', { schema: { sse: { created: Order } } }, (_request, reply) => reply.sse(orders.at({ tenant }).subscribe()))
  // @ts-expect-error is not assignable to parameter of type
  app.get('/e', { schema: { sse: { created: Order, paid: Type.String() } } }, (_request, reply) => reply.sse(orders.at({ tenant }).subscribe()))
  app.withTypeProvider<TypeBoxTypeProvider>().get('/f/:tenant', { schema: { params: Type.Object({ tenant: Type.String() }), sse: orders.events } },
    (request, reply) => reply.sse(orders.at(request.params).subscribe()))
})

test('several topics on one stream', () => {
  const both = app.sse.subscribe([orders.at({ tenant: 'acme' }).subscribe({ filter: () => true }), news])
  expect(both.topics).type.toBe<readonly string[]>()
  app.get('/both', { schema: { sse: { ...orders.events, ...news.events } } }, (_request, reply) => reply.sse(both))
  // @ts-expect-error is not assignable to parameter of type
  app.get('/one', { schema: { sse: orders.events } }, (_request, reply) => reply.sse(both))
  // @ts-expect-error is not assignable to type
  app.sse.subscribe([orders])
  // @ts-expect-error is not assignable to type
  app.sse.subscribe(['news'])
})

test('disconnect names a channel or a key', () => {
  expect(app.sse.disconnect).type.toBe<(where: DisconnectWhere) => Promise<void>>()
  expect(app.sse.disconnect).type.toBeCallableWith({ channel: 'orders/:tenant', params: { tenant: 'acme' }, key: 'user-7' })
  expect(app.sse.disconnect).type.not.toBeCallableWith({ user: 7 })
  expect<Subscription>().type.toHaveProperty('topics')
})
