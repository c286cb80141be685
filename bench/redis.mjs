// What Redis costs: the broker beside bare pub/sub of the same client, on a redis-server that this script starts. From publish() in one
// process to what hears it in another, how many a node can publish, and what a node costs that joins. Run `npm run build` first,
// then `node bench/redis.mjs`.
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { median } from './harness/contest.mjs'
import { machine, table } from './harness/report.mjs'

const ROUNDS = 9
const TOPICS = [100, 2_000, 10_000]
/** In so many blocks, by turns of the kinds: the machine is faster and slower from second to second. */
const PACED = { events: 200, everyMs: 1 }
const BLOCKS = 15
const FLAT_OUT = { events: 30_000, atOnce: 200 }
const WARM_UP = 20_000
/** Publish-to-receive against bare pub/sub, and of 10,000 topics against 100. */
const BOUND = { bare: 1.3, flat: 1.3 }
const RETENTION = { max: 1_000, bytes: 1_048_576, ttl: 300_000 }

const topicOf = (n) => `topic/${n}`
/** An event of 300 bytes, which says when it was published. */
const frameOf = () => `event: tick\ndata: {"at":${process.hrtime.bigint()},"text":"${'x'.repeat(240)}"}\n`
const ageOf = (frame) => Number(process.hrtime.bigint() - BigInt(/"at":(\d+)/.exec(frame)[1])) / 1e3

// ---- in processes of their own

/** Both kinds, with the same face. */
const sides = {
  async bare (port, heard) {
    const [commands, ears] = [new Redis({ port }), new Redis({ port })]
    ears.on('message', (_channel, message) => heard(message))
    return {
      attach: async (topics) => { for (let from = 0; from < topics.length; from += 256) await ears.subscribe(...topics.slice(from, from + 256)) },
      publish: (topic, frame) => commands.publish(topic, frame)
    }
  },

  async broker (port, heard) {
    const { redisBroker } = await import('../dist/esm/lib/redis/index.js')
    const broker = redisBroker({ client: new Redis({ port, lazyConnect: true }) })
    await broker.open({ entry: (_topic, { frame }) => heard(frame), suspect () {}, command () {} })
    return {
      attach: (topics) => Promise.all(topics.map((topic) => broker.attach(topic))),
      publish: (topic, frame) => broker.publish(topic, { frame }, RETENTION)
    }
  }
}

const commandsOf = {
  async receive (side, ages, { topics }) {
    const start = performance.now()
    await side.attach(Array.from({ length: topics }, (_, n) => topicOf(n)))
    return { ms: performance.now() - start }
  },

  async ages (_side, ages, { count }) {
    while (ages.length < count) await delay(5)
    const sorted = ages.splice(0).sort((a, b) => a - b)
    return { p50: sorted[sorted.length >> 1], p99: sorted[Math.floor(sorted.length * 0.99)] }
  },

  async cpu () {
    const { user, system } = process.cpuUsage()
    return user + system
  },

  async paced (side, _ages, { topics, events, everyMs, from }) {
    const start = performance.now()
    let last
    for (let n = 0; n < events; n++) {
      while (performance.now() < start + n * everyMs) await delay(0)
      last = side.publish(topicOf(((from + n) * 7_919) % topics), frameOf())
    }
    await last
  },

  async flatOut (side, _ages, { topics, events, atOnce }) {
    let next = 0
    const { user, system } = process.cpuUsage()
    const start = performance.now()
    await Promise.all(Array.from({ length: atOnce }, async () => {
      while (next < events) {
        const n = next++
        await side.publish(topicOf((n * 7_919) % topics), frameOf())
      }
    }))
    const after = process.cpuUsage()
    return { rate: events / (performance.now() - start) * 1e3, cpu: (after.user + after.system - user - system) / events }
  }
}

async function work (kind, port) {
  const ages = []
  const side = await sides[kind](port, (message) => ages.push(ageOf(message)))
  process.on('message', async ({ command, ...given }) => process.send({ answer: await commandsOf[command](side, ages, given) }))
  process.send('ready')
}

// ---- here

class Side {
  static async start (kind, port) {
    const side = new Side()
    side.process = fork(self, [kind, port])
    await once(side.process, 'message')
    return side
  }

  async ask (command, given = {}) {
    const answered = once(this.process, 'message')
    this.process.send({ command, ...given })
    return (await answered)[0].answer
  }

  async stop () {
    this.process.kill()
    await once(this.process, 'exit')
  }
}

async function startRedis () {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  const folder = mkdtempSync(join(tmpdir(), 'sse-bench-'))
  const child = spawn('redis-server', ['--port', port, '--bind', '127.0.0.1', '--dir', folder, '--save', ''], { stdio: 'ignore' })
  const client = new Redis({ port })
  await client.ping()
  const cpu = async () => {
    const info = await client.info('cpu')
    return (Number(/used_cpu_sys:([\d.]+)/.exec(info)[1]) + Number(/used_cpu_user:([\d.]+)/.exec(info)[1])) * 1e6
  }
  return {
    port,
    cpu,
    version: /redis_version:(\S+)/.exec(await client.info('server'))[1],
    clear: () => client.flushall(),
    async stop () {
      client.disconnect()
      child.kill()
      await once(child, 'exit')
      rmSync(folder, { recursive: true })
    }
  }
}

