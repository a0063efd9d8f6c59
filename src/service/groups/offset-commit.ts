// Offsets that somebody commits who is in no group: a reader that keeps its place in a group's name. As in Kafka that is
// taken while nobody is in the group. What can be checked is checked before anything is stored.

import type { Engine } from '../../engine/engine.ts'
import type { GroupPartition, OffsetToCommit, PartitionResult } from '../../engine/group-protocol.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { decodeCursor } from '../read/cursor.ts'
import { checkPartitions, getTopic } from '../read/read-start.ts'

export type OffsetsToCommit =
  | { readonly kind: 'cursor'; readonly cursor: string }
  | { readonly kind: 'listed'; readonly offsets: readonly OffsetToCommit[] }

/** invalid_cursor, topic_recreated, unknown_topic_or_partition. */
export function offsetsToCommit(engine: Engine, request: OffsetsToCommit): readonly OffsetToCommit[] {
  return request.kind === 'cursor' ? offsetsOfCursor(engine, request.cursor) : listedOffsets(engine, request)
}

/** Of each of its partitions. Those of topics that are gone are refused. */
function offsetsOfCursor(engine: Engine, text: string): readonly OffsetToCommit[] {
  const { topics } = decodeCursor(text)
  const names = new Map(engine.listTopics().map(({ id, name }) => [id, name]))
  return topics.flatMap(({ topicId, partitions }) => {
    const topic = names.get(topicId)
    if (topic === undefined) throw goneTopic(topicId)
    return partitions.map(({ partition, nextOffset: offset }) => ({ topic, topicId, partition, offset }))
  })
}

function goneTopic(topicId: string): TailraceError {
  return new TailraceError('topic_recreated', 'a topic that the cursor was given for is gone', { topic_id: topicId })
}

function listedOffsets(
  engine: Engine,
  { offsets }: Extract<OffsetsToCommit, { kind: 'listed' }>,
): readonly OffsetToCommit[] {
  return offsets.map((offset) => {
    const topic = getTopic(engine, offset.topic)
    checkPartitions(topic, [offset.partition])
    return { ...offset, topicId: topic.id }
  })
}

/** Durable when it resolves. unknown_topic_or_partition, invalid_request, offset_metadata_too_large, non_empty_group. */
export async function commitFromOutside(
  engine: Engine,
  groupId: string,
  offsets: readonly OffsetToCommit[],
): Promise<void> {
  const results = await commit(engine, groupId, offsets)
  const failed = results.filter(({ error }) => error !== undefined)
  const [first] = failed
  if (first?.error !== undefined) throw refusedIn(failed, first.error)
}

async function commit(
  engine: Engine,
  groupId: string,
  offsets: readonly OffsetToCommit[],
): Promise<readonly PartitionResult[]> {
  try {
    return await engine.groups.commit({ groupId, offsets })
  } catch (error) {
    if (error instanceof TailraceError && error.code === 'unknown_member_id') throw hasMembers(groupId, error)
    throw error
  }
}

function hasMembers(group: string, cause: TailraceError): TailraceError {
  const detail = `group '${group}' has members: who is in none of them commits only while it is empty`
  return new TailraceError('non_empty_group', detail, { group }, { cause })
}

/** The others are stored, as in Kafka. */
function refusedIn(failed: readonly GroupPartition[], { code, message, details }: TailraceError): TailraceError {
  const partitions = failed.map(({ topic, partition }) => ({ topic, partition }))
  return new TailraceError(code, message, { ...details, partitions })
}
