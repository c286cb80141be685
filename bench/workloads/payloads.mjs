// The always-ready stream with small and large payloads, in ASCII, in mixed scripts, and with much that JSON escapes.
import { contestantsOf } from '../harness/contestants.mjs'
import { contest } from '../harness/contest.mjs'
import { bound } from '../harness/report.mjs'
import { cpuOfStreams } from './stream.mjs'

export const title = 'Payloads of all sizes'
export const unit = 'microseconds of server CPU an event; one always-ready stream'

const SIZES = { ascii: [30, 300, 3_000, 30_000], unicode: [30, 300, 3_000, 30_000], escapes: [300, 3_000] }
const BYTES = 40_000_000
const EVENTS = { least: 4_000, most: 100_000 }
/**
 * Below, the promises of the source, an async generator, cost more than the event; the limit's source is a loop. And where there is much
 * to escape both leave that to V8, which takes most of the time, so that the promises are what is between them.
 */
const LEAST_BOUND = 300
const BOUND_KINDS = ['ascii', 'unicode']

export async function run ({ rounds, peers, sizes = SIZES }) {
  const contestants = await contestantsOf('stream', { peers, against: ['batched'] })
  const columns = {}
  const bounds = []
  const versions = {}
  const failures = {}
  for (const [kind, each] of Object.entries(sizes)) {
    for (const bytes of each) {
      const events = Math.min(EVENTS.most, Math.max(EVENTS.least, Math.ceil(BYTES / bytes)))
      const { results, versions: seen, failures: failed } = await contest(contestants, rounds, { bytes, kind, heartbeat: false }, async (server) => ({ cpu: await cpuOfStreams(server, 1, events) }))
      Object.assign(versions, seen)
      Object.assign(failures, failed)
      columns[`${bytes} B ${kind}`] = (file) => results[file]?.cpu
      if (bytes >= LEAST_BOUND && BOUND_KINDS.includes(kind)) bounds.push(bound(`${bytes} B, ${kind}, against batched writes by hand`, results['typed-sse']?.cpu, results.batched?.cpu, 1))
    }
  }
  return { columns, versions, failures, bounds }
}
