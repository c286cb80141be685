// Options of the plugin, of a route (`config.sse`) and of a call (`reply.sse(source, options)`).
import type { FastifyRequest } from 'fastify'
import type { Broker } from './broker.js'
import type { SseMetrics } from './metrics.js'
import type { SseClosed } from './stream.js'

/** Limits of open streams. A newcomer over a limit is turned away; nobody is evicted. */
export interface ConnectionLimits {
  /** Streams open at once, of the scope that set the option: the plugin's, or the route's. */
  total?: number
  /** Streams open at once that share a key. */
  perKey?: number
  /** What streams have in common: a string or a number. @default request => request.ip */
  key?: (request: FastifyRequest) => string | number
}

/** `undefined` is the same as no value, so that one can be passed on under `exactOptionalPropertyTypes`. */
export interface SseOptions {
  /**
   * Milliseconds without a write before a comment line keeps the connection alive; `false` for none. Proxies
   * cut idle connections after 30 s (CloudFront) to 120 s (Cloudflare).
   * @default 15_000
   */
  heartbeat?: number | false | undefined
  /**
   * Milliseconds before a client reconnects, spread by +-25 % so that a restart does not bring all clients
   * back at once. At least 100; `false` leaves it to the client.
   * @default 3_000
   */
  retry?: number | false | undefined
  /**
   * Milliseconds to wait for the first event before the response is committed to 200. An error inside that
   * time is an ordinary HTTP error. `0` commits at once, `Infinity` waits as long as it takes.
   * @default 100
   */
  openAfter?: number | undefined
  /**
   * What happens to an event that does not match its schema: `'throw'` at the yield, `'drop'` (logged and
   * counted), or `false`, no check.
   * @default 'throw'
   */
  validate?: 'throw' | 'drop' | false | undefined
  /**
   * Whether a source that finishes ends the stream for good. EventSource reconnects after any end, so a
   * finished job would run again for ever: the last event is `sse.end` with an id that a reconnecting client
   * brings back, to be answered 204. For GET requests that accept `text/event-stream` by name.
   * @default true
   */
  end?: boolean | undefined
  /**
   * Data lines only: no prelude, comments, names, ids or events of the plugin's own. For clients of the
   * OpenAI kind, which read nothing else.
   * @default false
   */
  minimal?: boolean | undefined
  /** A last raw line, as `'[DONE]'`, when a `minimal` stream completes. */
  done?: string | undefined
  /**
   * Milliseconds since `reply.sse()` after which the stream ends on an event boundary, with a hint to reconnect; the real limit is
   * 80 to 100 % of it, at random. `false` for none.
   * @default false
   */
  maxDuration?: number | false | undefined
  /**
   * Milliseconds that a reader may take nothing while bytes wait for it, before its socket is destroyed.
   * @default 30_000
   */
  stallTimeout?: number | undefined
  /** A number is short for `{ total }`. @default false */
  maxConnections?: number | ConnectionLimits | false | undefined
  /**
   * On `app.close()` each open stream gets `sse.bye` with a random `retry` of up to `spread` ms, so that the
   * clients come back spread over that time.
   * @default { spread: 5_000 }
   */
  shutdown?: { spread: number } | undefined
  /**
   * Called when a stream fails after its response was committed; must return at once. What it returns is the data of `sse.error`:
   * an object, or a string that becomes `{ message }`. By default the message is generic, since an error's own
   * message may hold secrets.
   */
  onError?: ((error: unknown, request: FastifyRequest) => unknown) | undefined
  /** Called once for each stream, when it has closed. What it throws or rejects with is logged. */
  onClose?: ((closed: SseClosed) => void) | undefined
}

/** What `app.register(sse, options)` takes. */
export interface SsePluginOptions extends SseOptions {
  /** Hooks for a metrics library. */
  metrics?: SseMetrics | undefined
  /** Where the topics of channels live. @default memoryBroker() */
  broker?: Broker | undefined
}
