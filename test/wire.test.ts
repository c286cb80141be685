// The bytes: what may stand in a field, what a frame looks like, and that parsers get back what went in.
import fc from 'fast-check'
import t from 'tap'
import { describe } from '../lib/describe.js'
import { DEFAULTS } from '../lib/options.js'
import { PlainEncoder } from '../lib/schema/encoder.js'
import { Chunk } from '../lib/wire/chunk.js'
import { comparePositions, epochOf, formatCursor, parseCursor } from '../lib/wire/cursor.js'
import { controlFrame, END_FRAME, escapeJson, HEARTBEAT, prelude } from '../lib/wire/encode.js'
import { MAX_ID_LENGTH } from '../lib/wire/field.js'
import { acceptsEventStream, readLastEventId, RESPONSE_HEADERS } from '../lib/wire/headers.js'
import { frameParser } from '../lib/wire/parse.js'
import { withEventsourceParser, withOurs, withUndici } from './helpers/parsers.js'

const encoder = new PlainEncoder()
const encode = (item: unknown) => encoder.encode(item, DEFAULTS)
const bytes = (text: string) => new TextEncoder().encode(text)

t.test('an event becomes exactly these bytes', async (t) => {
  const cases: Array<[item: unknown, frame: string]> = [
    ['a', 'data: a\n\n'],
    [{ text: 'a' }, 'data: a\n\n'],
    [{ text: '' }, 'data: \n\n'],
    [{ text: ' a' }, 'data:  a\n\n'],
    [{ text: '\ta: b' }, 'data: \ta: b\n\n'],
    [{ text: 'a\nb' }, 'data: a\ndata: b\n\n'],
    [{ text: 'a\n' }, 'data: a\ndata: \n\n'],
    [{ text: '\na' }, 'data: \ndata: a\n\n'],
    [{ text: '\n' }, 'data: \ndata: \n\n'],
    [{ text: 'a\r\nb\rc' }, 'data: a\ndata: b\ndata: c\n\n'],
    [{ text: 'a\rdata: evil\r\revent: x' }, 'data: a\ndata: data: evil\ndata: \ndata: event: x\n\n'],
    [{ data: 'a' }, 'data: "a"\n\n'],
    [{ data: '' }, 'data: ""\n\n'],
    [{ data: 'a\nb\rc' }, 'data: "a\\nb\\rc"\n\n'],
    [{ data: { n: 1 } }, 'data: {"n":1}\n\n'],
    [{ data: null }, 'data: null\n\n'],
    [{ data: 0 }, 'data: 0\n\n'],
    [{ data: false }, 'data: false\n\n'],
    [{ data: { s: 'a\u2028b\u2029c\u0085' } }, 'data: {"s":"a\\u2028b\\u2029c\\u0085"}\n\n'],
    [{ data: { s: '\ud800' } }, 'data: {"s":"\\ud800"}\n\n'],
    [{ data: new Date(0) }, 'data: "1970-01-01T00:00:00.000Z"\n\n'],
    [{ event: 'foo', text: 'x', id: '7', retry: 2500 }, 'event: foo\nretry: 2500\ndata: x\nid: 7\n\n'],
    [{ event: 'foo', data: 1, comment: 'a\r\nb\nc\rd' }, ': a\n: b\n: c\n: d\nevent: foo\ndata: 1\n\n'],
    [{ event: '', data: 1 }, 'data: 1\n\n'],
    [{ data: 1, id: 0 }, 'data: 1\nid: 0\n\n'],
    [{ data: 1, id: '0' }, 'data: 1\nid: 0\n\n'],
    [{ data: 1, id: '' }, 'data: 1\nid: \n\n'],
    [{ data: 1, id: 'a b' }, 'data: 1\nid: a b\n\n'],
    [{ data: 1, id: 'x'.repeat(1024) }, `data: 1\nid: ${'x'.repeat(1024)}\n\n`],
    [{ event: undefined, data: 1, id: undefined, retry: undefined, comment: undefined }, 'data: 1\n\n'],
    [{ event: 'ümlaut', text: '😀' }, 'event: ümlaut\ndata: 😀\n\n']
  ]
  for (const [item, frame] of cases) t.equal(encode(item), frame, JSON.stringify(frame))
})

