// `npm run bench:check`: the hot paths against the limits written by hand, in one short run. What is allowed is more
// than was measured when this was written, which is room for a noisy machine, and less than a path that has become twice
// as slow. What is not met is measured once more: such a machine can be busy for a minute, and a slow path is slow twice. Run `npm run build` first.
import { boundLine, machine } from './harness/report.mjs'

const CHECKS = [
  // 0.72 and 0.74 where the machine can count; twice the plugin's own work is 1.1.
  { name: 'instructions', options: { rounds: 1, most: { batched: 0.9 } } },
  // 0.6 to 0.7, and 1 to 3 ms.
  { name: 'stream', options: { rounds: 3, events: 100_000, most: { batched: 1.1 } } },
  // 0.65 to 0.9, and 5 to 8 ms; 17 where the machine is busy.
  { name: 'streams', options: { rounds: 3, events: 200_000, most: { batched: 1.2, p99: 40 } } },
  // 0.85 one by one, 0.10 by ten.
  { name: 'broadcast', options: { rounds: 3, connections: [1_000], deliveries: 100_000, most: { one: 1.25, ten: 0.14 } } }
]

console.log(machine())
for (const { name, options } of CHECKS) {
  const { title, run, isPossible = true } = await import(`./workloads/${name}.mjs`)
  console.log(`\n${title}`)
  if (!isPossible) {
    console.log('- this machine cannot count them')
    continue
  }
  for (let attempt = 1; ; attempt++) {
    const { bounds, failures } = await run({ peers: false, ...options })
    for (const [file, failure] of Object.entries(failures)) console.log(`- ${file} has failed: ${failure}`)
    for (const bound of bounds) console.log(boundLine(bound))
    if (bounds.every(({ holds }) => holds)) break
    if (attempt === 2) {
      process.exitCode = 1
      break
    }
    console.log('Once more:')
  }
}
