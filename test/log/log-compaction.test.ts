import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  compactedSegmentMs,
  groupSegments,
  mustRollForCompaction,
  planCompaction,
} from '../../src/log/log-compaction.ts'
import type { Segment } from '../../src/log/log-segment.ts'

const NOW = 1_000_000
const SETTINGS = { minCleanableDirtyRatio: 0.5, minCompactionLagMs: 0, maxCompactionLagMs: Number.MAX_SAFE_INTEGER }

/** Ten offsets and a hundred bytes each, from offset 0 on; the last one is the active one. */
const segmentsOf = (count: number, changes: Record<number, Partial<Segment>> = {}): Segment[] =>
  Array.from({ length: count }, (_, at) => ({
    baseOffset: at * 10,
    generation: 0,
    endOffset: at * 10 + 10,
    sizeBytes: 100,
    firstTimestamp: 1_000 * at + 1,
    maxTimestamp: 1_000 * at + 999,
    ...changes[at],
  }))

const plan = (
  segments: Segment[],
  state: { firstDirtyOffset?: number; logStartOffset?: number } = {},
  settings: Partial<typeof SETTINGS> = {},
) =>
  planCompaction(
    { segments, logStartOffset: 0, firstDirtyOffset: undefined, nowMs: NOW, ...state },
    { ...SETTINGS, ...settings },
  )

test('everything but the active segment is cleanable, and dirty if nothing was cleaned yet', () => {
  const segments = segmentsOf(4)
  const planned = plan(segments)
  assert.deepEqual(planned, {
    firstDirtyOffset: 0,
    cleanableEnd: 30,
    segments: segments.slice(0, 3),
    dirtyBytes: 300,
    dirtyRatio: 1,
    overdueMs: 0,
    isDue: true,
  })
})

test('an empty log and a log of one segment have nothing to clean', () => {
  for (const segments of [[], segmentsOf(1)]) {
    const { cleanableEnd, dirtyBytes, isDue } = plan(segments, {}, { minCleanableDirtyRatio: 0, maxCompactionLagMs: 1 })
    assert.deepEqual({ cleanableEnd, dirtyBytes, isDue }, { cleanableEnd: 0, dirtyBytes: 0, isDue: false })
  }
})

test('a pass is due when the dirty part is more than min.cleanable.dirty.ratio', () => {
  assert.deepEqual([plan(segmentsOf(5), { firstDirtyOffset: 20 }).dirtyRatio, 0.5], [0.5, 0.5])
  assert.equal(plan(segmentsOf(5), { firstDirtyOffset: 20 }).isDue, false)
  assert.equal(plan(segmentsOf(5), { firstDirtyOffset: 20 }, { minCleanableDirtyRatio: 0.49 }).isDue, true)
  // a pass may end inside a segment: that one is dirty
  assert.equal(plan(segmentsOf(5), { firstDirtyOffset: 19 }).dirtyBytes, 300)
})

test('a segment with a record younger than min.compaction.lag.ms, and all behind it, must wait', () => {
  const lag = (ms: number, firstDirtyOffset = 0) =>
    plan(segmentsOf(5, { 1: { maxTimestamp: NOW - 500 } }), { firstDirtyOffset }, { minCompactionLagMs: ms })
  assert.equal(lag(501).cleanableEnd, 10)
  assert.equal(lag(500).cleanableEnd, 40)
  assert.equal(lag(0).cleanableEnd, 40)
  // only the dirty part is asked for its age
  assert.equal(lag(501, 20).cleanableEnd, 40)
  assert.equal(lag(501, 15).dirtyBytes, 0)
  assert.equal(lag(501, 15).isDue, false)
})

test('a dirty segment older than max.compaction.lag.ms makes a pass due whatever the ratio', () => {
  const at = (maxCompactionLagMs: number, firstDirtyOffset = 30) =>
    plan(segmentsOf(5), { firstDirtyOffset }, { maxCompactionLagMs })
  // the first batch of segment 3 is from 3,001
  assert.deepEqual([at(NOW - 3_001).overdueMs, at(NOW - 3_001).isDue], [0, false])
  assert.deepEqual([at(NOW - 3_002).overdueMs, at(NOW - 3_002).isDue], [1, true])
  assert.equal(at(0, 40).isDue, false)
})

test('a first dirty offset that the log does not have makes everything dirty', () => {
  assert.equal(plan(segmentsOf(4), { firstDirtyOffset: 5, logStartOffset: 12 }).firstDirtyOffset, 12)
  assert.equal(plan(segmentsOf(4), { firstDirtyOffset: 41 }).firstDirtyOffset, 0)
  assert.equal(plan(segmentsOf(4), { firstDirtyOffset: 40 }).firstDirtyOffset, 40)
})

test('adjacent segments go together up to segment.bytes, as far as their offsets fit', () => {
  const bases = (segments: Segment[], segmentBytes: number) =>
    groupSegments(segments, segmentBytes).map((group) => group.map(({ baseOffset }) => baseOffset))
  assert.deepEqual(bases(segmentsOf(5), 200), [[0, 10], [20, 30], [40]])
  assert.deepEqual(bases(segmentsOf(3), 99), [[0], [10], [20]])
  assert.deepEqual(bases(segmentsOf(3), 1_000), [[0, 10, 20]])
  assert.deepEqual(bases([], 1_000), [])
  const far = (endOffset: number, sizeBytes = 100) =>
    segmentsOf(2, { 1: { baseOffset: 2 ** 31 - 10, endOffset, sizeBytes } })
  assert.deepEqual(bases(far(2 ** 31), 1_000), [[0, 2 ** 31 - 10]])
  assert.deepEqual(bases(far(2 ** 31 + 1), 1_000), [[0], [2 ** 31 - 10]])
  assert.deepEqual(bases(far(2 ** 31 + 1, 0), 1_000), [[0, 2 ** 31 - 10]])
})

test('a compacted topic rolls by the shorter of segment.ms and max.compaction.lag.ms, also when nobody appends', () => {
  assert.equal(compactedSegmentMs(1_000, 500), 500)
  assert.equal(compactedSegmentMs(500, 1_000), 500)
  assert.equal(compactedSegmentMs(500, 0), 500)
  const active = segmentsOf(1)[0] as Segment
  assert.equal(mustRollForCompaction(active, 99, 101), true)
  assert.equal(mustRollForCompaction(active, 100, 101), false)
  assert.equal(mustRollForCompaction({ ...active, sizeBytes: 0 }, 99, 101), false)
})