t.test('what would forge a field throws, and is never stripped', async (t) => {
  for (const event of ['a\ndata: evil\n\n', 'a\rb', 'a\r\nb', 'a\0b', 'sse.end', 7, null]) {
    t.throws(() => encode({ event, data: 1 }), { code: 'SSE_ERR_INVALID_FIELD' }, `event ${JSON.stringify(event)}`)
  }
  for (const id of ['1\n', '1\r', '1\0', 'a\x01', 'a\x7f', ' 5', '5\t', '5 ', 'é', 'x'.repeat(1025), 1.5, NaN, {}, null, '~end']) {
    t.throws(() => encode({ data: 1, id }), { code: 'SSE_ERR_INVALID_FIELD' }, `id ${JSON.stringify(id)}`)
  }
  for (const retry of [0, 99, 100.5, -1, NaN, Infinity, 1e21, '100', null]) {
    t.throws(() => encode({ data: 1, retry }), { code: 'SSE_ERR_INVALID_FIELD' }, `retry ${retry}`)
  }
  t.throws(() => encode({ data: 1, comment: 7 }), { code: 'SSE_ERR_INVALID_FIELD' })
  t.throws(() => encode({ text: 7 }), { code: 'SSE_ERR_INVALID_FIELD' })
})

t.test('what has no JSON form throws', async (t) => {
  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  for (const data of [undefined, () => 1, 1n, { n: 1n }, Symbol('s'), cycle]) {
    t.throws(() => encode({ data }), { code: 'SSE_ERR_NOT_SERIALIZABLE' })
  }
})

t.test('what is not an event throws, and says what one looks like', async (t) => {
  t.throws(() => encode({ n: 1 }), { code: 'SSE_ERR_INVALID_EVENT', message: 'Expected an event to have `data` or `text`, got an object with neither. To send an object, wrap it: { data: object }' })
  t.throws(() => encode(Buffer.from('a')), { code: 'SSE_ERR_INVALID_EVENT', message: 'Expected an event to have `data` or `text`, got an instance of Buffer with neither. Read bytes as text first: a chunk may end inside a character' })
  t.throws(() => encode({ data: 1, text: 'a' }), { code: 'SSE_ERR_INVALID_EVENT', message: 'Expected an event to have `data` or `text`, got both' })
  for (const item of [7, null, undefined, true, () => {}]) t.throws(() => encode(item), { code: 'SSE_ERR_INVALID_EVENT' })
})

t.test('what was found is described, in short', async (t) => {
  const cases: Array<[unknown, string]> = [['a', '"a" (string)'], ['x'.repeat(41), 'a string of 41 characters'], [7, '`7` (number)'], [null, '`null`'], [undefined, '`undefined`'], [[], 'an array'], [{}, 'an object'], [Object.create(null), 'an object'], [new Map(), 'an instance of Map'], [() => {}, 'a function'], [Symbol('s'), 'a symbol'], [1n, 'a bigint']]
  for (const [value, text] of cases) t.equal(describe(value), text)
})

t.test('an error names the kind of what it found, and holds no payload', async (t) => {
  const secret = 's3cret'.repeat(10)
  for (const item of [{ data: 1, id: `${secret}\n` }, { event: `${secret}\n`, data: 1 }, { data: { secret, n: 1n } }, { [secret]: 1 }]) {
    try {
      encode(item)
      t.fail('must throw')
    } catch (error) {
      t.notMatch((error as Error).message, 's3cret')
    }
  }
})

t.test('minimal frames are data lines alone, but what is left out is checked', async (t) => {
  const minimal = { ...DEFAULTS, minimal: true }
  t.equal(encoder.encode({ event: 'a', data: { n: 1 }, id: '1', retry: 100, comment: 'c' }, minimal), 'data: {"n":1}\n\n')
  t.equal(encoder.encode('[DONE]', minimal), 'data: [DONE]\n\n')
  t.throws(() => encoder.encode({ data: 1, id: 'a\n' }, minimal), { code: 'SSE_ERR_INVALID_FIELD' })
  t.throws(() => encoder.encode({ data: 1, retry: 1 }, minimal), { code: 'SSE_ERR_INVALID_FIELD' })
  t.throws(() => encoder.encode({ data: 1, comment: 1 }, minimal), { code: 'SSE_ERR_INVALID_FIELD' })
})

