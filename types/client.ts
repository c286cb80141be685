// What a client is given and what it gives. Nothing here needs Fastify, nor the types of Node.js or of the DOM beyond fetch.
import type { PayloadOf } from './event.js'
import type { ReservedData } from './reserved.js'
import type { StandardSchema } from './standard-schema.js'

/** An event as a client gets it. */
export interface ReceivedEvent<Name extends string = string, Data = unknown> {
  /** `message` where the server gave it no name. */
  readonly event: Name
  readonly data: Data
  /** Where the client stands behind it: the last id that the server has told, or `''`. */
  readonly id: string
}

/** What JSON makes of a payload: of a date, a string. */
export type Received<Data> =
  Data extends string | number | boolean | null | undefined ? Data
    : Data extends { toJSON (): infer Json } ? Json
      : Data extends object ? { [Key in keyof Data]: Received<Data[Key]> } : Data

/** Of the events that a server may send (`EventsOf<typeof schemas>`), as a client gets them. Of unknown ones, any. */
export type ReceivedOf<Events> = unknown extends Events ? ReceivedEvent : OneReceived<Events>

// Of text that goes out as it is, there is the form with `data` beside that with `text`.
type OneReceived<Event> = Event extends { readonly event?: infer Name, readonly data: infer Data }
  ? ReceivedEvent<Extract<Name, string>, Received<Data>>
  : never

/** What a check lets through: a Standard Schema's output, what a type guard says, or the type of a TypeBox schema. */
export type CheckedData<Schema> =
  Schema extends { readonly '~standard': { readonly types?: { readonly output: infer Output } | undefined } } ? Output
    : Schema extends (data: any) => data is infer Data ? Data // a predicate must be of its parameter's type, so `never` would fit none
      : Received<PayloadOf<unknown, Schema>>

type SelfChecking = StandardSchema | ((data: any) => boolean) // whatever they give or take

/** A schema that cannot check data by itself needs a `check` beside it. */
export type WithCheck<Schemas> = Schemas extends { readonly [Name in keyof Schemas]: SelfChecking } ? unknown : { check: (schema: never, data: unknown) => boolean }

/** The events that a client looks for: by a type that was given, else by the schemas in `events`. */
export type ClientEvents<Events, Schemas> = unknown extends Events
  ? [keyof Schemas] extends [never] ? ReceivedEvent : { [Name in keyof Schemas & string]: ReceivedEvent<Name, CheckedData<Schemas[Name]>> }[keyof Schemas & string]
  : ReceivedOf<Events>

/** Callbacks for the plugin's own events. */
export type ReservedHandlers = {
  readonly [Name in keyof ReservedData]?: ((data: ReservedData[Name], event: ReceivedEvent<Name, ReservedData[Name]>) => void) | undefined
}

/** Callbacks by the names of events. */
export type Handlers<Event extends ReceivedEvent> = string extends Event['event']
  ? { readonly [name: string]: ((data: unknown, event: ReceivedEvent) => void) | undefined }
  : ReservedHandlers & { readonly [One in Event as One['event']]?: ((data: One['data'], event: One) => void) | undefined }
