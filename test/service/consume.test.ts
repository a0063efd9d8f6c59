import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import fc from 'fast-check'
import { TailraceError } from '../../src/kernel/errors.ts'
import { INFLATED_ON_LOOP_BYTES_MAX } from '../../src/kernel/limits.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import type { RecordReader } from '../../src/record/batch-reader.ts'
import type { Caller } from '../../src/service/caller.ts'
import { ANONYMOUS } from '../../src/service/caller.ts'
import type { RecordFilters } from '../../src/service/filter/record-filter.ts'
import { RecordFilter } from '../../src/service/filter/record-filter.ts'
import type { PageRead, ReadRequest } from '../../src/service/read/consume.ts'
import { createConsumeService } from '../../src/service/read/consume.ts'
import { decodeCursor } from '../../src/service/read/cursor.ts'
import type { RecordSink } from '../../src/service/read/page.ts'
import { parsePosition } from '../../src/service/read/positions.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { Random } from '../support/random.ts'
import type { PlainRecord } from '../support/readable-engine.ts'
import { ReadableEngine } from '../support/readable-engine.ts'

const caller: Caller = { principal: ANONYMOUS, clientId: '', host: '', requestId: '' }

class Collected implements RecordSink {
  /** `partition:offset=value` */
  readonly records: string[] = []
  #partition = -1

  begin(_topic: string, partition: number): void {
    this.#partition = partition
  }

  write(record: RecordReader): void {
    const value = record.valueStart < 0 ? 'null' : record.bytes.toString('utf8', record.valueStart, record.valueEnd)
    this.records.push(`${this.#partition}:${record.offset}=${value}`)
  }
}

type Asked = Partial<Omit<ReadRequest, 'position'>> & { readonly from?: string }
type Answer = PageRead & { readonly records: readonly string[] }

function newReader(partitionCount = 1) {
  const clock = new FakeClock()
  const store = new ReadableEngine(clock)
  store.create('orders', partitionCount)
  const telemetry = new Telemetry()
  const consume = createConsumeService({ engine: store.engine, clock, telemetry })
  const read = async ({ from = 'earliest', ...asked }: Asked = {}): Promise<Answer> => {
    const sink = new Collected()
    const position = parsePosition(from)
    const defaults = { topic: 'orders', limit: 500, maxBytes: 1_000_000, waitMs: 0 }
    const page = await consume.read(caller, { ...defaults, ...asked, position }, sink)
    assert.equal(page.recordCount, sink.records.length)
    return { ...page, records: sink.records }
  }
  return { clock, store, consume, telemetry, read }
}

const values = (...texts: string[]): PlainRecord[] => texts.map((value) => ({ value }))
const many = (count: number, prefix = 'v') => values(...Array.from({ length: count }, (_, at) => `${prefix}${at}`))
const after = ({ cursor }: Answer) => `cursor:${cursor}`
const hasCode = (code: string) => (error: unknown) => error instanceof TailraceError && error.code === code
const nextOffsets = ({ partitions }: Answer) => partitions.map(({ nextOffset }) => nextOffset)

test('an empty topic gives an empty page that is caught up, and a cursor that goes on', async () => {
  const { store, read } = newReader(2)
  const empty = await read()
  assert.deepEqual(empty.records, [])
  assert.equal(empty.caughtUp, true)
  store.append('orders', 1, values('a'))
  assert.deepEqual((await read({ from: after(empty) })).records, ['1:0=a'])
})

test('a page holds at most the limit, its cursor goes on within a batch', async () => {
  const { store, read } = newReader()
  store.append('orders', 0, values('a', 'b', 'c', 'd', 'e'))
  const first = await read({ limit: 2 })
  assert.deepEqual(first.records, ['0:0=a', '0:1=b'])
  assert.equal(first.caughtUp, false)
  const second = await read({ limit: 2, from: after(first) })
  assert.deepEqual(second.records, ['0:2=c', '0:3=d'])
  const third = await read({ limit: 2, from: after(second) })
  assert.deepEqual(third.records, ['0:4=e'])
  assert.equal(third.caughtUp, true)
  assert.deepEqual(
    third.partitions.map(({ partition, nextOffset, startOffset, endOffset }) => {
      return { partition, nextOffset, startOffset, endOffset }
    }),
    [{ partition: 0, nextOffset: 5, startOffset: 0, endOffset: 5 }],
  )
})