t.test("the plugin's own lines", async (t) => {
  t.equal(HEARTBEAT, ':\n')
  t.equal(prelude(3000), 'retry: 3000\n')
  t.equal(prelude(false), ':\n')
  t.equal(END_FRAME, 'event: sse.end\ndata: {}\nid: ~end\n\n')
  t.equal(controlFrame('sse.bye', { reason: 'shutdown' }, { retry: 100 }), 'event: sse.bye\nretry: 100\ndata: {"reason":"shutdown"}\n\n')
  t.equal(escapeJson('"\u2028"'), '"\\u2028"')
})

// ---- properties

const word = fc.string({ unit: 'binary', maxLength: 20 })
const text = fc.array(fc.oneof(word, fc.constantFrom('\r', '\n', '\r\n', '\n\n', 'data: x', 'event: y', ':', '\0', '\ufeff', ' '))).map((parts) => parts.join(''))
const valid = fc.record({
  event: fc.oneof(fc.constant(undefined), word.filter((name) => !/[\r\n\0]/.test(name) && !name.startsWith('sse.') && name !== '')),
  payload: fc.oneof(text.map((text) => ({ text })), fc.jsonValue().map((data) => ({ data }))),
  id: fc.oneof(fc.constant(undefined), fc.stringMatching(/^[\x21-\x7e]([\x20-\x7e]{0,20}[\x21-\x7e])?$/).filter((id) => id !== '~end'), fc.nat()),
  retry: fc.oneof(fc.constant(undefined), fc.integer({ min: 100 })),
  comment: fc.oneof(fc.constant(undefined), text)
})

function cut (whole: Uint8Array, at: number[]): Uint8Array[] {
  const places = [0, ...at.map((place) => place % (whole.length + 1)).sort((a, b) => a - b), whole.length]
  return places.slice(1).map((place, index) => whole.subarray(places[index], place))
}

for (const [name, parse] of Object.entries({ ours: withOurs, 'eventsource-parser': withEventsourceParser, undici: withUndici })) {
  t.test(`any valid events come back from ${name}, however the bytes are cut`, async (t) => {
    fc.assert(fc.property(fc.array(valid, { maxLength: 5 }), fc.array(fc.nat(), { maxLength: 8 }), (items, at) => {
      const frames = items.map(({ payload, ...meta }) => encode({ ...meta, ...payload }))
      const parsed = parse(cut(bytes(prelude(3000) + frames.join(HEARTBEAT) + END_FRAME), at))
      const expected = items.map(({ event = 'message', payload }) => ({
        type: event,
        // A parser gives LF for every line end, and a string on the wire has no lone surrogates.
        data: 'text' in payload ? onWire(payload.text.replace(/\r\n|\r/g, '\n')) : JSON.stringify(payload.data)
      }))
      t.strictSame(
        parsed.events.slice(0, -1).map(({ type, data }) => ({ type, data: unescapeJson(data) })),
        expected.map(({ type, data }) => ({ type: onWire(type), data }))
      )
      t.strictSame(parsed.events.at(-1), { type: 'sse.end', data: '{}', id: '~end' })
      const ids = items.map(({ id }) => id).filter((id) => id !== undefined)
      const seen = parsed.events.slice(0, -1).filter((_, index) => items[index]?.id !== undefined).map(({ id }) => id)
      t.strictSame(seen, ids.map(String))
      t.equal(parsed.retry, items.reduce((retry, item) => item.retry ?? retry, 3000))
    }), { numRuns: 300 })
  })

  t.test(`any string in any field makes at most one event in ${name}`, async (t) => {
    let refused = 0
    fc.assert(fc.property(text, text, text, text, (event, data, id, comment) => {
      let frame
      try {
        frame = encode({ event, text: data, id, comment })
      } catch (error) {
        t.equal((error as { code?: string }).code, 'SSE_ERR_INVALID_FIELD')
        refused++
        frame = encode({ text: data, comment })
      }
      t.equal(parse([bytes(frame)]).events.length, 1)
    }), { numRuns: 500 })
    t.ok(refused > 50, 'the strings are hostile enough')
  })
}

