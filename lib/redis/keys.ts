// Where things are in Redis. Whatever belongs to one topic shares a hash tag, and with it a slot of a cluster.
import type { ClientOptions } from './connection.js'

export interface TopicKeys {
  /** A stream: what is kept of a topic. */
  readonly history: string
  /** A hash: how the topic stands, as scripts.ts has it. It outlives the history by far. */
  readonly meta: string
  /** Of pub/sub. */
  readonly channel: string
}

export class Keys {
  readonly #namespace: string
  /** Of pub/sub channels: the client puts its prefix before keys alone, and databases share their channels. */
  readonly #prefix: string

  constructor (namespace: string, { keyPrefix = '', db = 0 }: ClientOptions) {
    this.#namespace = namespace
    this.#prefix = db === 0 ? keyPrefix : `${db}:${keyPrefix}`
  }

  of (topic: string): TopicKeys {
    const tag = this.#tag(topic)
    return { history: `${tag}:s`, meta: `${tag}:m`, channel: `${this.#prefix}${tag}` }
  }

  /** A string: the position of what was published with that key. */
  dedupe (topic: string, key: string): string {
    return `${this.#tag(topic)}:d:${key}`
  }

  /** Likewise, with a key that nobody else has. */
  repeat (topic: string, key: string): string {
    return `${this.#tag(topic)}:r:${key}`
  }

  /** A stream: what all nodes were told of late. */
  get log (): string {
    return `${this.#namespace}:commands:s`
  }

  /** What all nodes hear. */
  get commands (): string {
    return `${this.#prefix}${this.#namespace}:commands`
  }

  /** What one node sends to itself. */
  echo (node: string): string {
    return `${this.#prefix}${this.#namespace}:echo:${node}`
  }

  #tag (topic: string): string {
    return `{${this.#namespace}:${topic}}`
  }
}
