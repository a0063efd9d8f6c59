import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesOlderThan, emptySegment } from '../../src/log/log-segment.ts'

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