test('a page holds at most the bytes asked for, and its first record whatever its size', async () => {
  const { store, read } = newReader()
  store.append('orders', 0, values('x'.repeat(1_000), 'y'.repeat(1_000), 'z'))
  assert.equal((await read({ maxBytes: 1 })).recordCount, 1)
  assert.equal((await read({ maxBytes: 2_020 })).recordCount, 2)
  assert.equal((await read({ maxBytes: 10_000 })).recordCount, 3)
})

test('partitions named are read alone, and the cursor stays with them when the topic grows', async () => {
  const { store, read } = newReader(4)
  for (const partition of [0, 1, 2, 3]) store.append('orders', partition, values('a', 'b'))
  const page = await read({ partitions: [3, 1, 3], limit: 1 })
  assert.deepEqual(page.records, ['1:0=a'])
  assert.deepEqual(
    page.partitions.map(({ partition }) => partition),
    [1, 3],
  )
  store.grow('orders', 5)
  store.append('orders', 4, values('new'))
  const rest = await read({ from: after(page) })
  assert.deepEqual(rest.records.toSorted(), ['1:1=b', '3:0=a', '3:1=b'])
  const one = await read({ from: after(page), partitions: [3] })
  assert.deepEqual(one.records, ['3:0=a', '3:1=b'])
  await assert.rejects(read({ from: after(page), partitions: [0] }), hasCode('invalid_cursor'))
})

test('a partition born after a cursor is read from its first record', async () => {
  const { store, read } = newReader(1)
  store.append('orders', 0, values('a'))
  const page = await read()
  store.grow('orders', 3)
  store.append('orders', 2, values('new', 'newer'))
  assert.deepEqual((await read({ from: after(page) })).records, ['2:0=new', '2:1=newer'])
})

test('a partition or topic that is not there is refused', async () => {
  const { read } = newReader(2)
  for (const partition of [2, -1, 0.5, Number.NaN]) {
    await assert.rejects(read({ partitions: [partition] }), hasCode('unknown_topic_or_partition'))
  }
  await assert.rejects(read({ topic: 'other' }), hasCode('unknown_topic_or_partition'))
})

test('the end offset waits, beyond it is out of range with the bounds', async () => {
  const { store, read } = newReader()
  store.append('orders', 0, values('a', 'b'))
  assert.deepEqual((await read({ from: '2' })).records, [])
  await assert.rejects(read({ from: '3' }), (error) => {
    assert.ok(error instanceof TailraceError)
    assert.equal(error.code, 'offset_out_of_range')
    assert.deepEqual(error.details, {
      topic: 'orders',
      partitions: [{ partition: 0, offset: 3, start_offset: 0, end_offset: 2 }],
    })
    return true
  })
})

test('an offset below the start is refused with the bounds, or passed over and told, as the reader wants', async () => {
  const { store, read } = newReader()
  store.append('orders', 0, values('a', 'b'))
  store.append('orders', 0, values('c', 'd'))
  store.cut('orders', 0, 3)
  await assert.rejects(read({ from: '1' }), hasCode('offset_out_of_range'))
  const page = await read({ from: '1', onGap: 'earliest' })
  assert.deepEqual(page.records, ['0:3=d'])
  assert.deepEqual(page.gaps, [{ topic: 'orders', partition: 0, from: 1, to: 3, reason: 'removed' }])
  assert.deepEqual((await read({ from: 'earliest' })).gaps, [])
})

