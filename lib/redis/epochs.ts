// Names for the lives of topics: what Redis takes where it knows nothing of a topic. Nobody can guess one that they have not been
// given, and no two are alike.
import { Buffer } from 'node:buffer'
import { randomFillSync } from 'node:crypto'

const BYTES = 6
/** Names made together: asking for random bytes costs a microsecond, and every publish needs a name, though few are taken. */
const AT_ONCE = 256

const pool = Buffer.alloc(BYTES * AT_ONCE)
let used = pool.length

export function newEpoch (): string {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += BYTES
  return pool.toString('base64url', used - BYTES, used)
}
