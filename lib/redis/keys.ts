// Where things are in Redis. Whatever belongs to one topic shares a hash tag, and with it a slot of a cluster.
import type { ClientOptions } from './connection.js'

export class Keys {
  readonly #namespace: string
  /** Of pub/sub channels: the client puts its prefix before keys alone, and databases share their channels. */
  readonly #prefix: string

  constructor (namespace: string, { keyPrefix = '', db = 0 }: ClientOptions) {
    this.#namespace = namespace
    this.#prefix = db === 0 ? keyPrefix : `${db}:${keyPrefix}`
  }

  /** A stream: what is kept of a topic. */
  history (topic: string): string {
    return `${this.#tag(topic)}:s`
  }

  /** A string: how the topic stands, as scripts.ts has it. It outlives the history by far. */
  meta (topic: string): string {
    return `${this.#tag(topic)}:m`
  }

  /** A string: the position of what was published with that key. */
  dedupe (topic: string, key: string): string {
    return `${this.#tag(topic)}:d:${key}`
  }

  /** Likewise, with a key that nobody else has. */
  repeat (topic: string, key: string): string {
    return `${this.#tag(topic)}:r:${key}`
  }

  /** The pub/sub channel of a topic. */
  channel (topic: string): string {
    return `${this.#prefix}${this.#tag(topic)}`
  }

  /** The topic of a channel, or undefined where it is not one of a topic. */
  topicOf (channel: string): string | undefined {
    const before = this.#prefix.length + 1 + this.#namespace.length + 1
    return channel[this.#prefix.length] === '{' ? channel.slice(before, -1) : undefined
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
