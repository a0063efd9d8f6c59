import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JournalStretch } from '../../src/log/journal-entry.ts'
import {
  ENTRY_HEAD_BYTES,
  findEntries,
  JOURNAL_HEADER_BYTES,
  parseJournalId,
  renderEntry,
  renderJournalFile,
  STRETCH_HEAD_BYTES,
} from '../../src/log/journal-entry.ts'

const ID = Buffer.from('0123456789abcdef', 'latin1')
const OTHER_ID = Buffer.from('fedcba9876543210', 'latin1')
const TOPIC_ID = '0191d5a0-0000-7000-8000-000000000001'

function stretchOf(partition: number, ...texts: string[]): JournalStretch {
  const buffers = texts.map((text) => Buffer.from(text))
  const sizeBytes = Buffer.concat(buffers).length
  return { topicId: TOPIC_ID, partition, segmentBase: 2 ** 40 + 7, position: 2 ** 33 + partition, sizeBytes, buffers }
}

function entryOf(number: number, stretches: readonly JournalStretch[], id = ID): Buffer {
  const into = Buffer.alloc(ENTRY_HEAD_BYTES + stretches.length * STRETCH_HEAD_BYTES)
  return Buffer.concat(renderEntry(into, id, { number, neededFrom: 1, stretches }))
}

function fileOf(...parts: readonly Buffer[]): Buffer {
  const file = renderJournalFile(ID, JOURNAL_HEADER_BYTES + 4096)
  Buffer.concat(parts).copy(file, JOURNAL_HEADER_BYTES)
  return file
}

const numbers = (file: Buffer) => findEntries(file, ID).map(({ number }) => number)

test('an entry comes back as it went in', () => {
  const stretches = [stretchOf(0, 'one', 'two'), stretchOf(3, 'x'.repeat(1_000)), stretchOf(7, '')]
  const [entry] = findEntries(fileOf(entryOf(2 ** 41, stretches)), ID)
  assert.equal(entry?.number, 2 ** 41)
  assert.equal(entry.neededFrom, 1)
  for (const [at, found] of entry.stretches.entries()) {
    const { buffers, ...place } = stretches[at] as JournalStretch
    assert.deepEqual({ ...found, buffers: [] }, { ...place, buffers: [] })
    assert.deepEqual(Buffer.concat(found.buffers), Buffer.concat(buffers))
  }
})

test('an entry of which any byte is missing or wrong is none, and those around it are', () => {
  const torn = entryOf(2, [stretchOf(0, 'abc'), stretchOf(1, 'defg')])
  for (let at = 0; at < torn.length; at++) {
    const wrong = Buffer.from(torn)
    wrong[at] = (wrong[at] as number) ^ 0x40
    assert.deepEqual(numbers(fileOf(entryOf(1, []), wrong, entryOf(3, []))), [1, 3], `byte ${at} is wrong`)
    assert.deepEqual(numbers(fileOf(entryOf(1, []), torn.subarray(0, at))), [1], `cut at ${at}`)
  }
})

test('bytes of a record that look like an entry are none', () => {
  const forged = entryOf(1_000_000, [stretchOf(9, 'evil')], OTHER_ID).toString('latin1')
  const stretch = { ...stretchOf(0), buffers: [Buffer.from(forged, 'latin1')], sizeBytes: forged.length }
  assert.deepEqual(numbers(fileOf(entryOf(1, [stretch]), entryOf(2, []))), [1, 2])
})

test('what an earlier use of the file left behind a newer entry is found with its lower number', () => {
  assert.deepEqual(numbers(fileOf(entryOf(9, [stretchOf(0, 'abc')]), Buffer.alloc(5), entryOf(3, []))), [9, 3])
})

test('a file that is no journal has no id', () => {
  assert.deepEqual(parseJournalId(fileOf()), ID)
  const damaged = fileOf()
  damaged[10] = 0
  for (const bytes of [damaged, Buffer.alloc(0), Buffer.alloc(8192), fileOf().subarray(0, 100)]) {
    assert.equal(parseJournalId(bytes), undefined)
  }
})