/** Of each kind what is measured, by turns. @param more receivers beside the one that is measured */
async function measure (redis, kinds, topics, more = 0) {
  await redis.clear()
  const all = []
  for (const kind of kinds) {
    const [receiver, publisher] = [await Side.start(kind, redis.port), await Side.start(kind, redis.port)]
    const others = await Promise.all(Array.from({ length: more }, () => Side.start(kind, redis.port)))
    await Promise.all(others.map((other) => other.ask('receive', { topics })))
    const before = await redis.cpu()
    const { ms: joinMs } = await receiver.ask('receive', { topics })
    const joinCpu = (await redis.cpu() - before) / topics
    // Warm: V8 has compiled what there is, and each topic has had an event, as all but the first of a topic find it.
    await publisher.ask('flatOut', { ...FLAT_OUT, topics, events: WARM_UP })
    await receiver.ask('ages', { count: WARM_UP })
    all.push({ receiver, publisher, others, joinMs, joinCpu })
  }
  for (let block = 0; block < BLOCKS; block++) {
    for (const { publisher } of block % 2 === 0 ? all : all.toReversed()) await publisher.ask('paced', { ...PACED, topics, from: block * PACED.events })
  }
  const results = []
  for (const { receiver, publisher, others, joinMs, joinCpu } of all) {
    const { p50, p99 } = await receiver.ask('ages', { count: BLOCKS * PACED.events })
    const [before, beforeHeard] = [await redis.cpu(), await receiver.ask('cpu')]
    const { rate, cpu } = await publisher.ask('flatOut', { ...FLAT_OUT, topics })
    await receiver.ask('ages', { count: FLAT_OUT.events })
    const redisCpu = (await redis.cpu() - before) / FLAT_OUT.events
    const heardCpu = (await receiver.ask('cpu') - beforeHeard) / FLAT_OUT.events
    await Promise.all([receiver, publisher, ...others].map((side) => side.stop()))
    results.push({ p50, p99, rate, cpu, redisCpu, heardCpu, joinMs, joinCpu })
  }
  return results
}

const spread = (numbers, digits) => `${median(numbers).toFixed(digits)} (${Math.min(...numbers).toFixed(digits)}-${Math.max(...numbers).toFixed(digits)})`

async function main () {
  const redis = await startRedis()
  const results = new Map()
  for (let round = 0; round < ROUNDS; round++) {
    for (const topics of TOPICS) {
      const kinds = round % 2 === 0 ? ['bare', 'broker'] : ['broker', 'bare']
      for (const [index, result] of (await measure(redis, kinds, topics)).entries()) {
        const key = `${kinds[index]} ${topics}`
        results.set(key, [...(results.get(key) ?? []), result])
      }
    }
  }
  const ears = [] // what Redis does more for each node that hears
  for (let round = 0; round < ROUNDS; round++) {
    const [[one], [four]] = [await measure(redis, ['broker'], TOPICS[0]), await measure(redis, ['broker'], TOPICS[0], 3)]
    ears.push((four.redisCpu - one.redisCpu) / 3)
  }
  await redis.stop()
  const of = (kind, topics, what) => results.get(`${kind} ${topics}`).map((one) => one[what])
  const rows = TOPICS.flatMap((topics) => ['bare', 'broker'].map((kind) => [
    `${kind === 'bare' ? 'bare pub/sub' : 'redisBroker()'}, ${topics} topics`,
    spread(of(kind, topics, 'p50'), 0), spread(of(kind, topics, 'p99'), 0), spread(of(kind, topics, 'rate'), 0), spread(of(kind, topics, 'cpu'), 1), spread(of(kind, topics, 'redisCpu'), 1), spread(of(kind, topics, 'heardCpu'), 1), spread(of(kind, topics, 'joinMs'), 0), spread(of(kind, topics, 'joinCpu'), 1)
  ]))
  console.log(`${machine()}, Redis ${redis.version}; ${ROUNDS} rounds, median, in brackets the least and the most\n`)
  console.log(table(['', 'p50 us', 'p99 us', 'publishes a second', 'us of the node each', 'us of Redis each', 'us of a node that hears', 'ms to join', 'us of Redis a topic joined'], rows))
  console.log(`\nFor each further node that hears an event, Redis takes ${spread(ears, 1)} us more.`)
  const ratio = (numbers, others) => median(numbers.map((one, round) => one / others[round]))
  const checks = [
    ...TOPICS.map((topics) => [`p50 against bare pub/sub, ${topics} topics`, ratio(of('broker', topics, 'p50'), of('bare', topics, 'p50')), BOUND.bare]),
    [`p50 of ${TOPICS.at(-1)} topics against ${TOPICS[0]}`, ratio(of('broker', TOPICS.at(-1), 'p50'), of('broker', TOPICS[0], 'p50')), BOUND.flat]
  ]
  console.log('')
  for (const [what, value, most] of checks) {
    console.log(`- ${value <= most ? 'met' : '**not met**'}: ${what}: ${value.toFixed(2)}, at most ${most}`)
    if (value > most) process.exitCode = 1
  }
}

const self = fileURLToPath(import.meta.url)
const [kind, port] = process.argv.slice(2)
if (kind === undefined) await main()
else await work(kind, Number(port))
