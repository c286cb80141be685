// Results as text: tables with the median and the spread, and bounds that hold or do not.
import os from 'node:os'
import { median } from './contest.mjs'

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
 * The median of the ratios within a round, and what it may be: a machine that others use too is now faster and now slower, but
 * those who take turns in a round find it alike.
 *
 * @param against what was measured, or a number
 * @returns a ratio of null where one of them has failed
 */
export function bound (what, value, against, most) {
  if (value === undefined || against === undefined) return { what, ratio: null, most, holds: false }
  const ratio = median(value.rounds.map((one, round) => one / (against.rounds?.[round] ?? against)))
  return { what, ratio: Number.isFinite(ratio) ? ratio : null, most, holds: ratio <= most }
}

export const boundLine = ({ what, ratio, most, holds }) => `- ${holds ? 'met' : '**not met**'}: ${what}: ${ratio === null ? 'nothing was measured' : digits(ratio)}, at most ${digits(most)}`
