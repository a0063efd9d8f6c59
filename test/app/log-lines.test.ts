import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { readableLine } from '../../src/app/log-lines.ts'

function lineOf(facts: object, message: string): string {
  const lines: string[] = []
  pino({}, { write: (text) => lines.push(readableLine(text)) }).warn(facts, message)
  return lines.join('')
}

test('on a terminal a log line begins with its time and level, then says what, then the facts', () => {
  assert.match(
    lineOf({ partition: 'orders-0', segments: 2 }, 'segments went'),
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARN {2}segments went {2}partition=orders-0 segments=2\n$/,
  )
  const failure = lineOf({ err: new RangeError('too far'), options: ['a', 'b'] }, 'it failed')
  assert.match(failure, / WARN {2}it failed {2}options=\["a","b"\]\n {4}RangeError: too far\n {8}at .*\n/)
})

test('no text of a client reaches the terminal as anything but text', () => {
  assert.match(lineOf({ name: 'a\u001b[2Jb' }, 'x\ny\u009b'), /x\\u000ay\\u009b {2}name=a\\u001b\[2Jb\n$/)
})

test('what is no line of the log is passed on as it is', () => {
  assert.equal(readableLine('no JSON\n'), 'no JSON\n')
})
