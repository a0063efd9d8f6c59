import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { JsonRanges, KnownJson } from '../../src/codec/known-json.ts'
import { RecordJsonWriter } from '../../src/codec/record-json.ts'
import { ByteWriter } from '../../src/kernel/byte-writer.ts'
import { KNOWN_JSON_RANGES_MAX } from '../../src/kernel/limits.ts'

test('ranges answer as a set of offsets would, and say how far the answer holds', () => {
  const range = fc.tuple(fc.nat(60), fc.nat(8)).map(([from, length]) => [from, from + length] as const)
  fc.assert(
    fc.property(fc.array(range, { maxLength: 20 }), (added) => {
      const ranges = new JsonRanges()
      const set = new Set<number>()
      for (const [from, to] of added) {
        ranges.add(from, to)
        for (let offset = from; offset < to; offset++) set.add(offset)
      }
      for (let offset = 0; offset < 70; offset++) {
        const { isKnown, until } = ranges.locate(offset)
        assert.equal(isKnown, set.has(offset))
        assert.ok(until > offset)
        for (let next = offset; next < Math.min(until, 70); next++) assert.equal(set.has(next), isKnown)
      }
    }),
  )
})

test('keeps a bounded number of ranges, the longest', () => {
  const ranges = new JsonRanges()
  ranges.add(0, 1_000)
  for (let at = 1; at <= KNOWN_JSON_RANGES_MAX * 2; at++) ranges.add(at * 2_000, at * 2_000 + 1)
  assert.equal(ranges.locate(999).isKnown, true)
  let kept = 0
  for (let at = 1; at <= KNOWN_JSON_RANGES_MAX * 2; at++) if (ranges.locate(at * 2_000).isKnown) kept++
  assert.equal(kept, KNOWN_JSON_RANGES_MAX - 1)
})

const VALUES = ['{"a":1}', 'no json', '[1,2]', null, '"ä"', '\xff', '12', '{"a":', '{}']

function record(offset: number) {
  const value = VALUES[offset] as string | null
  const bytes = value === '\xff' ? Buffer.from([0xff]) : Buffer.from(value ?? '')
  const valueStart = value === null ? -1 : 0
  const place = { offset, timestamp: 0, bytes, keyStart: -1, keyEnd: -1 }
  return { ...place, valueStart, valueEnd: bytes.length, headerCount: 0, headers: () => [] }
}

function page(offsets: readonly number[], known?: KnownJson, valueFormat: 'auto' | 'string' = 'auto'): string {
  const output = new ByteWriter()
  const writer = new RecordJsonWriter(output, { keyFormat: 'auto', valueFormat, lineBreaks: 'keep' })
  writer.begin('t', 0, 'CreateTime', known?.of('id', 0))
  for (const offset of offsets) writer.write(record(offset))
  writer.end()
  return output.written().toString('latin1')
}

test('what earlier readers found changes no reply, whatever they read', () => {
  const offsets = VALUES.map((_, offset) => offset)
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.subarray(offsets), fc.boolean()), { maxLength: 6 }), (reads) => {
      const known = new KnownJson()
      for (const [some, asText] of reads) {
        const format = asText ? 'string' : 'auto'
        assert.equal(page(some, known, format), page(some, undefined, format))
      }
      assert.equal(page(offsets, known), page(offsets))
    }),
  )
})

test('a value is checked for its first reader only', () => {
  const known = new KnownJson()
  page([2, 3, 4], known)
  assert.deepEqual(known.of('id', 0).locate(2), { isKnown: true, until: 5 })
  assert.equal(known.of('id', 0).locate(1).isKnown, false)
  assert.equal(known.of('another topic of the name', 0).locate(2).isKnown, false)
})
