// Two clients that nobody here wrote, cut off at every byte: they come back by themselves, miss nothing, see
// nothing twice, and stop at the end.
import { EventSource as EventsourceClient } from 'eventsource'
import t from 'tap'
import { EventSource as UndiciClient } from 'undici'
import { cuttingProxy } from './helpers/cutting-proxy.js'
import { RawSocket } from './helpers/raw-socket.js'
import { serve, type Served } from './helpers/serve.js'

/** As much of EventSource as both have. */
interface Client {
  readonly readyState: number
  addEventListener (type: string, listener: (event: { data: string, lastEventId: string }) => void): void
  close (): void
}

const CLOSED = 2
const ALL = ['1', '2', '3']

const threeEvents = (served: Parameters<typeof serve>[0]): Promise<Served> => serve(served, (app) => {
  app.get('/', { config: { sse: {} } }, (_request, reply) => reply.sse(function * ({ lastEventId }) {
    for (let n = Number(lastEventId ?? 0) + 1; n <= 3; n++) yield { event: 'update', data: { n }, id: String(n) }
  }))
}, { retry: 100 })

const clients: Record<string, (url: string) => Client> = {
  eventsource: (url) => new EventsourceClient(url) as unknown as Client, // its types want the DOM's
  undici: (url) => new UndiciClient(url) as unknown as Client
}

for (const [name, connect] of Object.entries(clients)) {
  t.test(`${name}, cut at every byte of the answer, gets each event once and stops`, async (t) => {
    const served = await threeEvents(t)
    const whole = await RawSocket.request(served.base, '/', { headers: { accept: 'text/event-stream', connection: 'close' } })
    await whole.ended()
    const length = whole.socket.bytesRead
    t.ok(length > 300, `${length} bytes`)

    const cutAt = async (offset: number): Promise<{ offset: number, seen: string[], stopped: boolean }> => {
      const { url } = await cuttingProxy(t, served.port, offset)
      const client = connect(`${url}/`)
      const seen: string[] = []
      client.addEventListener('update', ({ data }) => { seen.push(String(JSON.parse(data).n)) })
      await new Promise<void>((resolve) => client.addEventListener('error', () => { if (client.readyState === CLOSED) resolve() }))
      return { offset, seen, stopped: client.readyState === CLOSED }
    }

    // All at once: a client that is cut before it has read `retry` waits 3 s of its own.
    const cuts = await Promise.all(Array.from({ length }, (_, index) => cutAt(index + 1)))
    t.strictSame(cuts.filter(({ seen, stopped }) => seen.join() !== ALL.join() || !stopped), [])
  })
}

t.test('the position that comes back is the last event that was whole', async (t) => {
  const served = await threeEvents(t)
  const probe = await RawSocket.request(served.base, '/')
  await probe.until('id: ~end')
  const whole = probe.head.length + 4
  const { url, requests } = await cuttingProxy(t, served.port, whole + 90) // within the third event
  const client = clients.eventsource?.(`${url}/`) as Client
  await new Promise<void>((resolve) => client.addEventListener('error', () => { if (client.readyState === CLOSED) resolve() }))
  const positions = requests.map((request) => /^last-event-id: (.*)$/im.exec(request)?.[1]?.trim())
  t.strictSame(positions, [undefined, '2', '~end'])
})
