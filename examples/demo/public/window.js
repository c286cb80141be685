// Two windows of one browser. Over HTTP/1.1 it opens six connections to a host, for all of its windows together, and one
// window needs them all. So the second one calls the same server by its other name.
const OTHER_NAMES = { '127.0.0.1': 'localhost', localhost: '127.0.0.1' }

/** The lock of a page that is just being reloaded is soon free. */
const WAIT_MS = 500

export function secondUrl () {
  const url = new URL('/?second', location)
  url.hostname = OTHER_NAMES[url.hostname] ?? url.hostname
  return url.href
}

/** @returns whether this window may open streams; where it may not, it goes to the other name, if that may be free */
export async function takeWindow () {
  if (navigator.locks === undefined || !(location.hostname in OTHER_NAMES)) return true
  const isFree = await new Promise((resolve) => {
    const untilClosed = () => {
      resolve(true)
      return new Promise(() => {})
    }
    navigator.locks.request('window', { signal: AbortSignal.timeout(WAIT_MS) }, untilClosed).catch(() => resolve(false))
  })
  if (!isFree && location.search !== '?second') location.replace(secondUrl())
  return isFree
}
