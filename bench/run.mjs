// `npm run bench`: all workloads, with all contestants, and the tables of README.md. Names of workloads as arguments run
// those alone. It builds and installs nothing: the script in package.json does.
import { readFileSync, writeFileSync } from 'node:fs'
import { drawBars } from './harness/chart.mjs'
import { nameOf } from './harness/contestants.mjs'
import { boundLine, cell, machine, table } from './harness/report.mjs'

const WORKLOADS = ['stream', 'streams', 'tokens', 'broadcast', 'idle', 'heartbeat', 'payloads']
const ROUNDS = { stream: 5, streams: 3, tokens: 3, broadcast: 3, idle: 3, heartbeat: 3, payloads: 3 }

const BEGIN = '<!-- results -->'
const END = '<!-- end of results -->'

const asked = process.argv.slice(2)
const names = asked.length === 0 ? WORKLOADS : asked
const sections = []
const bars = []
const versions = {}
let unmet = 0

console.log(machine())
for (const name of names) {
  const { title, unit, run } = await import(`./workloads/${name}.mjs`)
  const result = await run({ rounds: ROUNDS[name], peers: true })
  Object.assign(versions, result.versions)
  const rows = []
  for (const file of result.contestants) rows.push([await nameOf(file), ...Object.values(result.columns).map((of) => cell(of(file)))])
  const section = [`### ${title}`, '', `${unit[0].toUpperCase()}${unit.slice(1)}: median of ${ROUNDS[name]} rounds, and in brackets the least and the most.`, '', table(['', ...Object.keys(result.columns)], rows), ...(result.bounds.length > 0 ? ['', ...result.bounds.map(boundLine)] : [])].join('\n')
  console.log(`\n${section}`)
  sections.push(section)
  const [column, of] = Object.entries(result.columns)[0]
  const values = []
  for (const file of result.contestants) if (of(file) !== undefined) values.push([await nameOf(file), of(file).median])
  bars.push({ title, column, values })
  unmet += result.bounds.filter(({ holds }) => !holds).length
}

if (asked.length === 0) {
  const readme = new URL('README.md', import.meta.url)
  const about = `Measured ${new Date().toISOString().slice(0, 10)} on ${machine()}, with ${Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(', ')}.`
  const [before, old] = readFileSync(readme, 'utf8').split(BEGIN)
  writeFileSync(readme, [before, BEGIN, `\n${about}\n\n${sections.join('\n\n')}\n\n`, END, old.split(END)[1]].join(''))
  writeFileSync(new URL('results.svg', import.meta.url), drawBars(bars.filter(({ title }) => title !== 'Payloads of all sizes'), about))
}
console.log(`\n${unmet} bounds not met`)
if (unmet > 0) process.exitCode = 1
