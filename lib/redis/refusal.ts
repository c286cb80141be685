// What Redis answers when it will not.

/** Whether Redis has answered, and not the client that there is none. */
export function isRefusal (error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError'
}

/** Whether it does not know the script. */
export function isUnknownScript (error: unknown): boolean {
  return isRefusal(error) && error.message.startsWith('NOSCRIPT')
}

/** Told before a script has changed anything. Before 7.0 they stand inside of what a script says. */
const BEFORE_ALL = /\b(?:OOM|READONLY|MISCONF|NOREPLICAS|LOADING|BUSY|CLUSTERDOWN|MASTERDOWN|TRYAGAIN|WRONGTYPE|NOAUTH)\b/

/** What passes by itself, or when somebody looks after that Redis. Who waits for it is better off than who is turned away. */
const PASSING = /\b(?:OOM|READONLY|MISCONF|NOREPLICAS|LOADING|BUSY|CLUSTERDOWN|MASTERDOWN|TRYAGAIN)\b/

export function isPassing (error: Error): boolean {
  return PASSING.test(error.message)
}

/** Whether it is certain that nothing was published. A right that is missing may be noticed half way, as that to the channel. */
export function isHarmless (error: Error): boolean {
  return BEFORE_ALL.test(error.message)
}
