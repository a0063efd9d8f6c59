import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ByteWriter, HAS_CONTROL, HAS_HIGH_BYTE, makePiece, viewOf } from '../../src/kernel/byte-writer.ts'

test('writes whole numbers as JavaScript prints them', () => {
  const output = new ByteWriter(1)
  const numbers = fc.oneof(
    fc.nat(),
    fc.maxSafeNat(),
    fc.nat(15).map((power) => 10 ** power),
    fc.nat(15).map((power) => 10 ** power - 1),
  )
  fc.assert(
    fc.property(numbers, (number) => {
      output.reset()
      output.writeWhole(number)
      assert.equal(output.written().toString(), String(number))
    }),
    { examples: [[0], [2 ** 31 - 1], [2 ** 31], [Number.MAX_SAFE_INTEGER]] },
  )
})

test('writes texts as UTF-8, whatever their length and characters', () => {
  const writer = new ByteWriter(1)
  let expected = ''
  for (const character of ['a', '\u007f', '\u0080', '\u20ac', '\ud83d\ude00', '\ud83d']) {
    for (let before = 0; before < 30; before++) {
      const text = 'x'.repeat(before) + character
      writer.writeText(text)
      expected += text
    }
  }
  assert.deepEqual(writer.written(), Buffer.from(expected))
})

test('copies ranges and pieces of any length, and says what it saw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(40), fc.nat(40), (source, one, other) => {
      const start = Math.min(one, other, source.length)
      const end = Math.min(Math.max(one, other), source.length)
      const range = source.subarray(start, end)
      const output = new ByteWriter(1)
      output.writeByte(0x2d)
      const found = output.writeView(viewOf(source), start, end)
      output.writePiece(makePiece(range))
      output.writeBytes(source, start, end)
      output.writeText('é')
      assert.deepEqual(output.written(), Buffer.concat([Buffer.from('-'), range, range, range, Buffer.from('é')]))
      const high = range.some((byte) => byte >= 0x80) ? HAS_HIGH_BYTE : 0
      const control = range.some((byte) => byte < 0x20) ? HAS_CONTROL : 0
      assert.equal(found, high | control)
    }),
    { numRuns: 2000 },
  )
})

test('what is taken stays as it is while the writer goes on', () => {
  const output = new ByteWriter(8)
  output.writeText('first')
  const taken = output.take()
  output.writeText('second')
  output.writePiece(makePiece(Buffer.from('!')))
  assert.equal(taken.toString(), 'first')
  assert.equal(output.written().toString(), 'second!')
})
