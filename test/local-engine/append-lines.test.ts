// What waits for its compression: in order, bounded, and never in the way of what needs none.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Acks, BatchAppended } from '../../src/engine/engine.ts'
import { APPEND_QUEUE_BYTES_MAX } from '../../src/kernel/limits.ts'
import type { LinedAppend } from '../../src/local-engine/append-lines.ts'
import { AppendLines } from '../../src/local-engine/append-lines.ts'
import type { BatchCodec } from '../../src/record/compression.ts'
import type { SealedBatch } from '../../src/record/record-batch.ts'
import { sealBatch, withRecords } from '../../src/record/record-batch.ts'
import { toParts } from '../record/records.ts'

const ZSTD: BatchCodec = { type: 'zstd' }

function batchOf(value: string): SealedBatch {
  return sealBatch(toParts([{ timestamp: 0, key: null, value, headers: [] }]), { compression: 'none' })
}

/** Notes what is handed on; the log's answer is the batches' number. */
function openLines() {
  const lines = new AppendLines()
  const log = { queueBytes: 0 }
  const handedOn: string[] = []
  const append = (name: string, batch: SealedBatch, change: Partial<LinedAppend> = {}) =>
    lines.append(log, {
      batches: [batch],
      codec: ZSTD,
      maxMessageBytes: 2 ** 30,
      acks: 'all' as Acks,
      async handOn(batches) {
        handedOn.push(name)
        return batches.map((_, baseOffset): BatchAppended => ({ baseOffset, logAppendTimeMs: -1, duplicate: false }))
      },
      ...change,
    })
  return { lines, log, handedOn, append }
}

test('hands on small ones at once, and behind a large one in their turn', async () => {
  const { lines, log, handedOn, append } = openLines()
  const quick = append('quick', batchOf('small'))
  assert.deepEqual([handedOn, lines.has(log)], [['quick'], false])
  const long = append('long', batchOf('x'.repeat(100_000)))
  const rest = [append('small', batchOf('small')), append('as it came', batchOf('small'), { codec: undefined })]
  assert.equal(lines.has(log), true)
  await lines.idle()
  assert.deepEqual(handedOn, ['quick', 'long', 'small', 'as it came'])
  await Promise.all([quick, long, ...rest])
  assert.equal(lines.has(log), false, 'nobody stands in the line')
})

test('one that cannot be compressed is refused alone, in its turn', async () => {
  const { lines, log, handedOn, append } = openLines()
  const bad = withRecords(batchOf('x'), 'gzip', Buffer.from('no gzip'))
  const answers = [append('a', batchOf('x'.repeat(100_000))), append('bad', bad), append('b', batchOf('x'))]
  const settled = await Promise.allSettled(answers)
  assert.deepEqual(
    settled.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  await assert.rejects(answers[1] as Promise<unknown>, { code: 'corrupt_message' })
  assert.deepEqual([handedOn, lines.has(log)], [['a', 'b'], false])
})

test('an append that nobody waits for is answered at once, and its failure is nobody’s', async () => {
  const { lines, handedOn, append } = openLines()
  const bad = withRecords(batchOf('x'), 'gzip', Buffer.from('no gzip'))
  assert.deepEqual(await append('bad', bad, { acks: 'none' }), [])
  assert.deepEqual(await append('good', batchOf('x'.repeat(100_000)), { acks: 'none' }), [])
  assert.deepEqual(handedOn, [])
  await lines.idle()
  assert.deepEqual(handedOn, ['good'])
})

test('a slow log does not hold up the line', async () => {
  const { handedOn, append } = openLines()
  const slow = Promise.withResolvers<BatchAppended[]>()
  const first = append('slow', batchOf('x'.repeat(100_000)), {
    handOn() {
      handedOn.push('slow')
      return slow.promise
    },
  })
  await append('next', batchOf('x'.repeat(100_000)))
  assert.deepEqual(handedOn, ['slow', 'next'])
  slow.resolve([])
  await first
})

test('takes no more than may wait here and in the log, one larger append alone, and again when there is room', async () => {
  const { log, append } = openLines()
  const large = batchOf('x'.repeat(APPEND_QUEUE_BYTES_MAX * 0.6))
  const first = append('first', large)
  await assert.rejects(append('second', large), { code: 'overloaded' })
  const small = append('small', batchOf('small'))
  await Promise.all([first, small])
  log.queueBytes = large.bytes.length
  await assert.rejects(append('more than the log may have', large), { code: 'overloaded' })
  log.queueBytes = 0
  await append('again', batchOf('x'.repeat(APPEND_QUEUE_BYTES_MAX + 1)))
})
