import assert from 'node:assert/strict'
import { test } from 'node:test'
import { segmentsToDelete } from '../../src/log/log-retention.ts'
import type { Segment } from '../../src/log/log-segment.ts'
import { emptySegment } from '../../src/log/log-segment.ts'

const NOW = 1_000_000

/** Ten offsets and 100 bytes each, one after the other, with these largest timestamps; the last one is being written. */
function segmentsOf(...maxTimestamps: number[]): Segment[] {
  return maxTimestamps.map((maxTimestamp, at) => ({
    baseOffset: at * 10,
    generation: 0,
    sizeBytes: 100,
    endOffset: at * 10 + 10,
    maxTimestamp,
    firstTimestamp: maxTimestamp,
  }))
}

function due(segments: readonly Segment[], rules: Partial<Parameters<typeof segmentsToDelete>[1]>): number[] {
  const given = segmentsToDelete(segments, {
    retentionMs: Infinity,
    retentionBytes: Infinity,
    nowMs: NOW,
    logStartOffset: 0,
    highWatermark: segments.at(-1)?.endOffset ?? 0,
    ...rules,
  })
  return given.map(({ baseOffset }) => baseOffset)
}

test('without a limit nothing goes, and of nothing nothing goes', () => {
  assert.deepEqual(due(segmentsOf(0, 0, 0), {}), [])
  assert.deepEqual(due([], { retentionMs: 0, retentionBytes: 0 }), [])
})

test('by age: from the oldest on while the largest timestamp is older than now minus retention.ms', () => {
  const at = (ageMs: number) => NOW - ageMs
  assert.deepEqual(due(segmentsOf(at(11), at(10), at(9)), { retentionMs: 10 }), [0])
  assert.deepEqual(due(segmentsOf(at(12), at(11), at(9)), { retentionMs: 10 }), [0, 10])
  // a young one holds what comes after it
  assert.deepEqual(due(segmentsOf(at(5), at(12), at(12)), { retentionMs: 10 }), [])
  // one dated ahead holds until the clock has come that far
  assert.deepEqual(due(segmentsOf(NOW + 1, at(12)), { retentionMs: 0 }), [])
})

test('a segment that compaction has emptied goes with the one behind it, or below the log start', () => {
  const emptied = (segments: Segment[], ...places: number[]) =>
    segments.map((segment, at) =>
      places.includes(at) ? { ...emptySegment(segment.baseOffset), generation: 1 } : segment,
    )
  const young = emptied(segmentsOf(1, 1, NOW, NOW), 0, 1)
  assert.deepEqual(due(young, { retentionMs: 10 }), [])
  assert.deepEqual(due(emptied(segmentsOf(1, 1, 1, NOW), 0, 1), { retentionMs: 10 }), [0, 10, 20])
  assert.deepEqual(due(young, { retentionBytes: 150 }), [])
  assert.deepEqual(due(young, { retentionBytes: 100 }), [0, 10, 20])
  assert.deepEqual(due(young, { logStartOffset: 10 }), [0])
})

test('the segment that is written is due too, unless it is empty', () => {
  assert.deepEqual(due(segmentsOf(1, 1), { retentionMs: 10 }), [0, 10])
  assert.deepEqual(due([...segmentsOf(1, 1), emptySegment(20)], { retentionMs: 10 }), [0, 10])
  assert.deepEqual(due([emptySegment(20)], { retentionMs: 10, retentionBytes: 0 }), [])
})

test('by size: while what remains is retention.bytes or more', () => {
  const five = segmentsOf(1, 1, 1, 1, 1)
  assert.deepEqual(due(five, { retentionBytes: 500 }), [])
  assert.deepEqual(due(five, { retentionBytes: 401 }), [])
  assert.deepEqual(due(five, { retentionBytes: 400 }), [0])
  assert.deepEqual(due(five, { retentionBytes: 250 }), [0, 10])
  assert.deepEqual(due(five, { retentionBytes: 1 }), [0, 10, 20, 30])
  assert.deepEqual(due(five, { retentionBytes: 0 }), [0, 10, 20, 30, 40])
})

test('below the log start offset: whole segments, never the one that is written', () => {
  const three = segmentsOf(NOW, NOW, NOW)
  assert.deepEqual(due(three, { logStartOffset: 9 }), [])
  assert.deepEqual(due(three, { logStartOffset: 10 }), [0])
  assert.deepEqual(due(three, { logStartOffset: 30 }), [0, 10])
  // compaction has left a hole: the next one's base counts
  const withHole = [{ ...(three[0] as Segment), endOffset: 3 }, ...three.slice(1)]
  assert.deepEqual(due(withHole, { logStartOffset: 5 }), [])
})

test('each rule goes from the oldest on; the one that goes furthest counts', () => {
  const five = segmentsOf(1, NOW, NOW, NOW, NOW)
  assert.deepEqual(due(five, { retentionMs: 10, retentionBytes: 300 }), [0, 10])
  assert.deepEqual(due(five, { retentionMs: 10, retentionBytes: 450, logStartOffset: 30 }), [0, 10, 20])
})

test('nothing at or beyond the high watermark goes', () => {
  assert.deepEqual(due(segmentsOf(1, 1, 1), { retentionMs: 10, highWatermark: 15 }), [0])
})