test('a cursor that fell behind is refused for all its partitions at once, or goes on with its gaps told', async () => {
  const { store, read } = newReader(3)
  for (const partition of [0, 1, 2]) store.append('orders', partition, values('a'))
  const page = await read()
  for (const partition of [0, 1, 2]) store.append('orders', partition, values('b'))
  for (const partition of [0, 1, 2]) store.append('orders', partition, values('c'))
  store.cut('orders', 0, 2)
  store.cut('orders', 2, 3)
  await assert.rejects(read({ from: after(page) }), (error) => {
    assert.ok(error instanceof TailraceError && error.code === 'offset_out_of_range')
    assert.deepEqual(error.details['partitions'], [
      { partition: 0, offset: 1, start_offset: 2, end_offset: 3 },
      { partition: 2, offset: 1, start_offset: 3, end_offset: 3 },
    ])
    return true
  })
  const rest = await read({ from: after(page), onGap: 'earliest' })
  assert.deepEqual(rest.records.toSorted(), ['0:2=c', '1:1=b', '1:2=c'])
  assert.deepEqual(
    rest.gaps.map(({ partition, from, to }) => [partition, from, to]),
    [
      [0, 1, 2],
      [2, 1, 3],
    ],
  )
  assert.equal(rest.caughtUp, true)
})

test('records removed between finding a position and reading there are no gap: it was no offset', async () => {
  const { store, read } = newReader()
  store.append('orders', 0, values('a'))
  store.append('orders', 0, values('b'))
  store.beforeFetch = () => store.cut('orders', 0, 1)
  const page = await read({ from: 'earliest' })
  assert.deepEqual(page.records, ['0:1=b'])
  assert.deepEqual(page.gaps, [])
})

test('records removed in the midst of a page end it, and the next page tells', async () => {
  const { store, read } = newReader()
  for (let at = 0; at < 100; at++) store.append('orders', 0, values('x'.repeat(5_000)))
  store.beforeFetch = () => {
    if (store.fetches.length === 1) store.cut('orders', 0, 50)
  }
  const page = await read({ limit: 100 })
  assert.ok(page.recordCount > 0 && page.recordCount < 50)
  assert.deepEqual(page.gaps, [])
  await assert.rejects(read({ from: after(page) }), hasCode('offset_out_of_range'))
})

test('a topic that is deleted in the midst of a page ends it within the bounds that were known', async () => {
  const { store, read } = newReader()
  for (let at = 0; at < 100; at++) store.append('orders', 0, values('x'.repeat(5_000)))
  store.beforeFetch = () => {
    if (store.fetches.length === 1) store.drop('orders')
  }
  const page = await read({ limit: 100 })
  assert.ok(page.recordCount > 0 && page.recordCount < 100)
  assert.equal(page.caughtUp, false)
  assert.deepEqual(
    page.partitions.map(({ startOffset, endOffset }) => [startOffset, endOffset]),
    [[0, 100]],
  )
})

test('a cursor of a topic that was made again is gone, one of another topic is refused', async () => {
  const { store, read } = newReader()
  const page = await read()
  store.create('other')
  await assert.rejects(read({ topic: 'other', from: after(page) }), hasCode('invalid_cursor'))
  store.drop('orders')
  await assert.rejects(read({ from: after(page) }), hasCode('unknown_topic_or_partition'))
  store.create('orders')
  await assert.rejects(read({ from: after(page) }), hasCode('topic_recreated'))
  await assert.rejects(read({ from: 'cursor:AAAA' }), hasCode('invalid_cursor'))
})

test('every partition comes to its turn, even one record a page', async () => {
  const { store, read } = newReader(4)
  for (const partition of [0, 1, 2, 3]) store.append('orders', partition, many(3))
  let page = await read({ limit: 1 })
  const seen = [...page.records]
  while (!page.caughtUp) {
    page = await read({ limit: 1, from: after(page) })
    seen.push(...page.records)
  }
  assert.deepEqual(
    seen.map((record) => record.split('=')[0]),
    ['0:0', '1:0', '2:0', '3:0', '0:1', '1:1', '2:1', '3:1', '0:2', '1:2', '2:2', '3:2'],
  )
})

