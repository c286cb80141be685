// Counting what streams do.
import type { FastifyRequest } from 'fastify'
import type { ChannelStats } from './channel.js'
import type { ResetReason } from './reserved.js'
import type { CloseReason, SseClosed } from './stream.js'

/**
 * Hooks for a metrics library, all optional. They run inside the stream: they must be quick, and what they
 * throw is logged and dropped. The same facts are published on the diagnostics channels
 * `fastify-typed-sse:open`, `:close`, `:drop`, `:refuse` and `:reset`.
 */
export interface SseMetrics {
  /** A source was handed to `reply.sse()` and admitted. */
  open?(fact: { request: FastifyRequest }): void
  /** A stream ended. Follows each `open` exactly once. */
  close?(fact: SseClosed): void
  /** `validate: 'drop'` left an event out. */
  drop?(fact: { request: FastifyRequest, event: string }): void
  /** A newcomer was turned away. */
  refuse?(fact: { request: FastifyRequest, reason: 'maxConnections' | 'shutdown' }): void
  /** A client was told that it missed events of a topic. */
  reset?(fact: { request: FastifyRequest, topic: string, reason: ResetReason }): void
}

/** What `app.sse.stats()` gives: sums since the plugin was registered, and `open` as it stands now. */
export interface SseStats {
  open: number
  opened: number
  closed: Record<CloseReason, number>
  events: number
  bytes: number
  dropped: number
  refused: number
  channels: ChannelStats
}
