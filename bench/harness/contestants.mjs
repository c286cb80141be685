// Who takes part: the limits, which are written by hand, this plugin, and its peers, where they are installed.
const LIMITS = ['raw', 'batched']
const PEERS = ['fastify-sse', 'fastify-sse-v2', 'better-sse', 'hono', 'h3']

/** Names of files in servers/. */
export const everybody = [...LIMITS, 'typed-sse', ...PEERS]

/**
 * Those that can do a workload.
 *
 * @param peers `true` for all of them, `'bounds'` for those that a bound is held against, `false` for those of them that are no packages
 * @param against those that a bound is held against
 */
export async function contestantsOf (workload, { peers, against = [] }) {
  const takesPart = (file) => peers === true || file === 'typed-sse' || (against.includes(file) && (peers === 'bounds' || LIMITS.includes(file)))
  const able = []
  for (const file of everybody.filter(takesPart)) {
    const { workloads } = await import(`../servers/${file}.mjs`)
    if (workloads.includes(workload)) able.push(file)
  }
  return able
}

export async function nameOf (file) {
  return (await import(`../servers/${file}.mjs`)).name
}
