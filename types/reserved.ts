// The plugin's own events, as its clients get them.

/**
 * Why a position does not hold. `'unknown'`: it is none, or not of this topic. `'epoch'`: the topic's history was lost since,
 * or it is another topic's. `'ahead'`: nothing is there yet. `'lost'`: what followed it is not kept any more.
 */
export type ResetReason = 'unknown' | 'epoch' | 'ahead' | 'lost'

/** Why a server sends a client away that may come back. */
export type ByeReason = 'shutdown' | 'maxDuration' | 'maxConnections' | 'disconnected' | 'unauthorized'

/** Their data, by their names. */
export interface ReservedData {
  /** The source is done. */
  'sse.end': Record<string, never>
  /** The stream failed: `{ message }`, or what `onError` returned. */
  'sse.error': unknown
  /** The server ends the stream. */
  'sse.bye': { readonly reason: ByeReason }
  /** Its id says where the client stands. */
  'sse.cursor': Record<string, never>
  /** Events of the topic `channel` were missed. */
  'sse.reset': { readonly channel: string, readonly reason: ResetReason }
}

export type ReservedName = keyof ReservedData
