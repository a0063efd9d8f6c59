// Where a tail of several topics begins, for a position of any kind.

import type { Engine, Topic } from '../../engine/engine.ts'
import { TailraceError } from '../../kernel/errors.ts'
import type { Cursor } from '../read/cursor.ts'
import { decodeCursor } from '../read/cursor.ts'
import { findLastRecords } from '../read/last-records.ts'
import type { PartitionBounds } from '../read/page.ts'
import { outOfRange } from '../read/page.ts'
import type { PartitionOffset, TopicOffset } from '../read/partition-offset.ts'
import type { Position } from '../read/positions.ts'
import { isByOffset, listOffsets, resolvePosition } from '../read/positions.ts'
import type { ConsumeParts } from '../read/read-start.ts'
import { allPartitions, checkPartitions, foreignCursor, startOfCursor } from '../read/read-start.ts'
import type { LayoutTopic } from './tail-layout.ts'

export interface TopicToTail {
  readonly topic: Topic
  /** undefined: all; with a cursor: those that the cursor is about. */
  readonly partitions?: readonly number[] | undefined
}

export interface StartedTopic extends LayoutTopic {
  /** Of its partitions, in their order. */
  readonly offsets: readonly PartitionOffset[]
}

export interface TailStart {
  readonly topics: readonly StartedTopic[]
  /** Whose turn is first; counted over the partitions of all topics. */
  readonly turn: number
}

export interface TailStartRequest {
  readonly topics: readonly TopicToTail[]
  readonly position: Position
  /** A topic that a cursor says nothing of was made later and is read from its first record. */
  readonly isPattern: boolean
  readonly signal?: AbortSignal | undefined
}

export async function findTailStart(parts: ConsumeParts, request: TailStartRequest): Promise<TailStart> {
  const { position, topics } = request
  if (position.kind === 'cursor') return startAtCursor(parts.engine, request, decodeCursor(position.cursor))
  const asked = topics.map(({ topic, partitions }) => ({
    topic,
    whole: partitions === undefined,
    partitions: partitions === undefined ? allPartitions(topic) : checkPartitions(topic, partitions),
  }))
  checkOnlyOne(asked, position)
  if (position.kind === 'last') {
    return { topics: await startAtLast(parts, asked, position.recordCount, request.signal), turn: 0 }
  }
  const now = parts.clock.now()
  const started: StartedTopic[] = []
  for (const one of asked) {
    const offsets = await resolvePosition(parts, one.topic, one.partitions, position, now, request.signal)
    started.push({ ...one, offsets })
  }
  return { topics: started, turn: 0 }
}

/** The last N over all partitions of all topics. */
async function startAtLast(
  parts: ConsumeParts,
  asked: readonly LayoutTopic[],
  recordCount: number,
  signal: AbortSignal | undefined,
): Promise<readonly StartedTopic[]> {
  const places = asked.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })))
  const found = await findLastRecords(parts, places, recordCount, signal)
  let end = 0
  return asked.map((one) => {
    const start = end
    end += one.partitions.length
    return { ...one, offsets: found.slice(start, end) }
  })
}

function checkOnlyOne(asked: readonly LayoutTopic[], { kind }: Position): void {
  if (kind !== 'offset' || asked.length <= 1) return
  throw new TailraceError(
    'invalid_position',
    `an offset is a place in one partition, and ${asked.length} topics are asked for: name one of them, and its partition`,
    { topic_count: asked.length },
  )
}

function startAtCursor(engine: Engine, { topics, isPattern }: TailStartRequest, cursor: Cursor): TailStart {
  const ids = new Set(engine.listTopics().map(({ id }) => id))
  const known = new Set(cursor.topics.map(({ topicId }) => topicId))
  if (isPattern && cursor.topics.length > 0 && !cursor.topics.some(({ topicId }) => ids.has(topicId))) {
    throw new TailraceError('topic_recreated', 'none of the topics that the cursor was given for is here any more')
  }
  const started = topics.map(({ topic, partitions }): StartedTopic => {
    if (!known.has(topic.id)) return startUnknown(engine, topic, { cursor, ids, isPattern })
    const { offsets, whole } = startOfCursor(engine, topic, partitions, cursor)
    return { topic, whole, partitions: offsets.map(({ partition }) => partition), offsets }
  })
  return { topics: started, turn: cursor.turn }
}

interface UnknownIn {
  readonly cursor: Cursor
  readonly ids: ReadonlySet<string>
  readonly isPattern: boolean
}

function startUnknown(engine: Engine, topic: Topic, { cursor, ids, isPattern }: UnknownIn): StartedTopic {
  if (isPattern) {
    const all = allPartitions(topic)
    return { topic, whole: true, partitions: all, offsets: all.map((partition) => ({ partition, offset: 0 })) }
  }
  const gone = cursor.topics.filter(({ topicId }) => !ids.has(topicId))
  if (gone.length === 0) {
    throw new TailraceError('invalid_cursor', `the cursor says nothing of topic ${topic.name}`, { topic: topic.name })
  }
  // several topics are not all made again: it is of another cluster
  if (gone.length === cursor.topics.length && gone.length > 1) {
    throw new TailraceError('invalid_cursor', 'the cursor was not given here: none of its topics is known')
  }
  throw foreignCursor(engine, topic, { ...cursor, topics: gone })
}

/** What is outside of its partition's bounds, for a position that names offsets; offset_out_of_range. */
export async function checkWithin(
  { engine }: ConsumeParts,
  { topics }: TailStart,
  position: Position,
  onGap: 'error' | 'earliest',
): Promise<void> {
  if (!isByOffset(position)) return
  for (const { topic, partitions, offsets } of topics) {
    const starts = await tryListOffsets(engine, topic, partitions, 'earliest')
    const ends = await tryListOffsets(engine, topic, partitions, 'latest')
    const outside = offsets.flatMap(({ partition, offset: nextOffset }, at): Omit<PartitionBounds, 'topic'>[] => {
      const [startOffset, endOffset] = [starts[at], ends[at]]
      // one that cannot be asked is told as a fault, when it is read
      if (startOffset === undefined || endOffset === undefined) return []
      const isGone = nextOffset < startOffset && onGap === 'error'
      return isGone || nextOffset > endOffset ? [{ partition, nextOffset, startOffset, endOffset }] : []
    })
    if (outside.length > 0) throw outOfRange(topic, outside)
  }
}

/** undefined for a partition that cannot be asked. */
export async function tryListOffsets(
  engine: Engine,
  topic: Topic,
  partitions: readonly number[],
  at: 'earliest' | 'latest',
): Promise<readonly (number | undefined)[]> {
  try {
    return (await listOffsets(engine, topic, partitions, at)).map(({ offset }) => offset)
  } catch {
    if (partitions.length <= 1) return partitions.map(() => undefined)
    const each = partitions.map((partition) => tryListOffsets(engine, topic, [partition], at))
    return (await Promise.all(each)).flat()
  }
}

export function offsetsOf({ topics }: TailStart): readonly TopicOffset[] {
  return topics.flatMap(({ topic, offsets }) => offsets.map((one) => ({ topic, ...one })))
}
