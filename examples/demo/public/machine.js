// The machine's figures as moving charts.
import { Chart } from './chart.js'
import { follow } from './follow.js'
import { Panel } from './panel.js'

const GIB = 1024 ** 3

export function machinePanel ({ onAnswers }) {
  const panel = new Panel('machine', { numbered: ['sample'] })
  const chart = (name, options) => new Chart(panel.element.querySelector(`[data-chart="${name}"]`), options)

  const load = chart('load', { lines: ['1 min', '5 min', '15 min'], format: (value) => value.toFixed(2), least: 1 })
  const memory = chart('memory', { lines: ['used', 'this process'], format: gibibytes, least: GIB })
  const delay = chart('delay', { lines: ['max', 'p99', 'median'], format: (value) => `${value.toFixed(1)} ms`, least: 2 })

  follow(panel, {
    sample: (sample) => {
      load.add([sample.load.one, sample.load.five, sample.load.fifteen])
      memory.add([sample.memory.used, sample.memory.process], sample.memory.total)
      delay.add([sample.delay.max, sample.delay.p99, sample.delay.median])
    },
    answers: onAnswers
  })
}

function gibibytes (bytes) {
  return bytes < GIB / 10 ? `${(bytes / 1024 ** 2).toFixed(0)} MiB` : `${(bytes / GIB).toFixed(1)} GiB`
}
