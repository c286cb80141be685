// What is the plugin's own on the wire. The client has this file too, so it imports nothing that runs.
import type { ReservedName } from '../../types/reserved.js'

/** Events whose name starts so are the plugin's own. */
export const RESERVED_PREFIX = 'sse.'

/** The id of `sse.end`. A request that comes back with it is answered 204, so that the browser stops. */
export const END_ID = '~end'

export const END = 'sse.end' satisfies ReservedName
export const ERROR = 'sse.error' satisfies ReservedName
export const BYE = 'sse.bye' satisfies ReservedName
export const CURSOR = 'sse.cursor' satisfies ReservedName
export const RESET = 'sse.reset' satisfies ReservedName
