// What the histories hold a log against has to know what may be gone: more than that, and it sees no loss; less, and it cries
// over none.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseTopicConfig, topicConfigDefaults } from '../../src/engine/topic-config.ts'
import type { Takers } from './partition-promises.ts'
import { PartitionPromises } from './partition-promises.ts'

const NOW = 1_000_000
const OLD = 100_000
const COMPACTING = { 'cleanup.policy': 'compact', 'delete.retention.ms': '0' }
const DELETING = { 'cleanup.policy': 'delete', 'retention.ms': '600000' }

interface Sent {
  readonly key: string
  readonly timestamp: number
}

/** Acknowledged and synced, a batch each, from offset 0 on. */
function promised(records: readonly Sent[]): PartitionPromises {
  const promises = new PartitionPromises()
  for (const offset of records.keys()) {
    const batch = promises.sent([recordAt(records, offset)], 100, NOW)
    promises.answered(batch, offset, 'all')
  }
  return promises
}

function recordAt(records: readonly Sent[], offset: number) {
  return { id: String(offset), value: 'v', ...(records[offset] as Sent) }
}

function takers(overrides: Record<string, string>, activeBase = 0): Takers {
  return { nowMs: NOW, configs: [parseTopicConfig(overrides, topicConfigDefaults({}))], activeBase }
}

function readBounds(promises: PartitionPromises, start: number, end: number, by: Takers): void {
  promises.readBounds(start, end, promises.beginRead(), by)
}

/** A reader found the records at these offsets only. */
function readCompacted(promises: PartitionPromises, records: readonly Sent[], offsets: readonly number[]): void {
  const found = offsets.map((offset) => ({ ...recordAt(records, offset), offset }))
  const by = takers(COMPACTING, records.length)
  readBounds(promises, 0, records.length, by)
  promises.readRecords(0, records.length, found, promises.beginRead(), by)
}

test('retention may take what is due, and no record more', () => {
  const records = [OLD, OLD, NOW, NOW].map((timestamp) => ({ key: 'k', timestamp }))
  readBounds(promised(records), 2, 4, takers(DELETING))
  assert.throws(() => readBounds(promised(records), 3, 4, takers(DELETING)), /only those before 2 were due/)
})

test('retention may take a segment of which compaction has left no record, when it is due', () => {
  const records = [OLD, OLD, NOW, NOW, NOW].map((timestamp, offset) => ({ key: offset < 4 ? 'k' : 'l', timestamp }))
  const compacted = () => {
    const promises = promised(records)
    readCompacted(promises, records, [3, 4])
    return promises
  }
  readBounds(compacted(), 3, 5, takers(DELETING))
  assert.throws(() => readBounds(compacted(), 4, 5, takers(DELETING)), /only those before 3 were due/)
  const later = takers({ ...DELETING, 'retention.ms': '3600000' })
  assert.throws(() => readBounds(compacted(), 3, 5, later), /only those before 0 were due/)
})

test('what compaction took before anybody has seen it keeps no segment', () => {
  const records = [OLD, NOW, NOW, NOW].map((timestamp) => ({ key: 'k', timestamp }))
  const promises = new PartitionPromises()
  for (const offset of [0, 2, 3]) promises.answered(promises.sent([recordAt(records, offset)], 100, NOW), offset, 'all')
  // at 1, with acks=0
  promises.sent([recordAt(records, 1)], 100, NOW)
  readCompacted(promises, records, [2, 3])
  readBounds(promises, 2, 4, takers(DELETING))
})
