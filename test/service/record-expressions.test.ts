import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EXPRESSIONS_KEPT_MAX } from '../../src/kernel/limits.ts'
import { RecordExpressions } from '../../src/service/filter/record-expressions.ts'

test('an expression is compiled once, as long as it is asked for', () => {
  const expressions = new RecordExpressions()
  const first = expressions.of('offset > 1')
  for (let at = 0; at < 3 * EXPRESSIONS_KEPT_MAX; at++) {
    expressions.of(`offset == ${at}`)
    assert.equal(expressions.of('offset > 1'), first)
  }
  const other = expressions.of('offset == -1')
  for (let at = 0; at < EXPRESSIONS_KEPT_MAX; at++) expressions.of(`partition == ${at}`)
  assert.notEqual(expressions.of('offset == -1'), other)
})

test('one that is not taken is refused each time', () => {
  const expressions = new RecordExpressions()
  for (let time = 0; time < 2; time++) assert.throws(() => expressions.of('nope'), { code: 'invalid_filter' })
})
