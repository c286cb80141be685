// One stream that is always ready: CPU of the server for each event, and what another route's latency is beside it.
import { contestantsOf } from '../harness/contestants.mjs'
import { contest } from '../harness/contest.mjs'
import { latencyBeside } from '../harness/latency.mjs'
import { bound, boundOfLatency } from '../harness/report.mjs'

export const title = 'One always-ready stream'
export const unit = 'microseconds of server CPU an event, and milliseconds of latency of another route meanwhile; payloads of 300 bytes'

/**
 * Streams before the one that is measured, and events in them together. V8 compiles, and compiles anew what meets its second or
 * third stream, for so long: behind 30,000 events it has a fourth of the CPU of the next 200,000.
 */
const WARM_UPS = 4
const WARM_UP = { least: 10_000, most: 200_000 }

/** Serves so many events, to so many readers together. */
export async function serveStreams (server, streams, events) {
  const each = Math.ceil(events / streams)
  const readers = await server.readers(`/stream?n=${each}`, streams)
  await readers.reach(streams * each)
  await readers.leave()
}

/** @param events of which the CPU is to be counted */
export async function warmUp (server, streams, events) {
  const each = Math.ceil(Math.min(Math.max(events, WARM_UP.least), WARM_UP.most) / WARM_UPS)
  for (let n = 0; n < WARM_UPS; n++) await serveStreams(server, streams, each)
}

/** @returns microseconds an event */
export async function cpuOfStreams (server, streams, events) {
  await warmUp(server, streams, events)
  const { cpu } = await server.cpuOf(() => serveStreams(server, streams, events))
  return cpu / events
}

/** The workload of always-ready streams, of which there may be more than one. */
export async function runStreams (streams, { rounds, peers, events, most = {} }) {
  const contestants = await contestantsOf('stream', { peers, against: ['batched', 'fastify-sse'] })
  const { results, versions, failures } = await contest(contestants, rounds, { bytes: 300, kind: 'ascii', heartbeat: false }, async (server) => ({
    cpu: await cpuOfStreams(server, streams, events),
    ...(peers === true || server.file === 'typed-sse' ? await latencyBeside(server, streams) : {})
  }))
  const cpu = (file) => results[file]?.cpu
  return {
    columns: { 'us an event': cpu, 'p50 ms': (file) => results[file]?.p50, 'p99 ms': (file) => results[file]?.p99 },
    versions,
    failures,
    bounds: [
      ...(peers ? [bound('against @fastify/sse', cpu('typed-sse'), cpu('fastify-sse'), 1 / 3)] : []),
      bound('against batched writes by hand, unchecked', cpu('typed-sse'), cpu('batched'), most.batched ?? 1),
      boundOfLatency(results['typed-sse']?.p99, most.p99 ?? 20)
    ]
  }
}

export const run = ({ events = 200_000, ...given }) => runStreams(1, { events, ...given })
