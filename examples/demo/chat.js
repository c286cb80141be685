// A chat room of two topics on one stream: of what is said the history counts, of who is there only how it stands.
import { Type } from '@sinclair/typebox'
import { pageQuery } from './connections.js'
import { Members } from './members.js'

const KEPT_MESSAGES = 100
const KEPT_MS = 60 * 60 * 1000

const Said = Type.Object({
  number: Type.Integer(),
  name: Type.String(),
  text: Type.String(),
  time: Type.String({ format: 'date-time' })
})
const Here = Type.Object({ names: Type.Array(Type.String()) })

// No brackets: those are for telling apart who has the same name.
const memberQuery = Type.Object({ ...pageQuery.properties, name: Type.String({ pattern: '^[\\p{L}\\p{N}][\\p{L}\\p{N} ._\\-]{0,23}$' }) })
const Message = Type.Object({ ...pageQuery.properties, text: Type.String({ maxLength: 280, pattern: '\\S' }) })

export async function chat (app) {
  const members = new Members()
  app.addHook('onClose', async () => members.stop())

  const room = app.sse.channel('room', { events: { said: Said }, history: { max: KEPT_MESSAGES, ttl: KEPT_MS } })
  const presence = app.sse.channel('room/presence', {
    events: { here: Here },
    slow: 'latest',
    snapshot: ({ events }) => [events.here({ names: members.names })]
  })
  members.on('change', () => presence.publish('here', { names: members.names }))

  const both = app.sse.subscribe([room.subscribe({ from: 'oldest' }), presence])

  app.get('/streams/chat', {
    schema: { tags: ['Streams'], summary: 'Chat', querystring: memberQuery, sse: { ...room.events, ...presence.events } },
    // Not in the handler, since not every request gets a stream; each that does is followed by one `onClose`.
    config: { panel: 'chat', onOpen: ({ query: { client, name } }) => members.enter(client, name) }
  }, (request, reply) => {
    const { client } = request.query
    if (!members.hasRoomFor(client)) return reply.code(409).send() // not 503, after which a client would come back
    return reply.sse(both, { onClose: () => members.leave(client) })
  })

  let number = 0
  app.post('/messages', { schema: { body: Message } }, async (request, reply) => {
    const { client, text } = request.body
    const name = members.nameOf(client)
    if (name === undefined) return reply.code(403).send()
    await room.publish('said', { number: ++number, name, text, time: new Date().toISOString() })
    return reply.code(204).send()
  })
}
