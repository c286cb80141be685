// What Fastify is given to send: a Readable, so that onSend hooks run, headers of other plugins stay, and an early failure is
// an ordinary HTTP error. Its pipe() hands the response to the stream and is done, because a Readable's own
// bookkeeping costs more than the frame that it moves. Whoever reads it otherwise gets a plain Readable.
import { Readable } from 'node:stream'
import { shedWatch } from './shed.js'

export interface BodyOwner {
  isResponse (destination: unknown): boolean
  /** Whether somebody has taken the response from Fastify, and does what they do with it. */
  readonly isHijacked: boolean
  /** From now on the owner writes to the response. @param endsResponse false where somebody else does that, at the body's 'end' */
  flowDirectly (endsResponse: boolean): void
  /** More is wanted. */
  read (): void
  /** It was destroyed, by whoever read it or by an error of theirs. */
  abandoned (error: Error | null): void
}

export class Body extends Readable {
  readonly #owner: BodyOwner

  constructor (owner: BodyOwner) {
    super()
    this.#owner = owner
  }

  // A transform in between (a hook's) and a hook that listens for data get the Readable that they expect.
  override pipe<Destination extends NodeJS.WritableStream> (destination: Destination, options?: { end?: boolean }): Destination {
    if (!this.#owner.isResponse(destination) || this.readableFlowing !== null) return super.pipe(destination, options)
    const endsResponse = options?.end !== false
    // Where it does not, there are trailers, which Fastify sends at the 'end' that it listens for. And where it is not
    // Fastify that pipes, the listeners may be somebody's own.
    if (endsResponse && !this.#owner.isHijacked) {
      shedWatch(this)
      shedWatch(destination)
    }
    this.#owner.flowDirectly(endsResponse)
    return destination
  }

  override _read (): void {
    this.#owner.read()
  }

  override _destroy (error: Error | null, callback: (error?: Error | null) => void): void {
    this.#owner.abandoned(error)
    callback(error)
  }
}
