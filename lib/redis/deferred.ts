// A promise that is settled from outside. Node 20 has no Promise.withResolvers().

export interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: Error) => void
}

/** A rejection that nobody waits for is nobody's. */
export function defer<T> (): Deferred<T> {
  let resolve: (value: T) => void
  let reject: (error: Error) => void
  const promise = new Promise<T>((...settle) => { [resolve, reject] = settle })
  promise.catch(() => {})
  return { promise, resolve: resolve!, reject: reject! } // the executor has run
}
