// What the helpers of `fastify-typed-sse/testing` take and give.
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import type { Received } from './client.js'
import type { PayloadOf } from './event.js'
import type { ReservedData, ReservedName } from './reserved.js'

/** An event as it was read. Without an `id` where its frame has none. */
export interface ReadEvent<Name extends string = string, Data = unknown> {
  /** `message` where the frame has no name. */
  event: Name
  data: Data
  id?: string
}

/** The plugin's own events. */
export type ReadReserved = { [Name in ReservedName]: ReadEvent<Name, ReservedData[Name]> }[ReservedName]

/** The events of a route with these schemas; of a route that nothing is known of, any. */
export type ReadEventOf<Schemas> = [keyof Schemas] extends [never]
  ? ReadEvent
  : { [Name in keyof Schemas & string]: ReadEvent<Name, Received<PayloadOf<unknown, Schemas[Name]>>> }[keyof Schemas & string] | ReadReserved

/** A web stream. Neither the types of the DOM nor those of Node.js are asked for. */
interface WebStream { getReader (): unknown }

/** A body: whole, a stream of Node.js, or a web stream. */
export type StreamBody = string | Uint8Array | NodeJS.ReadableStream | WebStream

/** An answer of `app.inject()`, with `payloadAsStream` or without, of `fetch()`, or of anything else that has a `body`. */
export type StreamAnswer = { stream (): NodeJS.ReadableStream, readonly raw?: { readonly res: { destroy (): unknown } } } | { readonly body: StreamBody | null }

export interface ReadOptions<Schemas = Record<never, never>> {
  /**
   * The route's `schema.sse`. It types the events, tells text from JSON, and makes an event of another name an error. Without
   * it, data that is not JSON is text.
   */
  events?: Schemas | undefined
  /** Events. With more it fails. @default 1_000 */
  max?: number | undefined
  /** Milliseconds. After them it fails. @default 5_000 */
  within?: number | undefined
}

/** Resolves with all events, or gives them one by one, as they come. */
export interface EventReader<Event> extends Promise<Event[]>, AsyncIterable<Event> {}

/** By the names of events. Of a route that nothing is known of, of any. */
export type EventCallbacks<Schemas> = [keyof Schemas] extends [never]
  ? { readonly [name: string]: ((event: ReadEvent) => unknown) | undefined }
  : { readonly [Name in keyof Schemas & string | ReservedName]?: ((event: EventNamed<Schemas, Name>) => unknown) | undefined }

type EventNamed<Schemas, Name> = Name extends ReservedName ? Extract<ReadReserved, { event: Name }> : Extract<ReadEventOf<Schemas>, { event: Name }>

export interface CollectOptions<Schemas = Record<never, never>> extends ReadOptions<Schemas> {
  /**
   * When to leave: with so many events that are not the plugin's own, with the first of a name, or with the one for which it
   * returns true, which is called with all that have come, too. Without it, the stream is read to its end.
   */
  until?: number | ReadEventOf<Schemas>['event'] | ((event: ReadEventOf<Schemas>, events: ReadonlyArray<ReadEventOf<Schemas>>) => boolean) | undefined
  /** What to do when an event of a name has come, as to publish the next. Waited for before another event is looked at. */
  on?: EventCallbacks<NoInfer<Schemas>> | undefined
  /** @default 'GET' */
  method?: string | undefined
  /** Beside `accept: text/event-stream`. */
  headers?: Readonly<Record<string, string>> | undefined
  /** A string, or what is sent as JSON. */
  body?: string | object | undefined
  /** What a client that comes back brings. */
  lastEventId?: string | undefined
  /**
   * By `app.inject()`, or over a connection of its own.
   * @default 'socket' where the application listens for HTTP/1.1 without TLS, else 'inject'
   */
  via?: 'inject' | 'socket' | undefined
}

/** As much of an application as is needed. */
export interface TestedApp {
  readonly server: Pick<FastifyInstance['server'], 'listening' | 'address'>
  inject (options: InjectOptions): Promise<LightMyRequestResponse>
}
