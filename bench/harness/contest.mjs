// Contestants take turns, round after round, each in a fresh process: what the machine does meanwhile hits all alike.
import { once } from 'node:events'
import { Child } from './child.mjs'
import { instructionsOf } from './instructions.mjs'

/** A server that runs. */
export class Server {
  #id = 0
  #readers = []

  static async start (file, given) {
    const server = new Server()
    server.file = file
    server.given = given
    server.child = new Child('server.mjs', { file, ...given }, ['--expose-gc', ...(given.execArgv ?? [])])
    const { port, versions } = await server.child.hears((message) => 'port' in message)
    return Object.assign(server, { port, versions })
  }

  async ask (command, given = {}) {
    const id = ++this.#id
    return (await this.child.ask({ id, command, ...given }, (message) => message.id === id)).answer
  }

  /** Readers of a path, which begin to connect. */
  connect (path, connections) {
    const readers = new Readers({ port: this.port, path, connections, bytes: this.given.bytes, kind: this.given.kind })
    this.#readers.push(readers)
    return readers
  }

  /** Readers of a path. Resolves when each has got something. */
  async readers (path, connections) {
    const readers = this.connect(path, connections)
    await readers.opened
    return readers
  }

  /** How long another route's answers take, in ms: undefined where none come. */
  async probe (probes) {
    const { p50, p99 } = await new Child('probe.mjs', { port: this.port, probes }).hears((message) => 'asked' in message)
    return { p50, p99 }
  }

  /** Microseconds of CPU that the server needs while something is done. */
  async cpuOf (work) {
    const before = await this.ask('usage')
    const result = await work()
    const after = await this.ask('usage')
    return { cpu: after.cpu - before.cpu, ms: after.at - before.at, result }
  }

  /** Instructions that the server needs while something is done. */
  async instructionsOf (work) {
    return await instructionsOf(this.child.process.pid, work)
  }

  /** With all of its readers, where something went wrong. */
  async stop () {
    await Promise.all(this.#readers.map((readers) => readers.kill()))
    await this.child.kill()
  }
}

export class Readers {
  #child

  constructor (given) {
    this.#child = new Child('clients.mjs', given)
    this.opened = this.#child.hears((message) => 'opened' in message)
    this.opened.catch(() => {}) // not everybody waits for it
  }

  /** Resolves when all of them together have got so many events since they came. */
  async reach (events) {
    await this.#child.ask({ until: events }, (message) => 'reached' in message)
  }

  /** How many bytes there were so far, heads too, and how many comments. */
  async counts () {
    return await this.#child.ask({ count: true }, (message) => 'received' in message)
  }

  /** Whatever they are busy with. */
  async kill () {
    await this.#child.kill()
  }

  async leave () {
    const over = once(this.#child.process, 'exit')
    this.#child.process.send({})
    await over
  }
}

export const median = (numbers) => {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * @param contestants names of files in servers/
 * @param measure resolves with an object of numbers; rejects where the contestant got it wrong
 * @returns for each contestant that could: of each number its value in each round, the median, the least and the most, Infinity
 *   where it was undefined; and why others could not
 */
export async function contest (contestants, rounds, given, measure) {
  const all = new Map(contestants.map((file) => [file, []]))
  const versions = {}
  const failures = {}
  for (let round = 0; round < rounds; round++) {
    const first = round % contestants.length // not always behind the same one
    for (const file of [...contestants.slice(first), ...contestants.slice(0, first)]) {
      if (!all.has(file)) continue
      let server
      try {
        server = await Server.start(file, given)
        Object.assign(versions, server.versions)
        all.get(file).push(await measure(server))
      } catch (error) {
        failures[file] = error.message
        all.delete(file) // an empty cell, and not a zero
      } finally {
        await server?.stop()
      }
    }
  }
  const results = {}
  for (const [file, values] of all) {
    results[file] = Object.fromEntries(Object.keys(values[0]).map((key) => {
      const numbers = values.map((one) => one[key] ?? Infinity)
      return [key, { rounds: numbers, median: median(numbers), least: Math.min(...numbers), most: Math.max(...numbers) }]
    }))
  }
  return { results, versions, failures }
}
