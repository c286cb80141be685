// Asks GET /other again and again, and says how long the answers took.
import { once } from 'node:events'
import http from 'node:http'

const WARM_UP = 100
/** A server that has not answered by then starves its other routes. */
const PATIENCE_MS = 3_000

const late = setTimeout(() => process.send({ p50: Infinity, p99: Infinity }, () => process.exit()), PATIENCE_MS)
const { port, probes } = JSON.parse(process.argv[2])
const agent = new http.Agent({ keepAlive: true })
const times = []
for (let n = 0; n < WARM_UP + probes; n++) {
  const start = performance.now()
  const [response] = await once(http.get({ port, path: '/other', agent }), 'response')
  await once(response.resume(), 'end')
  if (n >= WARM_UP) times.push(performance.now() - start)
}
clearTimeout(late)
agent.destroy()
times.sort((a, b) => a - b)
process.send({ p50: times[probes >> 1], p99: times[Math.floor(probes * 0.99)] }, () => process.disconnect())
