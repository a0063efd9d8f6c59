// Batches that inflate to much: the walk says that they hold it up instead of inflating them where everybody waits.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FetchedPartition } from '../../src/engine/engine.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { INFLATED_ON_LOOP_BYTES_MAX } from '../../src/kernel/limits.ts'
import { Slots } from '../../src/kernel/slots.ts'
import { COMPRESSION_TYPES } from '../../src/record/compression.ts'
import type { SealedBatch } from '../../src/record/record-batch.ts'
import { sealBatch, stampBatch, withRecords } from '../../src/record/record-batch.ts'
import { RecordWalk } from '../../src/service/record-walk.ts'
import { toParts } from '../record/records.ts'

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
  for (const codec of CODECS) {
    const large = ['a', 'b', 'c'].map((letter) => letter.repeat(LARGE))
    const fetched = fetchedOf(batchOf(codec, 'first'), batchOf(codec, ...large), batchOf(codec, 'last'))
    const walk = new RecordWalk(new Slots(1))
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
  }
})

test('names the place of a large batch that cannot be inflated', async () => {
  const { bytes, header } = batchOf('gzip', 'x'.repeat(3 * LARGE))
  const cut = withRecords({ bytes, header }, 'gzip', bytes.subarray(61, bytes.length - 8))
  const walk = new RecordWalk(new Slots(1))
  walk.begin(fetchedOf(batchOf('none', 'first'), cut), 0)
  assert.equal(walk.next(), true)
  assert.equal(walk.next(), false)
  await assert.rejects(walk.inflate(), (error) => {
    assert.ok(error instanceof TailraceError)
    assert.deepEqual([error.code, error.details['offset']], ['corrupt_message', 1])
    return true
  })
})
