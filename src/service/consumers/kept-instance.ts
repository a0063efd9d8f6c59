// What is remembered of a consumer in the state topic. Its partitions stand by topic, so that thousands of them have room
// in one value.

import type { GroupPartition } from '../../engine/group-protocol.ts'
import type { StateValue } from '../groups/state-topic.ts'
import type { ConsumerSource, ConsumerSpec } from './consumer-spec.ts'
import type { SavedPosition } from './consumer-start.ts'

type KeptSource =
  | Exclude<ConsumerSource, { readonly kind: 'assigned' }>
  | { readonly kind: 'assigned'; readonly partitionsByTopic: Readonly<Record<string, readonly number[]>> }

type InstanceRecord = ConsumerSpec & { readonly source: KeptSource }

export function recordOf(spec: ConsumerSpec, source: ConsumerSource): StateValue {
  if (source.kind !== 'assigned') return { ...spec, source }
  return { ...spec, source: { kind: 'assigned', partitionsByTopic: byTopic(source.partitions) } }
}

export function instanceOf(value: StateValue): { readonly spec: ConsumerSpec; readonly source: ConsumerSource } {
  const { source, ...spec } = value as unknown as InstanceRecord
  if (source.kind !== 'assigned') return { spec, source }
  const partitions = Object.entries(source.partitionsByTopic).flatMap(([topic, numbers]) => {
    return numbers.map((partition) => ({ topic, partition }))
  })
  return { spec, source: { kind: 'assigned', partitions } }
}

function byTopic(partitions: readonly GroupPartition[]): Record<string, number[]> {
  const topics = Map.groupBy(partitions, ({ topic }) => topic)
  return Object.fromEntries([...topics].map(([topic, own]) => [topic, own.map(({ partition }) => partition)]))
}

/** By topic id: partition, where the next read begins, and how far in front of it was committed (null: nothing was). */
type Place = Readonly<Record<string, readonly (readonly [partition: number, next: number, behind: number | null])[]>>

export function placeOf(positions: readonly SavedPosition[]): StateValue {
  const topics = Map.groupBy(positions, ({ topicId }) => topicId)
  const placeIn = ({ partition, next, committed }: SavedPosition) => {
    return [partition, next, committed < 0 ? null : next - committed] as const
  }
  return Object.fromEntries([...topics].map(([topicId, own]) => [topicId, own.map(placeIn)])) satisfies Place
}

export function savedPositionsOf(value: StateValue): SavedPosition[] {
  return Object.entries(value as unknown as Place).flatMap(([topicId, positions]) => {
    return positions.map(([partition, next, behind]) => {
      return { topicId, partition, next, committed: behind === null ? -1 : next - behind }
    })
  })
}
