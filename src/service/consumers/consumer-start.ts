// Where a consumer begins in a partition that is its own from now on: where it stood before a stop of the server, else where
// every member of its group would (group-start.ts). And what a seek means as an offset.

import type { Engine, OffsetSpec, Topic } from '../../engine/engine.ts'
import type { GroupPartition } from '../../engine/group-protocol.ts'
import { partitionKey } from '../../engine/partition-key.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { TailraceError } from '../../kernel/errors.ts'
import type { Caller } from '../caller.ts'
import type { AssignorName, GroupMembers } from '../groups/group-member.ts'
import type { ConsumeService } from '../read/consume.ts'
import type { ConsumerPosition } from './consumer-positions.ts'
import type { ConsumerSpec, OffsetReset } from './consumer-spec.ts'

export interface InstanceParts {
  readonly engine: Engine
  readonly consume: ConsumeService
  readonly members: GroupMembers
  readonly clock: Clock
  readonly assignors: readonly AssignorName[]
  /** A consumer goes after so much silence. */
  readonly instanceTimeoutMs: number
  /** The longest wait of a read, unless the consumer has its own. */
  readonly requestTimeoutMs: number
  /** What a group's members may have. */
  readonly sessionTimeoutMsMin: number
  readonly sessionTimeoutMsMax: number
}

/** Where a consumer stood when the server was stopped, and what was committed then; -1: nothing. */
export interface SavedPosition {
  readonly topicId: string
  readonly partition: number
  readonly next: number
  readonly committed: number
}

interface Start {
  readonly position: ConsumerPosition
  readonly offset: number
  readonly committed: number | undefined
  /** Its client knows: it stood there when the server was stopped, and nobody has read since. */
  readonly isKnown: boolean
}

interface Starts {
  readonly found: readonly Start[]
  /** Why some of them have no place to begin at. */
  readonly failure: TailraceError | undefined
}

export async function findStarts(
  consume: ConsumeService,
  caller: Caller,
  { group, spec }: { readonly group: string; readonly spec: ConsumerSpec },
  positions: readonly ConsumerPosition[],
  saved: readonly SavedPosition[],
): Promise<Starts> {
  const found: Start[] = []
  let failure: TailraceError | undefined
  const savedByPlace = new Map(saved.map((each) => [partitionKey(each.topicId, each.partition), each]))
  for (const one of await consume.startPartitions(caller, group, positions, { kind: spec.offsetReset })) {
    const { owned: position, committed, error } = one
    const { topic, partition } = position
    const before = savedByPlace.get(partitionKey(topic.id, partition))
    // what is committed since was read by others
    const isKnown = before?.committed === (committed ?? -1)
    const offset = isKnown ? before.next : one.offset
    if (offset >= 0) found.push({ position, offset, committed, isKnown })
    else failure ??= error
  }
  return { found, failure }
}

export interface SeekTarget extends GroupPartition {
  /** A time, ms: the first record that is not older, or the end. */
  readonly to: number | Exclude<OffsetReset, 'none'> | { readonly timestamp: number }
}

/** An offset for each. */
export async function findOffsets(
  engine: Engine,
  targets: readonly { readonly topic: Topic; readonly partition: number; readonly to: SeekTarget['to'] }[],
): Promise<readonly number[]> {
  const query = async (at: (to: Exclude<SeekTarget['to'], number>) => OffsetSpec) => {
    const sought = targets.flatMap(({ topic, partition, to }) => {
      return typeof to === 'number' ? [] : [{ topic, partition, at: at(to) }]
    })
    return sought.length === 0 ? [] : await engine.listOffsets(sought)
  }
  // the ends first: a record that comes in between may be read although it is too old, but none is missed
  const ends = (await query((to) => (typeof to === 'object' ? 'latest' : to))).values()
  const found = (await query((to) => to)).values()
  return targets.map(({ to }) => {
    if (typeof to === 'number') return to
    const end = ends.next().value?.offset ?? 0
    const offset = found.next().value?.offset ?? -1
    return offset < 0 ? end : offset
  })
}