test('a busy partition does not starve the others within a page', async () => {
  const { store, read } = newReader(4)
  for (let at = 0; at < 1_000; at++) store.append('orders', 0, values('busy'))
  for (const partition of [1, 2, 3]) store.append('orders', partition, many(5))
  const page = await read({ limit: 100 })
  assert.equal(page.recordCount, 100)
  assert.equal(page.records.filter((record) => !record.startsWith('0:')).length, 15)
})

test('a page of small records reads little more from the log than it shows', async () => {
  for (const batchRecords of [1, 100]) {
    const { store, read } = newReader(8)
    const records = values(...Array.from({ length: batchRecords }, () => 'x'.repeat(100)))
    for (let at = 0; at < 8_000 / batchRecords; at++) store.append('orders', at % 8, records)
    let page = await read({ limit: 1_000 })
    store.fetches.length = 0
    let pages = 0
    while (!page.caughtUp) {
      page = await read({ limit: 1_000, from: after(page) })
      pages++
    }
    const logBytes = store.fetches.reduce((sum, { bytes }) => sum + bytes, 0)
    const recordBytes = batchRecords === 1 ? 175 : 110
    const amplification = logBytes / (pages * 1_000 * recordBytes)
    assert.ok(amplification < 1.5, `${batchRecords} a batch: ${amplification}, ${store.fetches.length} fetches`)
    assert.ok(store.fetches.length <= pages * 2, `${store.fetches.length} fetches for ${pages} pages`)
  }
})

test('compressed batches and holes are read over', async () => {
  const { store, read } = newReader()
  store.append('orders', 0, many(10, 'g'), { compression: 'gzip' })
  store.append('orders', 0, many(3, 'h'), { deltas: [2, 20, 40], lastOffsetDelta: 99 })
  store.append('orders', 0, many(2, 'z'), { compression: 'zstd' })
  const page = await read({ limit: 12 })
  assert.deepEqual(page.records.slice(9), ['0:9=g9', '0:12=h0', '0:30=h1'])
  const rest = await read({ from: after(page) })
  assert.deepEqual(rest.records, ['0:50=h2', '0:110=z0', '0:111=z1'])
  assert.deepEqual(nextOffsets(rest), [112])
  assert.deepEqual((await read({ from: '60' })).records, ['0:110=z0', '0:111=z1'])
})

test('batches that inflate to much are read over as any other', async () => {
  const { store, read, consume } = newReader(2)
  const size = INFLATED_ON_LOOP_BYTES_MAX / 2
  for (const compression of ['gzip', 'zstd', 'lz4', 'snappy'] as const) {
    store.append('orders', 0, values('a'.repeat(size), 'b'.repeat(size), 'c'.repeat(size)), { compression })
    store.append('orders', 1, values('small'))
  }
  const lettersOf = (page: Answer) => page.records.map((one) => one.slice(0, one.indexOf('=') + 2))
  const letters = ['a', 'b', 'c', 'a', 'b', 'c', 'a', 'b', 'c', 'a', 'b', 'c'].map((letter, at) => `0:${at}=${letter}`)
  const whole = await read({ maxBytes: 50_000_000 })
  assert.deepEqual(lettersOf(whole).sort(), [...letters, '1:0=s', '1:1=s', '1:2=s', '1:3=s'].sort())
  const seen: string[] = []
  for (let page = await read({ limit: 2 }); ; page = await read({ limit: 2, from: after(page) })) {
    seen.push(...lettersOf(page))
    if (page.caughtUp) break
  }
  assert.deepEqual(
    seen.filter((one) => one.startsWith('0:')),
    letters,
  )
  assert.deepEqual(lettersOf(await read({ partitions: [0], from: '-2', maxBytes: 50_000_000 })), letters.slice(-2))
  const sink = new Collected()
  await consume.readOne(caller, 'orders', { partition: 0, offset: 7 }, sink)
  assert.equal(sink.records[0]?.length, '0:7='.length + size)
})

