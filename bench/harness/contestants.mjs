// Who takes part: the limits, which are written by hand, this plugin, and its peers, where they are installed.
const LIMITS = ['raw', 'batched']
const PEERS = ['fastify-sse', 'fastify-sse-v2', 'better-sse', 'hono', 'h3']

/** Names of files in servers/ that can do a workload. */
export async function contestantsOf (workload, { peers = true } = {}) {
  const able = []
  for (const file of [...LIMITS, 'typed-sse', ...(peers ? PEERS : [])]) {
    const { workloads } = await import(`../servers/${file}.mjs`)
    if (workloads.includes(workload)) able.push(file)
  }
  return able
}

export async function nameOf (file) {
  return (await import(`../servers/${file}.mjs`)).name
}
