// The constructors that a source gets as `context.events`.
import type { SseMeta } from '../../types/event.js'
import type { CompiledEvents } from './compile.js'

type Construct = (data: unknown, meta?: SseMeta) => object

function constructor (name: string | undefined, field: 'data' | 'text'): Construct {
  // `message` is what a client calls an event without a name.
  const event = name === undefined ? {} : { event: name }
  return (payload, meta) => meta === undefined ? { ...event, [field]: payload } : { ...event, [field]: payload, ...meta }
}

/** One constructor for each of the route's events. */
export function buildEvents (events: CompiledEvents): Readonly<Record<string, Construct>> {
  const built: Record<string, Construct> = Object.create(null) // an event may be called `constructor`
  for (const { name, isText } of events.values()) built[name] = constructor(name === 'message' ? undefined : name, isText ? 'text' : 'data')
  return Object.freeze(built)
}

/** Of a route without schemas: one for any name. */
export const anyEvents = new Proxy<Record<string, Construct>>({}, {
  get: (_, name) => typeof name === 'string' ? constructor(name === 'message' ? undefined : name, 'data') : undefined
})
