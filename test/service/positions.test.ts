import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TailraceError } from '../../src/kernel/errors.ts'

import type { Position } from '../../src/service/read/positions.ts'
import { parsePosition, resolvePosition } from '../../src/service/read/positions.ts'
import { roomForInflated } from '../support/byte-room.ts'
import { ReadableEngine } from '../support/readable-engine.ts'

const hour = 3_600_000

const valid: readonly (readonly [string, Position])[] = [
  ['earliest', { kind: 'earliest' }],
  ['latest', { kind: 'latest' }],
  ['committed', { kind: 'committed', group: 'g' }],
  ['0', { kind: 'offset', offset: 0 }],
  ['00042', { kind: 'offset', offset: 42 }],
  ['9007199254740991', { kind: 'offset', offset: 9007199254740991 }],
  ['-1', { kind: 'last', recordCount: 1 }],
  ['-10000', { kind: 'last', recordCount: 10_000 }],
  ['500ms', { kind: 'ago', durationMs: 500 }],
  ['30s', { kind: 'ago', durationMs: 30_000 }],
  ['30m', { kind: 'ago', durationMs: hour / 2 }],
  ['1h', { kind: 'ago', durationMs: hour }],
  ['7d', { kind: 'ago', durationMs: 7 * 24 * hour }],
  ['2w', { kind: 'ago', durationMs: 14 * 24 * hour }],
  ['1h30m', { kind: 'ago', durationMs: 1.5 * hour }],
  ['1d2h3m4s5ms', { kind: 'ago', durationMs: 26 * hour + 184_005 }],
  ['2026-11-21', { kind: 'time', timestamp: Date.UTC(2026, 10, 21) }],
  ['2026-11-21T02:00Z', { kind: 'time', timestamp: Date.UTC(2026, 10, 21, 2) }],
  ['2026-11-21T02:00:00Z', { kind: 'time', timestamp: Date.UTC(2026, 10, 21, 2) }],
  ['2026-11-21T02:00:00.123Z', { kind: 'time', timestamp: Date.UTC(2026, 10, 21, 2, 0, 0, 123) }],
  ['2026-11-21t02:00:00,123z', { kind: 'time', timestamp: Date.UTC(2026, 10, 21, 2, 0, 0, 123) }],
  ['2026-11-21T02:00:00.123000001Z', { kind: 'time', timestamp: Date.UTC(2026, 10, 21, 2, 0, 0, 124) }],
  ['2026-11-21T02:00:00.069Z', { kind: 'time', timestamp: Date.UTC(2026, 10, 21, 2, 0, 0, 69) }],
  ['2026-11-21T02:00:00+01:00', { kind: 'time', timestamp: Date.UTC(2026, 10, 21, 1) }],
  ['2026-11-21T02:00:00 01:00', { kind: 'time', timestamp: Date.UTC(2026, 10, 21, 1) }],
  ['2026-11-21T02:00:00-0130', { kind: 'time', timestamp: Date.UTC(2026, 10, 21, 3, 30) }],
  ['2024-02-29', { kind: 'time', timestamp: Date.UTC(2024, 1, 29) }],
  ['cursor:AQ', { kind: 'cursor', cursor: 'AQ' }],
]

for (const [text, position] of valid) {
  test(`'${text}' is a position`, () => assert.deepEqual(parsePosition(text, 'g'), position))
}

test('committed is no position without a group, and with one that cannot be', () => {
  assert.throws(() => parsePosition('committed'), isInvalid)
  assert.throws(() => parsePosition('committed', ''), { code: 'invalid_group_id' })
})

const isInvalid = (error: unknown) => error instanceof TailraceError && error.code === 'invalid_position'

const invalid =
  `|1.5|-0|--1|+1|1e3|0x10|9007199254740992|-10001|99999999999999999999|NaN|Infinity|first|LATEST|earliest |__proto__|
toString|constructor|1|1h30|30m1h|1.5h|h|2026-11|2026-13-01|2026-02-30|2026-11-21T02:00:00|2026-11-21T24:00:00Z|2026-11-21T02:60Z|
2026-11-21T02:00:60Z|2026-11-21T02:00:00+24:00|2026-11-21 02:00:00Z|cursor|committed:x|\u0000|-|${'9'.repeat(5_000)}`
    .split('|')
    .map((text) => text.replace('\n', ''))
    .filter((text) => text !== '1')

for (const text of invalid) {
  test(`${JSON.stringify(text.slice(0, 40))} is no position`, () => assert.throws(() => parsePosition(text), isInvalid))
}

test('the refusal names what is allowed, and shows a long text cut', () => {
  assert.throws(
    () => parsePosition('x'.repeat(10_000)),
    (error) =>
      error instanceof TailraceError &&
      error.message.includes('earliest, latest, committed') &&
      error.message.length < 400,
  )
})

test('no text at all makes the parser fail otherwise', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[-+0-9TZ:.hmsdw]{0,30}$/)), (text) => {
      try {
        parsePosition(text)
      } catch (error) {
        assert.ok(isInvalid(error), String(error))
      }
    }),
    { numRuns: 2_000 },
  )
})

const now = Date.UTC(2026, 10, 21)

