// A7: what is known of one segment file, and the pure decisions about it. A segment begins at its base offset and holds
// whole batches; only the last segment of a partition is written. State lives in partition-state.ts; log-appender.ts does the I/O.

import { join } from 'node:path'
import { crc32c } from '../kernel/crc32c.ts'

export interface Segment {
  readonly baseOffset: number
  /** The cleaning that wrote the file, as the partition counts them; 0: it stands as it was appended. */
  readonly generation: number
  /** Bytes of the file that are whole batches, durable there or in the commit journal (of a closed segment: there). */
  sizeBytes: number
  /** The offset after the last record. */
  endOffset: number
  /** Largest timestamp of its records, ms; -1 while it is empty. */
  maxTimestamp: number
  /** Largest timestamp of its first batch, ms: what segment.ms counts from; -1 while it is empty. */
  firstTimestamp: number
}

export function emptySegment(baseOffset: number): Segment {
  return { baseOffset, generation: 0, sizeBytes: 0, endOffset: baseOffset, maxTimestamp: -1, firstTimestamp: -1 }
}

/** Kafka's file names: the base offset in twenty digits. */
export function segmentPath(directory: string, baseOffset: number): string {
  return join(directory, `${String(baseOffset).padStart(20, '0')}.log`)
}

/** What the cleaner writes, until it takes the place of the segments that it was made of. */
export function cleanedPath(directory: string, baseOffset: number): string {
  return `${segmentPath(directory, baseOffset)}.cleaned`
}

export function snapshotPath(directory: string, offset: number): string {
  return join(directory, `${String(offset).padStart(20, '0')}.snapshot`)
}

const NUMBERED = /^(\d{20})\.(log|snapshot)$/

/** The offset in a segment's or snapshot's file name; undefined for any other name. */
export function parseNumberedName(name: string): { offset: number; kind: 'log' | 'snapshot' } | undefined {
  const match = NUMBERED.exec(name)
  if (match === null) return undefined
  const offset = Number(match[1])
  return Number.isSafeInteger(offset) ? { offset, kind: match[2] as 'log' | 'snapshot' } : undefined
}

export interface RollSettings {
  readonly segmentBytes: number
  readonly segmentMs: number
}

/** By how much a partition's segments are closed before segment.ms, so that those of many partitions are not all closed at once. */
export function rollJitterMs(partition: string, { segmentMs, segmentJitterMs }: JitterSettings): number {
  const jitterMs = Math.min(segmentMs, segmentJitterMs)
  if (jitterMs === 0) return 0
  const name = Buffer.from(partition)
  return Math.floor((crc32c(name, 0, name.length) / 2 ** 32) * jitterMs)
}

interface JitterSettings {
  readonly segmentMs: number
  readonly segmentJitterMs: number
}

/** Offsets in a segment are Kafka's int32 deltas to its base. */
export const RELATIVE_OFFSET_MAX = 0x7fff_ffff

/**
 * Whether a batch has to go into a new segment: this one would grow over segment.bytes, its first batch is older than
 * segment.ms by the records' own time (or the wall clock's, for the batch now coming), or offsets would not fit.
 */
export function shouldRoll(
  segment: Segment,
  next: { sizeBytes: number; lastOffset: number; maxTimestamp: number },
  settings: RollSettings,
): boolean {
  if (segment.sizeBytes === 0) return false
  if (segment.sizeBytes + next.sizeBytes > settings.segmentBytes) return true
  if (next.lastOffset - segment.baseOffset > RELATIVE_OFFSET_MAX) return true
  return segment.firstTimestamp >= 0 && next.maxTimestamp - segment.firstTimestamp > settings.segmentMs
}

/** Bytes of the oldest segments, as far as every record in them is older than a time: retention goes by whole segments. */
export function bytesOlderThan(segments: readonly Segment[], timestamp: number): number {
  let bytes = 0
  for (const segment of segments) {
    if (segment.maxTimestamp >= timestamp) break
    bytes += segment.sizeBytes
  }
  return bytes
}

/** The last segment whose base is at or below the offset: its place in an ascending list, or -1. */
export function segmentFloor(segments: readonly Segment[], offset: number): number {
  let low = 0
  let high = segments.length - 1
  while (low <= high) {
    const middle = (low + high) >>> 1
    if ((segments[middle] as Segment).baseOffset <= offset) low = middle + 1
    else high = middle - 1
  }
  return high
}
