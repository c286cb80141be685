// Starts the demo of a cluster and stops it again.
import { startCluster } from './cluster.js'

const cluster = await startCluster({ port: Number(process.env.PORT ?? 3000), everyMs: Number(process.env.EVERY_MS ?? 100) })
let stopping
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => { stopping ??= cluster.stop() })
console.log(`The demo of a cluster is at ${cluster.url}`)
