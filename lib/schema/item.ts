// What a source yields, before anything but its shape is known.
import type { SseMeta } from '../../types/event.js'
import { kindOf } from '../describe.js'
import { SSE_ERR_INVALID_EVENT } from '../errors.js'

export interface Item extends SseMeta {
  event?: unknown
  data?: unknown
  text?: unknown
}

/** @throws SSE_ERR_INVALID_EVENT */
export function readItem (given: unknown): Item {
  if (typeof given === 'string') return { text: given }
  if (typeof given !== 'object' || given === null) throw new SSE_ERR_INVALID_EVENT(`Expected an event to be an object { event, data } or a string, got ${kindOf(given)}`)
  const item: Item = given
  if (item.data === undefined) {
    // With the key but without a value it is a mistake in the payload, of which the encoder tells.
    if (item.text === undefined && !('data' in item)) throw new SSE_ERR_INVALID_EVENT(`Expected an event to have \`data\` or \`text\`, got ${kindOf(given)} with neither.${hint(given)}`)
  } else if (item.text !== undefined) {
    throw new SSE_ERR_INVALID_EVENT('Expected an event to have `data` or `text`, got both')
  }
  return item
}

function hint (given: object): string {
  return ArrayBuffer.isView(given) ? ' Read bytes as text first: a chunk may end inside a character' : ' To send an object, wrap it: { data: object }'
}
