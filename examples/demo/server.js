// Starts the demo and stops it again.
import { buildDemo } from './demo.js'

const app = await buildDemo()

// Not once: npm passes on the signal that the terminal has sent to all, and the second one would end the process before
// its streams have said goodbye.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => app.close())

const url = await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) })
console.log(`The demo is at ${url}`)
