import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Closing } from '../../src/http/closing.ts'

test('closing is told once to each who listens still, and at once to who comes later', () => {
  const closing = new Closing()
  const told: string[] = []
  const endFirst = closing.onBegin(() => told.push('first'))
  closing.onBegin(() => {
    told.push('second')
    closing.begin()
  })
  endFirst()
  assert.equal(closing.hasBegun, false)
  closing.begin()
  assert.equal(closing.hasBegun, true)
  closing.onBegin(() => told.push('late'))()
  assert.deepEqual(told, ['second', 'late'])
})
