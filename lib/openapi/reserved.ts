// The plugin's own events, as schemas.
import type { ByeReason, ReservedName, ResetReason } from '../../types/reserved.js'
import { BYE, CURSOR, END, END_ID, ERROR, RESET } from '../wire/reserved.js'
import type { StreamFacts } from './facts.js'
import { constant, ID, json, MESSAGE, object, RETRY, type Schema } from './field.js'
import type { Version } from './version.js'

const BYE_REASONS = ['shutdown', 'maxDuration', 'maxConnections', 'disconnected', 'unauthorized'] as const satisfies readonly ByeReason[]
const RESET_REASONS = ['unknown', 'epoch', 'ahead', 'lost'] as const satisfies readonly ResetReason[]

const NOTHING: Schema = { type: 'object', maxProperties: 0 }

/** Those that a route's streams can send. */
export function reservedEvents ({ ends, hasTopics, options }: StreamFacts, version: Version): Schema[] {
  const event = (name: ReservedName, description: string, data: Schema, required: Record<string, Schema> = {}, optional: Record<string, Schema> = {}): Schema => {
    const fields = { event: constant(name), data: json(data, version), ...required }
    return { title: name, description, ...object(fields), properties: { ...fields, ...optional } }
  }

  return [
    ...ends ? [event(END, 'The source is done. A client that reconnects with this id is answered 204.', NOTHING, { id: constant(END_ID) })] : [],
    event(ERROR, 'The stream failed. A client that reconnects goes on behind the last id that it got.', options.onError === undefined ? MESSAGE : {}),
    event(BYE, 'The server ends the stream. A client may reconnect after `retry` milliseconds.', object({ reason: constant(...BYE_REASONS) }), { retry: RETRY }),
    ...hasTopics
      ? [
          event(CURSOR, 'The id says where the client stands.', NOTHING, { id: ID }),
          event(RESET, 'Events of the topic `channel` were missed.', object({ channel: { type: 'string' }, reason: constant(...RESET_REASONS) }), {}, { id: ID })
        ]
      : []
  ]
}
