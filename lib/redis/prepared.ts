// Publishes that are ready but for their time and their entry, as those of a topic are when it is known how it stands. What the client makes of
// ten arguments is half of what a publish costs a node, so what does not change is written once.
import type { Command, Connection, Found } from './connection.js'
import type { TopicKeys } from './keys.js'
import { EPOCH_LENGTH, MS_LENGTH } from './scripts.js'

const UTF8 = { replyEncoding: 'utf8' } as const

const PING = '*1\r\n$4\r\nPING\r\n'
const NOWHERE = { write () {} }

export interface Prepared {
  /** As it is written, up to the time. */
  readonly start: string
  /** Which those who trace commands are told of. */
  readonly keys: readonly string[]
}

/** Of a single server. A cluster's client picks the link by the keys. */
export class PreparedPublisher {
  readonly #connection: Connection
  readonly #digest: string
  readonly #keyPrefix: string
  /** One for all: what is answered again is not told again. */
  readonly #ping: Command
  readonly #Wired: ReturnType<typeof wired>

  constructor (connection: Connection, digest: string, keyPrefix: string) {
    this.#connection = connection
    this.#digest = digest
    this.#keyPrefix = keyPrefix
    this.#ping = commandOf(connection, (link) => link.ping())
    this.#ping.promise.catch(() => {}) // a refusal does as well, and what becomes of the link the publish tells
    this.#Wired = wired(this.#ping.constructor)
  }

  prepare ({ history, meta, channel }: TopicKeys, [name, max, rest]: readonly [name: string, max: string, rest: string]): Prepared {
    const fence = `-${name.slice(EPOCH_LENGTH + 1)}`
    const known = ['EVALSHA', this.#digest, '2', `${this.#keyPrefix}${history}`, `${this.#keyPrefix}${meta}`, channel, name, max, rest]
    const start = `*${known.length + 3}\r\n${known.map((one) => `$${Buffer.byteLength(one)}\r\n${one}\r\n`).join('')}$${fence.length + MS_LENGTH}\r\n${fence}`
    return { start, keys: [history, meta] }
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
    const command = new this.#Wired('evalsha', keys, UTF8)
    const bytes = `${size}`
    command.wire = `${isAlone ? PING : ''}${start}${now}\r\n$${bytes}\r\n${text}\r\n$${bytes.length}\r\n${bytes}\r\n`
    if (isAlone) void this.#connection.sendCommand(this.#ping, NOWHERE) // so that its answer is awaited: it is written with the publish
    return this.#connection.sendCommand(command) as Promise<number | Found> // by the script
  }
}

/** What the client would send. Of its own kind of commands, it has nothing else to give. */
function commandOf (connection: Connection, ask: (link: Connection) => unknown): Command {
  let command: Command | undefined
  ask(Object.create(connection, { sendCommand: { value: (one: Command) => { command = one } } }) as Connection) // which it is, but for that
  return command as unknown as Command // given by then
}

function wired (Command: Command['constructor']) {
  return class extends Command {
    wire = ''

    override toWritable (): string {
      return this.wire
    }
  }
}
