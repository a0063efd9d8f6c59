import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesOlderThan, emptySegment, rollJitterMs } from '../../src/log/log-segment.ts'

test('counts what is older from the oldest segment on, and stops at the first that holds something newer', () => {
  const segments = [10, 20, 15, 50, 5].map((maxTimestamp, at) => ({
    ...emptySegment(at * 100),
    sizeBytes: 10 ** at,
    maxTimestamp,
  }))
  const counted = [10, 11, 20, 21, 51, Number.NEGATIVE_INFINITY].map((time) => bytesOlderThan(segments, time))
  assert.deepEqual(counted, [0, 1, 1, 111, 11_111, 0])
  assert.equal(bytesOlderThan([], 5), 0)
})

test('jitter spreads partitions over segment.jitter.ms, never beyond segment.ms, and each keeps its own', () => {
  const jitters = (settings: { segmentMs: number; segmentJitterMs: number }) =>
    Array.from({ length: 100 }, (_, partition) => rollJitterMs(`orders-${partition}`, settings))
  assert.deepEqual(new Set(jitters({ segmentMs: 1_000, segmentJitterMs: 0 })), new Set([0]))
  const spread = jitters({ segmentMs: 10_000, segmentJitterMs: 1_000 })
  assert.ok(spread.every((ms) => ms >= 0 && ms < 1_000))
  assert.ok(new Set(spread).size > 80 && Math.min(...spread) < 100 && Math.max(...spread) > 900)
  assert.deepEqual(jitters({ segmentMs: 10_000, segmentJitterMs: 1_000 }), spread)
  assert.ok(jitters({ segmentMs: 50, segmentJitterMs: 1_000 }).every((ms) => ms < 50))
})