test('control batches and what was aborted never show, what was committed does', async () => {
  const { store, read } = newReader()
  const abort = [{ key: '\0\0\0\0', value: '\0\0\0\0\0\0' }]
  const commit = [{ key: '\0\0\0\u0001', value: '\0\0\0\0\0\0' }]
  const marker = { isTransactional: true, isControl: true }
  store.append('orders', 0, values('plain'))
  const firstOffset = store.append('orders', 0, values('gone'), { producerId: 7n, isTransactional: true })
  store.append('orders', 0, values('kept'), { producerId: 8n, isTransactional: true })
  store.append('orders', 0, values('gone too'), { producerId: 7n, isTransactional: true })
  store.append('orders', 0, abort, { producerId: 7n, ...marker })
  store.append('orders', 0, values('kept, later'), { producerId: 7n, isTransactional: true })
  store.append('orders', 0, commit, { producerId: 8n, ...marker })
  store.append('orders', 0, commit, { producerId: 7n, ...marker })
  store.partition('orders', 0).aborted.push({ producerId: 7n, firstOffset })
  const page = await read()
  assert.deepEqual(page.records, ['0:0=plain', '0:2=kept', '0:5=kept, later'])
  assert.deepEqual(nextOffsets(page), [8])
  assert.equal(page.caughtUp, true)
})

test('a transaction that is still open holds the reader back', async () => {
  const { store, read } = newReader()
  store.append('orders', 0, values('a'))
  store.append('orders', 0, values('open'), { producerId: 7n, isTransactional: true })
  store.partition('orders', 0).stableOffset = 1
  const page = await read()
  assert.deepEqual(page.records, ['0:0=a'])
  assert.deepEqual(nextOffsets(page), [1])
})

test('a damaged batch ends the page before it and is the next page’s error, never skipped', async () => {
  const { store, read } = newReader(2)
  store.append('orders', 0, values('a'))
  store.append('orders', 0, values('damaged'))
  store.append('orders', 0, values('c'))
  store.append('orders', 1, values('other'))
  const { bytes } = store.partition('orders', 0).batches[1] as { bytes: Buffer }
  bytes[bytes.length - 3] = (bytes[bytes.length - 3] as number) ^ 1
  const page = await read()
  assert.deepEqual(page.records, ['0:0=a', '1:0=other'])
  assert.deepEqual([page.caughtUp, page.partitions[0]?.fault?.code], [false, 'corrupt_message'])
  for (const waitMs of [0, 60_000]) {
    await assert.rejects(read({ from: after(page), waitMs }), (error) => {
      assert.ok(error instanceof TailraceError && error.code === 'corrupt_message')
      assert.deepEqual(error.details, { topic: 'orders', partition: 0, offset: 1 })
      return true
    })
  }
  store.append('orders', 1, values('more'))
  const next = await read({ from: after(page) })
  assert.deepEqual(next.records, ['1:1=more'])
  assert.deepEqual(nextOffsets(next), [1, 2])
  assert.deepEqual(next.partitions[0]?.fault?.details, { topic: 'orders', partition: 0, offset: 1 })
})

test('a base offset that was damaged is found although no checksum covers it', async () => {
  const { store, read } = newReader()
  store.append('orders', 0, values('a'))
  store.append('orders', 0, values('b'))
  const { bytes } = store.partition('orders', 0).batches[1] as { bytes: Buffer }
  bytes[5] = 1
  const page = await read()
  assert.deepEqual(page.records, ['0:0=a'])
  await assert.rejects(read({ from: after(page) }), hasCode('corrupt_message'))
})

test('a partition that cannot be read is an error of its own in the page of the others', async () => {
  const { store, read } = newReader(2)
  store.append('orders', 1, values('a'))
  store.partition('orders', 0).error = new TailraceError('kafka_storage_error', 'offline')
  await assert.rejects(read({ partitions: [0] }), hasCode('kafka_storage_error'))
  const page = await read()
  assert.deepEqual(page.records, ['1:0=a'])
  assert.deepEqual([page.caughtUp, page.partitions[0]?.fault?.code], [false, 'kafka_storage_error'])
  await assert.rejects(read({ from: after(page) }), hasCode('kafka_storage_error'))
})

