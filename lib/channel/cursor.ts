// Where a stream stands in one topic.
import type { Position } from '../../types/broker.js'
import type { ResetReason } from '../../types/reserved.js'
import type { Feed } from './feed.js'
import type { HistoryPage } from './replay.js'
import type { Part } from './subscription.js'
import type { Reader, Topic } from './topic.js'

export class Cursor implements Reader {
  readonly part: Part
  readonly topic: Topic
  position: Position | '' = ''
  /** In the topic's window, or -1 where the position is looked for in history. */
  place = -1
  /** Whether the client knows of the position, so that it may stand in an id. */
  isTold = false
  /** What the client is still to be told. */
  reset: ResetReason | undefined
  readonly #feed: Feed

  constructor (feed: Feed, part: Part, topic: Topic) {
    this.#feed = feed
    this.part = part
    this.topic = topic
  }

  flush (): void { this.#feed.flush() }
  take (page: HistoryPage, index: number): void { this.#feed.take(this, page, index) }
  lose (reason: ResetReason): void { this.#feed.lose(this, reason) }

  /** Stands where the topic's window has its position, if it has. */
  locate (place: number | undefined): boolean {
    if (place === undefined) return false
    this.place = place
    this.position = this.topic.window.positionAt(place)
    this.topic.replay.leave(this)
    return true
  }

  toHead (): void {
    this.locate(this.topic.window.next)
  }

  /** Goes to the head without what lies between; the client is to be told so. */
  miss (reason: ResetReason): void {
    this.reset = reason
    this.toHead()
  }
}
