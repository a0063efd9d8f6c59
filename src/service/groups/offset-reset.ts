// Where a group's offsets are to be put, by the rules of Kafka's tool: a pure function of what was asked, what is
// committed, and what each partition holds.

import type { GroupPartition } from '../../engine/group-protocol.ts'
import { partitionKey } from '../../engine/partition-key.ts'
import { TailraceError } from '../../kernel/errors.ts'

export type ResetTarget =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }
  /** The first record at or after a time, ms; the end where there is none. */
  | { readonly kind: 'time'; readonly timestamp: number }
  /** In each of the partitions. */
  | { readonly kind: 'offset'; readonly offset: number }
  /** So many records on, or back. */
  | { readonly kind: 'shift'; readonly by: number }
  /** Where the group stands; the end where it has not committed. */
  | { readonly kind: 'current' }
  /** Each partition's own. */
  | { readonly kind: 'listed'; readonly offsets: readonly (GroupPartition & { readonly offset: number })[] }

/** A partition as the plan needs to know it. */
export interface PartitionStanding extends GroupPartition {
  readonly startOffset: number
  readonly endOffset: number
  readonly committedOffset: number | undefined
  /** Asked by time: of the first record at or after it; undefined where there is none. */
  readonly offsetAtTime?: number | undefined
}

export interface OffsetReset extends GroupPartition {
  /** undefined: the group had committed nothing. */
  readonly previousOffset: number | undefined
  readonly offset: number
  /** What was asked for, where the partition does not hold it, and to which of its bounds it was moved. */
  readonly adjusted?: { readonly to: 'start' | 'end'; readonly requestedOffset: number | undefined } | undefined
}

/** invalid_request: a shift of a partition that the group has not committed. */
export function planReset(target: ResetTarget, partitions: readonly PartitionStanding[]): readonly OffsetReset[] {
  const listed = new Map<string, number>()
  if (target.kind === 'listed')
    for (const each of target.offsets) listed.set(partitionKey(each.topic, each.partition), each.offset)
  return partitions.map((standing) => {
    const { topic, partition, committedOffset: previousOffset } = standing
    return {
      topic,
      partition,
      previousOffset,
      ...placeOf(target, standing, listed.get(partitionKey(topic, partition))),
    }
  })
}

type Place = Pick<OffsetReset, 'offset' | 'adjusted'>

function placeOf(target: ResetTarget, standing: PartitionStanding, listed: number | undefined): Place {
  const { startOffset, endOffset, committedOffset, offsetAtTime } = standing
  switch (target.kind) {
    case 'earliest':
      return { offset: startOffset }
    case 'latest':
      return { offset: endOffset }
    case 'time':
      if (offsetAtTime !== undefined) return within(standing, offsetAtTime)
      // an empty partition has no other place
      if (startOffset === endOffset) return { offset: endOffset }
      return { offset: endOffset, adjusted: { to: 'end', requestedOffset: undefined } }
    case 'offset':
      return within(standing, target.offset)
    case 'shift':
      if (committedOffset === undefined) throw nothingToShift(standing)
      return within(standing, committedOffset + target.by)
    case 'current':
      // Not moved to a bound: that is where the group stands, in Kafka's tool too.
      return { offset: committedOffset ?? endOffset }
    case 'listed':
      return within(standing, listed ?? endOffset)
  }
}

function within({ startOffset, endOffset }: PartitionStanding, requestedOffset: number): Place {
  if (requestedOffset > endOffset) return { offset: endOffset, adjusted: { to: 'end', requestedOffset } }
  if (requestedOffset < startOffset) return { offset: startOffset, adjusted: { to: 'start', requestedOffset } }
  return { offset: requestedOffset }
}

function nothingToShift({ topic, partition }: GroupPartition): TailraceError {
  return new TailraceError(
    'invalid_request',
    `the offset of partition ${partition} of topic ${topic} cannot be shifted: the group has committed none`,
    { topic, partition },
  )
}
