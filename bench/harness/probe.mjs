// Asks GET /other again and again, and says how long the answers took.
import { once } from 'node:events'
import http from 'node:http'

const WARM_UP = { probes: 100, ms: 2_000 }
/** A server that has not answered by then starves its other routes. */
const PATIENCE_MS = 3_000
/** For all requests. Where there are fewer answers by then, they are what is said. */
const LIMIT_MS = 8_000

const { port, probes } = JSON.parse(process.argv[2])
const agent = new http.Agent({ keepAlive: true })
const times = []
const limit = performance.now() + LIMIT_MS

async function ask () {
  const start = performance.now()
  const signal = AbortSignal.timeout(PATIENCE_MS)
  const [response] = await once(http.get({ port, path: '/other', agent, signal }), 'response')
  await once(response.resume(), 'end')
  return performance.now() - start
}

try {
  const warm = performance.now() + WARM_UP.ms
  for (let n = 0; n < WARM_UP.probes && performance.now() < warm; n++) await ask()
  while (times.length < probes && performance.now() < limit) times.push(await ask())
} catch {
  times.length = 0
}
agent.destroy()
times.sort((a, b) => a - b)
process.send({ asked: times.length, p50: times[times.length >> 1], p99: times[Math.floor(times.length * 0.99)] }, () => process.exit())
