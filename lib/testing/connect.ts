// A client of an application that runs in this process.
import { once } from 'node:events'
import { request, Server, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import type { HTTPMethods } from 'fastify'
import type { CollectOptions, TestedApp } from '../../types/testing.js'
import { SSE_ERR_INVALID_OPTION } from '../errors.js'
import { portsOf } from './watch.js'

export interface Connection {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: Readable
  /** What a `Watch` knows it by. */
  readonly key: unknown
}

interface Asked {
  method: string
  headers: Record<string, string>
  body: string | undefined
  /** Aborts when the client leaves. */
  signal: AbortSignal
}

/** Resolves when the head of the answer is there. */
export async function connect (app: TestedApp, url: string, { method = 'GET', headers, body, lastEventId, via }: CollectOptions, signal: AbortSignal): Promise<Connection> {
  const address = app.server instanceof Server ? app.server.address() : null
  const isReachable = typeof address === 'object' && address !== null
  if (via === 'socket' && !isReachable) throw new SSE_ERR_INVALID_OPTION("Expected the application to listen on a port, for HTTP/1.1 without TLS, as `via` is 'socket'")
  const asked: Asked = {
    method,
    headers: {
      accept: 'text/event-stream',
      ...lastEventId === undefined ? {} : { 'last-event-id': lastEventId },
      ...typeof body === 'object' ? { 'content-type': 'application/json' } : {},
      ...headers
    },
    body: typeof body === 'object' ? JSON.stringify(body) : body,
    signal
  }
  return isReachable && via !== 'inject' ? await dial(address, url, asked) : await inject(app, url, asked)
}

async function inject (app: TestedApp, url: string, { method, body, ...asked }: Asked): Promise<Connection> {
  const { statusCode, headers, raw, stream } = await app.inject({
    ...asked,
    url,
    method: method as HTTPMethods, // the application says whether it knows it
    ...body === undefined ? {} : { payload: body },
    payloadAsStream: true
  })
  return { status: statusCode, headers, body: stream(), key: raw.res.req }
}

async function dial ({ address, port }: AddressInfo, url: string, { body, ...asked }: Asked): Promise<Connection> {
  const host = address === '::' || address === '0.0.0.0' ? 'localhost' : address
  const sent = request({ ...asked, host, port, path: url, agent: false })
  sent.end(body)
  const [response] = await once(sent, 'response') as [IncomingMessage]
  sent.on('error', () => {}) // the response has it too
  const { localPort } = response.socket
  return {
    status: response.statusCode as number, // a response has one
    headers: response.headers,
    body: response,
    key: portsOf(localPort, port)
  }
}
