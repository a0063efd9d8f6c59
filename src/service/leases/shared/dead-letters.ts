// Puts records that a shared group has given up into the topic's dead-letter topic, NAME.dlq, each once: key, value and
// headers as they were, and headers that say where they are from and why. Which records those are the group's queue
// remembers durably before this is called, and that they are there after; so between the two, and after a failure, nobody
// knows. Therefore a grave is opened first, and remembered with them: a partition of the dead-letter topic, and an offset
// from which on to look for what is there already.

import { timeText } from '../../../codec/iso-time.ts'
import type { Engine, FetchedPartition, Topic } from '../../../engine/engine.ts'
import type { ByteRoom } from '../../../kernel/byte-room.ts'
import type { Clock } from '../../../kernel/clock.ts'
import { TailraceError } from '../../../kernel/errors.ts'
import {
  DEAD_LETTERS_BYTES_MAX,
  EXPORT_FETCH_BYTES,
  GATHERED_BATCH_BYTES_MAX,
  TOPIC_NAME_CHARS_MAX,
} from '../../../kernel/limits.ts'
import type { RecordReader } from '../../../record/batch-reader.ts'
import type { RecordHeader, RecordParts } from '../../../record/record.ts'
import type { SealedBatch } from '../../../record/record-batch.ts'
import { recordSizeUpperBound, sealBatch } from '../../../record/record-batch.ts'
import { listOffsets } from '../../read/positions.ts'
import { RecordWalk, unreadable } from '../../read/record-walk.ts'

export const DEAD_LETTER_SUFFIX = '.dlq'

export function deadLetterTopicOf(topicName: string): string {
  return topicName + DEAD_LETTER_SUFFIX
}

/** invalid_request: no topic can have the name that its dead letters' topic would have. */
export function checkWorkQueue(topicName: string): void {
  const { length } = deadLetterTopicOf(topicName)
  if (length <= TOPIC_NAME_CHARS_MAX) return
  throw new TailraceError(
    'invalid_request',
    `a topic whose name has ${topicName.length} characters cannot be polled in mode shared: its dead letters would go to NAME${DEAD_LETTER_SUFFIX}, and a name has ${TOPIC_NAME_CHARS_MAX} characters at most`,
    { topic: topicName },
  )
}

/** What the headers take, and a batch's own bytes: a record that the topic could hold fits its dead-letter topic. */
const ROOM_BYTES = 64 * 1024

/** Where a partition's dead letters go. */
export interface Grave {
  readonly topicId: string
  readonly partition: number
  /** Nothing of them lies before this offset. */
  readonly from: number
}

/** For what an earlier attempt, of which nobody knows how it ended, may have put there. */
export interface GraveSearch {
  /** It has come so far. */
  next: number
  /** Offsets of the origin. */
  readonly found: Set<number>
}

export function searchOf({ from }: Grave): GraveSearch {
  return { next: from, found: new Set() }
}

export interface DeadLetter {
  readonly offset: number
  readonly attempts: number
  readonly reason: 'rejected' | 'max_attempts'
}

export interface DeadLettersDependencies {
  readonly engine: Engine
  readonly clock: Clock
  readonly inflations: ByteRoom
}

export class DeadLetters {
  readonly #engine: Engine
  readonly #clock: Clock
  readonly #inflations: ByteRoom

  constructor({ engine, clock, inflations }: DeadLettersDependencies) {
    this.#engine = engine
    this.#clock = clock
    this.#inflations = inflations
  }

