// One piece of memory that writes are made in again and again. Of an always-ready stream's CPU, an eighth went into getting
// 32 KiB for each write, touching its pages for the first time, and freeing it.
import { Buffer } from 'node:buffer'
import { Socket } from 'node:net'

/** As much as a stream gathers before it writes, and an event more, where its text is ASCII. */
const SLAB_BYTES = 40_960

/** A reader that blocks keeps a whole slab, so it should fill it well. */
const LEAST_BYTES = 16_384

let spare: Buffer | undefined
/** The last one that was taken. */
let lent: Buffer | undefined

/** Memory for one write of so many bytes to a socket. */
export function take (bytes: number): Buffer {
  if (bytes < LEAST_BYTES || bytes > SLAB_BYTES) return Buffer.allocUnsafe(bytes)
  lent = spare ?? Buffer.allocUnsafeSlow(SLAB_BYTES)
  spare = undefined
  return lent
}

/** To be called behind the write. Nobody looks again at what the kernel has taken at once, which is the rule. */
export function giveBack (written: Buffer, socket: Socket): void {
  if (written.buffer !== lent?.buffer) return
  // A `write` that is not Node's own may keep what goes through it.
  if (socket.writableLength === 0 && socket.write === Socket.prototype.write) spare = lent
  lent = undefined
}
