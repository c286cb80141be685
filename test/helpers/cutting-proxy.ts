// A TCP proxy that cuts its first connection after so many bytes of the answer, and leaves later ones alone.
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import type { Test } from 'tap'

export interface CuttingProxy {
  url: string
  /** Requests that came through, each as its head. */
  requests: string[]
}

export async function cuttingProxy (t: Test, upstream: number, cutAfter: number): Promise<CuttingProxy> {
  const requests: string[] = []
  const sockets = new Set<net.Socket>()
  let connections = 0
  const server = net.createServer((client) => {
    const isFirst = connections++ === 0
    const origin = net.connect(upstream, '127.0.0.1')
    for (const socket of [client, origin]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        origin.destroy()
      })
    }
    client.on('data', (chunk) => {
      requests.push(chunk.toString('latin1'))
      origin.write(chunk)
    })
    let left = isFirst ? cutAfter : Infinity
    origin.on('data', (chunk) => {
      const passed = chunk.subarray(0, Math.min(chunk.length, left))
      left -= passed.length
      if (left > 0) client.write(passed)
      else client.end(passed) // what has passed arrives; nothing more does
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests }
}
