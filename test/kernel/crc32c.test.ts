import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { crc32c, crc32cOfView } from '../../src/kernel/crc32c.ts'

/** The definition, a bit at a time. */
function slowCrc32c(bytes: Uint8Array): number {
  let crc = ~0
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  return ~crc >>> 0
}

test('gives the check value of the algorithm and the vectors of RFC 3720', () => {
  const of = (bytes: Uint8Array) => crc32c(bytes, 0, bytes.length)
  assert.equal(of(Buffer.from('123456789')), 0xe3069283)
  assert.equal(of(Buffer.alloc(32)), 0x8a9136aa)
  assert.equal(of(Buffer.alloc(32, 0xff)), 0x62a8ab43)
  assert.equal(of(Buffer.from(Array.from({ length: 32 }, (_, at) => at))), 0x46dd794e)
  assert.equal(of(Buffer.alloc(0)), 0)
})

test('equals the definition on ranges of every length and alignment', () => {
  const bytes = Buffer.from(Array.from({ length: 700 }, (_, at) => (at * 167 + (at >> 3)) & 0xff))
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let start = 0; start < 20; start++) {
    for (const end of [
      start,
      start + 1,
      start + 15,
      start + 16,
      start + 17,
      start + 255,
      start + 256,
      start + 273,
      700,
    ]) {
      const expected = slowCrc32c(bytes.subarray(start, end))
      assert.equal(crc32c(bytes, start, end), expected, `${start} to ${end}`)
      assert.equal(crc32cOfView(view, start, end), expected, `${start} to ${end}`)
    }
  }
})

test('goes on from the checksum of what came before', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1_000 }), fc.nat(1_000), (bytes, cut) => {
      const middle = Math.min(cut, bytes.length)
      const whole = crc32c(bytes, 0, bytes.length)
      assert.equal(whole, slowCrc32c(bytes))
      assert.equal(crc32c(bytes, middle, bytes.length, crc32c(bytes, 0, middle)), whole)
    }),
  )
})
