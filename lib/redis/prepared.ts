// Publishes that are ready but for their time and their entry, as those of a topic are when it is known how it stands. What the client makes of
// ten arguments is half of what a publish costs a node, so what does not change is written once.
import type { Command, Connection, Found } from './connection.js'
import type { TopicKeys } from './keys.js'
import { EPOCH_LENGTH, MS_LENGTH } from './scripts.js'

const PING = '*1\r\n$4\r\nPING\r\n'
const NOWHERE = { write () {} }

export interface Prepared {
  /** As it is written, up to the time. */
  readonly start: string
  /** `-` and the fence. */
  readonly fence: string
  /** Which those who trace commands are told of. */
  readonly keys: readonly string[]
}

/** Of a single server. A cluster's client picks the link by the keys. */
export class PreparedPublisher {
  readonly #connection: Connection
  readonly #digest: string
  readonly #keyPrefix: string
  readonly #Written: ReturnType<typeof writtenLike>

  constructor (connection: Connection, digest: string, keyPrefix: string) {
    this.#connection = connection
    this.#digest = digest
    this.#keyPrefix = keyPrefix
    this.#Written = writtenLike(commandOf(connection, (link) => link.ping()))
  }

  prepare ({ history, meta, channel }: TopicKeys, [name, max, rest]: readonly [name: string, max: string, rest: string]): Prepared {
    const fence = `-${name.slice(EPOCH_LENGTH + 1)}`
    const known = ['EVALSHA', this.#digest, '2', `${this.#keyPrefix}${history}`, `${this.#keyPrefix}${meta}`, channel, name, max, rest]
    const start = `*${known.length + 3}\r\n${known.map((one) => `$${Buffer.byteLength(one)}\r\n${one}\r\n`).join('')}$${fence.length + MS_LENGTH}\r\n${fence}`
    return { start, fence, keys: [history, meta] }
  }

  /**
   * Gives the offset, or what the script has found.
   *
   * Redis writes to its clients at the end of a turn, to those first that it had something for last. The answer to a publish comes
   * behind the message, so the publisher would be written to first, and woken, before anybody hears. With a PING ahead it is the
   * other way around: a seventh of the time from publish to receive.
   *
   * @param isAlone whether no other is under way. Beside others there is no time to win, and it would be work
   */
  publish ({ start, keys }: Prepared, now: number, text: string, size: number, isAlone: boolean): Promise<number | Found> {
    const bytes = `${size}`
    const command = new this.#Written('evalsha', keys, `${isAlone ? PING : ''}${start}${now}\r\n$${bytes}\r\n${text}\r\n$${bytes.length}\r\n${bytes}\r\n`)
    if (isAlone) this.#connection.sendCommand(new this.#Written('ping', [], ''), NOWHERE).catch(() => {}) // its answer is awaited, and it is written with the publish. A refusal does as well
    return this.#connection.sendCommand(command) as Promise<number | Found> // by the script
  }
}

/** What the client would send. Of its own kind of commands, it has nothing else to give. */
function commandOf (connection: Connection, ask: (link: Connection) => unknown): Command {
  let command: Command | undefined
  ask(Object.create(connection, { sendCommand: { value: (one: Command) => { command = one } } }) as Connection) // which it is, but for that
  return command as unknown as Command // given by then
}

/**
 * Commands of the client's own kind, as they are written: what they do not have themselves, they have from one that the client has made. To
 * make one as the client does takes longer than all else that a node does for a publish, though it need not be taken apart,
 * transformed or given a deadline.
 */
function writtenLike (model: Command) {
  class Written {
    readonly name: string
    readonly args: readonly string[]
    readonly promise: Promise<unknown>
    resolve!: (reply: unknown) => void
    reject!: (error: Error) => void
    isTraced = false
    isSettled = false
    readonly #text: string

    constructor (name: string, args: readonly string[], text: string) {
      this.name = name
      this.args = args
      this.#text = text
      this.promise = new Promise((resolve, reject) => {
        this.resolve = (reply) => resolve(Array.isArray(reply) ? reply.map(String) : reply) // of buffers
        this.reject = reject
      })
    }

    setReplyContext (): void {}

    toWritable (): string {
      return this.#text
    }
  }
  Object.setPrototypeOf(Written.prototype, model)
  return Written
}
