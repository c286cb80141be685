// Many nodes over a real Redis: the contract of brokers, and what holds whatever happens to Redis and to the links to it.
import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { EventSource } from 'eventsource'
import fastifyRedis from '@fastify/redis'
import { Cluster, Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis-5'
import t, { type Test } from 'tap'
import { Type } from '@sinclair/typebox'
import { redisBroker, type RedisBrokerOptions } from '../lib/redis/index.js'
import { brokerContract } from '../lib/testing/index.js'
import type { BrokerEntry, BrokerSink, Retention } from '../types/index.js'
import { readStream } from './helpers/read-events.js'
import { freePort, RedisServer, skip } from './helpers/redis-server.js'
import { serve } from './helpers/serve.js'
import { TcpProxy } from './helpers/tcp-proxy.js'

/** So much that a machine that is busy with other tests does not take links for silent. */
const PROBE_MS = 250
const hasOpenssl = spawnSync('openssl', ['version']).status === 0

/** For what must not wait for a probe. */
const RARELY = { probeInterval: 60_000 }

/** The broker makes links of its own: this one is never connected. */
const clientOf = (port: number, options: object = {}) => new Redis({ port, lazyConnect: true, ...options })

async function until (holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const deadline = Date.now() + 30_000; !(await holds()); await delay(2)) {
    if (Date.now() > deadline) throw new Error(`Waited too long until ${what}`)
  }
}

async function expire (redis: RedisServer, key: string): Promise<void> {
  await redis.cli('PEXPIRE', key, '1')
  await until(async () => await redis.cli('EXISTS', key) === '0', `${key} has expired`)
}

/** As if one had been published so many milliseconds from now, by a link that was cut before anybody was told. */
async function publishUntold (redis: RedisServer, n: number, ms: number): Promise<void> {
  const frame = `event: tick\ndata: {"n":${n},"more":""}\n`
  await redis.cli('EVAL', `
    local name, fence = string.match(redis.call('HGET', KEYS[2], 'stand'), '^(%S+%.(%d+))')
    local offset = redis.call('HINCRBY', KEYS[2], name, #ARGV[1])
    redis.call('XADD', KEYS[1], string.format('%.0f-%s%.0f', offset, fence, redis.call('TIME')[1] * 1000 + ARGV[2]), 'f', ARGV[1])
  `, '2', '{sse:ticks}:s', '{sse:ticks}:m', frame, String(ms))
}

const offsetOf = (position: string) => Number(/\.(\d+)-/.exec(position)?.[1])

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

/** An application with one topic of numbers, and a client of it. */
async function startNode (t: Test, port: number, options: Partial<RedisBrokerOptions> & { bytes?: number } = {}) {
  const { bytes = 16_777_216, ...own } = options
  const broker = redisBroker({ client: clientOf(port), probeInterval: PROBE_MS, ...own })
  const { app, base } = await serve(t, (app) => {
    const channel = app.sse.channel('ticks', { events: { tick: Type.Object({ n: Type.Integer(), more: Type.String() }) }, history: { max: 50_000, bytes, ttl: 600_000 } })
    app.get('/', { schema: { sse: channel.events } }, (_request, reply) => reply.sse(channel.subscribe()))
    app.decorate('publishTick', (n: number, { dedupe, more = '' }: { dedupe?: string, more?: string } = {}) => channel.publish('tick', { n, more }, { dedupe }))
  }, { broker, retry: 100, heartbeat: 1_000, server: { forceCloseConnections: true } }) // see the README: a fetch that was cancelled may leave a connection
  const publish = (app as unknown as { publishTick (n: number, options?: { dedupe?: string, more?: string }): Promise<string> }).publishTick
  const isLive = () => until(() => app.sse.health().state === 'live', 'the node is live')
  return {
    app,
    base,
    isLive,
    publish,
    /** Whatever happens, until it is certain that it was published, and only once. */
    async insist (n: number) {
      for (;;) {
        try {
          return await publish(n, { dedupe: `n ${n}` })
        } catch {
          await delay(5)
        }
      }
    },
    /** What an EventSource makes of it: numbers, and resets with their reason. */
    follow () {
      const seen: Array<number | string> = []
      const source = new EventSource(`${base}/`)
      source.addEventListener('tick', ({ data }) => seen.push((JSON.parse(data) as { n: number }).n))
      source.addEventListener('sse.reset', ({ data }) => seen.push((JSON.parse(data) as { reason: string }).reason))
      t.teardown(() => source.close())
      const stands = new Promise<void>((resolve) => source.addEventListener('sse.cursor', () => resolve()))
      return {
        seen,
        source,
        /** It has its first position. */
        stands,
        has: (n: number) => until(() => seen.at(-1) === n, `${n} has come; the last of ${seen.length} is ${seen.at(-1)}`)
      }
    }
  }
}

/** Two masters, each with half of the slots. */
async function startCluster (t: Test): Promise<readonly [RedisServer, RedisServer]> {
  const shards = [await RedisServer.start(t, '--cluster-enabled', 'yes'), await RedisServer.start(t, '--cluster-enabled', 'yes')] as const
  await shards[0].cli('CLUSTER', 'ADDSLOTSRANGE', '0', '8191')
  await shards[1].cli('CLUSTER', 'ADDSLOTSRANGE', '8192', '16383')
  await shards[0].cli('CLUSTER', 'MEET', '127.0.0.1', String(shards[1].port))
  for (const shard of shards) await until(async () => (await shard.cli('CLUSTER', 'INFO')).includes('cluster_state:ok\r\ncluster_slots_assigned:16384'), 'the cluster is there')
  return shards
}

