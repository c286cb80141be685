// Results as text: tables with the median and the spread, and bounds that hold or do not.
import os from 'node:os'
export const machine = () => `${os.cpus()[0].model.trim()}, ${os.availableParallelism()} cores, ${(os.totalmem() / 2 ** 30).toFixed(0)} GiB, ${os.type()} ${os.release().split('-')[0]}, Node.js ${process.version}`

const digits = (value) => value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)

/** A cell: the median, and behind it the least and the most. Empty where there is nothing, a dash where no answer came. */
export const cell = (value) => value === null ? '' : Number.isFinite(value.most) ? `${digits(value.median)} (${digits(value.least)}-${digits(value.most)})` : Number.isFinite(value.median) ? `${digits(value.median)} (${digits(value.least)} to no answer)` : '-'

/** Rows of a Markdown table. */
export function table (head, rows) {
  const lines = [head, head.map((_, column) => column === 0 ? '---' : '---:'), ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/**
 * The ratio of the least of both, and what it may be. A machine that others use too is now and then slower, by half and more and for
 * minutes, and never faster than it is: so the least of the rounds is the nearest to what something costs, and the median is
 * to what else went on.
 *
 * @returns a ratio of null where one of them has failed
 */
export function bound (what, value, against, most) {
  if (value === undefined || against === undefined) return { what, ratio: null, most, holds: false }
  const ratio = value.least / against.least
  return { what, ratio: Number.isFinite(ratio) ? ratio : null, byMedians: value.median / against.median, most, holds: ratio <= most }
}

/** Of another route, beside always-ready streams, in the worst round. */
export function boundOfLatency (p99, mostMs) {
  const ms = p99?.most
  return { what: 'another route\'s p99 in the worst round, in ms', ratio: Number.isFinite(ms) ? ms : null, most: mostMs, holds: ms <= mostMs }
}

export function boundLine ({ what, ratio, byMedians, most, holds }) {
  const found = ratio === null ? 'nothing was measured' : byMedians === undefined ? digits(ratio) : `${digits(ratio)} (by medians ${digits(byMedians)})`
  return `- ${holds ? 'met' : '**not met**'}: ${what}: ${found}, at most ${digits(most)}`
}
