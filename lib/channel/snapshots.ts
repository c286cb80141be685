// The states of topics, for a client that has none: one after another, each pulled as the source of any stream is.
import { SSE_ERR_INVALID_EVENT } from '../errors.js'
import { logLate } from '../guard.js'
import { readItem } from '../schema/item.js'
import { Puller, type PullerHost, type Taker } from '../stream/puller.js'
import type { SseStream } from '../stream/stream.js'
import type { Permit } from './permit.js'
import { contextOf, passes, type Part } from './subscription.js'

/** What snapshots are run for. */
export interface SnapshotOwner {
  readonly stream: SseStream
  readonly permit: Permit
  /** It was due to ask whether the stream may still have its topics. Calls `goOn` at a yes. */
  recheck (): void
  /** The last snapshot has come to its end. */
  snapshotsDone (): void
}

export class Snapshots implements Taker {
  readonly #host: PullerHost
  readonly #owner: SnapshotOwner
  /** The first of them runs. */
  #parts: readonly Part[]
  #puller: Puller | undefined
  /** What came while it was asked whether the stream may have it. No more than one: nothing is pulled meanwhile. */
  #held: string | undefined
  #ended = false

  constructor (host: PullerHost, owner: SnapshotOwner, parts: readonly Part[]) {
    this.#host = host
    this.#owner = owner
    this.#parts = parts
  }

  start (): void { this.#next() }

  /** Runs them too, behind those that run. */
  add (parts: readonly Part[]): void {
    this.#parts = [...this.#parts, ...parts]
  }

  pull (): void { this.#puller?.pull() }
  yield (): void { this.#puller?.yield() }
  release (): void { this.#puller?.release() }

  /** The stream may still have its topics. */
  goOn (): void {
    const frame = this.#held
    this.#held = undefined
    if (frame !== undefined) this.#owner.stream.accept(frame)
    if (this.#ended) this.finish()
    else this.pull()
  }

  get wants (): boolean {
    return !this.#owner.permit.isAsking && this.#owner.stream.wants
  }

  accept (frame: string): boolean {
    const { permit, stream } = this.#owner
    if (permit.isDue) this.#owner.recheck()
    if (!permit.isAsking) return stream.accept(frame)
    this.#held = frame
    return false
  }

  fail (error: unknown): void {
    this.#owner.stream.fail(error)
  }

  finish (): void {
    if (this.#owner.permit.isAsking) {
      this.#ended = true
      return
    }
    this.#ended = false
    this.#parts = this.#parts.slice(1)
    this.#next()
  }

  #next (): void {
    const [part] = this.#parts
    if (part === undefined) this.#owner.snapshotsDone()
    else this.#run(part)
  }

  #run (part: Part): void {
    const { stream } = this.#owner
    const { channel } = part
    const context = { ...contextOf(part, stream.request), events: channel.encoder.events as never, get signal () { return stream.signal } } // typed by the channel's events
    this.#puller = new Puller(this.#host, this, {
      source: () => channel.options.snapshot?.(context),
      context: undefined,
      encode: (item) => this.#encode(part, item),
      failedLate: logLate(this.#owner.stream.request)
    })
    this.#puller.start()
  }

  #encode (part: Part, item: unknown): string | undefined {
    const { stream } = this.#owner
    if (typeof item === 'object' && item !== null && 'id' in item && item.id !== undefined) throw new SSE_ERR_INVALID_EVENT(`Expected the events of a snapshot to have no \`id\`: where the client stands in \`${part.name}\` is told behind them`)
    const frame = part.channel.encoder.encode(item, stream.options)
    const { event, data, text } = readItem(item)
    return passes(part, { event: event ?? 'message', data: text === undefined ? data : text }, stream.request) ? frame : undefined
  }
}
