// The plugin, read as the list of what it adds to an application.
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { SsePluginOptions } from '../../types/options.js'
import { SSE_ERR_ALREADY_REGISTERED } from '../errors.js'
import { Host } from './host.js'
import { decorateReply } from './reply.js'
import { prepareRoutes } from './route.js'
import { decorateInstance } from './sse.js'

/** How long `app.close()` waits for readers to take their last bytes. It must return in well under 2 s. */
const CLOSE_GRACE_MS = 1_000

async function sse (app: FastifyInstance, options: SsePluginOptions): Promise<void> {
  if (app.hasReplyDecorator('sse')) throw new SSE_ERR_ALREADY_REGISTERED('`reply.sse` exists already in this scope: this plugin, or another that decorates it, has been registered before')
  refuseOfficial(app)
  const host = new Host(options, app.log)
  await host.hub.open()

  app.decorate('sse', decorateInstance(host, app))
  app.decorateReply('sse', decorateReply(host))
  prepareRoutes(host, app)

  app.addHook('onReady', async () => refuseOfficial(app)) // it may come later
  // Not onClose, which runs after the server has waited for all connections to end.
  app.addHook('preClose', () => host.shutDown(CLOSE_GRACE_MS))
  app.addHook('onClose', () => host.hub.close())
}

/** It decorates nothing, but sets `reply.sse` in its own routes, where ours would be gone without a word. */
function refuseOfficial (app: FastifyInstance): void {
  if (app.hasPlugin('@fastify/sse')) throw new SSE_ERR_ALREADY_REGISTERED('@fastify/sse is registered in this scope. It sets `reply.sse` too: one application can have only one of the two')
}

// The floor is 5.7.3, where Fastify began to heed back-pressure of web streams; that release calls itself 5.7.2.
export default fp(sse, { fastify: '>=5.7.2 <6', name: 'fastify-typed-sse' })
