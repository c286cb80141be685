// Ten thousand connections, each with a heartbeat a second: CPU of the server for each heartbeat.
import { setTimeout as delay } from 'node:timers/promises'
import { contestantsOf } from '../harness/contestants.mjs'
import { contest } from '../harness/contest.mjs'

export const title = 'Heartbeats'
export const unit = 'microseconds of server CPU a heartbeat; 10,000 connections, one heartbeat a second'

const CONNECTIONS = 10_000
const MS = 5_000
/** Of those that are due: a second more or less at both ends, and some time for each. */
const LEAST = 0.7
const MOST = 1.2

async function measure (server) {
  const readers = await server.readers('/idle', CONNECTIONS)
  await delay(1_500) // until all have begun
  const before = await readers.counts()
  const { cpu } = await server.cpuOf(() => delay(MS))
  const came = (await readers.counts()).comments - before.comments
  await readers.leave()
  const due = CONNECTIONS * MS / 1_000
  if (came < due * LEAST || came > due * MOST) throw new Error(`${came} heartbeats came where ${due} were due`)
  return { cpu: cpu / came }
}

export async function run ({ rounds, peers }) {
  const contestants = await contestantsOf('heartbeat', { peers })
  const { results, versions, failures } = await contest(contestants, rounds, { bytes: 30, kind: 'ascii', heartbeat: 1_000 }, measure)
  return { columns: { 'us a heartbeat': (file) => results[file]?.cpu }, versions, failures, bounds: [] }
}
