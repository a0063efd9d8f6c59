// Where a tail ends: after a number of records, or at an offset in each partition. Partitions that are added later do not
// count, unless they come with an end of their own.

import { partitionKey } from '../../engine/partition-key.ts'
import type { TopicOffset } from '../read/partition-offset.ts'
import type { AssignedOffset } from './tail.ts'
import type { TailLayout } from './tail-layout.ts'
import type { TailPlace } from './tail-place.ts'

export class TailUntil {
  readonly #recordCount: number
  readonly #offsets: Map<string, number> | undefined
  /** The last answers. */
  #unreached: TailPlace | undefined
  #bounded: { readonly of: Float64Array; readonly ends: Float64Array } | undefined

  /** Both undefined: never. */
  constructor(recordCount?: number, offsets?: readonly TopicOffset[]) {
    this.#recordCount = recordCount ?? Number.POSITIVE_INFINITY
    this.#offsets = offsets && new Map(offsets.map((one) => [partitionKey(one.topic.id, one.partition), one.offset]))
  }

  /** What was not known of before ends there. */
  assign(offsets: readonly AssignedOffset[]): void {
    for (const { topic, partition, until } of offsets) {
      const key = partitionKey(topic.id, partition)
      if (until !== undefined && !this.#offsets?.has(key)) this.#offsets?.set(key, until)
    }
    this.#unreached = undefined
    this.#bounded = undefined
  }

  recordsLeft(given: number): number {
    return this.#recordCount - given
  }

  /** `areAllKnown`: no partitions are to come that count. */
  isReached(place: TailPlace, given: number, areAllKnown: boolean): boolean {
    if (given >= this.#recordCount) return true
    if (this.#offsets === undefined || !areAllKnown || this.#unreached === place) return false
    const { slots } = place.layout
    const isThere = slots.every(({ topic, partition }, at) => {
      return (place.offsets[at] as number) >= this.#endOf(topic.id, partition)
    })
    if (!isThere) this.#unreached = place
    return isThere
  }

  /** What may be read of these ends: the same object where that is all. */
  bound(ends: Float64Array, { slots }: TailLayout): Float64Array {
    if (this.#offsets === undefined) return ends
    if (this.#bounded?.of === ends) return this.#bounded.ends
    const bounded = ends.map((end, at) => {
      const slot = slots[at]
      return slot === undefined ? end : Math.min(end, this.#endOf(slot.topic.id, slot.partition))
    })
    this.#bounded = { of: ends, ends: bounded.every((end, at) => end === ends[at]) ? ends : bounded }
    return this.#bounded.ends
  }

  #endOf(topicId: string, partition: number): number {
    return this.#offsets?.get(partitionKey(topicId, partition)) ?? 0
  }
}
