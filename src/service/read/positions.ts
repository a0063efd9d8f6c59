// The position grammar, one for HTTP, SSE, WebSocket and the command line: where in a topic a read begins.
// parsePosition turns text into data; resolvePosition asks the engine what that means for each partition now.
//
//   earliest | latest | committed | -N | OFFSET | TIME | DURATION | cursor:TEXT
//     committed where a group stands, that is named beside the position; a partition that it has not committed: its start
//     -N        the last N existing records in all: walked back from the ends, always the partition whose next record has
//               the latest timestamp
//     OFFSET    decimal digits; one partition only
//     TIME      2026-11-21, 2026-11-21T02:00Z, 2026-11-21T02:00:00.123+01:00: the first offset whose timestamp is at or
//               after it
//     DURATION  that long ago: 500ms, 30s, 15m, 1h, 7d, 2w, or several, the longer unit first: 1h30m

import { parseIsoTime } from '../../codec/iso-time.ts'
import type { Engine, OffsetQuery, OffsetSpec, Topic } from '../../engine/engine.ts'
import { checkGroupId } from '../../engine/group-id.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { OFFSET_MAX, POSITION_LAST_RECORDS_MAX } from '../../kernel/limits.ts'
import type { RecordSource } from './last-records.ts'
import { findLastRecords } from './last-records.ts'
import type { ResolvedOffset } from './partition-offset.ts'

export type Position =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }
  /** The last N existing records in all, by timestamp over the partitions asked for. */
  | { readonly kind: 'last'; readonly recordCount: number }
  /** Only where one partition is asked for. */
  | { readonly kind: 'offset'; readonly offset: number }
  | { readonly kind: 'time'; readonly timestamp: number }
  | { readonly kind: 'ago'; readonly durationMs: number }
  /** Where the group stands; the earliest record where it has committed nothing. */
  | { readonly kind: 'committed'; readonly group: string }
  | { readonly kind: 'cursor'; readonly cursor: string }

const WORDS: Readonly<Record<string, Position>> = {
  earliest: { kind: 'earliest' },
  latest: { kind: 'latest' },
}

const CURSOR_PREFIX = 'cursor:'

const POSITIONS_ALLOWED =
  'earliest, latest, committed (with a group), -N (the last N records), an offset, a time such as 2026-11-21T02:00:00Z, a duration ago such as 30m, 1h or 7d, or cursor:…'

/** `group`: whose committed offsets are meant by `committed`. invalid_position, naming what is `allowed`. */
export function parsePosition(text: string, group?: string, allowed = POSITIONS_ALLOWED): Position {
  const word = Object.hasOwn(WORDS, text) ? WORDS[text] : undefined
  if (word !== undefined) return word
  if (text === 'committed') return committedOf(group)
  if (text.startsWith(CURSOR_PREFIX)) return { kind: 'cursor', cursor: bareCursor(text) }
  if (DIGITS.test(text)) return { kind: 'offset', offset: boundedNumber(text, text, OFFSET_MAX) }
  if (text[0] === '-' && DIGITS.test(text.slice(1))) return parseLast(text)
  const durationMs = parseDuration(text)
  if (durationMs !== undefined) return { kind: 'ago', durationMs }
  const timestamp = parseTime(text)
  if (timestamp !== undefined) return { kind: 'time', timestamp }
  if (parseTime(`${text}Z`) !== undefined) throw invalid(text, `a time names its zone: ${text}Z is one, of UTC`)
  throw invalid(text, `allowed are ${allowed}`)
}

/** Where only a cursor may stand it may be written as the position that it is. */
export function bareCursor(text: string): string {
  return text.startsWith(CURSOR_PREFIX) ? text.slice(CURSOR_PREFIX.length) : text
}

/** Whether it names offsets that somebody was given: a reader is told where their records are gone. */
export function isByOffset({ kind }: Position): boolean {
  return kind === 'offset' || kind === 'cursor' || kind === 'committed'
}

/**
 * For each of the partitions, in their order, the offset at which reading begins. Not for cursors: those say which
 * partitions they are about (cursor.ts). invalid_position. Whether an offset is within its partition's bounds is found
 * out by reading there.
 */
export async function resolvePosition(
  source: RecordSource,
  topic: Topic,
  partitions: readonly number[],
  position: Position,
  now: number,
  signal?: AbortSignal,
): Promise<readonly ResolvedOffset[]> {
  const { engine } = source
  switch (position.kind) {
    case 'earliest':
    case 'latest':
      return await listOffsets(engine, topic, partitions, position.kind)
    case 'time':
      return await findByTime(engine, topic, partitions, position.timestamp)
    case 'ago':
      return await findByTime(engine, topic, partitions, now - position.durationMs)
    case 'last':
      return await findLastRecords(
        source,
        partitions.map((partition) => ({ topic, partition })),
        position.recordCount,
        signal,
      )
    case 'offset':
      return [{ partition: onlyPartition(topic, partitions), offset: position.offset, timestamp: -1 }]
    case 'committed':
      return await findCommitted(engine, topic, partitions, position.group)
    case 'cursor':
      throw new TailraceError('invalid_position', 'a cursor is not allowed here')
  }
}

