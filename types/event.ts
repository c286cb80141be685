// What a user gives to a stream: events, and the types that a map of schemas makes of them.
import type { Static, TSchema } from '@sinclair/typebox'

/** What may accompany an event's payload. */
export interface SseMeta {
  /**
   * The position that a client reports in `Last-Event-ID` when it reconnects. Visible ASCII, at most 1 KiB,
   * no space at its edges. `''` makes the client forget the position that it holds.
   */
  id?: string | number | undefined
  /** Milliseconds before the client reconnects, from now on. An integer >= 100. */
  retry?: number | undefined
  /** Written as comment lines before the event. Clients ignore them. */
  comment?: string | undefined
}

/** An event with a name. `data` goes out as JSON. */
export interface SseEvent<Name extends string = string, Data = unknown> extends SseMeta {
  event: Name
  data: Data
  text?: undefined
}

/** An event without a name, which clients receive as `message`. */
export interface SseMessage<Data = unknown> extends SseMeta {
  event?: 'message' | undefined
  data: Data
  text?: undefined
}

/** An event whose text goes out as it is, one `data` line a line, and not as JSON. */
export interface SseText<Name extends string = string> extends SseMeta {
  event: Name
  text: string
  data?: undefined
}

/** Text without a name, which clients receive as `message`. A bare string is short for it. */
export interface SseTextMessage extends SseMeta {
  event?: 'message' | undefined
  text: string
  data?: undefined
}

/** What a route without `schema.sse` may yield. */
export type AnySseEvent =
  | (SseMeta & { event?: string | undefined, data: unknown, text?: undefined })
  | (SseMeta & { event?: string | undefined, text: string, data?: undefined })
  | string

// Of a payload without a type, as a plain JSON Schema gives without a provider, the run-time check knows more.
type TextOf<Name extends string, Data> = string extends Data
  ? Name extends 'message' ? SseTextMessage | string : SseText<Name>
  : never

type DataOf<Name extends string, Data> = Name extends 'message' ? SseMessage<Data> : SseEvent<Name, Data>

/** The union of all events that a map of payload types allows. */
export type EventUnion<Payloads> = {
  [Name in keyof Payloads & string]: DataOf<Name, Payloads[Name]> | TextOf<Name, Payloads[Name]>
}[keyof Payloads & string]

/** One constructor an event, typed by its payload: the way to get an error at the argument that is wrong. */
export type EventBuilder<Payloads> = {
  readonly [Name in keyof Payloads & string]: (data: Payloads[Name], meta?: SseMeta) => DataOf<Name, Payloads[Name]>
}

/** As Fastify has it, and not from there: a page that imports types of events has no Fastify, nor the types of Node.js. */
interface TypeProvider {
  readonly schema: unknown
  readonly validator: unknown
  readonly serializer: unknown
}

type OrElse<Type, Fallback> = unknown extends Type ? Fallback : Type

/**
 * The type of a payload: what a Standard Schema takes, else what the route's type provider makes of the schema, else what TypeBox
 * does. The provider comes before TypeBox, so that both generations of it work; and after a Standard Schema, of which a provider tells
 * what comes out, or nothing, where what goes in is what is sent.
 */
export type PayloadOf<Provider, Schema> = Schema extends Takes<infer Input> ? Input : OrElse<
  Provider extends TypeProvider ? (Provider & { schema: Schema })['serializer'] : unknown,
  Schema extends TSchema ? Static<Schema> : unknown
>

/** A Standard Schema, as far as its types go. */
interface Takes<Input> { readonly '~standard': { readonly types?: { readonly input: Input } | undefined } }

export type PayloadsOf<Provider, Schemas> = { [Name in keyof Schemas]: PayloadOf<Provider, Schemas[Name]> }

/**
 * The events that a map of schemas allows, or a route's options with `schema.sse`: for a source that stands outside its
 * route, and for its clients. Schemas of TypeBox 1 need its type provider, as in `EventsOf<typeof events, TypeBoxTypeProvider>`.
 *
 * @example
 * ```ts
 * const events = { tick: Type.Object({ n: Type.Integer() }) }
 * async function * ticks (): AsyncGenerator<EventsOf<typeof events>> {
 *   yield { event: 'tick', data: { n: 1 } }
 * }
 * ```
 */
export type EventsOf<Schemas, Provider = unknown> = EventUnion<PayloadsOf<Provider, Schemas extends { readonly schema: { readonly sse: infer OfRoute } } ? OfRoute : Schemas>>
