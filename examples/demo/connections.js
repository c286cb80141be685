// The sockets of open streams, so that a page can have one of its own cut, as a bad network would.
import { Type } from '@sinclair/typebox'
import fp from 'fastify-plugin'

/** Each page makes itself a name and gives it with every stream that it opens. */
export const pageQuery = Type.Object({ client: Type.String({ pattern: '^[0-9a-f]{16}$' }) })

export const connections = fp(async (app) => {
  // One entry for each open response at most, and those are limited by `maxConnections`.
  const sockets = new Map()

  app.addHook('preHandler', async (request, reply) => {
    const { panel } = request.routeOptions.config
    if (panel === undefined) return
    const key = `${panel} ${request.query.client}`
    const { socket } = request.raw
    sockets.set(key, socket)
    reply.raw.once('close', () => {
      if (sockets.get(key) === socket) sockets.delete(key)
    })
  })

  app.post('/cut/:panel', { schema: { querystring: pageQuery } }, async (request, reply) => {
    const socket = sockets.get(`${request.params.panel} ${request.query.client}`)
    socket?.destroy()
    return reply.code(socket === undefined ? 404 : 204).send()
  })
})
