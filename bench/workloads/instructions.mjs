// Always-ready streams again: instructions of the server for each event. They do not depend on what else the machine does, as time does.
import { contestantsOf } from '../harness/contestants.mjs'
import { contest } from '../harness/contest.mjs'
import { canCount } from '../harness/instructions.mjs'
import { bound } from '../harness/report.mjs'
import { serveStreams, warmUp } from './stream.mjs'

export const title = 'Instructions of always-ready streams'
export const unit = 'instructions of the server an event, in user mode; payloads of 300 bytes'
/** Where there is no perf, or no right to it, nothing is measured. */
export const isPossible = canCount

const STREAMS = [1, 100]

export async function run ({ rounds, peers, events = 200_000, most = {} }) {
  const contestants = await contestantsOf('stream', { peers, against: ['batched', 'fastify-sse'] })
  const { results, versions, failures } = await contest(contestants, rounds, { bytes: 300, kind: 'ascii', heartbeat: false }, async (server) => {
    const counts = {}
    for (const streams of STREAMS) {
      await warmUp(server, streams, events)
      counts[streams] = await server.instructionsOf(() => serveStreams(server, streams, events)) / events
    }
    return counts
  })
  const of = (streams) => (file) => results[file]?.[streams]
  return {
    columns: Object.fromEntries(STREAMS.map((streams) => [`of ${streams}`, of(streams)])),
    versions,
    failures,
    bounds: STREAMS.flatMap((streams) => [
      ...(peers ? [bound(`${streams}, against @fastify/sse`, of(streams)('typed-sse'), of(streams)('fastify-sse'), 1 / 3)] : []),
      bound(`${streams}, against batched writes by hand, unchecked`, of(streams)('typed-sse'), of(streams)('batched'), most.batched ?? 1)
    ])
  }
}