function newTopic(partitionCount: number) {
  const store = new ReadableEngine()
  const topic = store.create('orders', partitionCount)
  const source = { engine: store.engine, inflations: roomForInflated() }
  const resolve = async (text: string, partitions = topicPartitions(partitionCount)) => {
    const found = await resolvePosition(source, topic, partitions, parsePosition(text), now)
    return found.map(({ offset }) => offset)
  }
  return { store, topic, resolve }
}

const topicPartitions = (count: number) => Array.from({ length: count }, (_, partition) => partition)

test('earliest and latest are the bounds of each partition', async () => {
  const { store, resolve } = newTopic(2)
  store.append('orders', 0, [{}, {}, {}])
  store.append('orders', 0, [{}])
  store.cut('orders', 0, 2)
  assert.deepEqual(await resolve('earliest'), [2, 0])
  assert.deepEqual(await resolve('latest'), [4, 0])
})

test('a time is the first offset at or after it, also where timestamps run backwards, and the end when there is none', async () => {
  const { store, resolve } = newTopic(3)
  const at = (...timestamps: number[]) => timestamps.map((timestamp) => ({ timestamp: now + timestamp }))
  store.append('orders', 0, at(10, 50, 20))
  store.append('orders', 0, at(30, 60))
  store.append('orders', 1, at(1, 2, 3))
  assert.deepEqual(await resolve('2026-11-21T00:00:00.021Z'), [1, 3, 0])
  assert.deepEqual(await resolve('2026-11-21T00:00:00.051Z'), [4, 3, 0])
  assert.deepEqual(await resolve('2026-11-21T00:00:00Z'), [0, 0, 0])
  assert.deepEqual(await resolve('1000-01-01'), [0, 0, 0])
})

test('a duration counts back from now', async () => {
  const { store, resolve } = newTopic(1)
  store.append('orders', 0, [{ timestamp: now - hour - 1 }, { timestamp: now - hour }, { timestamp: now }])
  assert.deepEqual(await resolve('1h'), [1])
  assert.deepEqual(await resolve('0s'), [2])
})

test('an offset needs one partition to be asked for', async () => {
  const { resolve } = newTopic(2)
  assert.deepEqual(await resolve('7', [1]), [7])
  await assert.rejects(resolve('7'), isInvalid)
})

test('committed says that it needs a group', async () => {
  const { resolve } = newTopic(1)
  await assert.rejects(resolve('committed'), (error) => isInvalid(error) && /group/.test(String(error)))
})

test('-N takes the latest records over all partitions', async () => {
  const { store, resolve } = newTopic(3)
  for (let at = 0; at < 30; at++) store.append('orders', at % 3, [{ timestamp: now + at }])
  assert.deepEqual(await resolve('-1'), [10, 10, 9])
  assert.deepEqual(await resolve('-3'), [9, 9, 9])
  assert.deepEqual(await resolve('-4'), [9, 9, 8])
  assert.deepEqual(await resolve('-30'), [0, 0, 0])
  assert.deepEqual(await resolve('-10000'), [0, 0, 0])
  assert.deepEqual(await resolve('-3', [0]), [7])
})

test('-N counts records that exist: holes, markers and what was aborted are not counted', async () => {
  const { store, resolve } = newTopic(1)
  store.append('orders', 0, [{ value: 'a' }])
  store.append('orders', 0, [{}, {}, {}], { deltas: [0, 30, 60], lastOffsetDelta: 5_000 })
  const firstOffset = store.append('orders', 0, [{}, {}], { producerId: 7n, isTransactional: true })
  store.append('orders', 0, [{ key: '\0\0\0\0', value: '\0\0' }], {
    producerId: 7n,
    isTransactional: true,
    isControl: true,
  })
  store.partition('orders', 0).aborted.push({ producerId: 7n, firstOffset })
  assert.deepEqual(await resolve('-1'), [61])
  assert.deepEqual(await resolve('-3'), [1])
  assert.deepEqual(await resolve('-4'), [0])
  assert.deepEqual(await resolve('-5'), [0])
})

test('-N gives exactly N records whatever the partitions look like', async () => {
  const histories = fc.array(
    fc.record({
      partition: fc.nat({ max: 3 }),
      timestamp: fc.nat({ max: 40 }),
      size: fc.integer({ min: 1, max: 4 }),
      hole: fc.constantFrom(0, 0, 3, 200),
    }),
    { maxLength: 60 },
  )
  await fc.assert(
    fc.asyncProperty(histories, fc.integer({ min: 1, max: 80 }), async (history, recordCount) => {
      const { store, resolve } = newTopic(4)
      const offsets: number[][] = [[], [], [], []]
      for (const { partition, timestamp, size, hole } of history) {
        const records = Array.from({ length: size }, () => ({ timestamp }))
        const base = store.append('orders', partition, records, { lastOffsetDelta: size - 1 + hole })
        for (let at = 0; at < size; at++) offsets[partition]?.push(base + at)
      }
      const starts = await resolve(`-${recordCount}`)
      const given = offsets.map(
        (all, partition) => all.filter((offset) => offset >= (starts[partition] as number)).length,
      )
      const all = offsets.flat().length
      assert.equal(
        given.reduce((sum, count) => sum + count, 0),
        Math.min(recordCount, all),
      )
    }),
    { numRuns: 200 },
  )
})
