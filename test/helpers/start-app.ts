// An application with the plugin, on a real socket, closed when its test is over.
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import sse, { type SsePluginOptions } from '../../lib/index.js'

export interface StartOptions extends SsePluginOptions {
  /** Of Fastify itself. */
  server?: FastifyServerOptions & { http2?: boolean, https?: object }
  /** Runs before the plugin is registered; `routes` runs after it. */
  before?: (app: FastifyInstance) => unknown
}

export interface Started {
  app: FastifyInstance
  /** Scheme, host and port, without a slash at the end. */
  base: string
}

/** @param t whatever runs a function when the test is over */
export async function startApp (
  t: { teardown (close: () => Promise<void>): unknown },
  { server = {}, before, ...options }: StartOptions,
  routes: (app: FastifyInstance) => unknown
): Promise<Started> {
  const app = Fastify(server as FastifyServerOptions)
  t.teardown(() => app.close())
  await before?.(app)
  await app.register(sse, options)
  await routes(app)
  return { app, base: await app.listen({ port: 0, host: '127.0.0.1' }) }
}
