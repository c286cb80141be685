// A real redis-server of a test's own, which can be killed, stopped, and started again with its data or without.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const hasRedis = spawnSync('redis-server', ['--version']).status === 0

/** Why its tests are left out. In CI they are not. */
export const skip: false | string = hasRedis || process.env.CI !== undefined ? false : 'redis-server is not installed'

interface Testing { teardown (close: () => Promise<void>): unknown }

export class RedisServer {
  readonly port: number
  readonly #folder: string
  readonly #options: readonly string[]
  #process: ChildProcess | undefined

  private constructor (port: number, options: readonly string[]) {
    this.port = port
    this.#options = options
    this.#folder = mkdtempSync(join(tmpdir(), 'sse-redis-'))
  }

  static async start (t: Testing, ...options: string[]): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), options)
    t.teardown(async () => {
      await server.kill()
      rmSync(server.#folder, { recursive: true, force: true })
    })
    await server.start()
    return server
  }

  /** One that watches a server, and by itself makes one of its replicas take over. It keeps what it knows in its configuration. */
  static async startSentinel (t: Testing, name: string, watched: RedisServer): Promise<RedisServer> {
    const folder = mkdtempSync(join(tmpdir(), 'sse-sentinel-'))
    t.teardown(async () => rmSync(folder, { recursive: true, force: true }))
    const file = join(folder, 'sentinel.conf')
    writeFileSync(file, [`monitor ${name} 127.0.0.1 ${watched.port} 1`, `down-after-milliseconds ${name} 500`, `failover-timeout ${name} 5000`].map((line) => `sentinel ${line}\n`).join(''))
    return RedisServer.start(t, file, '--sentinel')
  }

  /** With what it had saved. */
  async start (): Promise<void> {
    const [first, ...others] = this.#options
    const [file, more] = first === undefined || first.startsWith('--') ? [[], this.#options] : [[first], others]
    const options = [...file, '--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder, '--save', '', ...more]
    const started = this.#process = spawn('redis-server', options, { stdio: 'ignore' })
    for (;;) {
      if (started.exitCode !== null) throw new Error(`redis-server ${options.join(' ')} ended with ${started.exitCode}`)
      const answer = await this.cli('PING').catch((error: Error) => error.message)
      if (/^(PONG|NOAUTH)/.test(answer)) return
      await delay(10)
    }
  }

  async kill (): Promise<void> {
    const running = this.#process
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return
    const over = once(running, 'exit')
    running.kill('SIGCONT')
    running.kill('SIGKILL')
    await over
  }

  /** It accepts, and answers nothing. */
  stop (): void { this.#process?.kill('SIGSTOP') }
  goOn (): void { this.#process?.kill('SIGCONT') }

  /** Sends one command, and gives the first line of what comes, or for a bulk reply all of it. */
  async cli (...words: string[]): Promise<string> {
    const socket = net.connect(this.port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`)
      let answer = ''
      while (!isWhole(answer)) answer += String((await once(socket, 'data'))[0])
      if (answer.startsWith('-')) throw new Error(answer.slice(1).trimEnd())
      return answer.startsWith('$') ? answer.slice(answer.indexOf('\n') + 1, -2) : answer.slice(1).trimEnd()
    } finally {
      socket.destroy()
    }
  }
}

function isWhole (answer: string): boolean {
  if (!answer.includes('\r\n')) return false
  if (!answer.startsWith('$') || answer.startsWith('$-1')) return true
  const end = answer.indexOf('\n') + 1
  return Buffer.byteLength(answer.slice(end)) >= parseInt(answer.slice(1), 10) + 2
}

/** A cluster's node takes the port of the same number and 10,000, too. */
const BUS = 10_000

export async function freePort (): Promise<number> {
  for (;;) {
    const { port } = await listen(0)
    if (port + BUS <= 65_535 && await listen(port + BUS).then(() => true, () => false)) return port
  }
}

async function listen (port: number): Promise<net.AddressInfo> {
  const server = net.createServer().listen(port, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address() as net.AddressInfo
  server.close()
  return address
}