// The standard's own cases, and those in which parsers are known to differ.
const read: Array<[text: string | Uint8Array, events: Array<[type: string, data: string, id: string]>, retry?: number]> = [
  ['data: a\r\n\r\n', [['message', 'a', '']]],
  ['data: a\r\n\ndata: b\n\rdata: c\r\rdata: d\n\r', [['message', 'a', ''], ['message', 'b', ''], ['message', 'c', ''], ['message', 'd', '']]],
  ['\ufeffdata: a\n\n', [['message', 'a', '']]],
  ['\ufeff\ufeffdata: a\n\ndata: b\n\n', [['message', 'b', '']]],
  ['data: a\n\n\ufeffdata: b\n\n', [['message', 'a', '']]],
  ['id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n', [['message', 'a', '1'], ['message', 'b', '1'], ['message', 'c', '']]],
  ['id: 1\ndata: a\n\nid: x\0y\ndata: b\n\n', [['message', 'a', '1'], ['message', 'b', '1']]],
  ['id: 5\n\ndata: x\n\n', [['message', 'x', '5']]],
  ['event: foo\n\ndata: x\n\n', [['message', 'x', '']]],
  ['event: foo\nevent:\ndata: x\n\n', [['message', 'x', '']]],
  ['event: foo\ndata: x\n\ndata: y\n\n', [['foo', 'x', ''], ['message', 'y', '']]],
  ['data : x\n data: x\nDATA: x\ndata\0:2\nfoo\n:data:x\ndata: a\n\n', [['message', 'a', '']]],
  ['data\n\ndata:\ndata\n\ndata:  a\ndata:\tb:c\n\n', [['message', '', ''], ['message', '\n', ''], ['message', ' a\n\tb:c', '']]],
  ['retry: 03000\nretry: 1e3\nretry: -1\nretry: 10x\nretry: 10 \nretry:\nretry\ndata: a\n\n', [['message', 'a', '']], 3000],
  ['data: a\n\ndata: b', [['message', 'a', '']]],
  ['id: 9\ndata: a\n\nid: 10\ndata: part', [['message', 'a', '9']]],
  [Buffer.from('data: a\xff\xfeb\xc3\n\n', 'latin1'), [['message', 'a\ufffd\ufffdb\ufffd', '']]],
  ['data: 😀\n\n', [['message', '😀', '']]]
]

t.test('a stream is read as the standard says, however its bytes are cut', async (t) => {
  for (const [text, events, retry] of read) {
    const whole = Buffer.from(text)
    for (let size = 1; size <= whole.length; size++) {
      const chunks = Array.from({ length: Math.ceil(whole.length / size) }, (_, index) => whole.subarray(index * size, (index + 1) * size))
      const parsed = withOurs(chunks)
      t.strictSame([parsed.events.map(({ type, data, id }) => [type, data, id]), parsed.retry], [events, retry], `${JSON.stringify(String(text))} by ${size}`)
    }
  }
})

t.test('an event that ends with a CR does not wait for what follows, and an id without an event is told', async (t) => {
  const seen: unknown[] = []
  const parse = frameParser({ onFrame: ({ data, lastEventId }) => seen.push([data, lastEventId]), lastEventId: '1' })
  const steps: Array<[text: string, told: unknown[]]> = [
    ['data: a\r\r', [['a', '1']]], ['\n', []], ['\ndata: b\r', []], ['', []], ['\n\r', [['b', '1']]], ['\n', []],
    ['id: 1\n\n', []], ['id: 2\n\n', [[undefined, '2']]], ['data: c\n\n', [['c', '2']]]
  ]
  for (const [text, told] of steps) {
    parse(text)
    t.strictSame(seen.splice(0), told, JSON.stringify(text))
  }
})

// Lone surrogates do not survive UTF-8.
const onWire = (text: string) => Buffer.from(text).toString()

// What escapeJson escapes reads the same after JSON.parse; other text is left alone.
function unescapeJson (data: string): string {
  return data.replace(/\\u(2028|2029|0085)/g, (_, code: string) => String.fromCharCode(parseInt(code, 16)))
}

// ---- headers

t.test('the response headers let nothing hold the stream back', async (t) => {
  t.strictSame(Object.fromEntries(RESPONSE_HEADERS), {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-store, no-transform',
    'x-accel-buffering': 'no'
  })
})

