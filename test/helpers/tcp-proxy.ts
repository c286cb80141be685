// A way to a server that can go silent, break, or lead to another server.
import { once } from 'node:events'
import net from 'node:net'

export class TcpProxy {
  target: number
  readonly #server: net.Server
  readonly #pairs = new Set<readonly [net.Socket, net.Socket]>()

  private constructor (target: number) {
    this.target = target
    this.#server = net.createServer((client) => {
      const upstream = net.connect(this.target, '127.0.0.1')
      const pair = [client, upstream] as const
      this.#pairs.add(pair)
      for (const socket of pair) {
        socket.on('error', () => {}).on('close', () => {
          this.#pairs.delete(pair)
          client.destroy()
          upstream.destroy()
        })
      }
      client.pipe(upstream).pipe(client)
    })
  }

  static async start (t: { teardown (close: () => void): unknown }, target: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(target)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    t.teardown(() => {
      proxy.#server.close()
      proxy.cut()
    })
    return proxy
  }

  get port (): number {
    return (this.#server.address() as net.AddressInfo).port
  }

  /** Links stay, and nothing passes any more in either direction; new ones work. */
  silence (): void {
    for (const [client, upstream] of this.#pairs) {
      client.unpipe().pause()
      upstream.unpipe().pause()
    }
  }

  /** Of the server's side of all links. */
  get addresses (): string[] {
    return [...this.#pairs].map(([, upstream]) => `127.0.0.1:${upstream.localPort}`)
  }

  cut (): void {
    for (const [client] of this.#pairs) client.destroy()
  }
}
