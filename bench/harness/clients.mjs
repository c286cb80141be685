// Readers in a process of their own: raw sockets that count what they get, and see that nothing is missing.
import { Buffer } from 'node:buffer'
import net from 'node:net'
import { payloadOf } from './payload.mjs'

const AT_ONCE = 100

/** What each payload's JSON begins with, and its number behind that. */
const HEAD = Buffer.from('{"n":')
/** What it ends with, and its line. */
const TAIL = Buffer.from('"}\n')
const ZERO = 0x30
const NINE = 0x39
const COLON = 0x3a

const { port, path, connections, bytes, kind } = JSON.parse(process.argv[2])
/** Bytes of an event between its number and what it ends with. */
const rest = Buffer.byteLength(JSON.stringify(payloadOf(bytes, kind)(0))) - HEAD.length - 1 - (TAIL.length - 1)
/** Events that each connection is to get. */
const due = Number(new URL(path, 'http://bench').searchParams.get('n') ?? Infinity)

let events = 0
let received = 0
/** Lines that begin with a colon, where nothing else comes: each has one. */
let comments = 0
let isLeaving = false
let wrong
let wanted = Infinity
const sockets = []

/** For all of them, since each is done with it before another reads. */
const shared = Buffer.allocUnsafe(65_536)

function tell () {
  if (events < wanted) return
  wanted = Infinity
  process.send({ reached: events })
}

function complain (what) {
  if (wrong !== undefined || isLeaving) return
  wrong = what
  process.send({ wrong })
}

/**
 * Sees each event, and that it is the next one. It is as cheap as that can be: on two cores that share their caches, or are
 * two threads of one, busy clients slow down the server that is measured, and the fastest one most.
 */
function reader () {
  let next = 0
  let skip = 0
  let matched = 0
  let tail = TAIL.length
  let n = 0
  const read = (length) => {
    for (let at = 0; at < length;) {
      if (skip > 0) {
        const jump = Math.min(skip, length - at)
        skip -= jump
        at += jump
        continue
      }
      const byte = shared[at++]
      if (tail < TAIL.length) {
        if (byte !== TAIL[tail++]) complain(`event ${next - 1} is not as long as it should be`)
        if (tail === TAIL.length) events++
      } else if (matched < HEAD.length) {
        if (byte === COLON) comments++
        matched = byte === HEAD[matched] ? matched + 1 : byte === HEAD[0] ? 1 : 0
      } else if (byte >= ZERO && byte <= NINE) {
        n = n * 10 + byte - ZERO
      } else {
        if (n !== next) complain(`event ${n} where ${next} was due`)
        next = n + 1
        n = 0
        matched = 0
        skip = rest - 1
        tail = 0
      }
    }
  }
  return { read, isDone: () => next === due && tail === TAIL.length }
}

function open () {
  return new Promise((resolve, reject) => {
    const { read, isDone } = reader()
    const callback = (length) => {
      resolve()
      received += length
      read(length)
      tell()
      return true
    }
    const socket = net.connect({ port, host: '127.0.0.1', onread: { buffer: shared, callback } })
    sockets.push(socket)
    socket.write(`GET ${path} HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n\r\n`)
    socket.on('error', reject).on('close', () => { if (!isDone()) complain('a connection has closed too early') })
  })
}

process.on('message', (message) => {
  if (message.until !== undefined) {
    wanted = message.until
    tell()
  } else if (message.count === true) {
    process.send({ received, comments })
  } else {
    isLeaving = true
    for (const socket of sockets) socket.destroy()
    process.disconnect()
  }
})
const lives = setInterval(() => {}, 60_000)
process.on('disconnect', () => clearInterval(lives))

let opened = 0
await Promise.all(Array.from({ length: Math.min(AT_ONCE, connections) }, async () => { while (opened++ < connections) await open() }))
process.send({ opened: connections })
