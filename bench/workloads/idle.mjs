// Five thousand connections that wait, with their heartbeat on: memory of the server for each.
import { contestantsOf } from '../harness/contestants.mjs'
import { contest } from '../harness/contest.mjs'
import { bound } from '../harness/report.mjs'

export const title = 'Idle connections'
export const unit = 'KiB of server memory a connection, heartbeat on where there is one; 5,000 connections'

const CONNECTIONS = 5_000
const WARM_UP = 1_500

async function measure (server) {
  const warm = await server.readers('/topic', WARM_UP)
  await warm.leave()
  const before = await server.ask('weigh')
  const readers = await server.readers('/topic', CONNECTIONS)
  const after = await server.ask('weigh')
  await readers.leave()
  const each = (what) => (after[what] - before[what]) / CONNECTIONS / 1_024
  return { memory: each('memory'), heap: each('heap') }
}

export async function run ({ rounds, peers }) {
  const contestants = (await contestantsOf('topic', { peers, against: ['raw'] })).filter((file) => file !== 'batched') // it waits as raw does
  const { results, versions, failures } = await contest(contestants, rounds, { bytes: 30, kind: 'ascii', heartbeat: 15_000 }, measure)
  return {
    columns: { 'KiB of memory': (file) => results[file]?.memory, 'KiB of heap': (file) => results[file]?.heap },
    versions,
    failures,
    bounds: [bound('a subscriber of a topic against a response held open by hand', results['typed-sse']?.memory, results.raw?.memory, 1.2)]
  }
}
