// One topic, thousands of readers: CPU of the server for each delivery, one event or ten in a turn of the event loop. The
// next turn's are published when all readers have the last ones.
import { contestantsOf } from '../harness/contestants.mjs'
import { contest } from '../harness/contest.mjs'
import { bound } from '../harness/report.mjs'

export const title = 'Broadcast'
export const bar = 'Broadcast to 1,000 readers, one event a turn'
export const unit = 'microseconds of server CPU a delivery; payloads of 300 bytes'

async function cpuOfDelivery (server, readers, from, turns, perTurn, connections) {
  let next = from
  const { cpu } = await server.cpuOf(async () => {
    for (let turn = 0; turn < turns; turn++) {
      const reached = readers.reach((next + perTurn) * connections)
      await server.ask('publish', { from: next, count: perTurn })
      next += perTurn
      await reached
    }
  })
  return { next, cpu: cpu / (turns * perTurn * connections) }
}

async function measure (server, connections, turns) {
  const readers = await server.readers('/topic', connections)
  const warm = await cpuOfDelivery(server, readers, 0, Math.ceil(turns / 4), 2, connections)
  const one = await cpuOfDelivery(server, readers, warm.next, turns, 1, connections)
  const ten = await cpuOfDelivery(server, readers, one.next, Math.ceil(turns / 4), 10, connections)
  await readers.leave()
  return { one: one.cpu, ten: ten.cpu }
}

export async function run ({ rounds, peers, connections = [1_000, 5_000], deliveries = 90_000, most = {} }) {
  const contestants = await contestantsOf('topic', { peers, against: ['raw'] })
  const columns = {}
  const bounds = []
  const versions = {}
  const failures = {}
  for (const count of connections) {
    const { results, versions: seen, failures: failed } = await contest(contestants, rounds, { bytes: 300, kind: 'ascii', heartbeat: false }, (server) => measure(server, count, deliveries / count))
    Object.assign(versions, seen)
    Object.assign(failures, failed)
    columns[`${count} readers, one`] = (file) => results[file]?.one
    columns[`${count} readers, ten`] = (file) => results[file]?.ten
    bounds.push(
      bound(`${count} readers, one event a turn, against raw writes of a prebuilt buffer`, results['typed-sse']?.one, results.raw?.one, most.one ?? 1.1),
      bound(`${count} readers, ten events a turn, against raw writes one by one`, results['typed-sse']?.ten, results.raw?.one, most.ten ?? 0.25)
    )
  }
  return { columns, versions, failures, bounds }
}