t.test('Redis', { skip, jobs: 4 }, async (t) => {
  t.test('the contract of brokers, on two nodes', async (t) => {
    const redis = await RedisServer.start(t)
    const tests: Array<Promise<unknown>> = []
    brokerContract({ test: (name, run) => tests.push(t.test(name, run)), create: () => redisBroker({ client: clientOf(redis.port) }), shared: true })
    await Promise.all(tests)
    t.ok(tests.length >= 20)
  })

  for (const [whose, create] of Object.entries({
    'ioredis 5': (port: number) => new Redis5({ port, lazyConnect: true }),
    async '@fastify/redis' (port: number, t: Test) {
      const { app } = await serve(t, (app) => { app.register(fastifyRedis, { port }) })
      return app.redis
    }
  })) {
    t.test(`the contract of brokers, with the client of ${whose}`, async (t) => {
      const redis = await RedisServer.start(t)
      const client = await create(redis.port, t)
      const tests: Array<Promise<unknown>> = []
      brokerContract({ test: (name, run) => tests.push(t.test(name, run)), create: () => redisBroker({ client }), shared: true })
      await Promise.all(tests)
      t.not(await redis.cli('DBSIZE'), '0')
    })
  }

  t.test('20,000 events arrive once and in order on two nodes, though the links that hear them are cut 12 times', async (t) => {
    const redis = await RedisServer.start(t)
    const [a, b] = [await startNode(t, redis.port), await startNode(t, redis.port)]
    const [atA, atB] = [a.follow(), b.follow()]
    await Promise.all([atA.stands, atB.stands])
    let cuts = 0
    for (let from = 1; from <= 20_000; from += 100) {
      await Promise.all(numbers(from, from + 99).map((n) => a.publish(n)))
      if (from % 1_600 === 1 && cuts < 12) {
        await Promise.all([a.isLive(), b.isLive()])
        t.equal(await redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub'), '2', 'both were cut')
        cuts++
      }
    }
    t.equal(cuts, 12)
    await Promise.all([atA.has(20_000), atB.has(20_000)])
    t.strictSame(atA.seen, numbers(1, 20_000))
    t.strictSame(atB.seen, numbers(1, 20_000))
    for (const { app } of [a, b]) t.ok(app.sse.stats().channels.repairs > 0, 'there was something to repair')
  })

  t.test('what several nodes publish at once is told in one order by all of them', async (t) => {
    const redis = await RedisServer.start(t)
    const nodes = [await startNode(t, redis.port), await startNode(t, redis.port), await startNode(t, redis.port)]
    const clients = nodes.map((node) => node.follow())
    await Promise.all(clients.map(({ stands }) => stands))
    await Promise.all(nodes.map(async ({ publish }, node) => {
      for (let n = node; n < 3_000; n += 3) await publish(n)
    }))
    await until(() => clients.every(({ seen }) => seen.length === 3_000), 'all have come')
    const [first, ...others] = clients.map(({ seen }) => seen) as [number[], ...number[][]]
    for (const other of others) t.strictSame(other, first)
    t.strictSame([...first].sort((a, b) => a - b), numbers(0, 2_999))
    t.notSame(first, numbers(0, 2_999), 'they were mixed')
  })

  t.test('what was published while nobody heard it arrives, though nothing follows', async (t) => {
    const redis = await RedisServer.start(t)
    const [a, b] = [await startNode(t, redis.port), await startNode(t, redis.port, RARELY)]
    const client = b.follow()
    await client.stands
    await a.publish(1)
    await client.has(1)
    await redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await a.publish(2)
    await client.has(2)
    t.strictSame(client.seen, [1, 2])
  })

  t.test('what a publisher insists on arrives once, though its link is cut again and again', async (t) => {
    const redis = await RedisServer.start(t)
    const [a, b] = [await startNode(t, redis.port), await startNode(t, redis.port)]
    const client = b.follow()
    await client.stands
    const cutting = new AbortController()
    const cuts = (async () => {
      for (; !cutting.signal.aborted; await delay(40)) await redis.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes').catch(() => {})
    })()
    for (const n of numbers(1, 2_000)) await a.insist(n)
    cutting.abort()
    await cuts
    await client.has(2_000)
    t.strictSame(client.seen, numbers(1, 2_000))
  })

  t.test('Redis that comes back with its data has lost nothing', async (t) => {
    const redis = await RedisServer.start(t, '--appendonly', 'yes', '--appendfsync', 'always')
    const [a, b] = [await startNode(t, redis.port), await startNode(t, redis.port)]
    const client = b.follow()
    await client.stands
    for (const n of numbers(1, 50)) await a.publish(n)
    await redis.kill()
    await until(() => a.app.sse.health().state === 'down', 'the node is down')
    await t.rejects(a.publish(51), { code: 'SSE_ERR_BROKER_UNAVAILABLE', statusCode: 503 })
    await redis.start()
    for (const n of numbers(51, 100)) await a.insist(n)
    await client.has(100)
    t.strictSame(client.seen, numbers(1, 100))
    t.equal(b.app.sse.stats().open, 1, 'one stream, which stayed open')
    t.equal(b.app.sse.stats().opened, 1)
  })

  t.test('where Redis comes back without its data, every client is told', async (t) => {
    const redis = await RedisServer.start(t)
    const [a, b] = [await startNode(t, redis.port, RARELY), await startNode(t, redis.port, RARELY)]
    const [atA, atB] = [a.follow(), b.follow()]
    await Promise.all([atA.stands, atB.stands])
    for (const n of numbers(1, 10)) await a.publish(n)
    await Promise.all([atA.has(10), atB.has(10)])
    await redis.kill()
    await redis.start()
    await until(() => [atA, atB].every(({ seen }) => seen.includes('epoch')), 'both are told, though nothing is published')
    for (const n of numbers(11, 20)) await a.insist(n)
    await Promise.all([atA.has(20), atB.has(20)])
    for (const { seen } of [atA, atB]) t.strictSame(seen, [...numbers(1, 10), 'epoch', ...numbers(11, 20)])
  })

  t.test('after FLUSHALL every client is told, with the next event at the latest', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port, { probeInterval: 50 })
    const client = node.follow()
    await client.stands
    await node.publish(1)
    await client.has(1)
    await redis.cli('FLUSHALL')
    await node.publish(2)
    await until(() => client.seen.length >= 2, 'something comes')
    await node.publish(3)
    await client.has(3)
    t.strictSame(client.seen.slice(0, 2), [1, 'epoch'])
    t.strictSame(client.seen.at(-1), 3)
    await redis.cli('FLUSHALL')
    await until(() => client.seen.filter((one) => one === 'epoch').length === 2, 'a look at the heads finds it, though nothing is published')
  })

  t.test('history alone may go: who is there misses nothing, who comes back is told', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port)
    const client = node.follow()
    await client.stands
    const first = await node.publish(1)
    await node.publish(2)
    await client.has(2)
    await expire(redis, '{sse:ticks}:s')
    await node.publish(3)
    await client.has(3)
    t.strictSame(client.seen, [1, 2, 3])
    t.ok(Number(await redis.cli('PTTL', '{sse:ticks}:s')) > 600_000, 'and it expires in its turn')
    const other = await startNode(t, redis.port) // whose window is empty
    const answer = await fetch(`${other.base}/`, { headers: { accept: 'text/event-stream', 'last-event-id': first } })
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    while (!text.includes('sse.reset')) text += (await reader?.read())?.value
    t.match(text, /event: sse\.reset\ndata: \{"channel":"ticks","reason":"lost"\}/)
    await reader?.cancel()
  })

  t.test('where only what is known of the topic is gone, it begins anew', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port, { probeInterval: 50 })
    const client = node.follow()
    await client.stands
    await node.publish(1)
    await client.has(1)
    await expire(redis, '{sse:ticks}:m')
    await until(() => client.seen.includes('epoch'), 'the client is told')
    await node.publish(2)
    await client.has(2)
    t.strictSame(client.seen, [1, 'epoch', 2])
    t.equal(await redis.cli('XLEN', '{sse:ticks}:s'), '1')
  })

  t.test('a Redis that pauses delays, and no more', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port, { probeInterval: 1_000 })
    const client = node.follow()
    await client.stands
    await redis.cli('CLIENT', 'PAUSE', '300', 'ALL')
    await Promise.all(numbers(1, 100).map((n) => node.publish(n)))
    await client.has(100)
    t.strictSame(client.seen, numbers(1, 100))
  })

  t.test('a Redis that stands still is not waited for', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port)
    const client = node.follow()
    await client.stands
    await node.publish(1)
    redis.stop()
    await t.rejects(node.publish(2, { dedupe: 'n 2' }), { code: 'SSE_ERR_PUBLISH_UNCERTAIN', statusCode: 503 })
    t.equal(node.app.sse.health().state, 'down')
    await t.rejects(node.publish(2, { dedupe: 'n 2' }), { code: 'SSE_ERR_BROKER_UNAVAILABLE' })
    redis.goOn()
    await node.insist(2)
    await node.insist(3)
    await client.has(3)
    t.strictSame(client.seen, [1, 2, 3])
    await node.isLive()
  })

  t.test('links on which nothing passes any more are made anew', async (t) => {
    const redis = await RedisServer.start(t)
    const proxy = await TcpProxy.start(t, redis.port)
    const [near, far] = [await startNode(t, redis.port), await startNode(t, proxy.port)]
    const client = far.follow()
    await client.stands
    await near.publish(1)
    await client.has(1)
    proxy.silence()
    await near.publish(2)
    await client.has(2)
    t.strictSame(client.seen, [1, 2])
    await far.isLive()
    await far.insist(3)
    await client.has(3)
  })

  t.test('a node that Redis cuts off, since it does not keep up, catches up', async (t) => {
    const redis = await RedisServer.start(t)
    await redis.cli('CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 1mb 1mb 1')
    const proxy = await TcpProxy.start(t, redis.port)
    const [near, far] = [await startNode(t, redis.port), await startNode(t, proxy.port, RARELY)]
    const client = far.follow()
    await client.stands
    const links = proxy.addresses
    proxy.silence()
    const more = 'x'.repeat(100_000)
    for (const n of numbers(1, 150)) await near.publish(n, { more }) // 15 MB: more than the limit and what the kernel takes
    await until(async () => {
      const clients = await redis.cli('CLIENT', 'LIST')
      return links.some((address) => !clients.includes(`addr=${address} `))
    }, 'Redis has cut the link')
    proxy.cut()
    await client.has(150)
    t.strictSame(client.seen, numbers(1, 150))
  })

  t.test('events have one order, whatever the clock of Redis was when they were published', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port)
    const client = node.follow()
    await client.stands
    const before = await node.publish(1)
    await client.has(1)
    await publishUntold(redis, 2, 3_600_000)
    await node.publish(3)
    await client.has(3)
    t.strictSame(client.seen, [1, 2, 3])
    const back = await readStream(`${node.base}/`, { headers: { 'last-event-id': before } })
    t.strictSame([...(await back.until('"n":3')).matchAll(/"n":(\d)/g)].map(([, n]) => n), ['2', '3'], 'and who comes back gets both')
    back.close()
  })

  // What is published after the failover ends at the very bytes at which what was lost has ended: nothing but the fence tells them apart.
  t.test('where a replica takes over that has not all, who has seen more is told', async (t) => {
    const [first, second] = [await RedisServer.start(t), await RedisServer.start(t)]
    await second.cli('REPLICAOF', '127.0.0.1', String(first.port))
    await until(async () => (await second.cli('INFO', 'replication')).includes('master_link_status:up'), 'the replica follows')
    const proxy = await TcpProxy.start(t, first.port)
    const [a, b] = [await startNode(t, proxy.port), await startNode(t, proxy.port)]
    const [atA, atB] = [a.follow(), b.follow()]
    await Promise.all([atA.stands, atB.stands])
    for (const n of numbers(1, 10)) await a.publish(n)
    await until(async () => await second.cli('XLEN', '{sse:ticks}:s') === '10', 'the replica has all')
    await second.cli('REPLICAOF', 'NO', 'ONE')
    for (const n of numbers(11, 15)) await a.publish(n)
    await Promise.all([atA.has(15), atB.has(15)])
    proxy.target = second.port
    await first.kill()
    proxy.cut()
    for (const n of numbers(16, 20)) await a.insist(n)
    await until(() => [atA, atB].every(({ seen }) => seen.length > 15), 'both are told')
    await a.insist(21)
    await Promise.all([atA.has(21), atB.has(21)])
    for (const { seen } of [atA, atB]) {
      t.strictSame(seen.slice(0, 15), numbers(1, 15))
      t.match(seen[15], /^(lost|ahead)$/)
      const after = seen.slice(16)
      t.strictSame(after, numbers(22 - after.length, 21), 'what follows is without gaps')
    }
  })

  t.test('where a replica takes over that has none of what was published, who has seen it is told', async (t) => {
    const [first, second] = [await RedisServer.start(t), await RedisServer.start(t)]
    await second.cli('REPLICAOF', '127.0.0.1', String(first.port))
    await until(async () => (await second.cli('INFO', 'replication')).includes('master_link_status:up'), 'the replica follows')
    const proxy = await TcpProxy.start(t, first.port)
    const node = await startNode(t, proxy.port)
    const client = node.follow()
    await client.stands
    await until(async () => await second.cli('EXISTS', '{sse:ticks}:m') === '1', 'the replica knows that the topic was asked for')
    await second.cli('REPLICAOF', 'NO', 'ONE')
    for (const n of numbers(1, 4)) await node.publish(n)
    await client.has(4)
    const other = await startNode(t, second.port)
    for (const n of numbers(5, 8)) await other.publish(n) // as many bytes: nothing but the fence tells them apart
    proxy.target = second.port
    await first.kill()
    proxy.cut()
    await until(() => client.seen.length > 4, 'it is told, though nothing is published')
    await node.insist(9)
    await client.has(9)
    t.strictSame(client.seen.slice(0, 4), numbers(1, 4))
    t.match(client.seen[4], /^(lost|ahead)$/)
    t.strictSame(client.seen.slice(5), [9])
  })

  t.test('a replica that Sentinel picks takes over, and nothing is lost', async (t) => {
    const [first, second] = [await RedisServer.start(t), await RedisServer.start(t)]
    await second.cli('REPLICAOF', '127.0.0.1', String(first.port))
    const sentinel = await RedisServer.startSentinel(t, 'main', first)
    await until(async () => /name=main,status=ok,address=[^,]+,slaves=1/.test(await sentinel.cli('INFO', 'sentinel')), 'Sentinel knows both')
    const node = await startNode(t, 0, { client: new Redis({ sentinels: [{ host: '127.0.0.1', port: sentinel.port }], name: 'main', lazyConnect: true }) })
    const client = node.follow()
    await client.stands
    for (const n of numbers(1, 5)) await node.publish(n)
    await until(async () => await second.cli('XLEN', '{sse:ticks}:s') === '5', 'the replica has all')
    await first.kill()
    for (const n of numbers(6, 10)) await node.insist(n)
    await client.has(10)
    t.strictSame(client.seen, numbers(1, 10))
  })

  t.test('an application starts without Redis, and works when Redis comes', async (t) => {
    const redis = await RedisServer.start(t)
    await redis.kill()
    const node = await startNode(t, redis.port)
    t.equal(node.app.sse.health().state, 'down')
    await t.rejects(node.publish(1), { code: 'SSE_ERR_BROKER_UNAVAILABLE' })
    await t.rejects(async () => await node.app.sse.disconnect({ channel: 'ticks' }), { code: 'SSE_ERR_BROKER_UNAVAILABLE' })
    const client = node.follow()
    await until(() => node.app.sse.stats().open === 1, 'its stream waits')
    await redis.start()
    await client.stands
    await node.insist(1)
    await client.has(1)
    t.strictSame(client.seen, [1])
    await node.isLive()
  })

  t.test('who is not let in hears of it at the start', async (t) => {
    const redis = await RedisServer.start(t, '--requirepass', 'secret')
    const start = (options: object) => serve(t, () => {}, { broker: redisBroker({ client: clientOf(redis.port, options) }) })
    await t.rejects(start({}), { code: 'SSE_ERR_BROKER_UNAVAILABLE', message: /NOAUTH/ })
    await t.rejects(start({ password: 'wrong' }), { code: 'SSE_ERR_BROKER_UNAVAILABLE', message: /WRONGPASS/ })
    const { app } = await start({ password: 'secret' })
    t.equal(app.sse.health().state, 'live')
  })

  t.test('over TLS, by the options of the client', { skip: !hasOpenssl && 'there is no openssl' }, async (t) => {
    const folder = t.testdir()
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')]
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1', '-subj', '/CN=localhost',
      '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', certificate], { stdio: 'ignore' })
    const tlsPort = await freePort()
    await RedisServer.start(t, '--tls-port', String(tlsPort), '--tls-cert-file', certificate, '--tls-key-file', key, '--tls-auth-clients', 'no')
    const node = await startNode(t, tlsPort, { client: clientOf(tlsPort, { host: 'localhost', tls: { ca: readFileSync(certificate) } }) })
    const client = node.follow()
    await client.stands
    await node.publish(1)
    await client.has(1)
    const stranger = await startNode(t, tlsPort, { client: clientOf(tlsPort, { host: 'localhost', tls: {} }) })
    await t.rejects(stranger.publish(2), { code: 'SSE_ERR_BROKER_UNAVAILABLE', cause: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' } })
  })

  t.test('nodes with one namespace, prefix and database share topics, others do not', async (t) => {
    const redis = await RedisServer.start(t)
    const prefixed = { client: clientOf(redis.port, { keyPrefix: 'app:' }) }
    const nodes = [await startNode(t, redis.port), await startNode(t, redis.port, { namespace: 'other' }), await startNode(t, redis.port, prefixed), await startNode(t, redis.port, prefixed), await startNode(t, redis.port, { client: clientOf(redis.port, { db: 1 }) })]
    const clients = nodes.map((node) => node.follow())
    await Promise.all(clients.map(({ stands }) => stands))
    for (const [index, node] of nodes.entries()) await node.publish(index)
    await clients[0]?.has(0)
    await clients[1]?.has(1)
    await clients[2]?.has(3)
    await clients[3]?.has(3)
    await clients[4]?.has(4)
    t.strictSame(clients.map(({ seen }) => seen), [[0], [1], [2, 3], [2, 3], [4]])
    t.equal(await redis.cli('EXISTS', '{sse:ticks}:s', '{other:ticks}:s', 'app:{sse:ticks}:s'), '3')
  })

  t.test('disconnect() reaches the streams of all nodes', async (t) => {
    const redis = await RedisServer.start(t)
    const [a, b] = [await startNode(t, redis.port), await startNode(t, redis.port)]
    const client = b.follow()
    await client.stands
    const told = once(client.source as unknown as EventTarget, 'sse.bye')
    await a.app.sse.disconnect({ channel: 'ticks' })
    await told
    await until(() => b.app.sse.stats().closed.disconnected === 1, 'the stream has ended')
  })

  t.test('disconnect() reaches a node whose links are away, when they are back, and once', async (t) => {
    const redis = await RedisServer.start(t)
    const proxy = await TcpProxy.start(t, redis.port)
    const [a, b] = [await startNode(t, redis.port), await startNode(t, proxy.port)]
    const client = b.follow()
    const disconnected = () => b.app.sse.stats().closed.disconnected
    await client.stands
    await b.isLive()
    await a.app.sse.disconnect({ channel: 'ticks' })
    await until(() => disconnected() === 1, 'it is told')
    await until(() => b.app.sse.stats().open === 1, 'it is back')
    proxy.target = await freePort() // where nobody listens
    proxy.cut()
    await until(() => b.app.sse.health().state === 'down', 'the node is cut off')
    await a.app.sse.disconnect({ channel: 'ticks' })
    proxy.target = redis.port
    await until(() => disconnected() === 2, 'it is told when the links are back')
    await until(() => b.app.sse.stats().open === 1, 'it is back again')
    await redis.cli('PUBLISH', 'sse:commands', '1000000000000-0 {"channel":"ticks"}') // one that was read, and is heard late
    await redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await a.publish(1)
    await client.has(1)
    await b.isLive()
    await a.insist(2)
    await client.has(2)
    t.equal(disconnected(), 2, 'what it was told before, it is not told again')
  })

  t.test('disconnect() reaches a node that has heard a later one first', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port)
    const client = node.follow()
    await client.stands
    await node.isLive()
    const keep = async (text: string) => await redis.cli('XADD', 'sse:commands:s', '*', 'c', text) // as one that was told while no link heard it
    await keep('{"channel":"ticks"}')
    await keep('no command of ours')
    const later = await keep('{"channel":"others"}')
    for (let n = 0; n < 1_001; n++) await redis.cli('PUBLISH', 'sse:commands', `${Number(later.split('-')[0]) + n}-0 {"channel":"others"}`)
    await redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await until(() => node.app.sse.stats().closed.disconnected === 1, 'it is told')
  })

  t.test('a node whose links lead to two servers goes on where it publishes', async (t) => {
    const [old, next] = [await RedisServer.start(t), await RedisServer.start(t)]
    const proxy = await TcpProxy.start(t, old.port)
    const [a, b, c] = [await startNode(t, old.port), await startNode(t, proxy.port), await startNode(t, next.port)]
    const client = b.follow()
    await client.stands
    await b.isLive()
    let n = 0
    const busy = setInterval(() => { void a.publish(++n).catch(() => {}) }, 10)
    t.teardown(() => clearInterval(busy))
    await until(() => client.seen.length > 10, 'it hears the old one')
    proxy.target = next.port
    const mine = proxy.addresses
    const asks = (await old.cli('CLIENT', 'LIST')).split('\n').find((line) => line.includes('name=sse:commands') && mine.some((address) => line.includes(`addr=${address} `)))
    await old.cli('CLIENT', 'KILL', 'ID', String(/id=(\d+)/.exec(String(asks))?.[1]))
    await until(() => b.app.sse.health().state === 'degraded', 'its echoes do not come')
    await until(() => client.seen.some((one) => typeof one === 'string'), 'its client is told')
    clearInterval(busy)
    await b.isLive()
    await c.insist(1_000_000)
    await client.has(1_000_000)
  })

  t.test('what Redis refuses to tell is asked again with the next probe, and not before', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port)
    await node.follow().stands
    await node.isLive()
    await redis.cli('CONFIG', 'SET', 'min-replicas-to-write', '1') // refuses all that writes, as PEXPIRE does
    await redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await redis.cli('CONFIG', 'RESETSTAT')
    const refused = async () => Number(/cmdstat_pexpire:.*rejected_calls=(\d+)/.exec(await redis.cli('INFO', 'commandstats'))?.[1] ?? 0)
    await until(async () => await refused() > 0, 'it was refused')
    const start = performance.now()
    await until(async () => await refused() > 4, 'it was refused again and again')
    t.ok(performance.now() - start > 2 * PROBE_MS, 'at its leisure')
    await redis.cli('CONFIG', 'SET', 'min-replicas-to-write', '0')
    await node.isLive()
  })

  t.test('who comes while Redis refuses waits, and is not turned away', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port)
    await redis.cli('CONFIG', 'SET', 'min-replicas-to-write', '1')
    await redis.cli('CONFIG', 'RESETSTAT')
    const client = node.follow()
    await until(async () => /errorstat_NOREPLICAS/.test(await redis.cli('INFO', 'errorstats')), 'it was refused')
    t.equal(node.app.sse.stats().closed.error, 0)
    await redis.cli('CONFIG', 'SET', 'min-replicas-to-write', '0')
    await client.stands
    await node.publish(1)
    await client.has(1)
  })

  t.test('who comes and goes while Redis is away leaves nothing, neither here nor there', async (t) => {
    const redis = await RedisServer.start(t)
    const broker = redisBroker({ client: clientOf(redis.port), probeInterval: PROBE_MS })
    const { app, base } = await serve(t, (app) => {
      const rooms = app.sse.channel('rooms/:room', { events: { tick: Type.Integer() } })
      app.get('/:room', (request, reply) => reply.sse(rooms.at({ room: (request.params as { room: string }).room }).subscribe()))
    }, { broker, openAfter: 0, heartbeat: 20 })
    await until(() => app.sse.health().state === 'live', 'it is live')
    await redis.kill()
    await until(() => app.sse.health().state === 'down', 'Redis is away')
    for (const room of numbers(1, 30)) {
      const stream = await readStream(`${base}/${room}`)
      if (room === 1) await stream.until(':\n:\n') // heartbeats come all the same
      stream.close()
    }
    await until(() => app.sse.stats().open === 0, 'all have left')
    t.equal(app.sse.stats().channels.topics, 0)
    await redis.start()
    await until(() => app.sse.health().state === 'live', 'it is live again')
    t.equal(await redis.cli('DBSIZE'), '0')
  })

  t.test('who waits while only the link that asks is away goes on when it is back, or at the end', async (t) => {
    const redis = await RedisServer.start(t)
    const proxy = await TcpProxy.start(t, redis.port)
    const broker = redisBroker({ client: clientOf(proxy.port), ...RARELY })
    const suspected: string[] = []
    await broker.open({ entry () {}, suspect: (topic) => { suspected.push(String(topic)) }, command () {} })
    /** What is no event of ours is told as such, behind the answer that the topic is heard. */
    const isHeard = (topic: string) => until(async () => {
      await redis.cli('PUBLISH', `{sse:${topic}}`, 'nothing')
      return suspected.includes(topic)
    }, `${topic} is heard`)
    const cut = async () => {
      proxy.target = await freePort()
      const asks = (await redis.cli('CLIENT', 'LIST')).split('\n').find((line) => line.includes('name=sse:commands'))
      await redis.cli('CLIENT', 'KILL', 'ID', String(/id=(\d+)/.exec(String(asks))?.[1]))
      await until(() => broker.health().state === 'down', 'it is away')
    }
    await cut()
    const left = broker.attach('left')
    left.catch(() => {})
    const both = [broker.attach('wanted'), broker.attach('wanted')]
    await isHeard('left')
    await isHeard('wanted')
    await broker.detach('left')
    await t.rejects(left, { code: 'SSE_ERR_BROKER_UNAVAILABLE', message: 'Nobody wants the topic any more' })
    proxy.target = redis.port
    const [one, other] = await Promise.all(both)
    t.equal(one, other)
    t.equal(await redis.cli('EXISTS', '{sse:left}:m'), '0', 'what nobody wants any more is not asked for')
    await cut()
    const late = broker.attach('late')
    late.catch(() => {})
    await isHeard('late')
    await broker.close()
    await t.rejects(late, { code: 'SSE_ERR_CLOSING' })
  })

  t.test('Redis keeps a little more than it gives, and no more than that', async (t) => {
    const redis = await RedisServer.start(t)
    const broker = redisBroker({ client: clientOf(redis.port) })
    await broker.open({ entry () {}, suspect () {}, command () {} })
    t.teardown(() => broker.close())
    const frame = `data: ${'x'.repeat(93)}\n`
    const lengthOf = async (topic: string) => Number(await redis.cli('XLEN', `{sse:${topic}}:s`))
    for (const [topic, retention, kept, most] of [
      ['many', { max: 40, bytes: 1_000_000, ttl: 60_000 }, 40, 40 + 41], // so many are 4 KiB
      ['large', { max: 1_000, bytes: 4_000, ttl: 60_000 }, 40, 42]
    ] as const) {
      const start = await broker.attach(topic)
      const lengths: number[] = []
      for (let n = 0; n < 100; n++) {
        await broker.publish(topic, { frame }, retention)
        lengths.push(await lengthOf(topic))
      }
      t.ok(Math.max(...lengths) > kept && Math.max(...lengths) <= most, `${Math.max(...lengths)} at most`)
      t.equal(Math.min(...lengths.slice(40)), kept)
      t.equal((await broker.read(topic, start, { entries: 1_000, bytes: 1_000_000 })).entries.length, kept)
      t.equal(await lengthOf(topic), kept, 'what is too much goes before anybody reads')
    }
  })

  t.test('expiry is put off when that is due, and not each time', async (t) => {
    const redis = await RedisServer.start(t)
    const broker = redisBroker({ client: clientOf(redis.port) })
    await broker.open({ entry () {}, suspect () {}, command () {} })
    t.teardown(() => broker.close())
    const [history, meta] = ['{sse:a}:s', '{sse:a}:m']
    const expiries = async () => [Number(await redis.cli('PTTL', history)), Number(await redis.cli('PTTL', meta))] as const
    const publish = (ttl: number) => broker.publish('a', { frame: 'data: 1\n' }, { max: 10, bytes: 1_000_000, ttl })
    const shorten = async () => { for (const key of [history, meta]) await redis.cli('PEXPIRE', key, '100000') }
    await publish(600_000)
    const [ofHistory, ofMeta] = await expiries()
    t.ok(ofHistory > 655_000 && ofHistory <= 660_000, 'as long as entries are kept, and a minute')
    t.ok(ofMeta > 2_147_483_647, 'longer than any history')
    await shorten()
    await publish(600_000)
    for (const expiry of await expiries()) t.ok(expiry <= 100_000, 'for up to a minute it may stay')
    await publish(2_000)
    await shorten()
    await until(async () => {
      await publish(2_000)
      return (await expiries())[0] <= 2_500
    }, 'a quarter of the time is over')
    t.ok((await expiries())[1] > 2_147_483_647)
  })

  t.test('what is too old is not given, and goes', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port)
    const before = await node.publish(1)
    for (const n of numbers(2, 40)) await publishUntold(redis, n, -700_000)
    for (const n of numbers(41, 43)) await node.publish(n)
    await redis.cli('XTRIM', '{sse:ticks}:s', 'MAXLEN', '42') // the first, which is not old
    const broker = redisBroker({ client: clientOf(redis.port) })
    await broker.open({ entry () {}, suspect () {}, command () {} })
    t.teardown(() => broker.close())
    const { entries } = await broker.read('ticks', before, { entries: 100, bytes: 10_000 })
    t.strictSame(entries.map(({ frame }) => /"n":(\d+)/.exec(frame)?.[1]), ['41', '42', '43'])
    t.equal(await redis.cli('XLEN', '{sse:ticks}:s'), '3')
  })

  t.test('entries name the one before, whatever characters they are of and whoever keeps how much', async (t) => {
    const redis = await RedisServer.start(t)
    const told: BrokerEntry[] = []
    const open = async (sink: Partial<BrokerSink> = {}) => {
      const broker = redisBroker({ client: clientOf(redis.port, { keyPrefix: 'app:', stringNumbers: true }) })
      await broker.open({ entry () {}, suspect () {}, command () {}, ...sink })
      t.teardown(() => broker.close())
      return broker
    }
    const [a, b] = [await open({ entry: (_topic, entry) => told.push(entry) }), await open()]
    const head = await a.attach('a')
    const frames = ['data: 1\n', 'data: "ä 😀"\n', 'data: 3\n', 'data: "\u{10ffff}"\n']
    const kept = [{ max: 100, bytes: 100_000, ttl: 60_000 }, { max: 100, bytes: 200_000, ttl: 60_000 }] as const
    const ids: string[] = []
    for (const [index, retention] of [0, 0, 0, 1, 1, 0, 1, 0, 0].entries()) {
      const broker = index % 2 === 0 ? a : b
      for (const frame of frames) ids.push(await broker.publish('a', { frame, ...(index === 2 ? { key: 'ä' } : {}) }, kept[retention] as Retention))
    }
    await until(() => told.length === ids.length, 'all have come')
    t.strictSame(told.map(({ id }) => id), ids)
    t.strictSame(told.map(({ prev }) => prev), [head, ...ids.slice(0, -1)])
    t.strictSame((await a.read('a', head, { entries: 100, bytes: 100_000 })).entries, told)
    t.equal(await redis.cli('HLEN', 'app:{sse:a}:m'), '2', 'of names, only the one that holds is kept')
  })

  t.test('of a topic whose standing is known, an event with a dedupe key has one position as well', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port)
    const client = node.follow()
    await client.stands
    await node.publish(1)
    await redis.cli('CONFIG', 'RESETSTAT')
    const second = await node.publish(2, { dedupe: 'a' })
    t.equal(await node.publish(3, { dedupe: 'a' }), second)
    t.notMatch(await redis.cli('INFO', 'commandstats'), /cmdstat_hset/, 'nothing was looked up')
    const third = await node.publish(3)
    await client.has(3)
    t.strictSame(client.seen, [1, 2, 3])
    t.ok(offsetOf(third) > offsetOf(second))
    const back = await readStream(`${node.base}/`, { headers: { 'last-event-id': second } })
    t.strictSame([...(await back.until('"n":3')).matchAll(/"n":(\d)/g)].map(([, n]) => n), ['3'], 'which is that of the event')
    back.close()
  })

  t.test('a script that Redis has forgotten is sent again', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port)
    const client = node.follow()
    await client.stands
    for (const n of numbers(1, 4)) {
      if (n % 2 === 1) await redis.cli('SCRIPT', 'FLUSH')
      await node.publish(n)
    }
    await client.has(4)
    t.strictSame(client.seen, numbers(1, 4))
  })

  t.test('where bytes are so many that Lua could not count them, the topic begins anew', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port)
    const client = node.follow()
    await client.stands
    await node.publish(1)
    await client.has(1)
    const name = (await redis.cli('HGET', '{sse:ticks}:m', 'stand')).split(' ')[0] as string
    await redis.cli('HSET', '{sse:ticks}:m', name, '89999999999980')
    await node.publish(2)
    await until(() => client.seen.includes('epoch'), 'the client is told')
    await node.publish(3)
    await client.has(3)
    t.strictSame(client.seen, [1, 'epoch', 3])
  })

  t.test('a node publishes to more topics than it remembers', async (t) => {
    const redis = await RedisServer.start(t)
    const broker = redisBroker({ client: clientOf(redis.port) })
    await broker.open({ entry () {}, suspect () {}, command () {} })
    t.teardown(() => broker.close())
    const publish = (n: number | string) => broker.publish(`topic/${n}`, { frame: 'data: 1\n' }, { max: 10, bytes: 1_000, ttl: 60_000 })
    for (let from = 0; from <= 16_384; from += 1_024) await Promise.all(numbers(from, from + 1_023).map(publish))
    for (const n of [0, 0, 17_407, 17_407]) await publish(n)
    t.equal(await redis.cli('XLEN', '{sse:topic/0}:s'), '3')
    t.equal(await redis.cli('XLEN', '{sse:topic/17407}:s'), '3')
    const long = 'x'.repeat(300)
    const [first, second] = [await publish(long), await publish(long)]
    t.equal(offsetOf(second), offsetOf(first) + 8, 'and to one whose name is too long for that')
  })

  t.test('a topic that nobody has published to is soon forgotten, others are not', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port)
    await node.follow().stands
    const expiry = async () => Number(await redis.cli('PTTL', '{sse:ticks}:m'))
    t.ok(await expiry() <= 600_000, 'after ten minutes')
    await redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub') // so that heads are looked at
    await redis.cli('PEXPIRE', '{sse:ticks}:m', '100000')
    await until(async () => await expiry() > 100_000, 'who hears it keeps it')
    t.ok(await expiry() <= 600_000, 'for ten minutes')
    await node.publish(1)
    t.ok(await expiry() > 2_000_000_000)
    await redis.cli('PEXPIRE', '{sse:ticks}:m', '100000')
    await redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await until(async () => await expiry() > 2_000_000_000, 'who hears it keeps it')
  })

  t.test('who comes to a topic keeps it: for long, where somebody else has published to it', async (t) => {
    const redis = await RedisServer.start(t)
    const expiry = async () => Number(await redis.cli('PTTL', '{sse:ticks}:m'))
    const expireSoon = async () => await redis.cli('PEXPIRE', '{sse:ticks}:m', '100000')
    const [publisher, node] = [await startNode(t, redis.port), await startNode(t, redis.port, RARELY)]
    const early = node.follow()
    await early.stands
    early.source.close()
    await until(() => node.app.sse.stats().channels.topics === 0, 'it has left')
    await expireSoon()
    await node.follow().stands
    t.ok(await expiry() > 590_000)

    await node.app.close()
    await publisher.publish(1)
    const other = await startNode(t, redis.port, RARELY)
    await expireSoon()
    await other.follow().stands
    t.ok(await expiry() > 2_000_000_000)
    await expireSoon()
    await redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub') // so that heads are looked at
    await until(async () => await expiry() > 2_000_000_000, 'who hears it keeps it')
  })

  t.test('what waits for an answer is bounded', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port, { probeInterval: 1_000 })
    redis.stop()
    const published = numbers(1, 10_001).map((n) => node.publish(n))
    await t.rejects(published.at(-1) as Promise<string>, { code: 'SSE_ERR_BROKER_UNAVAILABLE', message: /10000 events/ })
    redis.goOn()
    t.equal((await Promise.allSettled(published)).filter(({ status }) => status === 'fulfilled').length, 10_000)
  })

  t.test('what Redis refuses is not published, and is told as such', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port)
    const client = node.follow()
    await client.stands
    await node.publish(1)
    await redis.cli('CONFIG', 'SET', 'maxmemory', '1')
    await t.rejects(node.publish(2), { code: 'SSE_ERR_BROKER_UNAVAILABLE', message: /OOM/ })
    t.equal(node.app.sse.health().state, 'down', 'nothing can be published')
    await redis.cli('CONFIG', 'SET', 'maxmemory', '0')
    await node.publish(3)
    await node.isLive()
    await client.has(3)
    t.strictSame(client.seen, [1, 3])
  })

  t.test('a user of Redis that may not listen hears of it', async (t) => {
    const redis = await RedisServer.start(t)
    await redis.cli('ACL', 'SETUSER', 'deaf', 'on', '>secret', '~*', '+@all', 'resetchannels')
    await redis.cli('ACL', 'SETUSER', 'hard', 'on', '>secret', '~*', '+@all', 'resetchannels', '&sse:*')
    const start = (username: string) => startNode(t, redis.port, { client: clientOf(redis.port, { username, password: 'secret' }) })
    await t.rejects(start('deaf'), { code: 'SSE_ERR_BROKER_UNAVAILABLE', message: /NOPERM/ })
    const { base, publish } = await start('hard')
    await t.rejects(publish(1), { code: 'SSE_ERR_PUBLISH_UNCERTAIN' }, 'the right to the channel is missed when it is in history')
    t.equal(await redis.cli('XLEN', '{sse:ticks}:s'), '1')
    t.equal((await fetch(`${base}/`, { headers: { accept: 'text/event-stream' } })).status, 503)
  })

  t.test('a node that cannot hear is degraded, and live again when it can', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port)
    await node.isLive()
    await redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await until(() => node.app.sse.health().state === 'degraded', 'it says so')
    await node.isLive()
  })

  t.test('a topic that was left, and is wanted again in the same turn, is heard', async (t) => {
    const redis = await RedisServer.start(t)
    const broker = redisBroker({ client: clientOf(redis.port) })
    const heard: string[] = []
    await broker.open({ entry: (_topic, { frame }) => heard.push(frame), suspect () {}, command () {} })
    t.teardown(() => broker.close())
    await broker.attach('a')
    void broker.detach('a')
    await broker.attach('a')
    await broker.publish('a', { frame: 'data: 1\n' }, { max: 1, bytes: 100, ttl: 1_000 })
    await until(() => heard.length === 1, 'the entry has come')
  })

  t.test('a user of Redis that may not ask what it is can use it', async (t) => {
    const redis = await RedisServer.start(t)
    await redis.cli('ACL', 'SETUSER', 'few', 'on', '>secret', '~*', '&*', '+@all', '-info')
    const node = await startNode(t, redis.port, { client: clientOf(redis.port, { username: 'few', password: 'secret', commandTimeout: 1 }) })
    const client = node.follow()
    await client.stands
    const ids = [await node.publish(1), await node.publish(2), await node.publish(3)]
    await client.has(3)
    t.strictSame(client.seen, [1, 2, 3])
    t.ok(new Set(ids.map((id) => id.split('-').at(-1))).size > 1, 'any of them may be by another server')
  })

  t.test('who loses the right to listen is degraded, and gets what was missed when it is given back', async (t) => {
    const redis = await RedisServer.start(t)
    const may = (...rights: string[]) => redis.cli('ACL', 'SETUSER', 'some', 'on', '>secret', '~*', '+@all', 'resetchannels', ...rights)
    await may('allchannels')
    const [near, far] = [await startNode(t, redis.port), await startNode(t, redis.port, { client: clientOf(redis.port, { username: 'some', password: 'secret' }) })]
    const client = far.follow()
    await client.stands
    await near.publish(1)
    await client.has(1)
    const ears = async () => (await redis.cli('CLIENT', 'LIST')).split('\n').find((line) => line.includes('name=sse:ears') && line.includes('user=some'))?.split(' ')[0]
    const links = new Set<string | undefined>()
    await may()
    await until(async () => links.add(await ears()).size >= 4, 'the link has been made anew again and again')
    t.equal(far.app.sse.health().state, 'degraded')
    await near.publish(2)
    await may('&sse:*') // to the topic, it has none yet
    await far.isLive()
    await near.insist(3)
    await client.has(3)
    await may('allchannels')
    for (let n = 4; n < 300 && !(await redis.cli('PUBSUB', 'NUMSUB', '{sse:ticks}')).endsWith('2'); n++) await delay(10)
    await near.publish(4)
    await client.has(4)
    t.strictSame(client.seen, [1, 2, 3, 4])
  })

  t.test('a topic that is left is forgotten, whatever is on its way', async (t) => {
    const redis = await RedisServer.start(t)
    const broker = redisBroker({ client: clientOf(redis.port), probeInterval: 10_000 })
    const told: string[] = []
    await broker.open({ entry: (topic) => told.push(topic), suspect: (topic) => told.push(`suspect ${topic}`), command () {} })
    await t.rejects(async () => await broker.open({ entry () {}, suspect () {}, command () {} }), { code: 'SSE_ERR_INVALID_OPTION', message: /opened already/ })
    for (let times = 0; times < 50; times++) {
      await broker.attach(`left/${times}`)
      const published = broker.publish(`left/${times}`, { frame: 'data: 1\n' }, { max: 1, bytes: 100, ttl: 1_000 })
      void broker.detach(`left/${times}`)
      await published
    }
    await broker.attach('looked at')
    await redis.cli('CLIENT', 'PAUSE', '500', 'WRITE') // with which a look at heads waits
    await redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await until(() => broker.health().state === 'degraded', 'the link is gone')
    await until(() => broker.health().state === 'live', 'it is back, and heads are looked at')
    await broker.detach('looked at')
    await broker.attach('another') // behind the look
    t.strictSame(told, [])

    redis.stop()
    const attached = broker.attach('late')
    await broker.close()
    await broker.close()
    await t.rejects(attached, { code: 'SSE_ERR_CLOSING' })
    await t.rejects(broker.attach('later'), { code: 'SSE_ERR_CLOSING' })
  })

  t.test('what Redis does not let a user read cannot be attached', async (t) => {
    const redis = await RedisServer.start(t)
    await redis.cli('ACL', 'SETUSER', 'some', 'on', '>secret', '~other', '+@all', '&*')
    const broker = redisBroker({ client: clientOf(redis.port, { username: 'some', password: 'secret' }) })
    await broker.open({ entry () {}, suspect () {}, command () {} })
    t.teardown(() => broker.close())
    await t.rejects(broker.attach('a'), { code: 'SSE_ERR_BROKER_UNAVAILABLE', message: /NOPERM/ })
  })

  t.test('of topics that are asked for together, one that is refused is refused alone', async (t) => {
    const redis = await RedisServer.start(t)
    await redis.cli('ACL', 'SETUSER', 'some', 'on', '>secret', '~*', '+@all', 'resetchannels', '&sse:*', '&{sse:mine*')
    const broker = redisBroker({ client: clientOf(redis.port, { username: 'some', password: 'secret' }) })
    await broker.open({ entry () {}, suspect () {}, command () {} })
    t.teardown(() => broker.close())
    const [mine, yours] = await Promise.allSettled([broker.attach('mine'), broker.attach('yours')])
    t.equal(mine.status, 'fulfilled')
    t.match(yours, { status: 'rejected', reason: { code: 'SSE_ERR_BROKER_UNAVAILABLE', message: /NOPERM/ } })
  })

  t.test('hundreds of topics are heard again when the link is back', async (t) => {
    const redis = await RedisServer.start(t)
    const broker = redisBroker({ client: clientOf(redis.port), probeInterval: PROBE_MS })
    const heard: string[] = []
    const suspected = new Set<string | undefined>()
    await broker.open({ entry: (topic) => heard.push(topic), suspect: (topic) => suspected.add(topic), command () {} })
    t.teardown(() => broker.close())
    const topics = numbers(1, 1_000).map((n) => `topic/${n}`)
    await Promise.all(topics.map((topic) => broker.attach(topic)))
    await redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await until(() => broker.health().state === 'degraded', 'the link is gone')
    await until(() => broker.health().state === 'live', 'it is back')
    for (const topic of topics) await broker.publish(topic, { frame: 'data: 1\n' }, { max: 1, bytes: 100, ttl: 1_000 })
    await until(() => heard.length === topics.length, 'all have been heard')
    t.strictSame(heard, topics)
    t.strictSame([...suspected], [])
  })

  t.test('topics come and go while links are cut, and each that is wanted is heard in the end', async (t) => {
    const redis = await RedisServer.start(t)
    const broker = redisBroker({ client: clientOf(redis.port), probeInterval: 20 })
    const heard = new Set<string>()
    await broker.open({ entry: (topic) => heard.add(topic), suspect () {}, command () {} })
    t.teardown(() => broker.close())
    const cutting = new AbortController()
    const cuts = (async () => {
      for (let n = 0; !cutting.signal.aborted; n++) {
        await redis.cli('CLIENT', 'KILL', 'TYPE', n % 2 === 0 ? 'pubsub' : 'normal', 'SKIPME', 'yes').catch(() => {})
        await delay(n % 7)
      }
    })()
    const topics = numbers(1, 400).map((n) => `topic/${n}`)
    await Promise.all(numbers(0, 19).map(async (worker) => {
      for (let n = worker; n < 400; n += 20) {
        const topic = topics[n] as string
        for (let times = 0; times < 5; times++) {
          await broker.attach(topic)
          if (times < 4 || n % 2 === 0) await broker.detach(topic)
        }
      }
    }))
    cutting.abort()
    await cuts
    await until(() => broker.health().state === 'live', 'the links are back')
    // With so short an interval a busy machine takes links for silent: they may be made anew at any time, and what they miss nobody repairs here.
    await until(async () => {
      for (const topic of topics) if (!heard.has(topic)) await broker.publish(topic, { frame: 'data: 1\n' }, { max: 1, bytes: 100, ttl: 1_000 }).catch(() => {})
      return heard.size === 200
    }, 'all have been heard')
    t.strictSame(heard, new Set(topics.filter((_, n) => n % 2 === 1)))
  })

  t.test('what others publish on the channels does no harm', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port)
    const client = node.follow()
    await client.stands
    for (const channel of ['{sse:ticks}', 'sse:commands']) await redis.cli('PUBLISH', channel, 'hello')
    await redis.cli('PUBLISH', '{sse:ticks}', 'epoch.1-0 2-0 data: forged\n{')
    await node.publish(1)
    await client.has(1)
    t.strictSame(client.seen, [1])
  })

  t.test('who leaves is not told any more', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port)
    const heard = async () => (await redis.cli('CLIENT', 'LIST')).match(/name=sse:ears .* sub=(\d+)/)?.[1]
    const clients = [node.follow(), node.follow()]
    await Promise.all(clients.map(({ stands }) => stands))
    t.equal(await heard(), '3', 'commands, echoes, and the topic')
    for (const { source } of clients) source.close()
    await until(async () => await heard() === '2', 'the topic is left')
  })

  for (const shardedSubscribers of [false, true]) {
    t.test(`the contract of brokers, on a cluster${shardedSubscribers ? ' with sharded pub/sub' : ''}`, async (t) => {
      const shards = await startCluster(t)
      const client = new Cluster([{ host: '127.0.0.1', port: shards[0].port }], { lazyConnect: true, shardedSubscribers, keyPrefix: 'app:' })
      const tests: Array<Promise<unknown>> = []
      brokerContract({ test: (name, run) => tests.push(t.test(name, run)), create: () => redisBroker({ client, probeInterval: 1_000 }), shared: true })
      await Promise.all(tests)
      for (const shard of shards) t.not(await shard.cli('DBSIZE'), '0', 'both shards have topics')
    })
  }

  t.test('a replica takes over in a cluster, and nothing is lost', async (t) => {
    const shards = await startCluster(t)
    const replica = await RedisServer.start(t, '--cluster-enabled', 'yes')
    await replica.cli('CLUSTER', 'MEET', '127.0.0.1', String(shards[0].port))
    const owner = Number(await shards[0].cli('CLUSTER', 'KEYSLOT', '{sse:ticks}')) < 8_192 ? shards[0] : shards[1]
    const id = await owner.cli('CLUSTER', 'MYID')
    await until(() => replica.cli('CLUSTER', 'REPLICATE', id).then(() => true, () => false), 'the replica knows whom to follow')
    await until(async () => (await replica.cli('INFO', 'replication')).includes('master_link_status:up'), 'the replica follows')
    const node = await startNode(t, 0, { client: new Cluster([{ host: '127.0.0.1', port: shards[0].port }], { lazyConnect: true }) })
    const client = node.follow()
    await client.stands
    for (const n of numbers(1, 50)) await node.publish(n)
    await replica.cli('CLUSTER', 'FAILOVER')
    for (const n of numbers(51, 500)) await node.insist(n)
    await until(async () => (await replica.cli('ROLE')).startsWith('3') && (await replica.cli('INFO', 'replication')).includes('role:master'), 'the replica has taken over')
    await owner.kill()
    for (const n of numbers(501, 550)) await node.insist(n)
    await client.has(550)
    t.strictSame(client.seen, numbers(1, 550))
  })

  t.test('close() waits for what is under way, but not for a Redis that does not answer', async (t) => {
    const redis = await RedisServer.start(t)
    const node = await startNode(t, redis.port)
    const published = node.publish(1)
    await node.app.close()
    t.match(await published, /^[\w-]+\.\d+-\d+$/)
    await t.rejects(node.publish(2), { code: 'SSE_ERR_CLOSING' })
    const other = await startNode(t, redis.port, { probeInterval: 10_000 })
    redis.stop()
    const late = other.publish(2)
    late.catch(() => {})
    await other.app.close()
    await t.rejects(late, { code: 'SSE_ERR_PUBLISH_UNCERTAIN' })
  })
})

