// What is known of a route before its first request: options, and one encoder for its events.
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { MAX_MS, resolveOptions, type ResolvedOptions } from '../options.js'
import { transformOf, type Transform } from '../openapi/transform.js'
import { checkEventNames, compileEvents } from '../schema/compile.js'
import { PlainEncoder, SchemaEncoder, type Encoder } from '../schema/encoder.js'
import { readLastEventId } from '../wire/headers.js'
import { END_ID } from '../wire/reserved.js'
import { answerEnded } from './answer.js'
import { Gate } from './gate.js'
import type { Host } from './host.js'

const kRoute = Symbol('fastify-typed-sse.route')

/** @fastify/swagger asks for `swaggerTransform` when it makes a document. */
type Config = FastifyRequest['routeOptions']['config'] & { [kRoute]?: Route, swaggerTransform?: Transform | false }

const plain = new PlainEncoder()

export class Route {
  readonly options: ResolvedOptions
  readonly #host: Host
  /** For limits that the route or a call sets. */
  readonly #gate = new Gate()
  readonly #compile: () => Encoder
  #encoder: Encoder | undefined

  constructor (host: Host, app: FastifyInstance, where: string, schemas: unknown, config: unknown) {
    this.#host = host
    this.options = config === undefined ? host.options : resolveOptions(config, host.options, `config.sse of ${where}`)
    if (schemas === undefined) {
      this.#compile = () => plain
    } else {
      checkEventNames(schemas, `schema.sse of ${where}`)
      this.#compile = () => new SchemaEncoder(compileEvents(schemas, app.getSchemas(), `schema.sse of ${where}`))
    }
  }

  /** What counts a stream: the plugin's gate for the plugin's limits, the route's own for nearer ones. */
  gateOf ({ maxConnections }: ResolvedOptions): Gate {
    return maxConnections === this.#host.options.maxConnections ? this.#host.gate : this.#gate
  }

  /** Compiled when it is first asked for, which is when the application is ready: shared schemas may come after the route. */
  get encoder (): Encoder {
    return (this.#encoder ??= this.#compile())
  }
}

/** Of the request's route. One that was declared before the plugin was there is looked at now. */
export function routeOf (host: Host, { request }: FastifyReply): Route {
  const { routeOptions } = request
  const config = routeOptions.config as Config
  return (config[kRoute] ??= new Route(host, request.server, nameOf(routeOptions), routeOptions.schema?.sse, config.sse))
}

function nameOf ({ method, url }: { method?: string | string[] | undefined, url?: string | undefined }): string {
  return `${String(method)} ${url ?? '?'}`
}

/** The one `onRoute` hook: all that a route with `schema.sse` or `config.sse` needs is done here, once. */
export function prepareRoutes (host: Host, app: FastifyInstance): void {
  const routes: Route[] = []

  app.addHook('onRoute', function (options) {
    const schemas = options.schema?.sse
    const config = options.config?.sse
    if (schemas === undefined && config === undefined) return
    if (options.method === 'HEAD') return // its GET route has been looked at; the source never starts here

    const where = nameOf(options)
    const route = new Route(host, this, where, schemas, config)
    routes.push(route)
    const ends = route.options.end && !route.options.minimal && String(options.method).split(',').includes('GET')
    const { swaggerTransform } = { ...options.config } as Config
    options.config = { // Fastify copies it, symbols included
      ...options.config,
      [kRoute]: route,
      swaggerTransform: swaggerTransform !== false && transformOf(() => ({ where, schemas, options: route.options, ends, shared: this.getSchemas(), ids: host.schemaIds, hasTopics: hasChannelFor(schemas, host) }), swaggerTransform)
    } as Config

    // A stream outlives any timeout that is meant for ordinary handlers.
    const { handlerTimeout = 0 } = this.initialConfig as { handlerTimeout?: number } // there since 5.8, not in the types
    if (handlerTimeout > 0 && options.handlerTimeout === undefined) options.handlerTimeout = MAX_MS // Fastify takes no `false` here
    if (!('compress' in options)) Object.assign(options, { compress: false }) // of @fastify/compress, which would hold events back

    if (ends) options.onRequest = [...listOf(options.onRequest), stopEnded]
  })

  // Compiles what has not been needed yet, so that a bad schema stops the start and not a request.
  app.addHook('onReady', async () => {
    for (const route of routes) void route.encoder
  })
}

/** Whether there is one whose events a route could stream. */
function hasChannelFor (schemas: Readonly<Record<string, unknown>> | undefined, { channels }: Host): boolean {
  return channels.some(({ options }) => Object.keys(options.events).every((name) => schemas === undefined || Object.hasOwn(schemas, name)))
}

const listOf = (hooks: RouteOptions['onRequest']) => hooks === undefined ? [] : [hooks].flat()

/** A client that was told the end and came back: 204 makes an EventSource stop, and the handler need not run. */
function stopEnded (request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  if (hasEnded(request)) answerEnded(reply)
  else done()
}

export function hasEnded (request: FastifyRequest): boolean {
  return (request.method === 'GET' || request.method === 'HEAD') && readLastEventId(request.headers['last-event-id'], request.originalUrl) === END_ID
}
