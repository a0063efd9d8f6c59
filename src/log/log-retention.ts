// Which segments retention takes: the pure decision, by Kafka's rules. segment-deletion.ts acts on it.

import type { Segment } from './log-segment.ts'

export interface RetentionRules {
  /** Infinity: no limit by age, or the topic's cleanup.policy does not delete. */
  readonly retentionMs: number
  /** Infinity: no limit by size, or the topic's cleanup.policy does not delete. */
  readonly retentionBytes: number
  readonly nowMs: number
  readonly logStartOffset: number
  readonly highWatermark: number
}

/**
 * The segments that have to go, from the oldest on, of an ascending list whose last one is being written. By age, while the
 * largest timestamp is older than retention.ms; by size, while what remains is retention.bytes or more; in every policy,
 * what lies below the log start offset as a whole. The last segment is among them when it is due and not empty: it has to
 * be rolled before it can go. One that compaction has emptied has neither age nor size: it goes with the one behind it.
 */
export function segmentsToDelete(segments: readonly Segment[], rules: RetentionRules): readonly Segment[] {
  const { retentionMs, retentionBytes, nowMs, logStartOffset, highWatermark } = rules
  let leftBytes = segments.reduce((sum, segment) => sum + segment.sizeBytes, 0)
  let isAged = true
  let isOver = true
  let isBelowStart = true
  let [seen, count] = [0, 0]
  for (const [at, segment] of segments.entries()) {
    const next = segments[at + 1]
    const endOffset = next?.baseOffset ?? segment.endOffset
    leftBytes -= segment.sizeBytes
    // each rule goes from the oldest on and stops where it does not hold
    isAged &&= segment.maxTimestamp < nowMs - retentionMs
    isOver &&= leftBytes >= retentionBytes
    isBelowStart &&= next !== undefined && endOffset <= logStartOffset
    const isLastAndEmpty = next === undefined && segment.sizeBytes === 0
    if (isLastAndEmpty || endOffset > highWatermark || !(isAged || isOver || isBelowStart)) break
    seen++
    if (segment.sizeBytes > 0 || isBelowStart) count = seen
  }
  return segments.slice(0, count)
}
