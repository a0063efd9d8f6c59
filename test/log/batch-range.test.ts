// Batches cut out of a segment's bytes: what was read in vain is given back at once, not left to the collector.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CutOptions } from '../../src/log/batch-range.ts'
import { cutBatches } from '../../src/log/batch-range.ts'
import { ReadLandmarks } from '../../src/log/read-landmarks.ts'
import type { SegmentFile } from '../../src/log/segment-file.ts'
import { BATCH_HEADER_BYTES, sealBatch } from '../../src/record/record-batch.ts'
import { partsOf } from '../support/record-parts.ts'

const segment = sealBatch([partsOf({ value: 'x'.repeat(5_000), timestamp: 1 })], {
  compression: 'none',
  producerId: -1n,
  producerEpoch: 0,
  baseSequence: -1,
}).bytes

/** Cuts at most so many bytes; and the memory that was read into. */
async function cut(maxBytes: number, atLeastOne: boolean) {
  const read: Buffer[] = []
  const file = {
    async read(buffer: Buffer, position: number) {
      read.push(buffer)
      return segment.copy(buffer, 0, position)
    },
  } as unknown as SegmentFile
  const range = { path: '0.log', position: 0, due: 0, isDueExact: true, end: segment.length, endOffset: 1 }
  const wanted = { offset: 0, maxBytes, atLeastOne, skippedBytes: 0, segmentBase: 0, landmarks: new ReadLandmarks() }
  const bytes = await cutBatches(file, { ...range, ...wanted } satisfies CutOptions)
  return { bytes, read: read.map(({ length }) => length) }
}

test('a batch that is larger than what was read is read again, and the first read given back', async () => {
  const { bytes, read } = await cut(1_000, true)
  assert.ok(bytes.equals(segment))
  assert.deepEqual(read, [0, segment.length])
})

test('a batch that is too large to be given leaves nothing behind', async () => {
  const { bytes, read } = await cut(BATCH_HEADER_BYTES, false)
  assert.equal(bytes.length, 0)
  assert.deepEqual(read, [0])
})
