import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { GROUP_TAIL_CHUNKS_UNDONE_MAX } from '../../src/kernel/limits.ts'
import { GroupTailPlaces } from '../../src/service/group-tails/group-tail-places.ts'
import type { OwnedPartition } from '../../src/service/groups/group-member.ts'
import { CursorEncoder } from '../../src/service/read/cursor.ts'
import { MemoryEngine } from '../support/memory-engine.ts'

const PARTITIONS = 300

async function openPlaces() {
  const topic = await new MemoryEngine().createTopic({ name: 'jobs', partitionCount: PARTITIONS })
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition)
  const owned = partitions.map((partition): OwnedPartition => ({ topic, partition }))
  const places = new GroupTailPlaces({ countsDone: true })
  for (const one of owned) places.begin(one, 0, undefined)
  const encoder = new CursorEncoder([{ topicId: topic.id, whole: true, partitions }])
  const offsets = (first: number) => partitions.map((partition) => (partition === 0 ? first : 0))
  let given = 0
  return {
    places,
    owned,
    /** Chunks of one record each, all of partition 0. */
    give(count: number): void {
      for (const end = given + count; given < end; ) places.gave(encoder.encode(offsets(++given), 0), 1)
    },
    done: () => places.doneOffsets().map(({ partition, offset }) => `${partition}=${offset}`),
  }
}

test('of many chunks that are not done with few are remembered; what is done is committed up to one of them, never further', async () => {
  const { places, give, done } = await openPlaces()
  give(10)
  const count = 10 * GROUP_TAIL_CHUNKS_UNDONE_MAX
  const before = heapUsedBytes()
  give(count - 10)
  const grownBytes = heapUsedBytes() - before
  assert.ok(grownBytes < 4_000_000, `grew by ${grownBytes} bytes`)
  let committed = 0
  for (let recordCount = 1_000; recordCount < count; recordCount += 1_000) {
    places.done(1_000)
    const [offset = 0] = done().map((one) => Number(one.replace('0=', '')))
    assert.ok(offset <= recordCount && offset >= committed, `${offset} of ${recordCount}`)
    committed = offset
  }
  assert.ok(committed > count * 0.9)
  places.done(1_000)
  assert.deepEqual(done(), [`0=${count}`])
})

test('what is leaving is settled when its client is done with what was given before, however much came after', async () => {
  const { places, owned, give } = await openPlaces()
  give(1_001)
  places.leave(owned.slice(0, 1))
  give(3 * GROUP_TAIL_CHUNKS_UNDONE_MAX)
  places.done(1_000)
  assert.equal(places.hasUnsettled, true)
  places.done(1)
  assert.equal(places.hasUnsettled, false)
})

function heapUsedBytes(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}