  async openGrave(topic: Topic, partition: number): Promise<Grave> {
    const target = await this.#target(topic)
    const place = partition % target.partitionCount
    const [end] = await listOffsets(this.#engine, target, [place], 'latest')
    return { topicId: target.id, partition: place, from: end?.offset ?? 0 }
  }

  /**
   * Durable when it resolves. `search`, which it carries on: some may be there; undefined: none is. topic_recreated: the
   * dead-letter topic is another one by now, with nothing of these in it, and needs a new grave.
   */
  async bury(
    groupId: string,
    { topic, partition }: { readonly topic: Topic; readonly partition: number },
    letters: readonly DeadLetter[],
    grave: Grave,
    search: GraveSearch | undefined,
  ): Promise<void> {
    const target = await this.#target(topic)
    if (target.id !== grave.topicId) throw new TailraceError('topic_recreated', `topic ${target.name} was made again`)
    const origin: Origin = { groupId, topic: topic.name, partition }
    if (search !== undefined) await this.#find(target, grave, origin, search)
    let missing: readonly DeadLetter[] = letters.filter(({ offset }) => search?.found.has(offset) !== true)
    while (missing.length > 0) {
      const { records, rest } = await this.#copy(topic, partition, missing, origin)
      if (records.length > 0) await this.#append(target, grave, records)
      missing = rest
    }
  }

  async #append(target: Topic, { partition }: Grave, records: readonly RecordParts[]): Promise<void> {
    const appended = await this.#engine.append(target, partition, sealInBatches(records), 'all')
    const failed = appended.find(({ error }) => error !== undefined)?.error
    if (failed !== undefined) throw failed
  }

  async #target(topic: Topic): Promise<Topic> {
    const name = deadLetterTopicOf(topic.name)
    const found = this.#engine.findTopic(name)
    if (found !== undefined) return found
    const { maxMessageBytes } = topic.config
    const configs = { 'max.message.bytes': String(Math.min(2 ** 31 - 1, maxMessageBytes + ROOM_BYTES)) }
    try {
      return await this.#engine.createTopic({ name, partitionCount: topic.partitionCount, configs })
    } catch (error) {
      // another partition's letters came first
      const made = this.#engine.findTopic(name)
      if (made !== undefined) return made
      throw error
    }
  }

  /** Which of the origin's records lie in the grave. */
  async #find(target: Topic, { partition }: Grave, origin: Origin, search: GraveSearch): Promise<void> {
    const [end] = await listOffsets(this.#engine, target, [partition], 'latest')
    await this.#walk(target, partition, search.next, end?.offset ?? 0, (record) => {
      const offset = record.headerCount === 0 ? undefined : originOffset(record.headers(), origin)
      if (offset !== undefined) search.found.add(offset)
      search.next = record.offset + 1
      return search.next
    })
  }

  /** As many as are held at once. Those that are gone meanwhile are left out: nothing is left of them to keep. */
  async #copy(
    topic: Topic,
    partition: number,
    letters: readonly DeadLetter[],
    origin: Origin,
  ): Promise<{ readonly records: readonly RecordParts[]; readonly rest: readonly DeadLetter[] }> {
    const [first, last] = [letters[0], letters.at(-1)]
    if (first === undefined || last === undefined) return { records: [], rest: [] }
    const records: RecordParts[] = []
    const now = this.#clock.now()
    let bytes = 0
    let next = 0
    await this.#walk(topic, partition, first.offset, last.offset + 1, (record) => {
      while (next < letters.length && (letters[next] as DeadLetter).offset < record.offset) next++
      const letter = letters[next]
      if (letter?.offset === record.offset) {
        records.push(copyOf(record, letter, origin, now))
        bytes += record.recordEnd - record.recordStart
        next++
      }
      return bytes < DEAD_LETTERS_BYTES_MAX ? letters[next]?.offset : undefined
    })
    return { records, rest: bytes < DEAD_LETTERS_BYTES_MAX ? [] : letters.slice(next) }
  }

  /** Each record from an offset on to an end. `visit` says where the next one is that it wants; undefined: it has all. */
  async #walk(
    topic: Topic,
    partition: number,
    from: number,
    end: number,
    visit: (record: RecordReader) => number | undefined,
  ): Promise<void> {
    const walk = new RecordWalk(this.#inflations)
    try {
      for (let offset = from; offset < end; ) {
        const part = await this.#fetch(topic, partition, offset)
        if (part.error !== undefined) {
          offset = whereItGoesOn(part, offset)
          continue
        }
        let wanted = offset
        walk.begin(part, offset)
        do {
          while (walk.next() && walk.record.offset < end) {
            const next = visit(walk.record)
            if (next === undefined) return
            wanted = next
          }
        } while (walk.nextOffset < end && (await walk.inflate()))
        const next = Math.max(walk.nextOffset, wanted)
        // an open transaction hides the rest
        if (next <= offset) return
        offset = next
      }
    } finally {
      walk.end()
    }
  }

  async #fetch(topic: Topic, partition: number, offset: number): Promise<FetchedPartition> {
    const [part] = await this.#engine.fetch([{ topic, partition, offset }], {
      minBytes: 0,
      maxBytes: EXPORT_FETCH_BYTES,
      maxWaitMs: 0,
      isolation: 'read_committed',
    })
    if (part === undefined) throw new TailraceError('kafka_storage_error', 'nothing was read')
    return part
  }
}

