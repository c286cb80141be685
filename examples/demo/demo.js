// The demo as a Fastify application: six streams, the page that shows them, and their reference.
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import swagger from '@fastify/swagger'
import reference from '@scalar/fastify-api-reference'
import Fastify from 'fastify'
import sse, { documentStreams } from 'fastify-typed-sse'
import { activity } from './activity.js'
import { answer } from './answer.js'
import { AnswerCount } from './answer-count.js'
import { chat } from './chat.js'
import { connections } from './connections.js'
import { counter } from './counter.js'
import { LogFile } from './log-file.js'
import { logTail } from './log-tail.js'
import { machine } from './machine.js'
import { models } from './models.js'
import { orders } from './orders.js'

export async function buildDemo () {
  const app = Fastify()
  const log = new LogFile()
  const answers = new AnswerCount()
  app.addHook('onClose', () => log.remove())

  await app.register(sse, {
    retry: 500, // the page cuts its own connections, and nobody wants to wait for the next
    maxConnections: 200,
    metrics: { open: ({ request }) => request.routeOptions.config.onOpen?.(request) },
    onClose: ({ request, reason, durationMs, events }) => {
      log.append('INFO', `stream ${request.routeOptions.url} closed (${reason}) after ${events} events in ${(durationMs / 1000).toFixed(1)} s`)
    }
  })
  await app.register(swagger, documentStreams({
    openapi: { openapi: '3.2.0', info: { title: 'fastify-typed-sse, live', version: '1.0.0' } },
    hideUntagged: true
  }))
  await app.register(connections)
  await app.register(activity, { log })
  await app.register(counter)
  await app.register(machine, { answers })
  await app.register(answer, { answers })
  await app.register(models, { answers })
  await app.register(logTail, { log })
  await app.register(chat)
  await app.register(orders)
  // All of it from here: no fonts, no figures of use, and no services of others.
  await app.register(reference, { routePrefix: '/reference', configuration: { withDefaultFonts: false, telemetry: false, agent: { disabled: true }, mcp: { disabled: true }, hideClientButton: true, showDeveloperTools: 'never' } })
  await app.register(fastifyStatic, { root: fileURLToPath(new URL('public', import.meta.url)) })
  await serveClient(app)
  return app
}

/** What index.html maps the names of modules to: the client as it is published, and its parser. */
async function serveClient (app) {
  const { resolve } = createRequire(import.meta.url)
  const serve = (prefix, root) => app.register(fastifyStatic, { prefix, root, decorateReply: false })
  await serve('/client/', fileURLToPath(new URL('../../dist/esm/lib/client', import.meta.url)))
  await serve('/wire/', fileURLToPath(new URL('../../dist/esm/lib/wire', import.meta.url)))
  await serve('/parser/', dirname(resolve('eventsource-parser')))
}
