// One piece of memory that large writes are made in again and again. Of an always-ready stream's CPU, an eighth went into
// getting 32 KiB for each write, touching its pages for the first time, and freeing it.
import { Buffer } from 'node:buffer'
import { Socket } from 'node:net'

/** What a stream gathers before it writes, where it is ASCII, and an event of up to 8 KiB more. */
const SLAB_BYTES = 40_960

/** A reader that blocks keeps a whole slab, so it should fill it well. */
const LEAST_BYTES = 32_768

/** What a write passes on its way to the kernel. */
const WAY = ['write', '_write', '_writev', '_writeGeneric'] as const satisfies readonly string[]
type Way = Partial<Record<typeof WAY[number], unknown>>
const plain: Way = Object.fromEntries(WAY.map((name) => [name, (Socket.prototype as Way)[name]]))

let spare: Buffer | undefined
/** The last one that was taken. */
let lent: Buffer | undefined

/**
 * Whether its writes are Node's own, all the way. One that somebody has replaced may keep what goes through it, and TLS, which is a
 * class of its own, is never done at once.
 */
export function takesSlabs (socket: Socket): boolean {
  return Object.getPrototypeOf(socket) === Socket.prototype && WAY.every((name) => (socket as Way)[name] === plain[name])
}

/** Memory for one write of so many bytes to a socket that takes slabs. */
export function take (bytes: number): Buffer {
  if (bytes < LEAST_BYTES || bytes > SLAB_BYTES) return Buffer.allocUnsafe(bytes)
  lent = spare ?? Buffer.allocUnsafeSlow(SLAB_BYTES)
  spare = undefined
  return lent
}

/** To be called behind each write. What does not wait in the socket is the kernel's, mostly all of it, and nobody looks at it again. */
export function giveBack (written: Buffer, socket: Socket): void {
  if (written.buffer !== lent?.buffer) return
  if (socket.writableLength === 0) spare = lent
  lent = undefined
}