interface Origin {
  readonly groupId: string
  readonly topic: string
  readonly partition: number
}

/** Behind what was removed; everything else that keeps a partition from being read is thrown. */
function whereItGoesOn(
  { error, topic, partition, logStartOffset, highWatermark }: FetchedPartition,
  offset: number,
): number {
  if (error?.code === 'offset_out_of_range') return logStartOffset > offset ? logStartOffset : highWatermark + 1
  const fault = error ?? new TailraceError('kafka_storage_error', 'nothing was read')
  throw unreadable(topic, { partition, offset }, fault)
}

const ORIGIN_GROUP = 'dlq.group'
const ORIGIN_TOPIC = 'dlq.origin.topic'
const ORIGIN_PARTITION = 'dlq.origin.partition'
const ORIGIN_OFFSET = 'dlq.origin.offset'

function copyOf(
  record: RecordReader,
  { offset, attempts, reason }: DeadLetter,
  { groupId, topic, partition }: Origin,
  now: number,
): RecordParts {
  const { bytes, keyStart, keyEnd, valueStart, valueEnd } = record
  const key = Buffer.from(bytes.subarray(Math.max(0, keyStart), Math.max(0, keyEnd)))
  const value = Buffer.from(bytes.subarray(Math.max(0, valueStart), Math.max(0, valueEnd)))
  const told: Readonly<Record<string, string | number>> = {
    'dlq.reason': reason,
    'dlq.attempts': attempts,
    [ORIGIN_GROUP]: groupId,
    [ORIGIN_TOPIC]: topic,
    [ORIGIN_PARTITION]: partition,
    [ORIGIN_OFFSET]: offset,
    'dlq.origin.timestamp': timeText(record.timestamp),
  }
  const own = record.headerCount === 0 ? [] : record.headers()
  // one that was a dead letter before has told of that time
  const kept = own.filter(({ name }) => !Object.hasOwn(told, name))
  const headers: RecordHeader[] = kept.map(({ name, value: text }) => ({ name, value: text && Buffer.from(text) }))
  for (const [name, text] of Object.entries(told)) headers.push({ name, value: Buffer.from(String(text)) })
  return {
    key,
    keyStart: keyStart < 0 ? -1 : 0,
    keyEnd: keyStart < 0 ? -1 : key.length,
    value,
    valueStart: valueStart < 0 ? -1 : 0,
    valueEnd: valueStart < 0 ? -1 : value.length,
    headers,
    // its own may be older than the dead-letter topic keeps anything
    timestamp: now,
  }
}

/** Of a dead letter from there. A record may have been a dead letter before: its latest headers are last. */
function originOffset(headers: readonly RecordHeader[], { groupId, topic, partition }: Origin): number | undefined {
  const last = (wanted: string) => {
    const value = headers.findLast(({ name }) => name === wanted)?.value
    return value == null ? undefined : Buffer.from(value).toString()
  }
  const isFromThere =
    last(ORIGIN_GROUP) === groupId && last(ORIGIN_TOPIC) === topic && last(ORIGIN_PARTITION) === String(partition)
  return isFromThere ? Number(last(ORIGIN_OFFSET)) : undefined
}

function sealInBatches(records: readonly RecordParts[]): SealedBatch[] {
  const batches: RecordParts[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const record of records) {
    const size = recordSizeUpperBound(record)
    if (bytes + size > GATHERED_BATCH_BYTES_MAX) {
      batches.push([])
      bytes = 0
    }
    batches.at(-1)?.push(record)
    bytes += size
  }
  return batches.map((batch) => sealBatch(batch, { compression: 'none' }))
}
