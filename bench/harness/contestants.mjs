// Who takes part: the limits, which are written by hand, this plugin, and its peers, where they are installed.
const LIMITS = ['raw', 'batched']
/** A bound is held against its figures. */
const RIVAL = 'fastify-sse'
const PEERS = [RIVAL, 'fastify-sse-v2', 'better-sse', 'hono', 'h3']

/** Names of files in servers/. */
export const everybody = [...LIMITS, 'typed-sse', ...PEERS]

/**
 * Those that can do a workload.
 *
 * @param peers `true` for all of them, `'bounds'` for those that a bound is held against
 */
export async function contestantsOf (workload, { peers }) {
  const takesPart = (file) => !PEERS.includes(file) || peers === true || (peers === 'bounds' && file === RIVAL)
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
