// Where tails stand: one offset for each slot of a layout. Tails that stand at the same place hold the same object, and
// what was read from it hangs on it. Its offsets never change; what keeps its partitions from being read does.

import type { FetchedPartition } from '../../engine/engine.ts'
import type { TailraceError } from '../../kernel/errors.ts'
import type { PageFilter } from '../read/page.ts'
import type { TopicOffset } from '../read/partition-offset.ts'
import type { TailChunk, TailForm, TailGap } from './tail.ts'
import type { TailLayout, TailSlot } from './tail-layout.ts'
import type { TurnTaker } from './tail-turns.ts'

/** A partition that cannot be read where the place stands, and when it is tried again (monotonic). */
export interface StuckSlot {
  readonly slot: TailSlot
  readonly at: number
  readonly error: TailraceError
  readonly retryAt: number
}

/** What was fetched from a place, as long as somebody is decoding it. */
export interface PlaceFetch {
  /** The slots, in this order. */
  readonly asked: readonly number[]
  readonly ends: Float64Array
  readonly fetched: Promise<readonly FetchedPartition[]>
  users: number
}

/** What tails have in common that are given the same chunks. */
export interface ChunkKind {
  readonly key: string
  readonly form: TailForm
  readonly filter: PageFilter | undefined
  readonly batchRecords: number
}

export interface HeldChunk extends TailChunk {
  /** Somebody more has it, and calls taken() when that is over: the last one gives its memory back. */
  hold(): void
}

export interface TailRead {
  /** undefined: nothing was found to give. */
  readonly chunk: HeldChunk | undefined
  /** In front of the chunk. */
  readonly gaps: readonly TailGap[]
  readonly scanned: number
  readonly filterErrors: number
  /** For want of room. */
  readonly dropped: number
  /** Where it ends: the place that it began at, when nothing could be read. */
  readonly next: TailPlace
}

/** A place, a chunk and what holds them. */
const CHUNK_OVERHEAD_BYTES = 1024

export interface ChunkWaiter extends TurnTaker {
  /** It is not elsewhere by now, or gone. */
  awaits(chunk: SharedChunk): boolean
}

export class SharedChunk {
  /** One of them is there when it is made. */
  read: TailRead | undefined
  error: TailraceError | undefined
  waiters: ChunkWaiter[] = []
  readonly place: TailPlace
  readonly key: string

  constructor(place: TailPlace, key: string) {
    this.place = place
    this.key = key
  }

  /** Or was just asked for. */
  get isAwaited(): boolean {
    return this.waiters.length === 0 || this.waiters.some((waiter) => waiter.awaits(this))
  }

  /** With what is kept beside its body: where nothing was found to give that is all. */
  get bytes(): number {
    return CHUNK_OVERHEAD_BYTES + this.place.offsets.byteLength + (this.read?.chunk?.body.length ?? 0)
  }
}

const NONE: readonly StuckSlot[] = []

export class TailPlace {
  readonly layout: TailLayout
  readonly offsets: Float64Array
  /** The slot that is first in the next chunk. */
  readonly turn: number
  /** More tails than one come by here: what is read from it is kept for them. */
  isShared = false
  /** Who stands here has much to catch up with: reads from here are paced. */
  isFarBehind = false
  stuck: readonly StuckSlot[] = NONE
  chunks: Map<string, SharedChunk> | undefined
  fetch: PlaceFetch | undefined
  /** How it stands to these ends; TailHead.look() says. */
  lookedAt: Float64Array | undefined
  isAtEnd = false
  lag = 0
  #cursor: string | undefined
  #moved: TailPlace | undefined

  constructor(layout: TailLayout, offsets: Float64Array, turn = 0) {
    this.layout = layout
    this.offsets = offsets
    this.turn = turn
  }

  /** invalid_request: more partitions than a cursor can name. */
  getCursor(): string {
    this.#cursor ??= this.layout.cursor(this.offsets, this.turn)
    return this.#cursor
  }

  findCursor(): string | undefined {
    try {
      return this.getCursor()
    } catch {
      // it can name fewer
      return undefined
    }
  }

  get positions(): readonly TopicOffset[] {
    return this.layout.slots.map(({ topic, partition }, at) => {
      return { topic, partition, offset: this.offsets[at] as number }
    })
  }

  /** The same place in another layout: what is new there is read from its first record. One object for all that ask. */
  in(layout: TailLayout): TailPlace {
    if (layout === this.layout) return this
    if (this.#moved?.layout === layout) return this.#moved
    const offsets = new Float64Array(layout.slots.length)
    for (const [at, { topic, partition }] of layout.slots.entries()) {
      const before = this.layout.find(topic.id, partition)
      if (before >= 0) offsets[at] = this.offsets[before] as number
    }
    this.#moved = new TailPlace(layout, offsets)
    this.#moved.isShared = this.isShared
    this.#moved.isFarBehind = this.isFarBehind
    this.#moved.stuck = this.stuck.flatMap((one) => {
      const at = layout.find(one.slot.topic.id, one.slot.partition)
      return at < 0 ? [] : [{ ...one, at }]
    })
    return this.#moved
  }
}