test('filters by key and by header let pages be empty and still move on', async () => {
  const { store, read } = newReader()
  const header = (name: string, value: string | null) => [{ name, value: value === null ? null : Buffer.from(value) }]
  store.append('orders', 0, [
    { key: 'a', value: '1' },
    { key: null, value: '2' },
    { key: '', value: '3' },
    { key: 'a', value: '4', headers: [...header('type', 'paid'), ...header('type', 'late')] },
    { key: 'b', value: '5', headers: header('type', 'paid') },
    { key: 'b', value: '6', headers: header('type', null) },
  ])
  const filtered = async (filters: RecordFilters, asked: Asked = {}) =>
    (await read({ filter: RecordFilter.of(filters), ...asked })).records
  const key = (text: string) => Buffer.from(text)
  const type = (value: string) => ({ name: 'type', value: Buffer.from(value) })
  assert.deepEqual(await filtered({ key: key('a') }), ['0:0=1', '0:3=4'])
  assert.deepEqual(await filtered({ key: key('') }), ['0:2=3'])
  assert.deepEqual(await filtered({ headers: [type('paid')] }), ['0:3=4', '0:4=5'])
  assert.deepEqual(await filtered({ headers: [type('late'), type('paid')] }), ['0:3=4'])
  assert.deepEqual(await filtered({ headers: [type('')] }), [])
  assert.deepEqual(await filtered({ key: key('b'), headers: [type('paid')] }), ['0:4=5'])
  const none = await read({ filter: RecordFilter.of({ key: key('nobody') }) })
  assert.deepEqual(none.records, [])
  assert.deepEqual(nextOffsets(none), [6])
  assert.deepEqual(await filtered({ key: key('a') }, { limit: 1 }), ['0:0=1'])
})

test('a filtered page looks at a bounded number of records', async () => {
  const { store, read } = newReader()
  for (let at = 0; at < 25; at++) store.append('orders', 0, many(5_000))
  store.append('orders', 0, [{ key: 'wanted', value: 'w' }])
  const filter = RecordFilter.of({ key: Buffer.from('wanted') })
  const page = await read({ filter })
  assert.deepEqual(page.records, [])
  assert.equal(page.caughtUp, false)
  assert.deepEqual(nextOffsets(page), [100_000])
  assert.deepEqual((await read({ filter, from: after(page) })).records, ['0:125000=w'])
})

test('a long poll answers as soon as there is a record', async () => {
  const { clock, store, read } = newReader(3)
  const waiting = read({ from: 'latest', waitMs: 10_000 })
  await until(() => store.waiting === 1)
  clock.advance(5_000)
  store.append('orders', 2, values('now'))
  assert.deepEqual((await waiting).records, ['2:0=now'])
  assert.equal(store.waiting, 0)
})

test('a long poll with records at hand does not wait', async () => {
  const { store, read } = newReader()
  store.append('orders', 0, values('a'))
  assert.deepEqual((await read({ waitMs: 60_000 })).records, ['0:0=a'])
})

test('a long poll ends at its deadline with an empty page', async () => {
  const { clock, store, read } = newReader()
  const waiting = read({ from: 'latest', waitMs: 10_000 })
  await until(() => store.waiting === 1)
  clock.advance(9_999)
  assert.equal(store.waiting, 1)
  clock.advance(1)
  const page = await waiting
  assert.deepEqual(page.records, [])
  assert.equal(page.caughtUp, true)
})

test('a long poll for several records waits for them, and gives what came by the deadline', async () => {
  const { clock, store, read } = newReader()
  const both = read({ waitMs: 10_000, minRecords: 2 })
  await until(() => store.waiting === 1)
  store.append('orders', 0, values('a'))
  await until(() => store.waiting === 1)
  store.append('orders', 0, values('b'))
  assert.deepEqual((await both).records, ['0:0=a', '0:1=b'])
  const late = read({ waitMs: 10_000, minRecords: 3 })
  await until(() => store.waiting === 1)
  clock.advance(10_000)
  assert.deepEqual((await late).records, ['0:0=a', '0:1=b'])
})

