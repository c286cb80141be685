// Readers in a process of their own: raw sockets that count what they get, and see that nothing is missing.
import { Buffer } from 'node:buffer'
import net from 'node:net'
import { payloadOf } from './payload.mjs'

const AT_ONCE = 100

const { port, path, connections, bytes, kind } = JSON.parse(process.argv[2])
/** What the wire takes at least for an event. */
const least = Buffer.byteLength(JSON.stringify(payloadOf(bytes, kind)(0)))

let events = 0
let received = 0
let wrong
let wanted = Infinity
const sockets = []

function tell () {
  if (events < wanted && wrong === undefined) return
  wanted = Infinity
  process.send({ reached: events, received, wrong })
}

function open () {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1')
    sockets.push(socket)
    socket.write(`GET ${path} HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n\r\n`)
    let next = 0
    let bodyBytes = 0
    let tail = ''
    socket.on('error', reject).on('data', (chunk) => {
      resolve()
      received += chunk.length
      bodyBytes += chunk.length
      const text = tail + chunk.latin1Slice()
      let end = 0
      // Faster than a regular expression, and the clients must not be what is measured.
      for (let at = text.indexOf('{"n":'); at !== -1; at = text.indexOf('{"n":', end)) {
        const comma = text.indexOf(',', at)
        if (comma === -1) break
        const n = Number(text.slice(at + 5, comma))
        if (n !== next) wrong ??= `event ${n} where ${next} was due`
        next = n + 1
        events++
        end = comma
      }
      tail = text.slice(Math.max(end, text.length - 16))
      if (next > 1 && bodyBytes < (next - 1) * least) wrong ??= `${bodyBytes} bytes for ${next} events`
      tell()
    })
    socket.on('close', () => { tell() })
  })
}

process.on('message', (message) => {
  if (message.until !== undefined) {
    wanted = message.until
    tell()
  } else if (message.count === true) {
    process.send({ counted: received })
  } else {
    for (const socket of sockets) socket.destroy()
    process.disconnect()
  }
})
const lives = setInterval(() => {}, 60_000)
process.on('disconnect', () => clearInterval(lives))

let opened = 0
await Promise.all(Array.from({ length: Math.min(AT_ONCE, connections) }, async () => { while (opened++ < connections) await open() }))
process.send({ opened: connections })
