// How long another route's answers take beside streams that are always ready.
import { setTimeout as delay } from 'node:timers/promises'

const PROBES = 400
const UNDER_WAY_MS = 1_000

/** @returns p50 and p99 in ms, undefined where no answer came */
export async function latencyBeside (server, streams) {
  const endless = server.connect('/stream?n=1000000000', streams) // where the first one starves all others, they never get in
  await delay(UNDER_WAY_MS)
  const before = await endless.counts()
  const { p50, p99 } = await server.probe(PROBES)
  const after = await endless.counts()
  if (after.received === before.received) throw new Error('its streams stood still while another route was asked')
  await endless.kill()
  return { p50, p99 }
}
