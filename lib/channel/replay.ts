// Readers that stand further back than the window. Their history is read page by page, for all of them at once: the
// page behind the one that has waited longest serves everyone who stands within it. So a crowd of any size costs a topic
// as many reads as it has pages.
import type { BrokerEntry, Page, Position } from '../../types/broker.js'
import type { Sleeper } from '../clock.js'
import { comparePositions, epochOf } from '../wire/cursor.js'
import { CHUNK_BYTES, join, type Entries, type Join } from './frames.js'
import { Quantum } from './quantum.js'
import type { Reader, Topic, TopicHost } from './topic.js'

/** Entries of a page at most, where they are too small to fill one write. */
const PAGE_ENTRIES = 1_024

/** Pages of a topic that are kept for the next who asks. A crowd comes and drains one after another. */
const KEPT_PAGES = 64

/**
 * Reads at the place of whoever has waited longest, before it is taken for a crowd. Then history is read from its
 * beginning on, each page behind the one before: pages that begin wherever somebody stands overlap, and are never enough.
 */
const READS_BEFORE_SCAN = 4

/** Bytes of kept pages of all topics together. Beyond it, a topic that reads another page drops its oldest. */
export const KEPT_BYTES = 33_554_432

/** Kept pages are dropped when nobody has asked for that long. */
const KEPT_MS = 2_000

/** And when they are so old, whoever asks: they may hold what the broker has let go of since. */
const MAX_KEPT_MS = 30_000

/** Of a page that has grown old: it knows what follows a position, but not that nothing does. */
const LONG_AGO = 0

export class HistoryPage implements Page, Entries {
  readonly head: Position
  readonly entries: readonly BrokerEntry[]
  /** What it was read behind. */
  readonly after: Position | ''
  /** When, in ms of the clock. */
  readonly readAt: number
  readonly #sizes: readonly number[]
  readonly #indexes: ReadonlyMap<Position, number>
  /** Of the frames, and of the buffer that is made of them. */
  readonly bytes: number
  readonly #joins = new Map<number, Join>()

  constructor ({ head, entries }: Page, after: Position | '', readAt: number) {
    this.readAt = readAt
    this.head = head
    this.entries = entries
    this.after = after
    this.#sizes = entries.map(({ frame }) => Buffer.byteLength(frame))
    this.bytes = 2 * this.#sizes.reduce((sum, size) => sum + size, 0)
    this.#indexes = new Map(entries.map(({ prev }, index) => [prev, index]))
  }

  readonly first = 0

  get next (): number {
    return this.entries.length
  }

  at (index: number): BrokerEntry {
    return this.entries[index] as BrokerEntry // callers stay below next
  }

  sizeAt (index: number): number {
    return this.#sizes[index] as number
  }

  /** The index of the entry that follows a position. The chain decides: a position that only looks right is not in it. */
  indexAfter (position: Position | ''): number | undefined {
    return position === '' && this.after === '' && this.next > 0 ? 0 : this.#indexes.get(position)
  }

  /** The position behind it. */
  get end (): Position {
    return this.entries.at(-1)?.id ?? this.head
  }

  /** Whether nothing followed it when it was read. */
  get isLast (): boolean {
    return this.end === this.head
  }

  /** Whether a position that is not in its chain is in none: it would stand here. */
  rulesOut (position: Position): boolean {
    if (epochOf(position) !== epochOf(this.head)) return true
    return comparePositions(position, this.after) >= 0 && (this.isLast || comparePositions(position, this.end) < 0)
  }

  join (index: number, latest: boolean): Join {
    let found = this.#joins.get(index)
    if (found === undefined) {
      found = join(this, index, latest)
      if (index === 0) this.#joins.set(index, found) // readers who stand elsewhere in it are hardly two
    }
    return found
  }
}

export class Replay implements Sleeper {
  wakeAt = 0
  heapIndex = -1
  readonly #host: TopicHost
  readonly #topic: Topic
  /** Who waits for a page, in the order in which they began to, and how many reads had been sent by then. */
  readonly #waiting = new Map<Reader, number>()
  readonly #pages: HistoryPage[] = []
  #running = false
  #closed = false
  #reads = 0
  /** Of those, the ones for the crowd of now. */
  #readsOfCrowd = 0
  /** Reads in a row that failed. */
  #failures = 0
  /** Where the next page of the scan begins; undefined when it has come to the end. */
  #scan: Position | '' | undefined = ''

  constructor (host: TopicHost, topic: Topic) {
    this.#host = host
    this.#topic = topic
  }

