// What a client may be told, what it tells, and what it fails with.
import type { ClientEvents, Handlers, ReservedHandlers } from './client.js'

/**
 * `'connecting'`: no connection stands; one is being made or waited for. `'open'`: the server has answered. `'closed'`: it is
 * over, because the server said so, or the client was closed, or it failed.
 */
export type ClientState = 'connecting' | 'open' | 'closed'

export type ClientErrorCode =
  | 'SSE_ERR_INVALID_DATA'
  | 'SSE_ERR_STREAM_FAILED'
  | 'SSE_ERR_DISCONNECTED'
  | 'SSE_ERR_SILENT'
  | 'SSE_ERR_NO_STREAM'
  | 'SSE_ERR_EVENT_TOO_LARGE'

/** What came with a failure. */
export interface ClientErrorFacts {
  /** Of `SSE_ERR_NO_STREAM`. 0 stands for a redirect that a browser hides. */
  readonly status?: number | undefined
  /** The response that was refused. Its body has not been read, unless the client came back. */
  readonly response?: Response | undefined
  /** Of `SSE_ERR_INVALID_DATA`: the event's name. */
  readonly event?: string | undefined
  /** Of `SSE_ERR_INVALID_DATA`: what a Standard Schema found. They may hold parts of the data. */
  readonly issues?: readonly unknown[] | undefined
  /** What the server said, in `sse.error` or `sse.bye`. */
  readonly data?: unknown
  readonly cause?: unknown
}

export interface ClientError extends Error, ClientErrorFacts {
  readonly code: ClientErrorCode
  readonly cause?: unknown
}

export interface Backoff {
  /** Milliseconds to wait before the first attempt at most, where the server has told no delay. It doubles with each that fails. @default 1_000 */
  first?: number | undefined
  /** Milliseconds to wait at most. @default 30_000 */
  most?: number | undefined
}

/** How the data of events is read and checked. */
export interface CheckOptions<Schemas> {
  /**
   * Event name to what checks its data: a Standard Schema, a function that returns whether the data is right, or any other schema
   * together with `check`. Events of other names are left out. Without it nothing is checked, and all events are given.
   */
  events?: Schemas | undefined
  /** Checks data by those of `events` that cannot do so themselves: TypeBox's `Value.Check`, for instance. */
  check?: ((schema: never, data: unknown) => boolean) | undefined
  /** Names of events whose data is text as it stands and not JSON, or `true` for all. A schema with `contentMediaType: 'text/plain'` says so itself. */
  text?: readonly string[] | true | undefined
}

/** What both forms of the client take. */
export interface ClientOptions<Schemas> extends CheckOptions<Schemas> {
  /** Where to begin: the `id` of an event that came before. */
  lastEventId?: string | undefined
  /**
   * Whether to come back after a failure that may pass. A function is asked each time, and told how many failures there were since
   * the last event.
   * @default true; with `stream()`, only where the method is GET
   */
  reconnect?: boolean | ((error: ClientError, failures: number) => boolean) | undefined
  backoff?: Backoff | undefined
  /** Called when the state changes, and at each failed attempt; with what failed, where something did. It begins as `'connecting'`. */
  onState?: ((state: ClientState, error: ClientError | undefined) => void) | undefined
  /** What requests are made with; by `subscribe()`, only the one that asks whether it may come back. @default globalThis.fetch */
  fetch?: typeof globalThis.fetch | undefined
}

/** As much of an EventSource as `subscribe()` needs: a browser's has it, and those of the packages eventsource and undici. */
export interface EventSourceLike {
  readonly url: string
  readonly readyState: number
  readonly withCredentials: boolean
  addEventListener (type: string, listener: (event: any) => void): void // each implementation has events of its own
  close (): void
}

export interface SubscribeOptions<Events, Schemas> extends ClientOptions<Schemas> {
  /** Event name to what is done with its data. It is given the event too, with its `id`. */
  on: Handlers<ClientEvents<Events, Schemas>>
  /**
   * Milliseconds without an event after which the connection counts as dead. An EventSource tells nothing of heartbeats, so this must
   * be longer than the server may be quiet.
   * @default false
   */
  silence?: number | false | undefined
  /** Whether cookies go to another origin. Of an EventSource that was given, its own counts. @default false */
  withCredentials?: boolean | undefined
  /** Makes an EventSource: for Node.js, or one of another kind. @default (url) => new EventSource(url, { withCredentials }) */
  connect?: ((url: string) => EventSourceLike) | undefined
}

/** What `subscribe()` returns. */
export interface ClientSubscription {
  readonly state: ClientState
  /** What failed: for good where `state` is `'closed'`, else last. */
  readonly error: ClientError | undefined
  /** The last id that the server has told, or `''`. */
  readonly lastEventId: string
  /** Ends it. No callback is called any more but `onState`, once. */
  close (): void
}

type OwnInit = 'body' | 'headers' | 'redirect' | 'signal'

export interface StreamInit<Schemas> extends Omit<RequestInit, OwnInit>, ClientOptions<Schemas> {
  /** A function is called for each request: for tokens that expire. */
  headers?: RequestInit['headers'] | (() => RequestInit['headers'] | Promise<RequestInit['headers']>)
  /** Nothing that can be sent only once, as a stream. */
  body?: string | URLSearchParams | FormData | Blob | ArrayBuffer | Uint8Array | undefined
  /** Ends the iteration; it then throws the signal's reason. */
  signal?: AbortSignal | undefined
  /** Callbacks for the plugin's own events, as `sse.reset`; the others are what is iterated. */
  on?: ReservedHandlers | undefined
  /**
   * Milliseconds without a byte, while one is waited for, after which the connection counts as dead. The server's heartbeat
   * is a sign of life.
   * @default 45_000 where the client comes back, else false
   */
  silence?: number | false | undefined
  /** Characters that a line, or the data of an event, may have. @default 8_388_608 */
  maxSize?: number | undefined
  /**
   * Of a `minimal` stream: the data of its last event. It ends the iteration; without it the stream has failed. Such a stream has no ids, so a
   * client does not come back to it unless `reconnect` says so: it would get all from the start.
   */
  done?: string | undefined
}
