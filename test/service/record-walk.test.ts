// Batches that inflate to much: the walk says that they hold it up instead of inflating them where everybody waits.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FetchedPartition } from '../../src/engine/engine.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { INFLATED_BYTES_HELD_MAX, INFLATED_ON_LOOP_BYTES_MAX } from '../../src/kernel/limits.ts'
import { COMPRESSION_TYPES } from '../../src/record/compression.ts'
import type { SealedBatch } from '../../src/record/record-batch.ts'
import { sealBatch, stampBatch, withRecords } from '../../src/record/record-batch.ts'
import { RecordWalk } from '../../src/service/read/record-walk.ts'
import { toParts } from '../record/records.ts'
import { roomForInflated } from '../support/byte-room.ts'
import { FakeClock } from '../support/fake-clock.ts'

const LARGE = INFLATED_ON_LOOP_BYTES_MAX / 2
const CODECS = COMPRESSION_TYPES.slice(1)

function batchOf(compression: (typeof COMPRESSION_TYPES)[number], ...values: string[]): SealedBatch {
  const records = values.map((value) => ({ timestamp: 0, key: null, value, headers: [] }))
  return sealBatch(toParts(records), { compression })
}

function fetchedOf(...batches: SealedBatch[]): FetchedPartition {
  let end = 0
  for (const batch of batches) {
    stampBatch(batch, end, 0)
    end += batch.header.recordCount
  }
  const bytes = Buffer.concat(batches.map((batch) => batch.bytes))
  // the walk looks at no more of what was fetched
  return { topic: { name: 't' }, partition: 0, bytes, highWatermark: end, abortedTransactions: [] } as never
}

test('is held up before a batch that inflates to much, and goes on when it is inflated', async () => {
  const room = roomForInflated()
  for (const codec of CODECS) {
    const large = ['a', 'b', 'c'].map((letter) => letter.repeat(LARGE))
    const fetched = fetchedOf(batchOf(codec, 'first'), batchOf(codec, ...large), batchOf(codec, 'last'))
    const walk = new RecordWalk(room)
    walk.begin(fetched, 0)
    const seen: string[] = []
    const take = () => {
      while (walk.next()) {
        const { bytes, valueStart, valueEnd } = walk.record
        seen.push(`${walk.record.offset}${bytes.toString('utf8', valueStart, valueStart + 1)}${valueEnd - valueStart}`)
      }
    }
    take()
    assert.deepEqual([seen, walk.nextOffset], [['0f5'], 1], codec)
    take()
    assert.equal(seen.length, 1, 'still')
    assert.equal(await walk.inflate(), true)
    take()
    assert.deepEqual(seen, ['0f5', `1a${LARGE}`, `2b${LARGE}`, `3c${LARGE}`, '4l4'])
    assert.equal(await walk.inflate(), false, 'nothing holds it up at the end')
    walk.begin(fetched, 2)
    assert.equal(walk.next(), true, 'the same bytes are not inflated twice')
    assert.equal(walk.record.offset, 2)
    assert.equal(Math.floor(room.heldBytes / LARGE), 3)
    walk.end()
    assert.equal(room.heldBytes, 0)
  }
})

test('a walk holds room for one batch at a time, and for none that cannot be inflated', async () => {
  const room = roomForInflated()
  const walk = new RecordWalk(room)
  const large = (times: number) => batchOf('gzip', 'x'.repeat(LARGE * times))
  walk.begin(fetchedOf(large(3), large(4), large(5)), 0)
  const held: number[] = []
  do {
    while (walk.next());
    held.push(Math.round(room.heldBytes / LARGE))
  } while (await walk.inflate())
  assert.deepEqual(held, [0, 3, 4, 5])
  walk.begin(fetchedOf(batchOf('none', 'other')), 0)
  assert.equal(room.heldBytes, 0, 'other bytes')
})

test('where there is no room in time the walk stays as it was, and goes on later', async () => {
  const clock = new FakeClock()
  const room = roomForInflated(clock)
  const others = await room.enter(INFLATED_BYTES_HELD_MAX)
  const walk = new RecordWalk(room)
  walk.begin(fetchedOf(batchOf('zstd', 'x'.repeat(LARGE * 3))), 0)
  assert.equal(walk.next(), false)
  const refused = walk.inflate()
  clock.advance(1_000)
  await assert.rejects(refused, { code: 'overloaded' })
  others.leave()
  assert.equal(await walk.inflate(), true)
  assert.equal(walk.next(), true)
})

test('names the place of a large batch that cannot be inflated', async () => {
  const { bytes, header } = batchOf('gzip', 'x'.repeat(3 * LARGE))
  const cut = withRecords({ bytes, header }, 'gzip', bytes.subarray(61, bytes.length - 8))
  const room = roomForInflated()
  const walk = new RecordWalk(room)
  walk.begin(fetchedOf(batchOf('none', 'first'), cut), 0)
  assert.equal(walk.next(), true)
  assert.equal(walk.next(), false)
  await assert.rejects(walk.inflate(), (error) => {
    assert.ok(error instanceof TailraceError)
    assert.deepEqual([error.code, error.details['offset']], ['corrupt_message', 1])
    return true
  })
  assert.equal(room.heldBytes, 0)
})
