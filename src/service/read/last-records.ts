// Where the last N existing records of some partitions, of one topic or of several, begin: the position `-N`. Walks back from the ends and always
// takes, of the partitions' next records, the one with the latest timestamp, so that each partition gives an unbroken
// end of itself and all together give N. Compaction leaves holes between offsets: records are looked at, not reckoned.
// A partition's end is loaded in windows: its share of N at first, then wider ones as it turns out to be needed.

import type { Engine, Topic } from '../../engine/engine.ts'
import type { ByteRoom } from '../../kernel/byte-room.ts'
import { EXPORT_FETCH_BYTES } from '../../kernel/limits.ts'
import type { PartitionOffset, ResolvedOffset } from './partition-offset.ts'
import { RecordWalk, releaseFetched } from './record-walk.ts'

const WINDOW_OFFSETS_MIN = 16

export interface RecordSource {
  readonly engine: Engine
  readonly inflations: ByteRoom
}

export interface TopicPlace {
  readonly topic: Topic
  readonly partition: number
}

/** In the order of the places. */
export async function findLastRecords(
  source: RecordSource,
  places: readonly TopicPlace[],
  recordCount: number,
  signal?: AbortSignal,
): Promise<readonly ResolvedOffset[]> {
  const list = (at: 'earliest' | 'latest') => source.engine.listOffsets(places.map((place) => ({ ...place, at })))
  const ends = await list('latest')
  const starts = await list('earliest')
  const share = Math.max(WINDOW_OFFSETS_MIN, Math.ceil((recordCount / places.length) * 1.25))
  const tails = places.map((place, at) => {
    return new PartitionTail(place, at, starts[at]?.offset ?? 0, ends[at]?.offset ?? 0, share)
  })
  const load = (some: readonly PartitionTail[]) => loadTails(source, some, signal)
  await load(tails)
  const latest = new LatestFirst(tails.filter((tail) => !tail.isEmpty))
  for (let taken = 0; taken < recordCount; taken++) {
    const tail = latest.first
    if (tail === undefined) break
    tail.take()
    if (tail.isEmpty) await load([tail])
    latest.settleFirst()
  }
  return tails.map(({ partition, offset, timestamp }) => ({ partition, offset, timestamp }))
}

/** The tails that have a record to give, as a heap: the one whose next record is the latest is first, of equals the first partition. */
class LatestFirst {
  readonly #heap: PartitionTail[]

  constructor(tails: PartitionTail[]) {
    this.#heap = tails
    for (let at = (tails.length >> 1) - 1; at >= 0; at--) this.#sink(at)
  }

  get first(): PartitionTail | undefined {
    return this.#heap[0]
  }

  /** After the first gave a record: it goes where its next one belongs, or leaves. */
  settleFirst(): void {
    if (this.#heap[0]?.isEmpty) {
      const last = this.#heap.pop() as PartitionTail
      if (this.#heap.length > 0) this.#heap[0] = last
    }
    this.#sink(0)
  }

  #sink(start: number): void {
    const heap = this.#heap
    let at = start
    for (let child = 2 * at + 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++
      if (!isBefore(heap[child], heap[at])) return
      const sinking = heap[at] as PartitionTail
      heap[at] = heap[child] as PartitionTail
      heap[child] = sinking
      at = child
    }
  }
}

function isBefore(left: PartitionTail | undefined, right: PartitionTail | undefined): boolean {
  if (left === undefined || right === undefined) return false
  if (left.nextTimestamp !== right.nextTimestamp) return left.nextTimestamp > right.nextTimestamp
  return left.rank < right.rank
}

