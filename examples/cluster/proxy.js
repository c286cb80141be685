// A load balancer of a few lines: each request goes to the next node that takes it, whoever served the client before.
import http from 'node:http'

/** @param nodes gives the ports of the nodes, at every request anew */
export function roundRobin (nodes) {
  let turn = 0

  return function forward (request, response) {
    const ports = nodes()
    const first = turn++
    attempt(0)

    function attempt (tried) {
      if (tried === ports.length) {
        response.writeHead(502, { 'retry-after': '1' }).end('No node answers\n')
        return
      }
      const port = ports[(first + tried) % ports.length]
      const upstream = http.request({ port, host: '127.0.0.1', method: request.method, path: request.url, headers: request.headers, agent: false })
      upstream.on('response', (answer) => {
        response.writeHead(answer.statusCode, answer.headers)
        answer.pipe(response)
        answer.on('error', () => response.destroy()) // cut off: so is the client
      })
      upstream.on('error', () => {
        if (response.headersSent || response.destroyed) response.destroy()
        else attempt(tried + 1)
      })
      response.on('close', () => upstream.destroy())
      upstream.end() // of requests without a body
    }
  }
}
