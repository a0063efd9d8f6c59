import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import type { RecordReader } from '../../src/record/batch-reader.ts'
import type { Caller } from '../../src/service/caller.ts'
import { ANONYMOUS } from '../../src/service/caller.ts'
import { createConsumeService } from '../../src/service/read/consume.ts'
import type { RecordSink } from '../../src/service/read/page.ts'
import type { PartitionsRequest } from '../../src/service/read/partition-page.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { ReadableEngine } from '../support/readable-engine.ts'

const caller: Caller = { principal: ANONYMOUS, clientId: '', host: '', requestId: '' }

class Collected implements RecordSink {
  /** `topic-partition:offset` */
  readonly records: string[] = []
  #place = ''

  begin(topic: string, partition: number): void {
    this.#place = `${topic}-${partition}`
  }

  write(record: RecordReader): void {
    this.records.push(`${this.#place}:${record.offset}`)
  }
}

function newReader() {
  const clock = new FakeClock()
  const store = new ReadableEngine(clock)
  const orders = store.create('orders', 2)
  const refunds = store.create('refunds', 1)
  const consume = createConsumeService({ engine: store.engine, clock, telemetry: new Telemetry() })
  const read = async (asked: Partial<PartitionsRequest> & Pick<PartitionsRequest, 'offsets'>) => {
    const sink = new Collected()
    const request = { estimateKey: 'g', limit: 100, maxBytes: 1_000_000, waitMs: 0, ...asked }
    const page = await consume.readPartitions(caller, request, sink)
    assert.equal(page.recordCount, sink.records.length)
    const nextOffsets = page.partitions.map(({ nextOffset }) => nextOffset)
    const faults = page.partitions.map(({ fault }) => fault?.code)
    return { ...page, records: sink.records, nextOffsets, faults }
  }
  return { clock, store, orders, refunds, read }
}

const some = (count: number) => Array.from({ length: count }, (_, at) => ({ value: `v${at}` }))

test('a page of partitions of two topics begins in each where it was asked to', async () => {
  const { store, orders, refunds, read } = newReader()
  store.append('orders', 0, some(3))
  store.append('orders', 1, some(2))
  store.append('refunds', 0, some(2))
  const page = await read({
    offsets: [
      { topic: orders, partition: 0, offset: 2 },
      { topic: refunds, partition: 0, offset: 1 },
      { topic: orders, partition: 1, offset: 0 },
    ],
  })
  assert.deepEqual(page.records, ['orders-0:2', 'refunds-0:1', 'orders-1:0', 'orders-1:1'])
  assert.deepEqual(page.nextOffsets, [3, 2, 2])
  assert.equal(page.caughtUp, true)
})

test('pages of one record come to every partition in turn', async () => {
  const { store, orders, refunds, read } = newReader()
  store.append('orders', 0, some(2))
  store.append('refunds', 0, some(2))
  let offsets = [
    { topic: orders, partition: 0, offset: 0 },
    { topic: refunds, partition: 0, offset: 0 },
  ]
  let turn = 0
  const seen: string[] = []
  for (let at = 0; at < 4; at++) {
    const page = await read({ offsets, turn, limit: 1 })
    seen.push(...page.records)
    offsets = page.partitions.map(({ topic, partition, nextOffset: offset }) => ({ topic, partition, offset }))
    turn = page.turn
  }
  assert.deepEqual(seen, ['orders-0:0', 'refunds-0:0', 'orders-0:1', 'refunds-0:1'])
})

test('what keeps one partition from being read is told beside the records of the others', async () => {
  const { store, orders, refunds, read } = newReader()
  store.append('orders', 0, some(2))
  store.append('orders', 1, some(5))
  store.append('refunds', 0, some(1))
  store.cut('orders', 1, 5)
  store.drop('refunds')
  const page = await read({
    offsets: [
      { topic: refunds, partition: 0, offset: 0 },
      { topic: orders, partition: 0, offset: 3 },
      { topic: orders, partition: 1, offset: 2 },
      { topic: orders, partition: 0, offset: 0 },
    ],
  })
  assert.deepEqual(page.records, ['orders-0:0', 'orders-0:1'])
  assert.deepEqual(page.faults, ['unknown_topic_or_partition', 'offset_out_of_range', undefined, undefined])
  assert.deepEqual(page.gaps, [{ topic: 'orders', partition: 1, from: 2, to: 5, reason: 'removed' }])
  assert.deepEqual(page.nextOffsets, [0, 3, 5, 2])
})

test('with nothing that could be read it does not wait', async () => {
  const { store, orders, read } = newReader()
  assert.equal((await read({ offsets: [], waitMs: 10_000 })).recordCount, 0)
  store.drop('orders')
  const page = await read({ offsets: [{ topic: orders, partition: 0, offset: 0 }], waitMs: 10_000 })
  assert.deepEqual(page.faults, ['unknown_topic_or_partition'])
})

test('a wait ends with a record of any of its topics, and only with as many bytes as were asked for', async () => {
  const { clock, store, orders, refunds, read } = newReader()
  const offsets = [
    { topic: orders, partition: 0, offset: 0 },
    { topic: refunds, partition: 0, offset: 0 },
  ]
  const first = read({ offsets, waitMs: 10_000 })
  await turnOfTheLoop()
  store.append('refunds', 0, some(1))
  assert.deepEqual((await first).records, ['refunds-0:0'])

  const second = read({ offsets, waitMs: 10_000, minBytes: 1_000 })
  await turnOfTheLoop()
  store.append('orders', 0, [{ value: 'x'.repeat(400) }])
  await turnOfTheLoop()
  store.append('orders', 0, [{ value: 'x'.repeat(700) }])
  assert.deepEqual((await second).records, ['refunds-0:0', 'orders-0:0', 'orders-0:1'])

  const third = read({ offsets, waitMs: 10_000, minBytes: 10_000 })
  await turnOfTheLoop()
  clock.advance(10_000)
  assert.equal((await third).recordCount, 3)
})
