// One stream that is always ready: CPU of the server for each event.
import { contestantsOf } from '../harness/contestants.mjs'
import { contest } from '../harness/contest.mjs'
import { bound } from '../harness/report.mjs'

export const title = 'One always-ready stream'
export const unit = 'microseconds of server CPU an event; payloads of 300 bytes'

/**
 * Streams before the one that is measured, and events in them together. V8 compiles, and compiles anew what meets its second or
 * third stream, for so long: behind 30,000 events it has a fourth of the CPU of the next 200,000.
 */
const WARM_UPS = 4
const WARM_UP = { least: 10_000, most: 200_000 }

/** @param events of which the CPU is counted */
export async function cpuOfStream (server, events) {
  const read = async (path, count) => {
    const readers = await server.readers(path, 1)
    await readers.reach(count)
    await readers.leave()
  }
  const warmUp = Math.ceil(Math.min(Math.max(events, WARM_UP.least), WARM_UP.most) / WARM_UPS)
  for (let n = 0; n < WARM_UPS; n++) await read(`/stream?n=${warmUp}`, warmUp)
  const { cpu } = await server.cpuOf(() => read(`/stream?n=${events}`, events))
  return { cpu: cpu / events }
}

export async function run ({ rounds, peers, events = 200_000 }) {
  const contestants = await contestantsOf('stream', { peers })
  const { results, versions } = await contest(contestants, rounds, { bytes: 300, kind: 'ascii', heartbeat: false }, (server) => cpuOfStream(server, events))
  const cpu = (file) => results[file]?.cpu
  const bounds = [bound('against batched writes by hand, unchecked', cpu('typed-sse'), cpu('batched'), 1)]
  if (results['fastify-sse'] !== undefined) bounds.unshift(bound('against @fastify/sse', cpu('typed-sse'), cpu('fastify-sse'), 1 / 3))
  return { columns: { 'us an event': (file) => results[file]?.cpu }, contestants, versions, bounds }
}
