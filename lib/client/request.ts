// One request, with the redirects on its way. What the caller gave for one origin does not go to another: fetch itself takes only
// `authorization` back, and in Node.js `cookie`.

/** As many as fetch follows. */
const MOST = 20

/**
 * A redirect that is not followed is the answer: of a request that has a body, and in a browser, which hides where it leads to, also of
 * one that has headers of the caller's. Nothing comes from a cache, and proxies are told so, as EventSource does it.
 *
 * @param own the caller's headers
 * @throws what fetch rejects with
 */
export async function request (fetch: typeof globalThis.fetch = globalThis.fetch, url: string, init: RequestInit & { method: string }, own: Record<string, string> = {}, lastEventId = '', redirects = 0): Promise<Response> {
  const hasBody = !/^(GET|HEAD)$/.test(init.method) // or may have
  const headers = { accept: 'text/event-stream', ...own, ...lastEventId && { 'last-event-id': unescape(encodeURIComponent(lastEventId)) } } // UTF-8, a character a byte, by the shortest way
  // Where there is nothing to lose, a redirect is the platform's.
  const response = await fetch(url, { cache: 'no-store', ...init, headers, redirect: hasBody || Object.keys(own).length > 0 ? 'manual' : 'follow' } as RequestInit) // Node's own types know of no cache
  const location = response.status >= 300 && response.status < 400 && response.headers.get('location')
  if (!location || hasBody || redirects === MOST) return response
  const next = new URL(location, url)
  return request(fetch, next.href, init, next.origin === new URL(url).origin ? own : {}, lastEventId, redirects + 1)
}
