// What every broker must do, as a suite that its author runs with any test runner. The memory broker passes it.
import * as assert from 'node:assert/strict' // as a namespace: the CommonJS build has no esModuleInterop
import { setImmediate as turn } from 'node:timers/promises'
import type { Broker, BrokerEntry, BrokerSink, Position, Retention } from '../../types/broker.js'
import { comparePositions, epochOf, isPosition } from '../wire/cursor.js'

export interface BrokerContract {
  /** Registers a test: `test` of node:test, tap, Vitest or Jest. */
  test (name: string, run: () => Promise<void>): unknown
  /** A broker that is not open yet. Its topics may hold what other tests have published: the suite names its own. */
  create (): Broker | Promise<Broker>
  /** Of brokers that share their topics: whether two that were created do. @default false */
  shared?: boolean
  /** Milliseconds within which what was published arrives. @default 5_000 */
  patience?: number
}

const KEPT: Retention = { max: 1_000, bytes: 1_048_576, ttl: 60_000 }
const ALL = { entries: 10_000, bytes: 2 ** 30 }

/** A broker, opened, with what its sink was told. */
class Node implements BrokerSink {
  readonly broker: Broker
  readonly told: Array<BrokerEntry & { topic: string }> = []
  readonly commands: string[] = []
  readonly #patience: number

  constructor (broker: Broker, patience: number) {
    this.broker = broker
    this.#patience = patience
  }

  entry (topic: string, entry: BrokerEntry): void { this.told.push({ ...entry, topic }) }
  command (text: string): void { this.commands.push(text) }
  suspect (): void {}

  of (topic: string): BrokerEntry[] {
    return this.told.filter((entry) => entry.topic === topic)
  }

