// Where topics live. The memory broker and the Redis broker implement this interface, and so can anybody else:
// `fastify-typed-sse/testing` has the suite that says whether they do.

/**
 * A place in a topic: `epoch.ms-seq`, as `Jx3kQ9ab.1763800000000-0`.
 *
 * The epoch, of `[A-Za-z0-9_-]` and at most 32 characters, names one life of one topic: no two topics share one, and a
 * topic whose history was lost and made anew has another. `ms` and `seq` are integers: of two positions the one with the greater
 * `ms` is the later one, and of those with the same the one with the greater `seq`. What they count is up to the broker.
 */
export type Position = string

/** What a broker keeps of an event. */
export interface BrokerEntry {
  readonly id: Position
  /** The entry that was appended before this one, whether it is still kept or not; of the first, a position that no entry has. */
  readonly prev: Position
  /** Lines ready for the wire, without the id and the blank line. Opaque to a broker. */
  readonly frame: string
  /** Entries with the same key supersede each other, where a channel says so. Opaque to a broker. */
  readonly key?: string | undefined
}

/** What is published. */
export interface BrokerEvent {
  readonly frame: string
  readonly key?: string | undefined
  /** Of two events of a topic with the same one, within two minutes, only the first is appended. */
  readonly dedupe?: string | undefined
}

/** How much of a topic is kept; each bound is upper. */
export interface Retention {
  /** Entries. 0 keeps none. */
  readonly max: number
  /** Bytes of frames. */
  readonly bytes: number
  /** Milliseconds. */
  readonly ttl: number
}

/** What a broker tells the node that opened it. */
export interface BrokerSink {
  /**
   * An entry of an attached topic, each once and in the order of the topic as long as all goes well. Where one is lost on the
   * way, comes twice or late, `prev` tells.
   */
  entry (topic: string, entry: BrokerEntry): void
  /** Entries may have been lost on the way, of one topic or of all: they are read again. */
  suspect (topic?: string): void
  /** What any node gave to `command`. */
  command (text: string): void
}

/** A part of a topic's history. */
export interface Page {
  /** Of the topic's last entry, whether it is kept or not. */
  readonly head: Position
  /** In order, without gaps: the `prev` of each is the id of the one before. Fewer than asked for are allowed, none only where there are none. */
  readonly entries: readonly BrokerEntry[]
}

export interface PageLimit {
  /** Entries at most. */
  readonly entries: number
  /** Bytes of frames at most, but for a single entry that has more. */
  readonly bytes: number
}

export interface BrokerHealth {
  /** `'live'`: all works. `'degraded'`: streams stand, but entries may be late. `'down'`: nothing can be published. */
  readonly state: 'live' | 'degraded' | 'down'
}

export interface Broker {
  /** Called once, before anything else. */
  open (sink: BrokerSink): Promise<void> | void
  /**
   * Appends an event, whole or not at all, and tells every node that is attached, this one too.
   *
   * @returns its position, or that of the first with the same `dedupe`
   * @throws (rejects) when it is not certain that the event was appended
   */
  publish (topic: string, event: BrokerEvent, retention: Retention): Promise<Position>
  /** Resolves with the position of the topic's last entry when the sink is told of all that follow it. */
  attach (topic: string): Promise<Position>
  /** The sink need not be told of the topic any more. Takes effect in the order of the calls. */
  detach (topic: string): Promise<void>
  /**
   * The first entries that are kept behind a position, which need not be that of an entry; `''` is before all.
   * Whoever reads tells from `prev` of the first whether anything between is gone.
   */
  read (topic: string, after: Position | '', limit: PageLimit): Promise<Page>
  /** Gives a text to the sinks of all nodes, this one too. */
  command (text: string): Promise<void>
  health (): BrokerHealth
  /** Called once, after everything else. */
  close (): Promise<void> | void
}