/** Loads window before window, until each tail has a record to give or is at its partition's start. */
async function loadTails(
  { engine, inflations }: RecordSource,
  tails: readonly PartitionTail[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const walk = new RecordWalk(inflations)
  try {
    await loadWindows(engine, tails, walk, signal)
  } finally {
    walk.end()
  }
}

async function loadWindows(
  engine: Engine,
  tails: readonly PartitionTail[],
  walk: RecordWalk,
  signal: AbortSignal | undefined,
): Promise<void> {
  let wanting = tails.filter((tail) => tail.openWindow())
  while (wanting.length > 0) {
    const fetched = await engine.fetch(
      wanting.map(({ topic, partition, windowNext }) => ({ topic, partition, offset: windowNext })),
      {
        minBytes: 0,
        maxBytes: EXPORT_FETCH_BYTES,
        partitionMaxBytes: Math.max(64 * 1024, Math.floor(EXPORT_FETCH_BYTES / wanting.length)),
        maxWaitMs: 0,
        isolation: 'read_committed',
        signal,
      },
    )
    let isMoving = false
    for (const [at, part] of fetched.entries()) {
      const tail = wanting[at] as PartitionTail
      const before = tail.windowNext
      if (part.error?.code === 'offset_out_of_range' && part.logStartOffset > tail.windowNext) {
        tail.raiseStart(part.logStartOffset)
      } else if (part.error !== undefined) throw part.error
      else {
        walk.begin(part, tail.windowNext)
        do {
          while (tail.windowNext < tail.windowEnd && walk.next()) tail.accept(walk.record.offset, walk.record.timestamp)
        } while (await walk.inflate())
        tail.advance(walk.nextOffset)
      }
      isMoving ||= tail.windowNext > before
    }
    releaseFetched(fetched)
    // Nothing to be had below the ends: an open transaction hides it, so it is not yet there.
    if (!isMoving) for (const tail of wanting) tail.advance(tail.windowEnd)
    // A tail is done with its window before it begins the next; holes of any width end at the partition's start.
    wanting = wanting.filter((tail) => tail.windowNext < tail.windowEnd || (tail.isEmpty && tail.openWindow()))
  }
}

/** The records at the end of one partition, the latest on top; windows go down from the end to the start. */
class PartitionTail implements PartitionOffset {
  readonly topic: Topic
  readonly partition: number
  /** Of records with the same timestamp that of the lower one is later. */
  readonly rank: number
  /** The last record taken; at first the partition's end. */
  offset: number
  timestamp = -1
  /** The next offset to be read of the present window, and the offset after the window. */
  windowNext: number
  windowEnd: number

  #start: number
  #windowStart: number
  #windowOffsets: number
  #offsets: number[] = []
  #timestamps: number[] = []

  constructor({ topic, partition }: TopicPlace, rank: number, start: number, end: number, windowOffsets: number) {
    this.topic = topic
    this.partition = partition
    this.rank = rank
    this.offset = end
    this.#start = start
    this.#windowStart = end
    this.windowNext = end
    this.windowEnd = end
    this.#windowOffsets = windowOffsets
  }

  get isEmpty(): boolean {
    return this.#offsets.length === 0
  }

  get nextTimestamp(): number {
    return this.#timestamps.at(-1) as number
  }

  take(): void {
    this.offset = this.#offsets.pop() as number
    this.timestamp = this.#timestamps.pop() as number
  }

  /** Goes to the window before the present one; false at the partition's start. Only when all loaded is taken. */
  openWindow(): boolean {
    if (this.#windowStart <= this.#start) return false
    this.windowEnd = this.#windowStart
    this.#windowStart = Math.max(this.#start, this.windowEnd - this.#windowOffsets)
    this.windowNext = this.#windowStart
    this.#windowOffsets *= 2
    return true
  }

  accept(offset: number, timestamp: number): void {
    if (offset < this.windowEnd) {
      this.#offsets.push(offset)
      this.#timestamps.push(timestamp)
    }
    this.windowNext = offset + 1
  }

  advance(offset: number): void {
    if (offset > this.windowNext) this.windowNext = offset
  }

  /** Records were deleted meanwhile. */
  raiseStart(start: number): void {
    this.#start = start
    this.windowNext = Math.min(start, this.windowEnd)
  }
}