t.test('options that cannot be are refused', async (t) => {
  const client = clientOf(1)
  for (const [given, message] of [
    [undefined, /to be an object \{ client \}, got `undefined`/],
    [{}, /`client` of redisBroker\(\) to be a client of ioredis, got `undefined`/],
    [{ client: {} }, /client of ioredis/],
    [{ client, name: 'x' }, /Unknown option `name`/],
    [{ client: clientOf(1, { keyPrefix: Buffer.from('a') }) }, /`keyPrefix` of the client to be a string, got an instance of Buffer/],
    [{ client, namespace: 'a b' }, /`namespace`/],
    [{ client, namespace: 7 }, /`namespace`/],
    [{ client, probeInterval: 0 }, /`probeInterval`/]
  ] as const) t.throws(() => redisBroker(given as never), { code: 'SSE_ERR_INVALID_OPTION', message })
})

for (const version of ['5.0.14', '6.0.16']) {
  t.test(`Redis ${version} is too old, and refused at the start`, async (t) => {
    const old = net.createServer((socket) => {
      socket.on('error', () => {}).on('data', (chunk) => {
        for (const [, command] of String(chunk).matchAll(/\*\d+\r\n\$\d+\r\n(\w+)/g)) {
          const info = `redis_version:${version}\r\n`
          socket.write(command?.toLowerCase() === 'info' ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n')
        }
      })
    }).listen(0, '127.0.0.1')
    await once(old, 'listening')
    t.teardown(() => old.close())
    const { port } = old.address() as net.AddressInfo
    await t.rejects(serve(t, () => {}, { broker: redisBroker({ client: clientOf(port, { protocol: 2 }) }) }), { code: 'SSE_ERR_BROKER_UNAVAILABLE', message: `Expected Redis 6.2 or later, got ${version}` })
  })
}
