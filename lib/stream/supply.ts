// What a stream needs of whatever gives it frames: the source that a handler gave, or the topics that it subscribed to.

export interface Supply {
  start (): void
  /** Frames are wanted, again or for the first time. */
  pull (): void
  /** As `pull`, but in a turn of its own, since a reader that blocked reads on. */
  yield (): void
  /** The stream is about to be ended from outside: what can be written should be. */
  settle? (): void
  /** The stream has closed. Called once. */
  release (): void
  /** False as long as the answer must not become a stream, however long that takes. */
  readonly mayOpen?: boolean
  /** What to write to an idle connection, where that is not a mere comment. */
  heartbeat? (): string | undefined
}
