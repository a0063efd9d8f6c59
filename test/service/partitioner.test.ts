import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Topic } from '../../src/engine/engine.ts'
import {
  murmur2,
  partitionForKey,
  partitionForRequest,
  STICKY_BYTES,
  StickyPartitioner,
} from '../../src/service/produce/partitioner.ts'

interface Golden {
  readonly partition_counts: readonly number[]
  readonly keys: readonly { readonly key: string; readonly hash: number; readonly partitions: readonly number[] }[]
}

const golden: Golden = JSON.parse(readFileSync(join(import.meta.dirname, '../golden/partitioner.json'), 'utf8'))

const topicOf = (partitionCount: number) => ({ partitionCount }) as Topic

test("hashes what Kafka's own test of murmur2 hashes", () => {
  const known: [string, number][] = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ]
  for (const [text, hash] of known) {
    const bytes = Buffer.from(text)
    assert.equal(murmur2(bytes, 0, bytes.length), hash, text)
  }
})

test('puts every key, the empty one too, where an independent client puts it', () => {
  assert.ok(golden.keys.some(({ key }) => key === ''))
  for (const { key, hash, partitions } of golden.keys) {
    const bytes = Buffer.from(key, 'base64')
    assert.equal(murmur2(bytes, 0, bytes.length), hash, key)
    const places = golden.partition_counts.map((count) => partitionForKey(bytes, 0, bytes.length, count))
    assert.deepEqual(places, partitions, key)
  }
})

test('hashes a key where it lies, without what surrounds it', () => {
  for (const { key, hash } of golden.keys) {
    const bytes = Buffer.from(key, 'base64')
    for (const before of [1, 2, 3]) {
      const around = Buffer.concat([Buffer.alloc(before, 0xff), bytes, Buffer.from('more')])
      assert.equal(murmur2(around, before, before + bytes.length), hash)
    }
  }
})

test('places a named request by its id and number, the same in every process', () => {
  const id = (1n << 62n) + 5n
  const places = Array.from({ length: 8 }, (_, sequence) => partitionForRequest(id, sequence, 8))
  assert.deepEqual(places, [1, 2, 1, 6, 2, 7, 4, 3])
  const byBytes = places.map((_, sequence) => {
    const bytes = Buffer.alloc(12)
    bytes.writeBigInt64LE(id)
    bytes.writeInt32LE(sequence, 8)
    return partitionForKey(bytes, 0, 12, 8)
  })
  assert.deepEqual(places, byBytes)
})

test('spreads the numbers of named requests over the partitions', () => {
  const counts = new Array<number>(8).fill(0)
  for (let sequence = 0; sequence < 8000; sequence++) {
    const partition = partitionForRequest((1n << 62n) + 77n, sequence, 8)
    counts[partition] = (counts[partition] ?? 0) + 1
  }
  for (const count of counts) assert.ok(count > 800 && count < 1200, String(counts))
})

test('keeps keyless requests in one partition until 16 KiB have gone there', () => {
  const sticky = new StickyPartitioner()
  const topic = topicOf(3)
  const places: number[] = []
  for (let request = 0; request < 9; request++) {
    places.push(sticky.partition(topic))
    sticky.add(topic, STICKY_BYTES / 2)
  }
  assert.deepEqual(places, [0, 0, 1, 1, 2, 2, 0, 0, 1])
})

test('spreads keyless bytes evenly over the partitions', () => {
  const sticky = new StickyPartitioner()
  const topic = topicOf(8)
  const bytes = new Array<number>(8).fill(0)
  for (let request = 0; request < 10_000; request++) {
    const size = 100 + ((request * 7919) % 3000)
    const partition = sticky.partition(topic)
    bytes[partition] = (bytes[partition] ?? 0) + size
    sticky.add(topic, size)
  }
  assert.ok(Math.max(...bytes) - Math.min(...bytes) < 2 * (STICKY_BYTES + 3100), String(bytes))
})

test('keeps a place for each topic, and leaves a partition that takes nothing', () => {
  const sticky = new StickyPartitioner()
  const [one, other] = [topicOf(2), topicOf(2)]
  sticky.add(one, STICKY_BYTES)
  assert.deepEqual([sticky.partition(one), sticky.partition(other)], [1, 0])
  sticky.leave(one, 0)
  assert.equal(sticky.partition(one), 1)
  sticky.leave(one, 1)
  assert.equal(sticky.partition(one), 0)
})