  async until (holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const deadline = Date.now() + this.#patience
    while (!(await holds())) {
      assert.ok(Date.now() < deadline, `within ${this.#patience} ms: ${what}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  publish (topic: string, frame: string, retention = KEPT): Promise<Position> {
    return this.broker.publish(topic, { frame }, retention)
  }

  async frames (topic: string, after: Position | '' = ''): Promise<string[]> {
    return (await this.broker.read(topic, after, ALL)).entries.map(({ frame }) => frame)
  }
}

const frame = (n: number | string) => `event: tick\ndata: ${JSON.stringify(n)}\n`
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => index + from)

function assertChain (entries: readonly BrokerEntry[], head?: Position): void {
  entries.forEach(({ id, prev }, index) => {
    assert.ok(isPosition(id), `${id} is a position`)
    const before = index === 0 ? head : entries[index - 1]?.id
    if (before !== undefined) assert.equal(prev, before, `entry ${index} names the one before`)
    assert.equal(epochOf(id), epochOf(prev))
    assert.ok(comparePositions(id, prev) > 0, `${id} is greater than ${prev}`)
  })
}

/**
 * Registers the tests that a broker must pass.
 *
 * @example
 * ```ts
 * import { test } from 'node:test'
 * import { memoryBroker } from 'fastify-typed-sse'
 * import { brokerContract } from 'fastify-typed-sse/testing'
 *
 * brokerContract({ test, create: () => memoryBroker() })
 * ```
 */
export function brokerContract ({ test, create, shared = false, patience = 5_000 }: BrokerContract): void {
  let topics = 0
  /** Of a name that was never used, in this run and in others. */
  const fresh = () => `contract/${process.pid}-${Date.now()}-${++topics}`

  const promise = (name: string, run: (node: Node) => Promise<void>) => test(name, async () => {
    const node = new Node(await create(), patience)
    await node.broker.open(node)
    try {
      await run(node)
    } finally {
      await node.broker.close()
    }
  })

  promise('attaching gives the head that the first entry follows', async (node) => {
    const topic = fresh()
    const head = await node.broker.attach(topic)
    assert.ok(isPosition(head), `${head} is a position`)
    const id = await node.publish(topic, frame(1))
    await node.until(() => node.told.length === 1, 'the entry arrives')
    assert.deepEqual(node.told, [{ topic, id, prev: head, frame: frame(1), key: node.told[0]?.key }])
    assert.equal(await node.broker.attach(fresh()) === head, false, 'no other topic has that head')
  })

  promise('attaching to a topic that has entries gives the last one', async (node) => {
    const topic = fresh()
    await node.publish(topic, frame(1))
    const id = await node.publish(topic, frame(2))
    assert.equal(await node.broker.attach(topic), id)
    assert.deepEqual(node.told, [], 'and tells of none that were there')
  })

  promise('entries form one chain, in one order, whatever is published at once', async (node) => {
    const topic = fresh()
    const head = await node.broker.attach(topic)
    const ids = await Promise.all(numbers(1, 200).map((n) => node.publish(topic, frame(n))))
    await node.until(() => node.told.length === 200, 'all entries arrive')
    assertChain(node.told, head)
    assert.deepEqual([...ids].sort(), node.told.map(({ id }) => id).sort(), 'publish() gave their positions')
    const { entries } = await node.broker.read(topic, '', ALL)
    assert.deepEqual(entries.map(({ id, prev, frame }) => ({ id, prev, frame })), node.told.map(({ id, prev, frame }) => ({ id, prev, frame })), 'history has the same order')
  })

  promise('the sink hears of attached topics alone', async (node) => {
    const [attached, other] = [fresh(), fresh()]
    await node.broker.attach(attached)
    await node.publish(other, frame(1))
    await node.publish(attached, frame(2))
    await node.until(() => node.of(attached).length === 1, 'the entry of the attached topic arrives')
    assert.deepEqual(node.of(other), [])
  })

  promise('attaching again after detaching misses nothing that read() does not have', async (node) => {
    const topic = fresh()
    await node.broker.attach(topic)
    await node.publish(topic, frame(1))
    await node.until(() => node.told.length === 1, 'the first entry arrives')
    await node.broker.detach(topic)
    const between = await node.publish(topic, frame(2))
    assert.equal(await node.broker.attach(topic), between)
    const id = await node.publish(topic, frame(3))
    await node.until(() => node.told.some((entry) => entry.id === id), 'the third entry arrives')
    assert.equal(node.told.at(-1)?.prev, between)
    assert.deepEqual(await node.frames(topic, node.told[0]?.id), [frame(2), frame(3)])
  })

  promise('attach() and detach() take effect in the order of the calls, whether they are awaited or not', async (node) => {
    const [on, off] = [fresh(), fresh()]
    await Promise.all([node.broker.attach(on), node.broker.detach(on), node.broker.attach(on), node.broker.attach(off), node.broker.detach(off)])
    await node.publish(off, frame(1))
    const id = await node.publish(on, frame(2))
    await node.until(() => node.of(on).length === 1, 'the entry of the attached topic arrives')
    assert.deepEqual(node.told.map(({ topic, id }) => [topic, id]), [[on, id]])
  })

  promise('pages stay a chain while what they are of is trimmed', async (node) => {
    const topic = fresh()
    const published = { all: false }
    const publishing = (async () => {
      for (const n of numbers(1, 300)) await node.publish(topic, frame(n), { ...KEPT, max: 20 })
    })().finally(() => { published.all = true })
    let after: Position | '' = ''
    try {
      do {
        await turn()
        const { head, entries } = await node.broker.read(topic, after, { entries: 5, bytes: ALL.bytes })
        assertChain(entries)
        const last: BrokerEntry | undefined = entries.at(-1)
        assert.ok(comparePositions(last?.id ?? head, head) <= 0, 'the head is not behind the entries')
        after = last?.id ?? head
      } while (!published.all)
    } finally {
      await publishing
    }
  })

  promise('read() gives what follows a position', async (node) => {
    const topic = fresh()
    const ids: Position[] = []
    for (const n of numbers(1, 20)) ids.push(await node.publish(topic, frame(n)))
    const at = (n: number) => ids[n - 1] as Position // 1 to 20
    const { head, entries } = await node.broker.read(topic, at(15), ALL)
    assert.equal(head, at(20))
    assertChain(entries, at(15))
    assert.deepEqual(entries.map(({ id }) => id), ids.slice(15))
    assert.deepEqual(await node.broker.read(topic, at(20), ALL), { head: at(20), entries: [] }, 'nothing behind the head')
    assert.deepEqual((await node.broker.read(topic, '', ALL)).entries.map(({ id }) => id), ids, 'all behind the beginning')
  })

  promise('read() needs no position that an entry has', async (node) => {
    const topic = fresh()
    const ids = [await node.publish(topic, frame(1)), await node.publish(topic, frame(2))]
    const early = `${epochOf(ids[0] as Position)}.1-0`
    const late = `${epochOf(ids[0] as Position)}.999999999999999-0`
    assert.deepEqual((await node.broker.read(topic, early, ALL)).entries.map(({ id }) => id), ids, 'all entries follow one that is before them')
    assert.deepEqual(await node.broker.read(topic, late, ALL), { head: ids[1], entries: [] }, 'none follows one that is beyond the head')
  })

  promise('read() heeds its limits, but always goes on', async (node) => {
    const topic = fresh()
    for (const n of numbers(1, 10)) await node.publish(topic, frame('x'.repeat(100) + n))
    const { entries: three } = await node.broker.read(topic, '', { entries: 3, bytes: ALL.bytes })
    assert.ok(three.length >= 1 && three.length <= 3)
    const { entries: small } = await node.broker.read(topic, '', { entries: ALL.entries, bytes: 1 })
    assert.equal(small.length, 1, 'one entry, though it is larger')
    const seen: string[] = []
    for (let after: Position | '' = '', head: Position | undefined; after !== head;) {
      const page = await node.broker.read(topic, after, { entries: 4, bytes: 250 })
      assertChain(page.entries, after === '' ? undefined : after)
      const last = page.entries.at(-1)
      assert.ok(last !== undefined, 'no page is empty before the end')
      seen.push(...page.entries.map(({ frame }) => frame))
      head = page.head
      after = last.id
    }
    assert.deepEqual(seen, numbers(1, 10).map((n) => frame('x'.repeat(100) + n)))
  })

  promise('a topic that nobody has published to has a head and no entries', async (node) => {
    const topic = fresh()
    const { head, entries } = await node.broker.read(topic, '', ALL)
    assert.ok(isPosition(head))
    assert.deepEqual(entries, [])
    assert.equal(await node.broker.attach(topic), head, 'the same for whoever asks')
  })

  promise('retention bounds entries, and the chain shows it', async (node) => {
    const topic = fresh()
    const ids: Position[] = []
    for (const n of numbers(1, 300)) ids.push(await node.publish(topic, frame(n), { ...KEPT, max: 10 }))
    const { head, entries } = await node.broker.read(topic, ids[0] as Position, ALL)
    assert.equal(head, ids[299])
    assert.ok(entries.length >= 10 && entries.length <= 10 + 100, `${entries.length} entries are kept of 10`) // some stores trim by blocks
    assertChain(entries)
    assert.equal(entries[0]?.prev === ids[0], false)
    assert.equal(entries[0]?.prev, ids[299 - entries.length])
  })

  promise('retention bounds bytes', async (node) => {
    const topic = fresh()
    for (const n of numbers(1, 300)) await node.publish(topic, frame('x'.repeat(1_000) + n), { ...KEPT, bytes: 20_000 })
    const { entries } = await node.broker.read(topic, '', ALL)
    const bytes = entries.reduce((sum, { frame }) => sum + Buffer.byteLength(frame), 0)
    assert.ok(bytes <= 20_000 * 8, `${bytes} bytes are kept of 20,000`) // likewise
    assert.equal(entries.at(-1)?.frame, frame(`${'x'.repeat(1_000)}300`))
  })

  promise('retention bounds age; the head is remembered', async (node) => {
    const topic = fresh()
    await node.publish(topic, frame(1), { ...KEPT, ttl: 20 })
    const id = await node.publish(topic, frame(2), { ...KEPT, ttl: 20 })
    await node.until(async () => (await node.frames(topic)).length === 0, 'entries grow too old')
    assert.equal((await node.broker.read(topic, '', ALL)).head, id)
    assert.equal(await node.broker.attach(topic), id)
  })

  promise('retention of none keeps none, and tells all the same', async (node) => {
    const topic = fresh()
    const head = await node.broker.attach(topic)
    const ids = [await node.publish(topic, frame(1), { ...KEPT, max: 0 }), await node.publish(topic, frame(2), { ...KEPT, max: 0 })]
    await node.until(() => node.told.length === 2, 'the entries arrive')
    assertChain(node.told, head)
    assert.deepEqual(await node.broker.read(topic, head, ALL), { head: ids[1], entries: [] })
  })

  promise('of events with one dedupe key the first is appended', async (node) => {
    const [topic, other] = [fresh(), fresh()]
    const publish = (to: string, n: number) => node.broker.publish(to, { frame: frame(n), dedupe: 'a' }, KEPT)
    const [first, second] = await Promise.all([publish(topic, 1), publish(topic, 2)])
    assert.equal(second, first, 'the second has the position of the first')
    assert.equal(await publish(topic, 3), first)
    assert.deepEqual(await node.frames(topic), [frame(1)])
    assert.notEqual(await publish(other, 4), first)
    assert.deepEqual(await node.frames(other), [frame(4)], 'a key counts in its topic alone')
  })

  promise('no two topics share an epoch', async (node) => {
    const ids = await Promise.all(numbers(1, 50).map(async (n) => node.publish(fresh(), frame(n))))
    assert.equal(new Set(ids.map(epochOf)).size, 50)
  })

  promise('frames and keys come back as they were', async (node) => {
    const topic = fresh()
    await node.broker.attach(topic)
    const frames = ['data: \n', 'data: "\\u2028 \u0001"\n', 'data: "ä 😀 \u{10ffff}"\n', `data: ${'ä'.repeat(300_000)}\n`]
    for (const [index, frame] of frames.entries()) await node.broker.publish(topic, { frame, key: `key ${index} ä` }, KEPT)
    await node.until(() => node.told.length === frames.length, 'the entries arrive')
    for (const entries of [node.told, (await node.broker.read(topic, '', ALL)).entries]) {
      assert.deepEqual(entries.map(({ frame }) => frame), frames)
      assert.deepEqual(entries.map(({ key }) => key), frames.map((_, index) => `key ${index} ä`))
    }
  })

  promise('names of topics may hold what a URL segment may', async (node) => {
    const [a, b] = [`${fresh()}/%20ä%2F*{a}:b`, `${fresh()}/%20ä%2F*{a}`]
    await node.broker.attach(a)
    await node.publish(b, frame(1))
    await node.publish(a, frame(2))
    await node.until(() => node.told.length === 1, 'the entry arrives')
    assert.deepEqual(node.told.map(({ topic, frame }) => [topic, frame]), [[a, frame(2)]])
  })

  promise('a command reaches the sink', async (node) => {
    await node.broker.command('{"channel":"a"}')
    await node.until(() => node.commands.length === 1, 'the command arrives')
    assert.deepEqual(node.commands, ['{"channel":"a"}'])
  })

  promise('an open broker is live', async (node) => {
    await node.until(() => node.broker.health().state === 'live', 'it says so')
  })

  test('a closed broker refuses to publish', async () => {
    const node = new Node(await create(), patience)
    await node.broker.open(node)
    await node.broker.close()
    await assert.rejects(node.publish(fresh(), frame(1)), Error)
    assert.equal(node.broker.health().state, 'down')
  })

  if (!shared) return

  promise('two nodes see one order, and each other’s commands', async (node) => {
    const other = new Node(await create(), patience)
    await other.broker.open(other)
    try {
      const topic = fresh()
      const [head, same] = await Promise.all([node.broker.attach(topic), other.broker.attach(topic)])
      assert.equal(same, head)
      await Promise.all(numbers(1, 100).map((n) => (n % 2 === 0 ? node : other).publish(topic, frame(n))))
      await node.until(() => node.told.length === 100 && other.told.length === 100, 'all entries arrive at both')
      assertChain(node.told, head)
      assert.deepEqual(other.told, node.told)
      await other.broker.command('{"key":"b"}')
      await node.until(() => node.commands.length === 1 && other.commands.length === 1, 'the command arrives at both')
    } finally {
      await other.broker.close()
    }
  })
}
