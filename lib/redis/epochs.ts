// Names for the lives of topics: what Redis takes where it knows nothing of a topic. Nobody can guess one that they have not been
// given, and no two are alike.
import { randomBytes } from 'node:crypto'

const BYTES = 6

/** Characters of a name. */
export const EPOCH_LENGTH = 8

/** Names made together: every publish brings one, though few are taken, and asking for each would cost it several microseconds. */
const AT_ONCE = 256

let pool = ''
let used = 0

export function newEpoch (): string {
  if (used === pool.length) {
    pool = randomBytes(BYTES * AT_ONCE).toString('base64url')
    used = 0
  }
  used += EPOCH_LENGTH
  return pool.slice(used - EPOCH_LENGTH, used)
}
