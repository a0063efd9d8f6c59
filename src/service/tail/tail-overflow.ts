// What is left out for a reader that had no room: with drop_oldest whatever is too far behind the end, with latest_per_key
// also all but each key's last record.

import type { RecordReader } from '../../record/batch-reader.ts'
import type { TimestampType } from '../../record/record-batch.ts'
import type { PageFilter, RecordSink } from '../read/page.ts'
import type { TailGap } from './tail.ts'
import { UNKNOWN_END } from './tail-head.ts'
import type { TailPlace } from './tail-place.ts'

export interface Dropped {
  /** Where to go on. */
  readonly offsets: Float64Array
  readonly gaps: readonly TailGap[]
  /** Offsets. */
  readonly count: number
}

/** Keeps about so many offsets in front of the ends, of all partitions that are behind the same number. */
export function dropOldest({ layout, offsets: before }: TailPlace, ends: Float64Array, keptMax: number): Dropped {
  const behind = (at: number) => (ends[at] === UNKNOWN_END ? 0 : (ends[at] as number) - (before[at] as number))
  const slots = [...layout.slots.keys()].filter((at) => behind(at) > 0)
  const share = Math.max(1, Math.floor(keptMax / Math.max(1, slots.length)))
  const offsets = before.slice()
  const gaps: TailGap[] = []
  let count = 0
  for (const at of slots) {
    if (behind(at) <= share) continue
    const { topic, partition } = layout.slots[at] as (typeof layout.slots)[number]
    const from = before[at] as number
    const to = (ends[at] as number) - share
    offsets[at] = to
    count += to - from
    gaps.push({ topic: topic.name, partition, from, to, reason: 'overflow' })
  }
  return { offsets, gaps, count }
}

/**
 * Takes records in order first, to learn each key's last; after choose() it lets through only those, in the same order,
 * and keeps account of the others. A record without a key is its own last.
 */
export class LatestKeys implements RecordSink, PageFilter {
  dropped = 0
  isInError = false
  steps = 0
  readonly #inner: PageFilter | undefined
  readonly #lastOffsets = new Map<string, number>()
  readonly #gaps = new Map<string, { topic: string; partition: number; from: number; to: number }>()
  #place = ''
  #isChosen = false

  constructor(inner: PageFilter | undefined) {
    this.#inner = inner
  }

  get gaps(): readonly TailGap[] {
    return [...this.#gaps.values()].map((gap) => ({ ...gap, reason: 'overflow' }))
  }

  begin(topic: string, partition: number, _timestampType: TimestampType): void {
    this.#place = `${partition}/${topic}`
  }

  write(record: RecordReader): void {
    if (record.keyStart >= 0) this.#lastOffsets.set(keyOf(this.#place, record), record.offset)
  }

  choose(): void {
    this.#isChosen = true
  }

  matches(record: RecordReader, topic: string, partition: number): boolean {
    const inner = this.#inner
    if (inner !== undefined) {
      const isWanted = inner.matches(record, topic, partition)
      this.isInError = inner.isInError
      this.steps = inner.steps
      if (!isWanted) return false
    }
    if (!this.#isChosen || record.keyStart < 0) return true
    const place = `${partition}/${topic}`
    const last = this.#lastOffsets.get(keyOf(place, record))
    if (last === undefined || last <= record.offset) return true
    this.#drop(place, topic, partition, record.offset)
    return false
  }

  #drop(place: string, topic: string, partition: number, offset: number): void {
    this.dropped++
    const gap = this.#gaps.get(place)
    if (gap === undefined) this.#gaps.set(place, { topic, partition, from: offset, to: offset + 1 })
    else gap.to = offset + 1
  }
}

function keyOf(place: string, { bytes, keyStart, keyEnd }: RecordReader): string {
  return `${place}/${bytes.toString('latin1', keyStart, keyEnd)}`
}