  wait (reader: Reader): void {
    if (!this.#waiting.has(reader)) this.#waiting.set(reader, this.#reads) // one that waits is asked again with each event
    if (this.#running || this.#closed) return
    this.#running = true
    setImmediate(this.#step)
  }

  leave (reader: Reader): void {
    this.#waiting.delete(reader)
  }

  // In a turn of its own, so that all who come in one turn are served by one page.
  #step = (): void => {
    const after = this.#closed ? undefined : this.#longestWaiting
    if (after === undefined) {
      this.#running = false
      if (this.#pages.length > 0) this.#host.clock.wake(this, this.#host.now + KEPT_MS)
      return
    }
    const kept = this.#keptBehind(after)
    if (kept !== undefined) {
      this.#serve(kept, LONG_AGO)
      return
    }
    void this.#read(after)
  }

  /** Never of the beginning: of that, only the broker knows where it is by now. */
  #keptBehind (after: Position | ''): HistoryPage | undefined {
    while (this.#pages[0] !== undefined && this.#pages[0].readAt < this.#host.now - MAX_KEPT_MS) this.#drop()
    return after === '' ? undefined : this.#pages.find((page) => page.indexAfter(after) !== undefined)
  }

  async #read (after: Position | ''): Promise<void> {
    const read = ++this.#reads
    const scan = ++this.#readsOfCrowd > READS_BEFORE_SCAN && after !== '' ? this.#scan : undefined
    const from = scan ?? after
    this.#host.stats.reads++
    let page: HistoryPage
    try {
      page = new HistoryPage(await this.#host.broker.read(this.#topic.name, from, { entries: PAGE_ENTRIES, bytes: CHUNK_BYTES }), from, this.#host.now)
    } catch (error) {
      if (this.#closed) return
      this.#host.failed(error, this.#topic.name)
      this.#host.retry(this.#failures++, this.#step)
      return
    }
    if (this.#closed) return
    this.#failures = 0
    if (scan !== undefined) this.#scan = page.isLast || this.#pages.length === KEPT_PAGES ? undefined : page.end
    this.#keep(page)
    this.#serve(page, read)
  }

  #drop (): void {
    this.#host.keptBytes -= (this.#pages.shift() as HistoryPage).bytes // callers look at the length
  }

  /** Nobody has asked for a while. */
  wake (): number {
    while (this.#pages.length > 0) this.#drop()
    this.#readsOfCrowd = 0
    this.#scan = ''
    return Infinity
  }

  /** For good: an answer that is still on its way is let go of. */
  close (): void {
    this.#closed = true
    this.#host.clock.cancel(this)
    this.wake()
  }

  // Not the one that is furthest back: as long as others come from there, nobody else would have a turn.
  get #longestWaiting (): Position | '' | undefined {
    const [reader] = this.#waiting.keys()
    return reader?.position
  }

  #keep (page: HistoryPage): void {
    if (page.entries.length === 0) return
    this.#pages.push(page)
    this.#host.keptBytes += page.bytes
    while (this.#pages.length > KEPT_PAGES || (this.#host.keptBytes > KEPT_BYTES && this.#pages.length > 0)) this.#drop()
  }

  /** @param read the number of the read that gave the page */
  #serve (page: HistoryPage, read: number, readers: Iterator<Reader> = [...this.#waiting.keys()].values()): void {
    const quantum = new Quantum(this.#host)
    for (let next = readers.next(); next.done !== true; next = readers.next()) {
      const reader = next.value
      const since = this.#waiting.get(reader)
      if (since === undefined) continue // it has left meanwhile
      if (reader.position === '' && since >= read) continue
      if (!this.#give(reader, page) && since < read) this.#decide(reader, page)
      if (quantum.isOver()) {
        setImmediate(() => this.#serve(page, read, readers))
        return
      }
    }
    setImmediate(this.#step)
  }

  #give (reader: Reader, page: HistoryPage): boolean {
    const index = page.indexAfter(reader.position)
    if (index === undefined) return false
    this.#waiting.delete(reader)
    reader.take(page, index)
    return true
  }

  /**
   * Rules in the order of the design: in the chain, which was looked at before; at the head; other epoch; beyond the head;
   * else lost. For those who waited when the page was asked for: of later ones it says nothing, since what they have
   * may be newer than it is.
   */
  #decide (reader: Reader, page: HistoryPage): void {
    const { position } = reader
    const isAtHead = position === '' || position === page.head
    if (!isAtHead && !page.rulesOut(position)) return // it stands elsewhere
    this.#waiting.delete(reader)
    if (isAtHead) reader.take(page, page.next)
    else if (epochOf(position) !== epochOf(page.head)) reader.lose('epoch')
    else reader.lose(comparePositions(position, page.head) > 0 ? 'ahead' : 'lost')
  }
}
