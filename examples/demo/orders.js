// The orders of a shop: a channel with a history that is short, so that one can be away for longer than it reaches, and
// the board as it stands for those whom it does not help.
import { Type } from '@sinclair/typebox'
import { pageQuery } from './connections.js'
import { Shop } from './shop.js'

const STEP_EVERY_MS = 600
const KEPT_EVENTS = 50
const BURST = 60

const Order = Type.Object({
  order: Type.Integer(),
  item: Type.String(),
  euros: Type.Integer(),
  state: Type.Union([Type.Literal('created'), Type.Literal('paid'), Type.Literal('shipped')])
})
/** Events are counted, so that a page can say which it got. */
const Step = Type.Object({ count: Type.Integer(), ...Order.properties }, { description: 'An order in its new state' })

export async function orders (app) {
  const shop = new Shop()
  const channel = app.sse.channel('orders', {
    events: {
      created: Step,
      paid: Step,
      shipped: Step,
      board: Type.Object({ count: Type.Integer(), orders: Type.Array(Order) }, { description: 'All orders, for those whom the history does not help' })
    },
    history: { max: KEPT_EVENTS },
    snapshot: ({ events }) => [events.board({ count: shop.count, orders: shop.orders })]
  })

  const step = () => {
    const happened = shop.step()
    return channel.publish(happened.state, happened)
  }
  const timer = setInterval(step, STEP_EVERY_MS)
  app.addHook('onClose', async () => clearInterval(timer))

  app.get('/streams/orders', {
    schema: { tags: ['Streams'], summary: 'Orders', querystring: pageQuery, sse: channel.events },
    config: { panel: 'orders' }
  }, (request, reply) => reply.header('shop-count', shop.count).sse(channel.subscribe()))

  app.get('/streams/orders/oldest', {
    schema: { tags: ['Streams'], summary: 'Orders, from the oldest that is kept', sse: channel.events }
  }, (request, reply) => reply.header('shop-count', shop.count).sse(channel.subscribe({ from: 'oldest' })))

  /** How many events there have been: a reader that gets to this one knows that it has caught up. */
  app.get('/orders/count', async () => ({ count: shop.count }))

  app.post('/orders/burst', async (request, reply) => {
    await Promise.all(Array.from({ length: BURST }, step))
    return reply.code(204).send()
  })
}
