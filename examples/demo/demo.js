// The demo as a Fastify application: six streams and the page that shows them.
import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import Fastify from 'fastify'
import sse from 'fastify-typed-sse'
import { activity } from './activity.js'
import { answer } from './answer.js'
import { AnswerCount } from './answer-count.js'
import { chat } from './chat.js'
import { connections } from './connections.js'
import { counter } from './counter.js'
import { LogFile } from './log-file.js'
import { logTail } from './log-tail.js'
import { machine } from './machine.js'
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
  await app.register(connections)
  await app.register(activity, { log })
  await app.register(counter)
  await app.register(machine, { answers })
  await app.register(answer, { answers })
  await app.register(logTail, { log })
  await app.register(chat)
  await app.register(orders)
  await app.register(fastifyStatic, { root: fileURLToPath(new URL('public', import.meta.url)) })
  return app
}
