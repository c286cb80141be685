// A hundred always-ready streams: CPU for each event, and what another route's latency is beside them.
import { setTimeout as delay } from 'node:timers/promises'
import { contestantsOf } from '../harness/contestants.mjs'
import { contest } from '../harness/contest.mjs'
import { bound } from '../harness/report.mjs'

export const title = 'A hundred always-ready streams'
export const unit = 'microseconds of server CPU an event, and milliseconds of latency of another route meanwhile; payloads of 300 bytes'

/** As of one stream: V8 goes on compiling for so long. */
const WARM_UPS = 4
const STREAMS = 100
const PROBES = 400
const P99_MS = 20

async function measure (server, events) {
  const read = async (each) => {
    const readers = await server.readers(`/stream?n=${each}`, STREAMS)
    await readers.reach(STREAMS * each)
    await readers.leave()
  }
  for (let n = 0; n < WARM_UPS; n++) await read(Math.ceil(events / WARM_UPS))
  const { cpu } = await server.cpuOf(() => read(events))
  const endless = server.connect('/stream?n=1000000000', STREAMS) // where the first one starves all others, they never get in
  await delay(1_000)
  const before = await endless.counts()
  const { p50, p99 } = await server.probe(PROBES)
  const after = await endless.counts()
  if (after.received === before.received) throw new Error('its streams stood still while another route was asked')
  await endless.kill()
  return { cpu: cpu / (events * STREAMS), p50, p99 }
}

export async function run ({ rounds, peers, events = 5_000 }) {
  const contestants = await contestantsOf('stream', { peers })
  const { results, versions } = await contest(contestants, rounds, { bytes: 300, kind: 'ascii', heartbeat: false }, (server) => measure(server, events))
  const cpu = (file) => results[file]?.cpu
  const worst = results['typed-sse']?.p99.most
  const bounds = [
    bound('against batched writes by hand, unchecked', cpu('typed-sse'), cpu('batched'), 1),
    bound(`another route's p99, in the worst round, against ${P99_MS} ms`, worst === undefined ? undefined : { least: worst }, P99_MS, 1)
  ]
  if (results['fastify-sse'] !== undefined) bounds.unshift(bound('against @fastify/sse', cpu('typed-sse'), cpu('fastify-sse'), 1 / 3))
  return { columns: { 'us an event': (file) => results[file]?.cpu, 'p50 ms': (file) => results[file]?.p50, 'p99 ms': (file) => results[file]?.p99 }, contestants, versions, bounds }
}