t.test('Last-Event-ID is taken as UTF-8, kept as latin1 where it is none, and refused where it cannot be an id', async (t) => {
  const latin1 = (...codes: number[]) => String.fromCharCode(...codes)
  const cases: Array<[header: string | undefined, url: string, id: string | undefined]> = [
    ['7', '/', '7'],
    ['0', '/', '0'],
    [latin1(0xe2, 0x80, 0xa6), '/', '…'],
    [latin1(0xe9), '/', 'é'],
    ['1, 2', '/', '1, 2'],
    ['../../etc', '/', '../../etc'],
    ['', '/', undefined],
    [undefined, '/', undefined],
    ['x'.repeat(1024), '/', 'x'.repeat(1024)],
    ['x'.repeat(1025), '/', undefined],
    ['a\tb', '/', undefined],
    ['a\x7f', '/', undefined],
    [latin1(0xc2, 0x85), '/', undefined],
    [undefined, '/s?lastEventId=7', '7'],
    [undefined, '/s?a=1&lastEventId=a%20b', 'a b'],
    [undefined, '/s?lastEventId=%0a', undefined],
    [undefined, '/s?lastEventId=', undefined],
    [undefined, '/s?lasteventid=7', undefined],
    [undefined, '/s?xlastEventId=7', undefined],
    [undefined, '/s?last_event_id=7', '7'],
    [undefined, '/s?last_event_id=7&lastEventId=8', '8'],
    [undefined, '/lastEventId=7', undefined],
    ['5', '/s?lastEventId=7', '5'],
    ['\x01', '/s?lastEventId=7', undefined]
  ]
  for (const [header, url, id] of cases) t.equal(readLastEventId(header, url), id, JSON.stringify([header, url]))
})

t.test('only a client that names text/event-stream counts as an EventSource', async (t) => {
  for (const accept of ['text/event-stream', 'application/json, text/event-stream', 'Text/Event-Stream', 'text/event-stream;q=0.5', 'text/event-stream, */*', 'text/event-stream;charset=utf-8']) {
    t.ok(acceptsEventStream(accept), accept)
  }
  for (const accept of [undefined, '', '*/*', 'text/*', 'application/json', 'text/event-stream;q=0', 'text/event-stream; q=0.000', 'xtext/event-stream', 'text/event-streams']) {
    t.notOk(acceptsEventStream(accept), String(accept))
  }
})

t.test('a cursor is positions, one for each topic', async (t) => {
  t.strictSame(parseCursor('Ab_-0.1-0'), new Map([['Ab_-0', 'Ab_-0.1-0']]))
  t.strictSame(parseCursor('a.1-0~b.20-3'), new Map([['a', 'a.1-0'], ['b', 'b.20-3']]))
  const sixteen = Array.from({ length: 16 }, (_, n) => `${String(n).padStart(32, 'e')}.123456789012345-123456789012`)
  t.equal(formatCursor(sixteen), sixteen.join('~'))
  t.ok(formatCursor(sixteen).length <= MAX_ID_LENGTH, 'the longest is an id')
  t.equal(parseCursor(formatCursor(sixteen))?.size, 16)
  for (const text of ['', '0', '~', 'a.1', 'a.1-', 'a.-0', '.1-0', 'a.1-0~', '~a.1-0', 'a.1-0 ', 'ä.1-0', 'a.1.1-0', `${'e'.repeat(33)}.1-0`, 'a.1234567890123456-0', [...sixteen, 'a.1-0'].join('~')]) {
    t.equal(parseCursor(text), undefined, text)
  }
})

t.test('positions of one epoch have an order', async (t) => {
  const positions = ['', 'a.1-0', 'a.1-1', 'a.1-10', 'a.2-0', 'a.10-0', 'a.10-9']
  for (const [i, a] of positions.entries()) for (const [j, b] of positions.entries()) t.equal(Math.sign(comparePositions(a, b)), Math.sign(i - j), `${a} ${b}`)
  t.equal(epochOf('a-b_c.1763800000000-4'), 'a-b_c')
})

t.test('a chunk is its bytes, and its bytes framed as HTTP/1.1 frames them', (t) => {
  for (const text of ['a', 'x'.repeat(15), 'x'.repeat(16), 'x'.repeat(255), 'x'.repeat(256), 'x'.repeat(65_536), 'é', '更大的'.repeat(1_000), 'a\ud800b', '🎉'.repeat(5_461)]) {
    const chunk = new Chunk(text)
    const bytes = Buffer.from(text)
    t.equal(chunk.length, bytes.length)
    t.ok(chunk.bytes.equals(bytes))
    t.equal(chunk.bytes, chunk.bytes)
    t.ok(chunk.framed.equals(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])))
  }
  const pair = new Chunk('x'.repeat(10) + 'é')
  t.equal(pair.framed.toString(), 'c\r\nxxxxxxxxxxé\r\n', 'whether the frame is asked for first or the bytes')
  t.equal(pair.bytes.toString(), 'xxxxxxxxxxé')
  t.end()
})
