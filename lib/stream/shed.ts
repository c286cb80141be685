// Memory. What Fastify and Node.js keep of an answer whose head is made, they keep as long as the answer lasts: 3.3 KiB
// beside the 5 KiB of a bare response. On ordinary answers nobody minds; ten thousand idle streams shed it.
import type { EventEmitter } from 'node:events'
import type { FastifyReply } from 'fastify'

/** The listeners of Node's `finished()`, in the order in which it adds them. */
const WATCHED: ReadonlyArray<readonly [event: string, names: readonly string[]]> = [
  ['end', ['onlegacyfinish', 'onend']],
  ['close', ['onlegacyfinish', 'onclose']],
  ['finish', ['onfinish']],
  ['error', ['onerror']]
]

/**
 * Fastify watches both ends of what it sends by `finished()`, which is 14 closures and their contexts. When a stream has been
 * piped to the response, it does itself what they watch for: it closes with the response, and no failure of its own
 * leaves it. For the time right behind the call of `finished()`: takes back what it did, if that is the last thing done.
 */
export function shedWatch (emitter: EventEmitter): void {
  for (const [event, names] of WATCHED) {
    for (let index = names.length - 1; index >= 0; index--) {
      const last = emitter.listeners(event).at(-1)
      if (last?.name === names[index]) emitter.removeListener(event, last as () => void) // a listener, as `listeners` says
    }
  }
  emitter.on('error', ignore) // Fastify's other one leaves at 'finish', and without any a late error would end the process
}

function ignore (): void {}

/** Node's own name for the text of a head. */
interface Headed { readonly _header?: string | null }

let kOutHeaders: symbol | undefined

/**
 * Makes the head of an answer, to be sent with its first bytes, and lets go of the headers that it was made of. The reply has
 * them too: only `reply.raw.getHeader()` does not find them any more.
 */
export function shedHeaders ({ raw }: FastifyReply): void {
  if (raw.headersSent) return // by a hook
  raw.writeHead(raw.statusCode)
  // Made of two dozen pieces, which V8 joins when it is read, and forgets.
  void (raw as Headed)._header?.charCodeAt(0)
  kOutHeaders ??= Object.getOwnPropertySymbols(raw).find(({ description }) => description === 'kOutHeaders')
  if (kOutHeaders !== undefined && kOutHeaders in raw) Object.assign(raw, { [kOutHeaders]: null }) // as it is where no header was set
}
