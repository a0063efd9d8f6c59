// Where a read of a topic begins, partition by partition, for a position of any kind, and the cursor that goes on from
// where it came to. What every verb of reading shares.

import type { Engine, Topic } from '../../engine/engine.ts'
import type { ByteRoom } from '../../kernel/byte-room.ts'
import type { Clock } from '../../kernel/clock.ts'
import { TailraceError } from '../../kernel/errors.ts'
import type { Telemetry } from '../../kernel/telemetry.ts'
import { unknownTopic } from '../topics.ts'
import type { Cursor, CursorTopic } from './cursor.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import type { PartitionOffset } from './partition-offset.ts'
import type { Position } from './positions.ts'
import { resolvePosition } from './positions.ts'

export interface ConsumeDependencies {
  readonly engine: Engine
  readonly clock: Clock
  readonly telemetry: Telemetry
}

export interface ConsumeParts extends ConsumeDependencies {
  /** What all readers together hold of large inflated batches. */
  readonly inflations: ByteRoom
}

export interface StartRequest {
  /** undefined: all, also those that are added later; with a cursor: those that the cursor is about. */
  readonly partitions?: readonly number[] | undefined
  readonly position: Position
  readonly signal?: AbortSignal | undefined
}

/** Where a read begins: the partitions asked for, whether they are the whole topic, and whose turn is first. */
export interface ReadStart {
  readonly offsets: readonly PartitionOffset[]
  readonly whole: boolean
  readonly turn: number
}

/** Where a read of a topic begins, for a position of any kind. */
export async function resolveStart(
  { engine, clock, inflations }: ConsumeParts,
  topic: Topic,
  { partitions, position, signal }: StartRequest,
): Promise<ReadStart> {
  if (position.kind === 'cursor') return startOfCursor(engine, topic, partitions, decodeCursor(position.cursor))
  const asked = partitions === undefined ? allPartitions(topic) : checkPartitions(topic, partitions)
  const offsets = await resolvePosition({ engine, inflations }, topic, asked, position, clock.now(), signal)
  return { offsets, whole: partitions === undefined, turn: 0 }
}

export function startOfCursor(
  engine: Engine,
  topic: Topic,
  partitions: readonly number[] | undefined,
  cursor: Cursor,
): ReadStart {
  const read = cursor.topics.find(({ topicId }) => topicId === topic.id)
  if (read === undefined) throw foreignCursor(engine, topic, cursor)
  const offsetOf = new Map(read.partitions.map(({ partition, nextOffset }) => [partition, nextOffset]))
  const covered = read.whole ? allPartitions(topic) : read.partitions.map(({ partition }) => partition)
  const asked = partitions === undefined ? covered : checkPartitions(topic, partitions)
  for (const partition of asked) {
    if (read.whole || offsetOf.has(partition)) continue
    throw new TailraceError('invalid_cursor', `the cursor says nothing of partition ${partition}`, { partition })
  }
  // A partition that was born after the cursor is read from its first record.
  const offsets = asked.map((partition) => ({ partition, offset: offsetOf.get(partition) ?? 0 }))
  return { offsets, whole: read.whole && partitions === undefined, turn: cursor.turn }
}

export function foreignCursor(engine: Engine, topic: Topic, cursor: Cursor): TailraceError {
  const other = engine.listTopics().find(({ id }) => cursor.topics.some(({ topicId }) => topicId === id))
  if (other !== undefined) {
    return new TailraceError('invalid_cursor', `the cursor is of topic ${other.name}, not of ${topic.name}`)
  }
  return new TailraceError(
    'topic_recreated',
    `the topic that the cursor was given for is gone; ${topic.name} is another one under its name: begin anew with from=earliest`,
    { topic: topic.name, topic_id: topic.id },
  )
}

export function renderCursor(
  topic: Topic,
  { offsets, whole }: Pick<ReadStart, 'offsets' | 'whole'>,
  turn: number,
): string {
  const partitions = offsets.map(({ partition, offset: nextOffset }) => ({ partition, nextOffset }))
  const read: CursorTopic = { topicId: topic.id, whole, partitions }
  return encodeCursor({ topics: [read], turn })
}

export function getTopic(engine: Engine, name: string): Topic {
  const topic = engine.findTopic(name)
  if (topic === undefined) throw unknownTopic(name)
  return topic
}

export function allPartitions({ partitionCount }: Topic): readonly number[] {
  return Array.from({ length: partitionCount }, (_, partition) => partition)
}

/** Each once, rising. unknown_topic_or_partition. */
export function checkPartitions(topic: Topic, partitions: readonly number[]): readonly number[] {
  for (const partition of partitions) {
    if (Number.isInteger(partition) && partition >= 0 && partition < topic.partitionCount) continue
    throw new TailraceError(
      'unknown_topic_or_partition',
      `topic ${topic.name} has the partitions 0 to ${topic.partitionCount - 1}, there is no partition ${partition}`,
      { topic: topic.name, partition, partition_count: topic.partitionCount },
    )
  }
  return [...new Set(partitions)].sort((left, right) => left - right)
}
