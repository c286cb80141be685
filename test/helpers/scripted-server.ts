// A server that does what it is told: it answers each request by the next of its answers, and goes on with the last one.
import { once } from 'node:events'
import { createServer, request as ask, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

export type Answer = (response: ServerResponse, request: IncomingMessage, body: string) => void

export interface ScriptedServer {
  url: string
  /** As they came. */
  requests: { method: string | undefined, path: string | undefined, headers: IncomingHttpHeaders, body: string }[]
}

export async function scriptedServer (t: Test, ...answers: Answer[]): Promise<ScriptedServer> {
  const requests: ScriptedServer['requests'] = []
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text) => { body += text }).on('end', () => {
      const answer = answers[Math.min(requests.length, answers.length - 1)] as Answer // there is at least one
      requests.push({ method: request.method, path: request.url, headers: request.headers, body })
      answer(response, request, body)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests } // it listens on a port
}

const STREAM = { 'content-type': 'text/event-stream' }

/** A stream that ends. */
export const whole = (text: string, headers = STREAM): Answer => (response) => response.writeHead(200, headers).end(text)

/** A stream that stands and says no more. */
export const standing = (text: string): Answer => (response) => response.writeHead(200, STREAM).write(text)

/** A stream whose connection is lost. */
export const cut = (text: string): Answer => (response) => response.writeHead(200, STREAM).write(text, () => response.destroy())

/** No answer, and nobody hangs up. */
export const mute: Answer = () => {}

/** The connection is lost before there is an answer. */
export const gone: Answer = (response) => response.destroy()

export const status = (code: number, headers = {}): Answer => (response) => response.writeHead(code, headers).end()

/** What another server answers, to the end or to what is given. */
export const passed = (port: number, end?: string): Answer => (response, { method, url, headers }, body) => {
  const upstream = ask({ port, method, path: url, headers, agent: false }, (answer) => {
    response.writeHead(answer.statusCode ?? 0, answer.headers)
    if (end === undefined) {
      answer.pipe(response)
      return
    }
    let text = ''
    answer.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      const at = text.indexOf(end)
      if (at === -1) return
      answer.destroy()
      response.write(text.slice(0, at + end.length), () => response.destroy())
    })
  })
  upstream.on('error', () => response.destroy())
  response.on('close', () => upstream.destroy())
  upstream.end(body)
}
