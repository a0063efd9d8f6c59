import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { OffsetMap } from '../../src/log/offset-map.ts'

test('gives back the last offset of every key, and takes new keys until it is full', () => {
  const anyPuts = fc.array(fc.tuple(fc.nat(60), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER - 1 })), {
    maxLength: 200,
  })
  fc.assert(
    fc.property(anyPuts, fc.nat(40), (puts, slots) => {
      const map = new OffsetMap(slots * 24, 1_000)
      const model = new Map<number, number>()
      const sizeMax = Math.max(1, Math.floor(Math.max(2, slots) * 0.9))
      for (const [key, offset] of puts) {
        const bytes = Buffer.from(`<key ${key}>`)
        const isTaken = model.has(key) || model.size < sizeMax
        assert.equal(map.put(bytes, 1, bytes.length - 1, offset), isTaken)
        if (isTaken) model.set(key, offset)
      }
      assert.equal(map.size, model.size)
      for (let key = 0; key <= 60; key++) {
        const bytes = Buffer.from(`key ${key}`)
        assert.equal(map.find(bytes, 0, bytes.length), model.get(key) ?? -1)
      }
    }),
  )
})

test('takes no more memory than the keys can need', () => {
  const map = new OffsetMap(2 ** 40, 10)
  for (let key = 0; key < 10; key++) assert.equal(map.put(Buffer.from([key]), 0, 1, key), true)
})
