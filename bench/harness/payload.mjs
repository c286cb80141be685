// What the events carry: the same objects for every contestant.
import { Buffer } from 'node:buffer'

const ALPHABETS = {
  ascii: 'the quick brown fox jumps over the lazy dog, ',
  // Two, three and four bytes of UTF-8 beside ASCII, as in chat.
  unicode: 'größer, 更大的, наконец, 🎉 done: ',
  // What JSON escapes, as in Markdown with code.
  escapes: 'call `log("done")`:\n\n```js\nlog("\\t")\n```\n'
}

/**
 * Payloads of about so many bytes as JSON.
 *
 * @param kind 'ascii', 'unicode' or 'escapes'
 */
export function payloadOf (bytes, kind) {
  const words = [...ALPHABETS[kind]]
  let text = ''
  for (let length = Buffer.byteLength('{"n":1000,"text":""}'), index = 0; length < bytes; index++) {
    const character = words[index % words.length]
    text += character
    length += Buffer.byteLength(JSON.stringify(character)) - 2
  }
  return (n) => ({ n, text })
}
