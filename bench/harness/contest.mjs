// Contestants take turns, round after round, each in a fresh process: what the machine does meanwhile hits all alike.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const here = (name) => fileURLToPath(new URL(name, import.meta.url))

/** A server that runs. */
export class Server {
  #id = 0

  static async start (file, given) {
    const server = new Server()
    server.given = given
    server.process = fork(here('server.mjs'), [JSON.stringify({ file, ...given })], { execArgv: ['--expose-gc', ...(given.execArgv ?? [])] })
    const [{ port, versions }] = await Promise.race([once(server.process, 'message'), once(server.process, 'exit').then(([code]) => { throw new Error(`${file} ended with ${code}`) })])
    return Object.assign(server, { port, versions })
  }

  async ask (command, given = {}) {
    const id = ++this.#id
    this.process.send({ id, command, ...given })
    for (;;) {
      const [message] = await once(this.process, 'message')
      if (message.id === id) return message.answer
    }
  }

  /** Readers of a path, which begin to connect. */
  connect (path, connections) {
    return new Readers({ port: this.port, path, connections, bytes: this.given.bytes, kind: this.given.kind })
  }

  /** Readers of a path. Resolves when each has got something. */
  async readers (path, connections) {
    const readers = this.connect(path, connections)
    await readers.hears('opened')
    return readers
  }

  async probe (probes) {
    const [{ p50, p99 }] = await once(fork(here('probe.mjs'), [JSON.stringify({ port: this.port, probes })]), 'message')
    return { p50: p50 ?? Infinity, p99: p99 ?? Infinity } // of which JSON knows nothing
  }

  /** Microseconds of CPU that the server needs while something is done. */
  async cpuOf (work) {
    const before = await this.ask('usage')
    const result = await work()
    const after = await this.ask('usage')
    return { cpu: after.cpu - before.cpu, ms: after.at - before.at, result }
  }

  async stop () {
    this.process.kill()
    await once(this.process, 'exit')
  }
}

export class Readers {
  constructor (given) {
    this.process = fork(here('clients.mjs'), [JSON.stringify(given)])
  }

  async hears (what) {
    for (;;) {
      const [message] = await once(this.process, 'message')
      if (message.wrong !== undefined) throw new Error(message.wrong)
      if (what in message) return message
    }
  }

  /** Resolves when all of them together have got so many events since they came. */
  async reach (events) {
    const heard = this.hears('reached')
    this.process.send({ until: events })
    return heard
  }

  /** Bytes so far, heads too. */
  async received () {
    const heard = this.hears('counted')
    this.process.send({ count: true })
    return (await heard).counted
  }

  /** Whatever they are busy with. */
  async kill () {
    this.process.kill('SIGKILL')
    await once(this.process, 'exit')
  }

  async leave () {
    this.process.send({})
    await once(this.process, 'exit')
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
 * @returns for each contestant that could: of each number its value in each round, the median, the least and the most
 */
export async function contest (contestants, rounds, given, measure) {
  const all = new Map(contestants.map((file) => [file, []]))
  const versions = {}
  for (let round = 0; round < rounds; round++) {
    for (const file of contestants) {
      if (!all.has(file)) continue
      const server = await Server.start(file, given)
      Object.assign(versions, server.versions)
      try {
        all.get(file).push(await measure(server))
      } catch (error) {
        console.error(`  ${file}: ${error.message}`)
        all.delete(file) // an empty cell, and not a zero
      } finally {
        await server.stop()
      }
    }
  }
  const results = {}
  for (const [file, values] of all) {
    results[file] = Object.fromEntries(Object.keys(values[0]).map((key) => {
      const numbers = values.map((one) => one[key])
      return [key, { rounds: numbers, median: median(numbers), least: Math.min(...numbers), most: Math.max(...numbers) }]
    }))
  }
  return { results, versions }
}
