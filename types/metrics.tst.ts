// What is counted, and the hooks that hear of it.
import type { FastifyRequest } from 'fastify'
import { expect, test } from 'tstyche'
import type { ChannelStats, CloseReason, SseClosed, SseMetrics, SseStats } from './index.js'

test('the sums', () => {
  expect<SseStats>().type.toBe<{
    open: number
    opened: number
    closed: Record<CloseReason, number>
    events: number
    bytes: number
    dropped: number
    refused: number
    channels: ChannelStats
  }>()
})

test('the hooks know what they get', () => {
  const metrics: SseMetrics = {
    open: ({ request }) => expect(request).type.toBe<FastifyRequest>(),
    close: (fact) => expect(fact).type.toBe<SseClosed>(),
    drop: ({ event }) => expect(event).type.toBe<string>(),
    refuse: ({ reason }) => expect(reason).type.toBe<'maxConnections' | 'shutdown'>()
  }
  expect(metrics).type.toBe<SseMetrics>()
})

test('the hooks are optional, and no others are known', () => {
  expect<SseMetrics>().type.toBeAssignableFrom({})
  expect<SseMetrics>().type.not.toBeAssignableFrom({ open: 1 })
  expect<SseMetrics>().type.not.toBeAssignableFrom({ opened: () => {} })
})
