// Every error this package throws, in one table. A message names the thing, what was expected and
// what was found; it never holds a payload, because payloads are secrets. docs/errors.md has the cures.
import createError, { type FastifyErrorConstructor } from '@fastify/error'

// The prefix is our own: `instanceof` of @fastify/error goes by code, so a code shared with another
// plugin would match that plugin's errors as well. The types are written out, since what tsc would infer refers to
// @fastify/error in a way that needs esModuleInterop.

// At registration
/** An option is unknown, out of its range, or contradicts another. */
export const SSE_ERR_INVALID_OPTION: FastifyErrorConstructor = createError('SSE_ERR_INVALID_OPTION', '%s', 500, TypeError)
/** `schema.sse` has a bad name, or a schema that cannot be checked or sent. */
export const SSE_ERR_INVALID_SCHEMA: FastifyErrorConstructor = createError('SSE_ERR_INVALID_SCHEMA', '%s', 500, TypeError)
/** `reply.sse` is taken in this scope. */
export const SSE_ERR_ALREADY_REGISTERED: FastifyErrorConstructor = createError('SSE_ERR_ALREADY_REGISTERED', '%s')

/** A channel's name or options are not what they may be, or its topics could be another channel's. */
export const SSE_ERR_INVALID_CHANNEL: FastifyErrorConstructor = createError('SSE_ERR_INVALID_CHANNEL', '%s', 500, TypeError)
/** A channel of that name has been defined, with other events or options. */
export const SSE_ERR_CHANNEL_DEFINED: FastifyErrorConstructor = createError('SSE_ERR_CHANNEL_DEFINED', '%s')

// At at(), publish() and subscribe()
/** 400: a parameter of a channel is missing, unknown, or has a value that cannot be one. */
export const SSE_ERR_INVALID_PARAMS: FastifyErrorConstructor = createError('SSE_ERR_INVALID_PARAMS', '%s', 400, TypeError)
/** The event's frame alone is more than the channel's history may hold. */
export const SSE_ERR_EVENT_TOO_LARGE: FastifyErrorConstructor = createError('SSE_ERR_EVENT_TOO_LARGE', '%s', 500, RangeError)

/** 503: the broker cannot be reached, or has refused. Nothing was published. */
export const SSE_ERR_BROKER_UNAVAILABLE: FastifyErrorConstructor = createError('SSE_ERR_BROKER_UNAVAILABLE', '%s', 503)
/** 503: the link to the broker broke before it answered. Published again with the same `dedupe`, an event comes once. */
export const SSE_ERR_PUBLISH_UNCERTAIN: FastifyErrorConstructor = createError('SSE_ERR_PUBLISH_UNCERTAIN', 'The broker did not answer: the event may have been published, or not', 503)

// At reply.sse()
/** What was given is no source, or its iterator is none. */
export const SSE_ERR_INVALID_SOURCE: FastifyErrorConstructor = createError('SSE_ERR_INVALID_SOURCE', '%s', 500, TypeError)
/** The reply has been sent, or has a stream. */
export const SSE_ERR_ALREADY_SENT: FastifyErrorConstructor = createError('SSE_ERR_ALREADY_SENT', '%s')

// At a yield
/** What was yielded is no event. */
export const SSE_ERR_INVALID_EVENT: FastifyErrorConstructor = createError('SSE_ERR_INVALID_EVENT', '%s', 500, TypeError)
/** `event`, `id`, `retry`, `comment` or `text` is not what may stand there. */
export const SSE_ERR_INVALID_FIELD: FastifyErrorConstructor = createError('SSE_ERR_INVALID_FIELD', '%s', 500, TypeError)
/** The route's `schema.sse` has no event of that name, which is in `event`. */
export const SSE_ERR_UNKNOWN_EVENT: FastifyErrorConstructor = createError('SSE_ERR_UNKNOWN_EVENT', '%s', 500, TypeError)
/** The payload does not match its schema. `event` and `path`, a JSON Pointer, say where. */
export const SSE_ERR_INVALID_DATA: FastifyErrorConstructor = createError('SSE_ERR_INVALID_DATA', '%s', 500, TypeError)
/** The payload has no JSON form. */
export const SSE_ERR_NOT_SERIALIZABLE: FastifyErrorConstructor = createError('SSE_ERR_NOT_SERIALIZABLE', '%s', 500, TypeError)

// From the source
/** The source threw what is not an Error; it is the `cause`. */
export const SSE_ERR_SOURCE_FAILED: FastifyErrorConstructor = createError('SSE_ERR_SOURCE_FAILED', '%s')

// For the client
/** 403: `authorize` has refused a topic. */
export const SSE_ERR_FORBIDDEN: FastifyErrorConstructor = createError('SSE_ERR_FORBIDDEN', 'Access to this event stream was refused', 403)
/** 410: the client's place in a stream of data lines alone cannot be told, and events behind it are gone. */
export const SSE_ERR_EVENTS_LOST: FastifyErrorConstructor = createError('SSE_ERR_EVENTS_LOST', 'Events that came before are not kept any more', 410)
/** 503: `maxConnections` is reached. */
export const SSE_ERR_TOO_MANY_CONNECTIONS: FastifyErrorConstructor = createError('SSE_ERR_TOO_MANY_CONNECTIONS', 'Too many open event streams', 503)
/** 503: the stream was ended, by `disconnect()` or `maxDuration`, before its first event. */
export const SSE_ERR_ENDED: FastifyErrorConstructor = createError('SSE_ERR_ENDED', 'The event stream was ended before it began', 503)
/** 503: the server shuts down. */
export const SSE_ERR_CLOSING: FastifyErrorConstructor = createError('SSE_ERR_CLOSING', 'The server is shutting down', 503)
