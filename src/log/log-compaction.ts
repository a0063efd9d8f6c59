// What of a compacted partition is to be cleaned, and when: pure decisions from its segments and the time, by the rules
// of Kafka's log cleaner. The work itself is segment-cleaner.ts. Segments are given in ascending order, the active one
// last; it is never cleaned.

import type { Segment } from './log-segment.ts'
import { RELATIVE_OFFSET_MAX } from './log-segment.ts'

export interface CompactionSettings {
  readonly minCleanableDirtyRatio: number
  /** A segment with a record younger than this, and all behind it, stay as they are. */
  readonly minCompactionLagMs: number
  /** A dirty segment whose first batch is older than this is cleaned whatever the ratio says. */
  readonly maxCompactionLagMs: number
}

export interface CompactionState {
  /** Every segment, the active one last. */
  readonly segments: readonly Segment[]
  readonly logStartOffset: number
  /** What the last pass answered as cleanedTo; undefined: there was none, or it is not known. */
  readonly firstDirtyOffset: number | undefined
  readonly nowMs: number
}

export interface CompactionPlan {
  readonly firstDirtyOffset: number
  readonly cleanableEnd: number
  /** The segments in front of cleanableEnd. */
  readonly segments: readonly Segment[]
  /** Of those the bytes in segments that hold something dirty. */
  readonly dirtyBytes: number
  /** dirtyBytes as a part of all bytes in front of cleanableEnd; 0 where there are none. */
  readonly dirtyRatio: number
  /** How long max.compaction.lag.ms has been passed; 0: it has not. */
  readonly overdueMs: number
  readonly isDue: boolean
}

export function planCompaction(state: CompactionState, settings: CompactionSettings): CompactionPlan {
  const closed = state.segments.slice(0, -1)
  const firstDirtyOffset = validFirstDirtyOffset(state)
  // a segment is dirty when it reaches past the offset; one that holds nothing counts for nothing
  const firstDirty = closed.findIndex((segment) => segment.endOffset > firstDirtyOffset)
  const dirty = firstDirty < 0 ? [] : closed.slice(firstDirty)
  const youngest = state.nowMs - settings.minCompactionLagMs
  const firstYoung =
    settings.minCompactionLagMs > 0 ? dirty.findIndex((segment) => segment.maxTimestamp > youngest) : -1
  const cleanable = firstYoung < 0 ? dirty : dirty.slice(0, firstYoung)
  const segments = closed.slice(0, closed.length - dirty.length + cleanable.length)
  const dirtyBytes = totalBytes(cleanable)
  const dirtyRatio = dirtyBytes === 0 ? 0 : dirtyBytes / totalBytes(segments)
  const overdueMs = overdueBy(dirty, state.nowMs - settings.maxCompactionLagMs)
  return {
    firstDirtyOffset,
    cleanableEnd: state.segments[segments.length]?.baseOffset ?? state.logStartOffset,
    segments,
    dirtyBytes,
    dirtyRatio,
    overdueMs,
    isDue: dirtyRatio > settings.minCleanableDirtyRatio || (overdueMs > 0 && dirtyBytes > 0),
  }
}

/** An offset that the log no longer has, or does not have yet, says nothing: then all of it is dirty. */
function validFirstDirtyOffset({ segments, logStartOffset, firstDirtyOffset }: CompactionState): number {
  if (firstDirtyOffset === undefined || firstDirtyOffset < logStartOffset) return logStartOffset
  const end = segments.at(-1)?.endOffset ?? logStartOffset
  return firstDirtyOffset > end ? logStartOffset : firstDirtyOffset
}

function overdueBy(dirty: readonly Segment[], cleanUntilMs: number): number {
  let earliest = Number.POSITIVE_INFINITY
  for (const { firstTimestamp } of dirty) {
    if (firstTimestamp > 0) earliest = Math.min(earliest, firstTimestamp)
  }
  return Math.max(0, cleanUntilMs - earliest)
}

function totalBytes(segments: readonly Segment[]): number {
  let bytes = 0
  for (const segment of segments) bytes += segment.sizeBytes
  return bytes
}

/**
 * Adjacent segments that become one new file each: as many as fit into segment.bytes by their present sizes, so that
 * segments do not get ever smaller, and whose offsets fit a segment.
 */
export function groupSegments(segments: readonly Segment[], segmentBytes: number): Segment[][] {
  const groups: Segment[][] = []
  let base = 0
  let sizeBytes = 0
  for (const segment of segments) {
    const group = groups.at(-1)
    const offsetsFit = segment.sizeBytes === 0 || segment.endOffset - 1 - base <= RELATIVE_OFFSET_MAX
    if (group !== undefined && sizeBytes + segment.sizeBytes <= segmentBytes && offsetsFit) {
      group.push(segment)
      sizeBytes += segment.sizeBytes
    } else {
      groups.push([segment])
      base = segment.baseOffset
      sizeBytes = segment.sizeBytes
    }
  }
  return groups
}

/**
 * What takes the place of segment.ms in a topic that is compacted: records must leave the active segment within
 * max.compaction.lag.ms, or no pass could reach them in time.
 */
export function compactedSegmentMs(segmentMs: number, maxCompactionLagMs: number): number {
  return maxCompactionLagMs > 0 ? Math.min(segmentMs, maxCompactionLagMs) : segmentMs
}

/** Whether the active segment of a compacted topic must be closed now, though nobody appends to it. */
export function mustRollForCompaction(active: Segment, maxCompactionLagMs: number, nowMs: number): boolean {
  return active.sizeBytes > 0 && active.firstTimestamp > 0 && nowMs - active.firstTimestamp > maxCompactionLagMs
}
