// What happens in the demo and is written to its log: requests, and a small job that fails now and then.
import { createHash, randomBytes } from 'node:crypto'
import fp from 'fastify-plugin'

const JOB_EVERY_MS = 1500
const FAILS_EVERY = 6
const JOB_BYTES = 1 << 20

export const activity = fp(async (app, { log }) => {
  app.addHook('onResponse', async (request, reply) => {
    const [path] = request.url.split('?') // all pages read the log, and the query has a page's own name
    log.append('INFO', `${request.method} ${path} ${reply.statusCode} ${reply.elapsedTime.toFixed(1)} ms`)
  })

  let runs = 0
  const timer = setInterval(() => {
    const fails = ++runs % FAILS_EVERY === 0
    run(log, `job ${runs}`, fails ? failingJob : checksumJob)
  }, JOB_EVERY_MS)
  app.addHook('onClose', async () => clearInterval(timer))

  app.post('/failures', async (request, reply) => {
    run(log, 'job asked for by the page', failingJob)
    return reply.code(204).send()
  })
})

function run (log, name, job) {
  try {
    log.append('INFO', `${name} ${job()}`)
  } catch (error) {
    log.append('ERROR', `${name} failed\n${error.stack}`)
  }
}

function checksumJob () {
  const started = performance.now()
  const checksum = createHash('sha256').update(randomBytes(JOB_BYTES)).digest('hex')
  return `sha256 ${checksum.slice(0, 12)} in ${(performance.now() - started).toFixed(1)} ms`
}

function failingJob () {
  return readReport('{"title": "Quarterly figures", "rows": [')
}

function readReport (json) {
  return JSON.parse(json).title
}