test('a long poll with a filter waits on over what is not wanted', async () => {
  const { store, read } = newReader()
  const waiting = read({ from: 'latest', waitMs: 10_000, filter: RecordFilter.of({ key: Buffer.from('k') }) })
  for (let at = 0; at < 3; at++) {
    await until(() => store.waiting === 1)
    store.append('orders', 0, [{ key: 'other', value: 'x' }])
  }
  await until(() => store.waiting === 1)
  store.append('orders', 0, [{ key: 'k', value: 'wanted' }])
  assert.deepEqual((await waiting).records, ['0:3=wanted'])
})

test('a long poll ends when its client goes', async () => {
  const { store, read } = newReader()
  const gone = new AbortController()
  const waiting = read({ from: 'latest', waitMs: 10_000, signal: gone.signal })
  await until(() => store.waiting === 1)
  gone.abort()
  assert.deepEqual((await waiting).records, [])
  assert.equal(store.waiting, 0)
  assert.deepEqual((await read({ from: 'latest', waitMs: 10_000, signal: gone.signal })).records, [])
})

test('a topic that is deleted while somebody waits for it ends the wait', async () => {
  const { clock, store, read } = newReader()
  const waiting = read({ from: 'latest', waitMs: 10_000 })
  await until(() => store.waiting === 1)
  store.drop('orders')
  clock.advance(10_000)
  await assert.rejects(waiting, hasCode('unknown_topic_or_partition'))
})

test('a read over more partitions than a cursor can name is refused before anything is read', async () => {
  const { store, read } = newReader(10_000)
  await assert.rejects(read(), hasCode('invalid_request'))
  assert.equal(store.fetches.length, 0)
  assert.equal((await read({ partitions: [9_999] })).caughtUp, true)
})

test('what was read is counted', async () => {
  const { store, read, telemetry } = newReader()
  store.append('orders', 0, values('abc', 'defg'))
  await read()
  assert.equal(telemetry.recordsOut, 2)
  assert.equal(telemetry.fetchRequests, 1)
  assert.ok(telemetry.bytesOut > 7)
})

test('an export of many partitions with little each comes in few chunks', async () => {
  const { store, consume } = newReader(300)
  for (let partition = 0; partition < 300; partition++) store.append('orders', partition, many(2))
  const chunks: Buffer[] = []
  const request = { topic: 'orders', from: parsePosition('earliest') }
  for await (const chunk of await consume.export(caller, request)) chunks.push(chunk)
  assert.equal(Buffer.concat(chunks).toString().trimEnd().split('\n').length, 601)
  assert.ok(chunks.length < 10, `${chunks.length} chunks, each of which holds a buffer`)
})

test('one record is found by its offset, and only there', async () => {
  const { store, consume } = newReader()
  store.append('orders', 0, many(5), { deltas: [0, 1, 2, 3, 9] })
  store.append('orders', 0, [{ key: '\0\0\0\0' }], { isControl: true })
  store.cut('orders', 0, 1)
  const one = async (offset: number, partition = 0) => {
    const sink = new Collected()
    await consume.readOne(caller, 'orders', { partition, offset }, sink)
    return sink.records
  }
  assert.deepEqual(await one(2), ['0:2=v2'])
  assert.deepEqual(await one(9), ['0:9=v4'])
  for (const offset of [4, 8, 10]) await assert.rejects(one(offset), hasCode('record_not_found'))
  for (const offset of [0, 11, 12]) await assert.rejects(one(offset), hasCode('offset_out_of_range'))
  await assert.rejects(one(2, 1), hasCode('unknown_topic_or_partition'))
})

