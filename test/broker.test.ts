// The memory broker does what every broker must, keeps within its bounds, and the suite that says so can fail.
import assert, { AssertionError } from 'node:assert'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { memoryBroker, type Broker, type BrokerEntry, type BrokerSink } from '../lib/index.js'
import { brokerContract } from '../lib/testing/index.js'
import { brokerWith } from './helpers/broker-with.js'

type Overrides = (broker: Broker) => Partial<Broker>

const sink = { entry () {}, suspect () {}, command () {} }
const KEPT = { max: 100, bytes: 10_000, ttl: 60_000 }
const ALL = { entries: 1_000, bytes: 2 ** 30 }

t.test('options of the memory broker are checked', async (t) => {
  for (const options of [null, 7, { maxbytes: 1 }, { maxBytes: 0 }, { maxBytes: '1' }, { maxTopics: 1.5 }]) {
    t.throws(() => memoryBroker(options as never), { code: 'SSE_ERR_INVALID_OPTION', message: /memoryBroker\(\)/ })
  }
  t.doesNotThrow(() => memoryBroker({ maxBytes: 1, maxTopics: undefined } as never))
})

t.test('the contract of brokers', async (t) => {
  const tests: Array<Promise<unknown>> = []
  brokerContract({ test: (name, run) => tests.push(t.test(name, run)), create: () => memoryBroker() })
  await Promise.all(tests)
  t.ok(tests.length >= 20)
})

/** The names of the tests that a broker fails. */
async function failures (overrides: Overrides, shared = false): Promise<string[]> {
  const failed: string[] = []
  const runs: Array<[string, () => Promise<void>]> = []
  brokerContract({ test: (name, run) => runs.push([name, run]), create: () => brokerWith(overrides), patience: 50, shared })
  for (const [name, run] of runs) {
    try {
      await run()
    } catch (error) {
      if (!(error instanceof AssertionError)) throw error
      failed.push(name)
    }
  }
  return failed
}

/** Brokers over one: each tells its own sink of what is published by any. */
function sharing (): Overrides {
  const store = memoryBroker()
  const nodes = new Set<{ sink: BrokerSink, attached: Set<string> }>()
  void store.open({
    entry: (topic, entry) => { for (const { sink, attached } of nodes) if (attached.has(topic)) sink.entry(topic, entry) },
    command: (text) => { for (const { sink } of nodes) sink.command(text) },
    suspect () {}
  })
  return () => {
    const node = { sink, attached: new Set<string>() }
    let isOpen = true
    return {
      open: (to) => {
        nodes.add(Object.assign(node, { sink: to }))
        to.suspect() // allowed at any time
      },
      publish: async (...given) => {
        assert.ok(isOpen)
        return store.publish(...given)
      },
      attach: (topic) => {
        node.attached.add(topic)
        return store.attach(topic)
      },
      detach: async (topic) => { node.attached.delete(topic) },
      read: (...given) => store.read(...given),
      command: (text) => store.command(text),
      health: () => ({ state: isOpen ? 'live' : 'down' }),
      close: () => { isOpen = nodes.delete(node) && false }
    }
  }
}

t.test('the contract finds brokers that', async (t) => {
  t.strictSame(await failures(() => ({})), [], 'nothing in one that is right')
  const wrong: Record<string, Overrides> = {
    'drop an entry on the way': (broker) => {
      let told = 0
      return { open: (to) => broker.open({ ...sink, command: (text) => to.command(text), entry: (topic, entry) => { if (++told !== 3) to.entry(topic, entry) } }) }
    },
    'tell of an entry twice': (broker) => ({ open: (to) => broker.open({ ...sink, command: (text) => to.command(text), entry: (topic, entry) => { to.entry(topic, entry); to.entry(topic, entry) } }) }),
    'forget the head': (broker) => ({ attach: (topic) => broker.attach(topic).then(() => 'other.1-0') }),
    'tell of every topic': (broker) => ({ publish: (topic, event, retention) => broker.attach(topic).then(() => broker.publish(topic, event, retention)) }),
    'read from the beginning': (broker) => ({ read: (topic, _after, limit) => broker.read(topic, '', limit) }),
    'have no limits': (broker) => ({ read: (topic, after) => broker.read(topic, after, ALL) }),
    'keep too much': (broker) => ({ publish: (topic, event) => broker.publish(topic, event, { max: 1_000, bytes: 2 ** 30, ttl: 60_000 }) }),
    'keep nothing': (broker) => ({ publish: (topic, event, retention) => broker.publish(topic, event, { ...retention, max: 0 }) }),
    'append a second time': (broker) => ({ publish: (topic, { frame, key }, retention) => broker.publish(topic, { frame, key }, retention) }),
    'change frames': (broker) => ({ publish: (topic, event, retention) => broker.publish(topic, { ...event, frame: event.frame.replace('ä', 'a') }, retention) }),
    'lose keys': (broker) => ({ publish: (topic, event, retention) => broker.publish(topic, { ...event, key: undefined }, retention) }),
    'leave out an entry of a page': (broker) => ({ read: async (...given) => { const { head, entries } = await broker.read(...given); return { head, entries: entries.filter((_, index) => index !== 1) } } }),
    'detach later than they were told to': (broker) => ({ detach: async (topic) => { await turn(); await broker.detach(topic) } }),
    'swallow commands': () => ({ command: async () => {} }),
    'are never live': () => ({ health: () => ({ state: 'degraded' }) }),
    'stay open': () => ({ close () {} })
  }
  for (const [what, overrides] of Object.entries(wrong)) t.not((await failures(overrides)).length, 0, what)
  t.strictSame(await failures(sharing(), true), [], 'nothing in those that share their topics')
  t.strictSame(await failures(() => ({}), true), ['two nodes see one order, and each other’s commands'], 'share nothing, though they say so')
})

