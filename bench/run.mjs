// `npm run bench`: all workloads, with all contestants. Names of workloads as arguments run those alone. What is measured
// goes to results.json, and from there into the tables of README.md and the bars of results.svg.
import { readFileSync, writeFileSync } from 'node:fs'
import { drawBars } from './harness/chart.mjs'
import { nameOf } from './harness/contestants.mjs'
import { boundLine, cell, machine, table } from './harness/report.mjs'

const ROUNDS = { stream: 5, streams: 5, tokens: 3, broadcast: 3, idle: 3, heartbeat: 3, payloads: 3 }
const BEGIN = '<!-- results -->'
const END = '<!-- end of results -->'

const at = (name) => new URL(name, import.meta.url)

/** Everything that was measured so far, by workload. */
const results = JSON.parse(readFileSync(at('results.json'), 'utf8'))

async function measure (name) {
  const { title, bar = title, unit, run } = await import(`./workloads/${name}.mjs`)
  const { columns, contestants, versions, bounds } = await run({ rounds: ROUNDS[name], peers: true })
  const rows = []
  for (const file of contestants) rows.push({ name: await nameOf(file), values: Object.values(columns).map((of) => of(file) ?? null) })
  const date = new Date().toISOString().slice(0, 10)
  return { title, bar, unit, date, machine: machine(), versions, rounds: ROUNDS[name], columns: Object.keys(columns), rows, bounds }
}

function sectionOf ({ title, unit, date, machine, versions, rounds, columns, rows, bounds }) {
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(', ')
  return [
    `### ${title}`,
    `${unit[0].toUpperCase()}${unit.slice(1)}. Median of ${rounds} rounds; in brackets the least and the most.`,
    table(['', ...columns], rows.map(({ name, values }) => [name, ...values.map(cell)])),
    ...(bounds.length > 0 ? [bounds.map(boundLine).join('\n')] : []),
    `${date}, ${machine}; ${packages}.`
  ].join('\n\n')
}

console.log(machine())
const asked = process.argv.slice(2)
let unmet = 0
for (const name of asked.length === 0 ? Object.keys(ROUNDS) : asked) {
  results[name] = await measure(name)
  unmet += results[name].bounds.filter(({ holds }) => !holds).length
  console.log(`\n${sectionOf(results[name])}`)
  writeFileSync(at('results.json'), `${JSON.stringify(results, null, 1)}\n`)
}

const measured = Object.keys(ROUNDS).filter((name) => name in results).map((name) => results[name])
const [before, old] = readFileSync(at('README.md'), 'utf8').split(BEGIN)
writeFileSync(at('README.md'), [before, BEGIN, `\n${measured.map(sectionOf).join('\n\n')}\n`, END, old.split(END)[1]].join(''))
// The first column of each.
const panels = measured.filter((one) => one !== results.payloads).map(({ bar, unit, rows }) => ({
  title: bar,
  unit: unit.split(/[,;]/)[0],
  values: rows.filter(({ values }) => Number.isFinite(values[0]?.median)).map(({ name, values }) => [name, values[0].median])
}))
writeFileSync(at('results.svg'), drawBars(panels, measured[0].machine))
console.log(`\n${unmet} bounds not met`)
if (unmet > 0) process.exitCode = 1