test('the offsets of a position come with timestamps where they were found by time', async () => {
  const { store, consume } = newReader(2)
  store.append('orders', 0, [{ timestamp: 100 }, { timestamp: 300 }, { timestamp: 200 }])
  const at = async (text: string, partitions?: number[]) => {
    const position = text === 'max_timestamp' ? ({ kind: text } as const) : parsePosition(text)
    const found = await consume.offsetsAt(caller, { topic: 'orders', partitions, at: position })
    return found.map(({ offset, timestamp }) => [offset, timestamp])
  }
  assert.deepEqual(await at('earliest'), [
    [0, -1],
    [0, -1],
  ])
  assert.deepEqual(await at('latest'), [
    [3, -1],
    [0, -1],
  ])
  assert.deepEqual(await at('1970-01-01T00:00:00.150Z'), [
    [1, 300],
    [0, -1],
  ])
  assert.deepEqual(await at('max_timestamp'), [
    [1, 300],
    [0, -1],
  ])
  assert.deepEqual(await at('-2'), [
    [1, 300],
    [0, -1],
  ])
  assert.deepEqual(await at('3', [0]), [[3, -1]])
  await assert.rejects(at('4', [0]), hasCode('offset_out_of_range'))
})

test('records are deleted before an offset, or all', async () => {
  const { store, consume } = newReader()
  store.append('orders', 0, many(5))
  assert.equal(await consume.deleteRecords(caller, 'orders', { partition: 0, offset: 2 }), 2)
  assert.equal(await consume.deleteRecords(caller, 'orders', { partition: 0, offset: -1 }), 5)
  await assert.rejects(
    consume.deleteRecords(caller, 'orders', { partition: 1, offset: 0 }),
    hasCode('unknown_topic_or_partition'),
  )
})

test('a cursor names the topic by its id and every partition', async () => {
  const { store, read } = newReader(2)
  store.append('orders', 1, values('a'))
  const { cursor, topic } = await read()
  assert.deepEqual(decodeCursor(cursor).topics, [
    {
      topicId: topic.id,
      whole: true,
      partitions: [
        { partition: 0, nextOffset: 0 },
        { partition: 1, nextOffset: 1 },
      ],
    },
  ])
})

test('pages give every record once and in order while producers go on and the topic grows', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 31 }), async (seed) => {
      const random = new Random(seed)
      const { store, read } = newReader(8)
      const expected: string[] = []
      const produce = () => {
        const { partitionCount } = store.findTopic('orders') ?? { partitionCount: 0 }
        for (let left = random.below(30); left > 0; left--) {
          const partition = random.below(partitionCount)
          const records = many(1 + random.below(20), `${expected.length}-`)
          const hole = random.chance(0.1) ? random.below(50) : 0
          const compression = random.chance(0.2) ? 'gzip' : 'none'
          const lastOffsetDelta = records.length - 1 + hole
          const base = store.append('orders', partition, records, { compression, lastOffsetDelta })
          for (const [at, { value }] of records.entries()) expected.push(`${partition}:${base + at}=${value}`)
        }
      }
      store.beforeFetch = () => {
        if (expected.length < 2_000 && random.chance(0.3)) produce()
      }
      produce()
      const seen: string[] = []
      let from = 'earliest'
      for (let pages = 0; ; pages++) {
        if (pages === 3) store.grow('orders', 11)
        const limit = 1 + random.below(random.chance(0.5) ? 5 : 300)
        const maxBytes = random.chance(0.2) ? 1 + random.below(500) : 1_000_000
        const page = await read({ from, limit, maxBytes })
        assert.ok(page.recordCount <= limit)
        seen.push(...page.records)
        from = after(page)
        if (pages > 3 && page.caughtUp && expected.length >= 2_000) break
        if (expected.length < 2_000) produce()
      }
      const inPartition = (records: readonly string[], partition: number) =>
        records.filter((record) => record.startsWith(`${partition}:`))
      for (let partition = 0; partition < 11; partition++) {
        assert.deepEqual(inPartition(seen, partition), inPartition(expected, partition))
      }
    }),
    { numRuns: 30 },
  )
})

/** The loop turns until something has come about. */
async function until(isSo: () => boolean): Promise<void> {
  for (let turns = 0; !isSo(); turns++) {
    assert.ok(turns < 10_000, 'it never came about')
    await turnOfTheLoop()
  }
}
