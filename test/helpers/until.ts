// Waiting for what a test cannot await.
import { setImmediate as turn } from 'node:timers/promises'

/** Turns of the event loop, as many as it takes. */
export async function until (holds: () => boolean): Promise<void> {
  while (!holds()) await turn()
}