export async function listOffsets(
  engine: Engine,
  topic: Topic,
  partitions: readonly number[],
  at: OffsetSpec,
): Promise<readonly ResolvedOffset[]> {
  const found = await engine.listOffsets(partitions.map((partition) => ({ topic, partition, at })))
  return found.map(({ partition, offset, timestamp }) => ({ partition, offset, timestamp }))
}

// The ends are asked for first: a record that comes in between may be read although it is too old, but none is missed.
async function findByTime(
  engine: Engine,
  topic: Topic,
  partitions: readonly number[],
  timestamp: number,
): Promise<readonly ResolvedOffset[]> {
  const query = (at: OffsetSpec) => partitions.map((partition): OffsetQuery => ({ topic, partition, at }))
  const ends = await engine.listOffsets(query('latest'))
  const found = await engine.listOffsets(query({ timestamp: Math.max(0, timestamp) }))
  return found.map(({ partition, offset, timestamp }, at) =>
    offset >= 0 ? { partition, offset, timestamp } : { partition, offset: ends[at]?.offset ?? 0, timestamp: -1 },
  )
}

/** A group that nobody knows is refused: a mistyped name would read everything. */
async function findCommitted(
  engine: Engine,
  topic: Topic,
  partitions: readonly number[],
  group: string,
): Promise<readonly ResolvedOffset[]> {
  const asked = partitions.map((partition) => ({ topic: topic.name, partition }))
  const committed = await engine.groups.committed(group, asked)
  if (committed.length === 0 && (await engine.groups.describe(group)) === undefined) throw unknownGroup(group)
  const offsetOf = new Map(committed.map(({ partition, offset }) => [partition, offset]))
  const starts = await listOffsets(engine, topic, partitions, 'earliest')
  return starts.map(({ partition, offset }) => ({
    partition,
    offset: offsetOf.get(partition) ?? offset,
    timestamp: -1,
  }))
}

export function unknownGroup(group: string): TailraceError {
  return new TailraceError('group_id_not_found', `there is no group '${group}'`, { group })
}

function onlyPartition(topic: Topic, partitions: readonly number[]): number {
  const [partition] = partitions
  if (partition !== undefined && partitions.length === 1) return partition
  throw new TailraceError(
    'invalid_position',
    `an offset is a place in one partition, and ${partitions.length} of topic ${topic.name} are asked for: name one partition`,
    { partition_count: partitions.length },
  )
}

function committedOf(group: string | undefined): Position {
  if (group === undefined) throw invalid('committed', 'it is where a group stands: name the group beside it')
  checkGroupId(group)
  return { kind: 'committed', group }
}

const DIGITS = /^[0-9]{1,32}$/

function parseLast(text: string): Position {
  const recordCount = boundedNumber(text, text.slice(1), POSITION_LAST_RECORDS_MAX)
  if (recordCount === 0) throw invalid(text, 'the last N records need an N of 1 or more; latest is the end')
  return { kind: 'last', recordCount }
}

function boundedNumber(text: string, digits: string, max: number): number {
  const value = Number(digits)
  if (value > max) throw invalid(text, `the largest number allowed is ${max}`)
  return value
}

const DURATION = /^(?:(\d{1,9})w)?(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?(?:(\d{1,9})ms)?$/
const UNITS_MS = [7 * 86_400_000, 86_400_000, 3_600_000, 60_000, 1_000, 1]

function parseDuration(text: string): number | undefined {
  const counts = text === '' ? null : DURATION.exec(text)
  if (counts === null) return undefined
  return UNITS_MS.reduce((sum, unitMs, at) => sum + unitMs * Number(counts[at + 1] ?? 0), 0)
}

const DATE = /^\d{4}-\d\d-\d\d$/
/** The plus of a zone may reach us as the blank that it means in a query string. */
const BLANK_ZONE = / (?=\d\d:?\d\d$)/
const FINER_THAN_MS = /[.,]\d{3}\d*[1-9]/

function parseTime(text: string): number | undefined {
  const time = DATE.test(text) ? `${text}T00:00Z` : text.replace(BLANK_ZONE, '+')
  const ms = parseIsoTime(time)
  // Timestamps are whole milliseconds: the first one at or after a finer time is the next.
  return ms !== undefined && FINER_THAN_MS.test(time) ? ms + 1 : ms
}

function invalid(text: string, reason: string): TailraceError {
  const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text
  return new TailraceError('invalid_position', `'${shown}' is no position: ${reason}`, { position: shown })
}