t.test('histories together stay below maxBytes: the one that was used least recently goes', async (t) => {
  const broker = memoryBroker({ maxBytes: 1_000 })
  await broker.open(sink)
  const frame = `data: ${'x'.repeat(392)}\n`
  for (const topic of ['a', 'b', 'c']) await broker.publish(topic, { frame }, KEPT)
  const kept = async (topic: string) => (await broker.read(topic, '', ALL)).entries.length
  t.strictSame([await kept('a'), await kept('b'), await kept('c')], [0, 1, 1])
  await broker.close()
})

t.test('what grows old while it is read is counted out', async (t) => {
  const { now } = performance
  t.teardown(() => { performance.now = now })
  let time = 0
  performance.now = () => now.call(performance) + time
  const broker = memoryBroker({ maxBytes: 10_000 })
  await broker.open(sink)
  const frame = `data: ${'x'.repeat(992)}\n`
  await broker.publish('quiet', { frame }, { max: 100, bytes: 10_000, ttl: 1e9 })
  for (let n = 0; n < 100; n++) {
    await broker.publish('busy', { frame }, { max: 100, bytes: 10_000, ttl: 1_000 })
    time += 300
    await broker.read('busy', '', ALL)
  }
  t.equal((await broker.read('quiet', '', ALL)).entries.length, 1)
  t.equal((await broker.read('busy', '', ALL)).entries.length, 3)
  await broker.close()
})

t.test('topics stay below maxTopics: the one that was used least recently goes, unless somebody has it', async (t) => {
  const broker = memoryBroker({ maxTopics: 3 })
  await broker.open(sink)
  const head = await broker.attach('a')
  const ids = []
  for (const topic of ['b', 'c', 'd', 'e']) ids.push(await broker.publish(topic, { frame: 'data: 1\n' }, KEPT))
  t.equal((await broker.read('a', '', ALL)).head, head)
  t.equal((await broker.read('e', '', ALL)).head, ids[3])
  t.not((await broker.read('b', '', ALL)).head, ids[0], 'a topic that was dropped has another head, so that a client is told')
  t.strictSame((await broker.read('b', '', ALL)).entries, [])
  for (const topic of 'fghijklmnopqrstuvwxyz') await broker.attach(topic)
  t.equal((await broker.read('a', '', ALL)).head, head, 'where all have somebody, none goes')
  const first = await broker.publish('unused', { frame: 'data: 1\n' }, KEPT)
  for (let n = 0; n < 100; n++) await broker.publish(`unused ${n}`, { frame: 'data: 1\n' }, KEPT)
  t.not((await broker.read('unused', '', ALL)).head, first, 'nor do they keep others from going')
  await broker.close()
})

t.test('positions are unique and grow, whatever the clock does', async (t) => {
  const broker = memoryBroker()
  const entries: BrokerEntry[] = []
  await broker.open({ ...sink, entry: (_topic, entry) => entries.push(entry) })
  await broker.attach('a')
  const { now } = Date
  t.teardown(() => { Date.now = now })
  for (const clock of [1_000_000, 1_000_000, 999_000, 1_000_001]) {
    Date.now = () => clock
    await broker.publish('a', { frame: 'data: 1\n' }, KEPT)
  }
  Date.now = now
  const [first] = entries
  t.match(first?.id, /^[\w-]{8}\.\d+-\d+$/)
  t.strictSame(entries.slice(1).map(({ prev }) => prev), entries.slice(0, -1).map(({ id }) => id))
  t.equal(new Set(entries.map(({ id }) => id)).size, 4)
  await broker.close()
})

t.test('a dedupe key is forgotten after two minutes', async (t) => {
  const broker = memoryBroker()
  await broker.open(sink)
  const { now } = performance
  let passed = 0
  performance.now = () => now.call(performance) + passed
  t.teardown(() => { performance.now = now })
  const publish = (dedupe: string) => broker.publish('a', { frame: 'data: 1\n', dedupe }, KEPT)
  await publish('zero')
  const first = await publish('one')
  passed = 119_000
  t.equal(await publish('one'), first)
  passed = 121_000
  t.not(await publish('one'), first)
  await publish('two')
  await broker.close()
})

t.test('a broker that nobody closes keeps no process alive', async (t) => {
  const broker = memoryBroker()
  await broker.open(sink)
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length // those that do
  const before = timers()
  await broker.publish('a', { frame: 'data: 1\n' }, KEPT)
  t.equal(timers(), before)
  await broker.close()
  t.equal(await broker.command('x'), undefined)
})

t.test('a broker serves one application', async (t) => {
  const broker = memoryBroker()
  await broker.open(sink)
  t.throws(() => broker.open(sink), { code: 'SSE_ERR_INVALID_OPTION' })
  await broker.close()
  await broker.open(sink)
  await broker.close()
})
