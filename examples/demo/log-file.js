// A log file of limited size, and reading it from a place in it.
//
// Entries may have several lines, so a blank line ends each: half an entry is never taken for a whole one. Places
// are counted in bytes from the log's beginning and stay true when the oldest entries are cut off.
import { EventEmitter } from 'node:events'
import { appendFileSync, mkdtempSync, readFileSync, watch, writeFileSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** When the file has this size, its older half goes. */
const MAX_BYTES = 512 * 1024

/** More than the longest entry takes, which is 3 bytes a character. */
const READ_BYTES = 64 * 1024
const MAX_CHARACTERS = 16 * 1024

/** Of an entry. */
export const END = '\n\n'

/** Emits `change` when the file has changed. */
export class LogFile extends EventEmitter {
  #directory = mkdtempSync(join(tmpdir(), 'fastify-typed-sse-demo-'))
  #path = join(this.#directory, 'demo.log')
  /** Bytes cut off so far. */
  #start = 0
  #size = 0
  #changes = 0
  #watcher

  constructor () {
    super()
    this.setMaxListeners(0) // one for each open stream
    writeFileSync(this.#path, '')
    this.#watcher = watch(this.#path, () => {
      this.#changes++
      this.emit('change')
    })
  }

  get start () {
    return this.#start
  }

  get end () {
    return this.#start + this.#size
  }

  /** Goes up with every change, so that one that happens while somebody reads is not missed. */
  get changes () {
    return this.#changes
  }

  append (level, text) {
    const line = `${new Date().toISOString()} ${level.padEnd(5)} ${text}`
    const entry = line.slice(0, MAX_CHARACTERS).trim().replace(/\s*[\r\n]+/g, '\n') + END
    appendFileSync(this.#path, entry)
    this.#size += Buffer.byteLength(entry)
    if (this.#size > MAX_BYTES) this.#halve()
  }

  /** @returns up to 64 KiB, and the place where they begin: the one asked for, or the log's start if that is later */
  async read (asked) {
    const start = this.#start
    const place = Math.max(asked, start)
    const file = await open(this.#path)
    try {
      const { bytesRead, buffer } = await file.read({ buffer: Buffer.alloc(READ_BYTES), position: place - start })
      if (this.#start === start) return { place, bytes: buffer.subarray(0, bytesRead) }
    } finally {
      await file.close()
    }
    return this.read(asked) // it was halved meanwhile
  }

  /** Whether an entry begins here, or will. */
  async isBoundary (place) {
    if (place === this.#start) return true
    if (place < this.#start + END.length || place > this.end) return false
    return (await this.read(place - END.length)).bytes.indexOf(END) === 0
  }

  async remove () {
    this.#watcher.close()
    await rm(this.#directory, { recursive: true })
  }

  #halve () {
    const bytes = readFileSync(this.#path)
    const cut = bytes.indexOf(END, bytes.length / 2) + END.length
    writeFileSync(this.#path, bytes.subarray(cut)) // the same file, so that it is watched still
    this.#start += cut
    this.#size -= cut
  }
}
