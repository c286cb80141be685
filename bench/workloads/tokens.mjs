// Streams as of language models: a small event every 10 ms on each of 500 connections. CPU of the server for each event.
import { contestantsOf } from '../harness/contestants.mjs'
import { contest } from '../harness/contest.mjs'

export const title = 'Tokens: 500 streams, an event every 10 ms'
export const unit = 'microseconds of server CPU an event, and how many came of the 50,000 a second that one core cannot give; payloads of 30 bytes'

const STREAMS = 500

async function measure (server, each) {
  const read = async (each) => {
    const readers = await server.readers(`/tokens?n=${each}&ms=10`, STREAMS)
    await readers.reach(STREAMS * each)
    await readers.leave()
  }
  await read(20)
  const { cpu, ms } = await server.cpuOf(() => read(each))
  return { cpu: cpu / (each * STREAMS), rate: each * STREAMS / ms * 1_000 }
}

export async function run ({ rounds, peers, events = 200 }) {
  const contestants = await contestantsOf('tokens', { peers })
  const { results, versions, failures } = await contest(contestants, rounds, { bytes: 30, kind: 'ascii', heartbeat: false }, (server) => measure(server, events))
  return { columns: { 'us an event': (file) => results[file]?.cpu, 'events a second': (file) => results[file]?.rate }, versions, failures, bounds: [] }
}
