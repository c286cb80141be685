// Ten thousand connections, each with a heartbeat a second: CPU of the server for each heartbeat.
import { setTimeout as delay } from 'node:timers/promises'
import { contestantsOf } from '../harness/contestants.mjs'
import { contest } from '../harness/contest.mjs'

export const title = 'Heartbeats'
export const unit = 'microseconds of server CPU a heartbeat; 10,000 connections, one heartbeat a second'

const CONNECTIONS = 10_000
const MS = 5_000

async function measure (server) {
  const readers = await server.readers('/idle', CONNECTIONS)
  await delay(1_500) // until all have begun
  const before = await readers.received()
  const { cpu } = await server.cpuOf(() => delay(MS))
  const bytes = await readers.received() - before
  await readers.leave()
  // Two bytes and their chunk's frame are the least that a heartbeat can be.
  if (bytes < CONNECTIONS * (MS / 1_000 - 1) * 2) throw new Error(`only ${bytes} bytes of heartbeats came`)
  return { cpu: cpu / (CONNECTIONS * MS / 1_000) }
}

export async function run ({ rounds, peers }) {
  const contestants = await contestantsOf('heartbeat', { peers })
  const { results, versions } = await contest(contestants, rounds, { bytes: 30, kind: 'ascii', heartbeat: 1_000 }, measure)
  return { columns: { 'us a heartbeat': (file) => results[file]?.cpu }, contestants, versions, bounds: [] }
}
