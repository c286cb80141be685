// What is known of a route's streams when a document is made.
import type { ResolvedOptions } from '../options.js'
import type { SchemaIds } from './ids.js'

export interface StreamFacts {
  /** As `GET /ticks`. */
  readonly where: string
  /** The schemas of its events by their names; undefined where it may send any. */
  readonly schemas: Readonly<Record<string, unknown>> | undefined
  readonly options: ResolvedOptions
  /** Whether an EventSource is told the end for good. */
  readonly ends: boolean
  /** What `app.addSchema()` knows at the route. */
  readonly shared: Readonly<Record<string, unknown>>
  readonly ids: SchemaIds
  /** Whether topics could be what it streams. */
  readonly hasTopics: boolean
}
