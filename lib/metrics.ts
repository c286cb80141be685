// Counting: the sums behind `app.sse.stats()`, the user's own hooks, and Node's diagnostics channels.
import { channel } from 'node:diagnostics_channel'
import type { FastifyRequest } from 'fastify'
import type { ResetReason } from '../types/reserved.js'
import type { SseMetrics, SseStats } from '../types/metrics.js'
import type { SseClosed } from '../types/stream.js'
import { guard } from './guard.js'

const opened = channel('fastify-typed-sse:open')
const closed = channel('fastify-typed-sse:close')
const dropped = channel('fastify-typed-sse:drop')
const refused = channel('fastify-typed-sse:refuse')
const resets = channel('fastify-typed-sse:reset')

export class Meter {
  readonly #hooks: SseMetrics
  readonly stats: Omit<SseStats, 'open' | 'channels'> = {
    opened: 0,
    closed: { complete: 0, client: 0, error: 0, stalled: 0, maxDuration: 0, shutdown: 0, disconnected: 0, unauthorized: 0, slow: 0 },
    events: 0,
    bytes: 0,
    dropped: 0,
    refused: 0
  }

  constructor (hooks: SseMetrics = {}) {
    this.#hooks = hooks
  }

  open (request: FastifyRequest): void {
    this.stats.opened++
    const fact = { request }
    guard(request, () => this.#hooks.open?.(fact))
    if (opened.hasSubscribers) opened.publish(fact)
  }

  close (fact: SseClosed): void {
    this.stats.closed[fact.reason]++
    this.stats.events += fact.events
    this.stats.bytes += fact.bytes
    guard(fact.request, () => this.#hooks.close?.(fact))
    if (closed.hasSubscribers) closed.publish(fact)
  }

  drop (request: FastifyRequest, event: string): void {
    this.stats.dropped++
    const fact = { request, event }
    guard(request, () => this.#hooks.drop?.(fact))
    if (dropped.hasSubscribers) dropped.publish(fact)
  }

  refuse (request: FastifyRequest, reason: 'maxConnections' | 'shutdown'): void {
    this.stats.refused++
    const fact = { request, reason }
    guard(request, () => this.#hooks.refuse?.(fact))
    if (refused.hasSubscribers) refused.publish(fact)
  }

  reset (request: FastifyRequest, topic: string, reason: ResetReason): void {
    const fact = { request, topic, reason }
    guard(request, () => this.#hooks.reset?.(fact))
    if (resets.hasSubscribers) resets.publish(fact)
  }
}
