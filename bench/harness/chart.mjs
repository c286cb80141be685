// Bars as an SVG, one panel for each workload; shorter is better.
const WIDTH = 760
const LABEL = 210
const BAR = 16
const GAP = 6
const PANEL = 46

const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
const shown = (value) => value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)

/** @param panels { title, unit, values: [name, number][] } */
export function drawBars (panels, about) {
  const parts = []
  let y = 12
  for (const { title, unit, values } of panels) {
    parts.push(`<text class="title" x="8" y="${y + 14}">${escape(title)}</text><text class="unit" x="${WIDTH - 8}" y="${y + 14}" text-anchor="end">${escape(unit)}; less is better</text>`)
    y += 26
    const most = Math.max(...values.map(([, value]) => value))
    for (const [name, value] of values) {
      const width = Math.max(1, (WIDTH - LABEL - 90) * value / most)
      const kind = name === 'fastify-typed-sse' ? 'own' : name.startsWith('node:http') ? 'limit' : 'peer'
      parts.push(`<text x="${LABEL - 8}" y="${y + 12}" text-anchor="end">${escape(name)}</text><rect class="${kind}" x="${LABEL}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="2"/><text x="${(LABEL + width + 6).toFixed(1)}" y="${y + 12}">${shown(value)}</text>`)
      y += BAR + GAP
    }
    y += PANEL - 26
  }
  parts.push(`<text class="unit" x="8" y="${y}">${escape(about.slice(0, 130))}</text>`)
  const style = 'text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-weight:600;font-size:14px}.unit{fill:#6e7781;font-size:11px}.own{fill:#1a7f37}.limit{fill:#8c959f}.peer{fill:#54aeff}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.unit{fill:#8b949e}}'
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 12}" role="img" aria-label="Benchmark results"><style>${style}</style>${parts.join('\n')}</svg>\n`
}
