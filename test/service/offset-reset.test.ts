import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { PartitionStanding, ResetTarget } from '../../src/service/groups/offset-reset.ts'
import { planReset } from '../../src/service/groups/offset-reset.ts'

/** Holds 10 to 19, and stands at 15. */
const standing: PartitionStanding = { topic: 't', partition: 0, startOffset: 10, endOffset: 20, committedOffset: 15 }

function planned(target: ResetTarget, changes: Partial<PartitionStanding> = {}) {
  const [{ offset, adjusted } = { offset: -1, adjusted: undefined }] = planReset(target, [{ ...standing, ...changes }])
  return adjusted === undefined ? offset : { offset, ...adjusted }
}

test('offsets go to a bound, a time, an offset, or some records on', () => {
  assert.equal(planned({ kind: 'earliest' }), 10)
  assert.equal(planned({ kind: 'latest' }), 20)
  assert.equal(planned({ kind: 'time', timestamp: 1 }, { offsetAtTime: 12 }), 12)
  assert.equal(planned({ kind: 'offset', offset: 10 }), 10)
  assert.equal(planned({ kind: 'offset', offset: 20 }), 20)
  assert.equal(planned({ kind: 'shift', by: -5 }), 10)
  assert.equal(planned({ kind: 'shift', by: 5 }), 20)
  assert.equal(planned({ kind: 'listed', offsets: [{ topic: 't', partition: 0, offset: 11 }] }), 11)
  assert.equal(planned({ kind: 'current' }), 15)
})

test('what a partition does not hold becomes the nearer bound, and is told', () => {
  assert.deepEqual(planned({ kind: 'offset', offset: 9 }), { offset: 10, to: 'start', requestedOffset: 9 })
  assert.deepEqual(planned({ kind: 'shift', by: 6 }), { offset: 20, to: 'end', requestedOffset: 21 })
  assert.deepEqual(planned({ kind: 'shift', by: -100 }), { offset: 10, to: 'start', requestedOffset: -85 })
  assert.deepEqual(planned({ kind: 'time', timestamp: 1 }), { offset: 20, to: 'end', requestedOffset: undefined })
  assert.equal(planned({ kind: 'time', timestamp: 1 }, { startOffset: 20 }), 20)
})

test('without a committed offset a shift is refused, and the current place is the end', () => {
  const uncommitted = { committedOffset: undefined }
  assert.equal(planned({ kind: 'current' }, uncommitted), 20)
  assert.throws(() => planned({ kind: 'shift', by: 0 }, uncommitted), {
    code: 'invalid_request',
    message: /partition 0 of topic t cannot be shifted/,
  })
})

test('a plan stays within the bounds of each partition', () => {
  const number = fc.integer({ min: 0, max: 100 })
  const target = fc.oneof(
    fc.record({ kind: fc.constant('offset' as const), offset: number }),
    fc.record({ kind: fc.constant('shift' as const), by: fc.integer({ min: -200, max: 200 }) }),
    fc.record({ kind: fc.constantFrom('earliest' as const, 'latest' as const) }),
  )
  fc.assert(
    fc.property(target, number, number, number, (target, start, length, committed) => {
      const partition = { ...standing, startOffset: start, endOffset: start + length, committedOffset: committed }
      const [reset] = planReset(target, [partition])
      assert.ok(reset !== undefined && reset.offset >= start && reset.offset <= start + length)
      assert.equal(reset.previousOffset, committed)
    }),
  )
})
