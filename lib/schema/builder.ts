// The constructors that a source gets as `context.events`.
import type { SseMeta } from '../../types/event.js'
import type { CompiledEvents } from './compile.js'
import type { Item } from './item.js'

type Construct = (payload: unknown, meta?: SseMeta) => Item

// Assigned one by one: a spread here took two thirds of the CPU of an always-ready stream.
function withMeta (item: Item, meta: SseMeta | null | undefined): Item {
  if (meta !== undefined && meta !== null) {
    if (meta.id !== undefined) item.id = meta.id
    if (meta.retry !== undefined) item.retry = meta.retry
    if (meta.comment !== undefined) item.comment = meta.comment
  }
  return item
}

function constructor (name: string): Construct {
  // `message` is what a client calls an event without a name.
  return name === 'message' ? (data, meta) => withMeta({ data }, meta) : (data, meta) => withMeta({ event: name, data }, meta)
}

/** One constructor for each of the route's events. */
export function buildEvents (events: CompiledEvents): Readonly<Record<string, Construct>> {
  const built: Record<string, Construct> = Object.create(null) // an event may be called `constructor`
  for (const name of events.keys()) built[name] = constructor(name)
  return Object.freeze(built)
}

/** Of a route without schemas: one for any name but `then`, by which whoever awaits it would take it for a promise that never comes. */
export const anyEvents = new Proxy<Record<string, Construct>>({}, {
  get: (_, name) => typeof name === 'string' && name !== 'then' ? constructor(name) : undefined
})
