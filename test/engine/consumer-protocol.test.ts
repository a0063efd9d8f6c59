// ConsumerProtocol bytes: against kafkajs (version 0 and what of it later ones share), against the layout written out, and
// against bytes that lie.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  decodeAssignment,
  decodeStickyUserData,
  decodeSubscription,
  encodeAssignment,
  encodeStickyUserData,
  encodeSubscription,
} from '../../src/engine/consumer-protocol.ts'

const { MemberMetadata, MemberAssignment } = createRequire(import.meta.url)('kafkajs/src/consumer/assignerProtocol.js')

const SUBSCRIPTION_V3 = [
  '0003', // version
  '00000002 0001 61 0002 6262', // topics: a, bb
  '00000002 0107', // user data
  '00000001 0001 61 00000002 00000000 00000005', // owned: a 0 and 5
  '0000002a', // generation 42
  '0002 7231', // rack r1
]
const ASSIGNMENT_V3 = ['0003', '00000002 0001 61 00000001 00000003 0002 6262 00000000', 'ffffffff']

const bytes = (parts: readonly string[]) => Buffer.from(parts.join('').replaceAll(' ', ''), 'hex')
const at = (topic: string, ...partitions: number[]) => partitions.map((partition) => ({ topic, partition }))

const subscription = {
  topics: ['a', 'bb'],
  userData: Buffer.from([1, 7]),
  ownedPartitions: at('a', 0, 5),
  generationId: 42,
  rackId: 'r1',
}

test('writes and reads a subscription of version 3 as its layout says', () => {
  assert.deepEqual(encodeSubscription(subscription), bytes(SUBSCRIPTION_V3))
  assert.deepEqual(decodeSubscription(bytes(SUBSCRIPTION_V3)), subscription)
})

test('reads earlier versions, and later ones as version 3', () => {
  const [, topics = '', userData = '', owned = '', generation = '', rack = ''] = SUBSCRIPTION_V3
  const none = { ownedPartitions: [], generationId: -1, rackId: null }
  assert.deepEqual(decodeSubscription(bytes(['0000', topics, userData])), { ...subscription, ...none })
  const v1 = decodeSubscription(bytes(['0001', topics, userData, owned]))
  assert.deepEqual(v1, { ...subscription, ...none, ownedPartitions: at('a', 0, 5) })
  const v2 = decodeSubscription(bytes(['0002', topics, userData, owned, generation]))
  assert.deepEqual(v2, { ...subscription, rackId: null })
  const v9 = decodeSubscription(bytes(['0009', topics, userData, owned, generation, rack, 'ffff 00 01']))
  assert.deepEqual(v9, subscription)
})

test('writes and reads an assignment as its layout says, and no bytes as an empty one', () => {
  const assignment = { partitions: at('a', 3), userData: null }
  assert.deepEqual(decodeAssignment(bytes(ASSIGNMENT_V3)), assignment)
  assert.deepEqual(decodeAssignment(encodeAssignment(assignment)), assignment)
  assert.deepEqual(decodeAssignment(Buffer.alloc(0)), { partitions: [], userData: null })
})

test('understands what kafkajs writes', () => {
  const metadata = MemberMetadata.encode({ version: 0, topics: ['b', 'a'], userData: Buffer.from('x') })
  const none = { ownedPartitions: [], generationId: -1, rackId: null }
  assert.deepEqual(decodeSubscription(metadata), { topics: ['b', 'a'], userData: Buffer.from('x'), ...none })
  const assignment = MemberAssignment.encode({ version: 0, assignment: { a: [0, 2], b: [1] } })
  assert.deepEqual(decodeAssignment(assignment), {
    partitions: [...at('a', 0, 2), ...at('b', 1)],
    userData: Buffer.alloc(0),
  })
})

test('is understood by kafkajs', () => {
  const read = MemberMetadata.decode(encodeSubscription(subscription))
  assert.deepEqual([read.topics, read.userData], [['a', 'bb'], Buffer.from([1, 7])])
  const assigned = MemberAssignment.decode(
    encodeAssignment({ partitions: [...at('a', 0, 2), ...at('b', 1)], userData: null }),
  )
  assert.deepEqual({ ...assigned.assignment }, { a: [0, 2], b: [1] })
})

test('reads the user data of sticky assignors with and without a generation', () => {
  const userData = { previousPartitions: [...at('a', 1, 2), ...at('b', 0)], generationId: 7 }
  const encoded = encodeStickyUserData(userData)
  assert.deepEqual(decodeStickyUserData(encoded), userData)
  assert.deepEqual(decodeStickyUserData(encoded.subarray(0, -4)), { ...userData, generationId: -1 })
})

test('gives nothing for bytes that are cut anywhere', () => {
  for (const [decode, whole] of [
    [decodeSubscription, bytes(SUBSCRIPTION_V3)],
    [decodeAssignment, bytes(ASSIGNMENT_V3)],
  ] as const) {
    for (let end = 1; end < whole.length; end++)
      assert.equal(decode(whole.subarray(0, end)), undefined, `cut at ${end}`)
  }
})

test('refuses lengths that are negative or longer than what follows, and partitions below 0', () => {
  for (const parts of [
    ['0003', 'ffffffff'],
    ['0003', '7fffffff'],
    ['0003', '00000001 ffff'],
    ['0003', '00000001 7fff 61'],
    ['0003', '00000000', 'fffffffe'],
    ['0003', '00000000', 'ffffffff', '00000001 0001 61 3fffffff 00000000'],
    ['0003', '00000000', 'ffffffff', '00000001 0001 61 00000001 ffffffff', '00000000', 'ffff'],
    ['ffff', '00000000', 'ffffffff'],
  ]) {
    assert.equal(decodeSubscription(bytes(parts)), undefined, parts.join(' '))
  }
})

test('names a topic or a partition that comes twice once', () => {
  const twice = ['0003', '00000002 0001 61 0001 61', 'ffffffff', '00000002 0001 61 00000002 00000001 00000001 0001 61']
  const read = decodeSubscription(bytes([...twice, '00000001 00000001', '00000000', 'ffff']))
  assert.deepEqual([read?.topics, read?.ownedPartitions], [['a'], at('a', 1)])
})

test('reads back what it wrote, and any bytes without an exception', () => {
  const partition = fc.record({ topic: fc.constantFrom('a', 'b', 'ü'), partition: fc.nat(0x7fffffff) })
  const partitions = fc.uniqueArray(partition, { selector: ({ topic, partition }) => `${topic} ${partition}` })
  const userData = fc.option(fc.uint8Array().map((data) => Buffer.from(data)))
  fc.assert(
    fc.property(partitions, userData, fc.integer({ min: -1 }), (owned, data, generationId) => {
      const wanted = { topics: ['x', 'ü'], userData: data, ownedPartitions: owned, generationId, rackId: null }
      const read = decodeSubscription(encodeSubscription(wanted))
      const key = (list: readonly { topic: string; partition: number }[] = []) =>
        list.map(({ topic, partition }) => `${topic} ${partition}`).sort()
      assert.deepEqual({ ...read, ownedPartitions: [] }, { ...wanted, ownedPartitions: [] })
      assert.deepEqual(key(read?.ownedPartitions), key(owned))
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (data) => {
      decodeSubscription(data)
      decodeAssignment(data)
      decodeStickyUserData(data)
    }),
  )
})
