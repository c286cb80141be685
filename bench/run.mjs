// `npm run bench`: all workloads, with all contestants. Names of workloads as arguments run those alone. What is measured
// goes to results.json, and from there into the tables of README.md and the bars of results.svg. With `--bounds`, only workloads
// with bounds are run, with those that they are held against, and nothing is kept.
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { drawBars } from './harness/chart.mjs'
import { everybody, nameOf } from './harness/contestants.mjs'
import { boundLine, cell, machine, table } from './harness/report.mjs'

const ROUNDS = { stream: 5, streams: 5, instructions: 3, tokens: 3, broadcast: 3, idle: 3, heartbeat: 3, payloads: 3 }
/** With bounds alone: the more there are, the nearer is the least of them to what something costs. */
const ROUNDS_OF_BOUNDS = { ...ROUNDS, stream: 9, streams: 9, broadcast: 5 }
/** Scripts with bounds of their own, which compare this plugin with itself. */
const MEMORY = ['subscribers', 'stalled']
const BEGIN = '<!-- results -->'
const END = '<!-- end of results -->'

const at = (name) => new URL(name, import.meta.url)

/** What is measured: the version, and the commit where there is one. */
function self () {
  const { version } = JSON.parse(readFileSync(at('../package.json'), 'utf8'))
  try {
    return `${version} at ${execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: at('.'), encoding: 'utf8' }).trim()}`
  } catch {
    return version
  }
}

const onlyBounds = process.argv.includes('--bounds')

/** Everything that was measured so far, by workload. */
const results = JSON.parse(readFileSync(at('results.json'), 'utf8'))

async function measure (name) {
  const { title, bar = title, unit, run, isPossible = true } = await import(`./workloads/${name}.mjs`)
  if (!isPossible) {
    console.log(`\n### ${title}\n\nThis machine cannot count them.`)
    return undefined
  }
  const rounds = (onlyBounds ? ROUNDS_OF_BOUNDS : ROUNDS)[name]
  const given = { rounds, peers: onlyBounds ? 'bounds' : true }
  const first = await run(given)
  const isMet = first.bounds.every(({ holds }) => holds)
  if (!isMet) console.log(`\n### ${title}, which is measured once more\n\n${first.bounds.map(boundLine).join('\n')}`)
  const { columns, versions, failures, bounds } = isMet ? first : await run(given)
  const rows = []
  for (const file of onlyBounds ? [] : everybody) rows.push({ name: await nameOf(file), values: Object.values(columns).map((of) => of(file) ?? null), failure: failures[file] })
  const date = new Date().toISOString().slice(0, 10)
  return { title, bar, unit, date, machine: machine(), versions: { 'fastify-typed-sse': self(), ...versions }, rounds, columns: Object.keys(columns), rows, bounds }
}

function sectionOf ({ title, unit, date, machine, versions, rounds, columns, rows, bounds }) {
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(', ')
  return [
    `### ${title}`,
    `${unit[0].toUpperCase()}${unit.slice(1)}. Median of ${rounds} rounds; in brackets the least and the most.`,
    table(['', ...columns], rows.map(({ name, values }) => [name, ...values.map(cell)])),
    ...rows.filter(({ failure }) => failure !== undefined).map(({ name, failure }) => `${name}: ${failure}.`),
    ...(bounds.length > 0 ? [bounds.map(boundLine).join('\n')] : []),
    `${date}, ${machine}; ${packages}.`
  ].join('\n\n')
}

function publish () {
  const measured = Object.keys(ROUNDS).filter((name) => name in results).map((name) => results[name])
  writeFileSync(at('results.json'), `${JSON.stringify(results, null, 1)}\n`)
  const [before, old] = readFileSync(at('README.md'), 'utf8').split(BEGIN)
  writeFileSync(at('README.md'), [before, BEGIN, `\n${measured.map(sectionOf).join('\n\n')}\n`, END, old.split(END)[1]].join(''))
  // The first column of each.
  const panels = measured.filter((one) => one !== results.payloads && one !== results.instructions).map(({ bar, unit, rows }) => ({
    title: bar,
    unit: unit.split(/[,;]/)[0],
    values: rows.filter(({ values }) => Number.isFinite(values[0]?.median)).map(({ name, values }) => [name, values[0].median])
  }))
  writeFileSync(at('results.svg'), drawBars(panels, measured[0].machine))
}

console.log(machine())
const BOUNDED = ['stream', 'streams', 'instructions', 'broadcast', 'idle']
const names = process.argv.slice(2).filter((argument) => argument !== '--bounds')
const asked = names.length > 0 ? names : [...onlyBounds ? BOUNDED : Object.keys(ROUNDS), ...MEMORY]
let unmet = 0
for (const name of asked) {
  if (MEMORY.includes(name)) {
    console.log('')
    unmet += spawnSync(process.execPath, [fileURLToPath(at(`${name}.mjs`))], { stdio: 'inherit' }).status === 0 ? 0 : 1
    continue
  }
  const result = await measure(name)
  if (result === undefined) continue
  unmet += result.bounds.filter(({ holds }) => !holds).length
  console.log(`\n${sectionOf(result)}`)
  if (onlyBounds) continue
  results[name] = result
  publish()
}

console.log(`\n${unmet} bounds not met`)
if (unmet > 0) process.exitCode = 1
