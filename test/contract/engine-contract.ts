// What every engine must do, as one suite: it is run against each engine there is (test/contract/*.test.ts), which says
// how to open itself. Behaviour is described in src/engine/engine.ts.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import type { Engine, FetchedPartition, FetchOptions, Topic } from '../../src/engine/engine.ts'
import type { TailraceError } from '../../src/kernel/errors.ts'
import { releaseMemoryOf } from '../../src/kernel/release-bytes.ts'
import { scanBatches } from '../../src/record/batch-reader.ts'
import { COMPRESSION_TYPES } from '../../src/record/compression.ts'
import type { SealedBatch } from '../../src/record/record-batch.ts'
import { compressionTypeOf, parseBatchHeader, sealBatch, timestampTypeOf } from '../../src/record/record-batch.ts'
import type { PlainRecord } from '../record/records.ts'
import { readAll, toParts } from '../record/records.ts'
import { producerId } from '../support/engine-options.ts'

export interface EngineUnderTest {
  readonly name: string
  /** A fresh engine that the test's end closes. */
  open(t: TestContext): Promise<Engine>
}

const AT_ONCE: FetchOptions = { minBytes: 1, maxBytes: 1_000_000, maxWaitMs: 0, isolation: 'read_committed' }
const NOW = Date.UTC(2026, 10, 21)

function record(value: string, timestamp = NOW): PlainRecord {
  return { timestamp, key: null, value, headers: [] }
}

function batchOf(...values: string[]): SealedBatch {
  return sealBatch(toParts(values.map((value) => record(value))), { compression: 'none' })
}

function timedBatch(...timestamps: number[]): SealedBatch {
  return sealBatch(toParts(timestamps.map((timestamp) => record('v', timestamp))), { compression: 'none' })
}

function numbered(producerId: bigint, producerEpoch: number, baseSequence: number, value = 'v'): SealedBatch {
  return sealBatch(toParts([record(value)]), { compression: 'none', producerId, producerEpoch, baseSequence })
}

async function fetchOne(engine: Engine, topic: Topic, partition: number, offset: number): Promise<FetchedPartition> {
  const [fetched] = await engine.fetch([{ topic, partition, offset }], AT_ONCE)
  assert.ok(fetched !== undefined)
  return fetched
}

function valuesIn(bytes: Buffer): (string | null)[] {
  return scanBatches(bytes).batches.flatMap(({ position }) => readAll(bytes, position).map(({ value }) => value))
}

/** More than is compressed on the event loop. */
const LONG = Array.from({ length: 500 }, (_, at) => `row ${at} of five hundred`)

function codecsIn(bytes: Buffer): (string | undefined)[] {
  return scanBatches(bytes).batches.map(({ header }) => compressionTypeOf(header.attributes))
}

export function engineContract({ name, open }: EngineUnderTest): void {
  const describe = (what: string, body: (engine: Engine, t: TestContext) => Promise<void>) =>
    test(`${name}: ${what}`, async (t) => body(await open(t), t))

  describe('appends get consecutive offsets and are fetched as whole batches', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders', partitionCount: 2 })
    const first = await engine.append(topic, 0, [batchOf('a', 'b'), batchOf('c')], 'all')
    assert.deepEqual(
      first.map(({ baseOffset }) => baseOffset),
      [0, 2],
    )
    const [second] = await engine.append(topic, 0, [batchOf('d')], 'all')
    assert.equal(second?.baseOffset, 3)
    const fetched = await fetchOne(engine, topic, 0, 1)
    assert.equal(fetched.error, undefined)
    assert.deepEqual(valuesIn(fetched.bytes), ['a', 'b', 'c', 'd'], 'from the batch that holds the offset on')
    assert.equal(fetched.highWatermark, 4)
    assert.equal((await fetchOne(engine, topic, 1, 0)).highWatermark, 0)
  })

  describe('acks leader and none are stored too, none with no offsets', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders' })
    assert.deepEqual(await engine.append(topic, 0, [batchOf('a')], 'none'), [])
    const [appended] = await engine.append(topic, 0, [batchOf('b')], 'leader')
    assert.equal(appended?.baseOffset, 1)
    await engine.append(topic, 0, [batchOf('c')], 'all')
    assert.deepEqual(valuesIn((await fetchOne(engine, topic, 0, 0)).bytes), ['a', 'b', 'c'])
  })

  describe('stores the batches of other client libraries byte for byte', async (engine) => {
    const golden = new URL('../golden/', import.meta.url)
    const cases = JSON.parse(readFileSync(new URL('record.json', golden), 'utf8')) as { file: string }[]
    assert.ok(cases.length >= 10)
    for (const [at, { file }] of cases.entries()) {
      const topic = await engine.createTopic({ name: `golden-${at}` })
      const bytes = readFileSync(new URL(file, golden))
      const batches = scanBatches(bytes).batches.map(({ position, header }) => {
        const own = Buffer.from(bytes.subarray(position, position + header.sizeBytes))
        return { bytes: own, header: parseBatchHeader(own, 0) }
      })
      assert.ok(batches.length > 0)
      await engine.append(topic, 0, batches, 'all')
      const fetched = (await fetchOne(engine, topic, 0, 0)).bytes
      const stored = scanBatches(fetched)
      assert.equal(stored.stop, 'end')
      let sent = 0
      for (const { position, header } of stored.batches) {
        // base offset, length and leader epoch are the log's to stamp; all from magic on is the client's
        const theirs = bytes.subarray(sent + 16, sent + header.sizeBytes)
        assert.deepEqual(fetched.subarray(position + 16, position + header.sizeBytes), theirs, file)
        sent += header.sizeBytes
      }
      assert.equal(sent, bytes.length)
    }
  })

  describe('what was fetched lies in memory of its own', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders' })
    await engine.append(topic, 0, [batchOf('a', 'b')], 'all')
    const { bytes } = await fetchOne(engine, topic, 0, 0)
    const others = await fetchOne(engine, topic, 0, 0)
    releaseMemoryOf(bytes)
    assert.equal(bytes.length, 0)
    assert.deepEqual(valuesIn(others.bytes), ['a', 'b'])
    assert.deepEqual(valuesIn((await fetchOne(engine, topic, 0, 0)).bytes), ['a', 'b'])
  })

  describe('a fetch below the start or beyond the end is out of range, at the end it is empty', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders' })
    await engine.append(topic, 0, [batchOf('a', 'b', 'c')], 'all')
    await engine.deleteRecords(topic, 0, 2)
    const below = await fetchOne(engine, topic, 0, 1)
    assert.equal(below.error?.code, 'offset_out_of_range')
    assert.equal(below.error?.details['start_offset'], 2)
    assert.equal(below.logStartOffset, 2)
    assert.equal((await fetchOne(engine, topic, 0, 4)).error?.code, 'offset_out_of_range')
    const end = await fetchOne(engine, topic, 0, 3)
    assert.equal(end.error, undefined)
    assert.equal(end.bytes.length, 0)
  })

  describe('a fetch over many partitions keeps to maxBytes but gives the first batch whole', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders', partitionCount: 3 })
    for (let partition = 0; partition < 3; partition++) {
      for (let at = 0; at < 3; at++) await engine.append(topic, partition, [batchOf('x'.repeat(1_000))], 'all')
    }
    const positions = [0, 1, 2].map((partition) => ({ topic, partition, offset: 0 }))
    const small = await engine.fetch(positions, { ...AT_ONCE, maxBytes: 10 })
    assert.deepEqual(
      small.map(({ bytes }) => scanBatches(bytes).batches.length),
      [1, 0, 0],
    )
    const medium = await engine.fetch(positions, { ...AT_ONCE, maxBytes: 5_000, partitionMaxBytes: 2_500 })
    assert.deepEqual(
      medium.map(({ bytes }) => scanBatches(bytes).batches.length),
      [2, 2, 0],
    )
  })

  describe('a fetch waits for its bytes, and no longer than its time', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders', partitionCount: 2 })
    const positions = [0, 1].map((partition) => ({ topic, partition, offset: 0 }))
    const waiting = engine.fetch(positions, { ...AT_ONCE, maxWaitMs: 20_000 })
    await engine.append(topic, 1, [batchOf('late')], 'all')
    assert.deepEqual(valuesIn((await waiting)[1]?.bytes ?? Buffer.alloc(0)), ['late'])

    const forMore = engine.fetch(positions, { ...AT_ONCE, minBytes: 2_000, maxWaitMs: 20_000 })
    await engine.append(topic, 0, [batchOf('y'.repeat(900))], 'all')
    await engine.append(topic, 0, [batchOf('y'.repeat(900))], 'all')
    const total = (await forMore).reduce((sum, { bytes }) => sum + bytes.length, 0)
    assert.ok(total >= 1_000)

    const empty = await engine.createTopic({ name: 'empty' })
    const ended = await engine.fetch([{ topic: empty, partition: 0, offset: 0 }], { ...AT_ONCE, maxWaitMs: 30 })
    assert.equal(ended[0]?.bytes.length, 0)
  })

  describe('a waiting fetch ends when its caller goes', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders' })
    const caller = new AbortController()
    const options = { ...AT_ONCE, maxWaitMs: 60_000, signal: caller.signal }
    const waiting = engine.fetch([{ topic, partition: 0, offset: 0 }], options)
    caller.abort()
    assert.equal((await waiting)[0]?.bytes.length, 0)
  })

  describe('tells once for every synced group that a partition has grown', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders' })
    const seen: [string, number, number][] = []
    const end = engine.onAppend((grown, partition, highWatermark) => seen.push([grown.name, partition, highWatermark]))
    await Promise.all([
      engine.append(topic, 0, [batchOf('a')], 'all'),
      engine.append(topic, 0, [batchOf('b')], 'all'),
      engine.append(topic, 0, [batchOf('c')], 'all'),
    ])
    assert.deepEqual(seen.at(-1), ['orders', 0, 3])
    const groups = seen.length
    assert.ok(groups <= 3)
    end()
    await engine.append(topic, 0, [batchOf('d')], 'all')
    assert.equal(seen.length, groups)
  })

  describe('finds offsets by time, also where timestamps run backwards', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders', configs: { 'index.interval.bytes': '100' } })
    const times = [1_000, 5_000, 2_000, 7_000, 3_000, 6_000, 7_000, 4_000]
    for (const time of times) await engine.append(topic, 0, [timedBatch(time, time - 500)], 'all')
    const flat = times.flatMap((time) => [time, time - 500])
    for (let time = 0; time <= 8_000; time += 250) {
      const expected = flat.findIndex((one) => one >= time)
      const [found] = await engine.listOffsets([{ topic, partition: 0, at: { timestamp: time } }])
      assert.equal(found?.offset, expected, `time ${time}`)
      assert.equal(found?.timestamp, expected < 0 ? -1 : flat[expected])
    }
    const [max] = await engine.listOffsets([{ topic, partition: 0, at: 'max_timestamp' }])
    assert.deepEqual([max?.offset, max?.timestamp], [6, 7_000], 'the first that has the largest')
    await engine.deleteRecords(topic, 0, 13)
    const [remaining] = await engine.listOffsets([{ topic, partition: 0, at: 'max_timestamp' }])
    assert.deepEqual([remaining?.offset, remaining?.timestamp], [13, 6_500])
  })

  describe('lists the earliest and the latest offset', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders' })
    const ask = async () => {
      const queries = (['earliest', 'latest', 'max_timestamp'] as const).map((at) => ({ topic, partition: 0, at }))
      return (await engine.listOffsets(queries)).map(({ offset }) => offset)
    }
    assert.deepEqual(await ask(), [0, 0, -1])
    await engine.append(topic, 0, [batchOf('a', 'b')], 'all')
    await engine.deleteRecords(topic, 0, 1)
    assert.deepEqual(await ask(), [1, 2, 1])
    assert.deepEqual(await engine.deleteRecords(topic, 0, -1), { logStartOffset: 2 })
    assert.deepEqual(await ask(), [2, 2, -1])
    await assert.rejects(engine.deleteRecords(topic, 0, 3), { code: 'offset_out_of_range' })
    assert.deepEqual(await engine.deleteRecords(topic, 0, 0), { logStartOffset: 2 }, 'never goes back')
  })

  describe('deletes no records of a topic that is only compacted, by its policy at the time', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders', configs: { 'cleanup.policy': 'compact' } })
    await assert.rejects(engine.deleteRecords(topic, 0, 0), { code: 'policy_violation' })
    await engine.alterTopicConfigs('orders', { 'cleanup.policy': 'compact,delete' })
    assert.deepEqual(await engine.deleteRecords(topic, 0, -1), { logStartOffset: 0 })
  })

  describe('stamps the time of the append where the topic asks for it', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders', configs: { 'message.timestamp.type': 'LogAppendTime' } })
    const before = Date.now()
    const [appended] = await engine.append(topic, 0, [timedBatch(1_000, 2_000)], 'all')
    assert.ok(appended !== undefined && appended.logAppendTimeMs >= before)
    const records = readAll((await fetchOne(engine, topic, 0, 0)).bytes)
    assert.deepEqual(
      records.map(({ timestamp }) => timestamp),
      [appended.logAppendTimeMs, appended.logAppendTimeMs],
    )
  })

  describe('stores every batch with the codec that the topic names, and as it came where it names none', async (engine) => {
    for (const named of ['uncompressed', 'producer', ...COMPRESSION_TYPES]) {
      const topic = await engine.createTopic({ name: named, configs: { 'compression.type': named } })
      const appends = COMPRESSION_TYPES.flatMap((compression) =>
        [['short'], LONG].map((values) => {
          const batch = sealBatch(toParts(values.map((value) => record(value))), { compression })
          return engine.append(topic, 0, [batch], 'all')
        }),
      )
      await Promise.all(appends)
      const { bytes } = await fetchOne(engine, topic, 0, 0)
      assert.deepEqual(
        valuesIn(bytes),
        COMPRESSION_TYPES.flatMap(() => ['short', ...LONG]),
        named,
      )
      const asItCame = COMPRESSION_TYPES.flatMap((type) => [type, type])
      const stored = named === 'uncompressed' ? 'none' : named
      assert.deepEqual(codecsIn(bytes), named === 'producer' ? asItCame : asItCame.map(() => stored))
    }
  })

  describe('takes up another codec with the next append, and keeps the order of the calls', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders', configs: { 'compression.type': 'gzip' } })
    const id = await producerId(engine, 'meter-7')
    const values: string[] = []
    const answers: Promise<unknown>[] = []
    const named: Promise<readonly { baseOffset: number }[]>[] = []
    for (const [round, codec] of ['zstd', 'producer', 'lz4', 'uncompressed', 'snappy', 'producer'].entries()) {
      // a long one goes to a thread, and short ones behind it must not pass it
      const long = LONG.map((value) => `${round} ${value}`)
      values.push(...long, `${round} led`, `${round} unheard`, `${round} named`, `${round} last`)
      answers.push(engine.append(topic, 0, [batchOf(...long)], 'all'))
      answers.push(engine.append(topic, 0, [batchOf(`${round} led`)], 'leader'))
      answers.push(engine.append(topic, 0, [batchOf(`${round} unheard`)], 'none'))
      named.push(engine.append(topic, 0, [numbered(id, 0, round, `${round} named`)], 'all'))
      answers.push(engine.append(topic, 0, [batchOf(`${round} last`)], 'all'))
      await engine.alterTopicConfigs('orders', { 'compression.type': codec })
    }
    await Promise.all(answers)
    const offsets = (await Promise.all(named)).map(([one]) => one?.baseOffset)
    assert.deepEqual(
      offsets,
      offsets.map((_, round) => values.indexOf(`${round} named`)),
    )
    const { bytes } = await fetchOne(engine, topic, 0, 0)
    assert.deepEqual(valuesIn(bytes), values)
    const codecs = codecsIn(bytes).filter((codec, at, all) => codec !== all[at - 1])
    assert.deepEqual(codecs, ['gzip', 'zstd', 'none', 'lz4', 'none', 'snappy'])
  })

  describe("a compressed batch keeps its producer's numbers and takes the time of the append", async (engine) => {
    const topic = await engine.createTopic({
      name: 'orders',
      configs: { 'compression.type': 'zstd', 'message.timestamp.type': 'LogAppendTime' },
    })
    const id = await producerId(engine, 'meter-7')
    const value = LONG.join()
    const [first] = await engine.append(topic, 0, [numbered(id, 3, 0, value)], 'all')
    const [repeat] = await engine.append(topic, 0, [numbered(id, 3, 0, value)], 'all')
    assert.deepEqual([first?.duplicate, repeat?.duplicate, repeat?.baseOffset], [false, true, 0])
    const { bytes } = await fetchOne(engine, topic, 0, 0)
    const [only, ...others] = scanBatches(bytes).batches.map(({ header }) => header)
    assert.ok(only !== undefined && others.length === 0)
    assert.deepEqual([only.producerId, only.producerEpoch, only.baseSequence], [id, 3, 0])
    assert.equal(timestampTypeOf(only.attributes), 'LogAppendTime')
    assert.deepEqual(
      readAll(bytes).map(({ timestamp }) => timestamp),
      [first?.logAppendTimeMs],
    )
  })

  describe('max.message.bytes counts what is stored, and refuses no batch for growing', async (engine) => {
    const configs = { 'max.message.bytes': '2000', 'compression.type': 'gzip' }
    const topic = await engine.createTopic({ name: 'orders', configs })
    assert.equal((await engine.append(topic, 0, [batchOf('y'.repeat(20_000))], 'all')).length, 1)
    const fits = batchOf(randomBytes(1_925).toString('latin1'))
    assert.ok(fits.bytes.length <= 2_000)
    await engine.append(topic, 0, [fits], 'all')
    for (const length of [2_100, 9_000]) {
      const tooLarge = batchOf(randomBytes(length).toString('latin1'))
      await assert.rejects(engine.append(topic, 0, [batchOf('first'), tooLarge], 'all'), { code: 'message_too_large' })
    }
    const { bytes, highWatermark } = await fetchOne(engine, topic, 0, 0)
    assert.deepEqual([highWatermark, codecsIn(bytes)], [2, ['gzip', 'none']])
    await engine.alterTopicConfigs('orders', { 'compression.type': 'uncompressed' })
    const small = sealBatch(toParts([record('z'.repeat(20_000))]), { compression: 'zstd' })
    await assert.rejects(engine.append(topic, 0, [small], 'all'), { code: 'message_too_large' })
  })

  describe('refuses a batch over max.message.bytes and stores nothing of the append', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders', configs: { 'max.message.bytes': '500' } })
    const append = engine.append(topic, 0, [batchOf('a'), batchOf('b'.repeat(600))], 'all')
    await assert.rejects(append, { code: 'message_too_large' })
    const [latest] = await engine.listOffsets([{ topic, partition: 0, at: 'latest' }])
    assert.equal(latest?.offset, 0)
  })

  describe('refuses a record without a key to a compacted topic, by the policy of the moment', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders', configs: { 'cleanup.policy': 'compact,delete' } })
    const keyed = (compression: 'none' | 'gzip', ...keys: (string | null)[]) =>
      sealBatch(toParts(keys.map((key) => ({ ...record('v'), key }))), { compression })
    await engine.append(topic, 0, [keyed('none', 'k', ''), keyed('gzip', 'k')], 'all')
    for (const compression of ['none', 'gzip'] as const) {
      const append = engine.append(topic, 0, [keyed('none', 'k'), keyed(compression, 'k', 'k', null)], 'all')
      await assert.rejects(append, ({ code, message, details }: TailraceError) => {
        assert.match(message, /^Compacted topic cannot accept message without key in topic partition orders-0: /)
        assert.deepEqual([code, details['batch'], details['record']], ['invalid_record', 1, 2])
        return true
      })
    }
    assert.equal((await fetchOne(engine, topic, 0, 0)).highWatermark, 3)
    await engine.alterTopicConfigs('orders', { 'cleanup.policy': 'delete' })
    await engine.append(topic, 0, [keyed('none', null)], 'all')
    await engine.alterTopicConfigs('orders', { 'cleanup.policy': 'compact' })
    await assert.rejects(engine.append(topic, 0, [keyed('none', null)], 'all'), { code: 'invalid_record' })
    assert.equal((await fetchOne(engine, topic, 0, 0)).highWatermark, 4)
  })

  describe('creates, grows, configures and deletes topics', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders', partitionCount: 2, configs: { 'retention.ms': '1000' } })
    assert.match(topic.id, /^[0-9a-f-]{36}$/)
    assert.equal(topic.config.retentionMs, 1_000)
    await assert.rejects(engine.createTopic({ name: 'orders' }), { code: 'topic_already_exists' })
    await assert.rejects(engine.createTopic({ name: '../x' }), { code: 'invalid_topic_exception' })
    await assert.rejects(engine.createTopic({ name: 'zero', partitionCount: 0 }), { code: 'invalid_partitions' })
    await assert.rejects(engine.createTopic({ name: 'three', replicationFactor: 3 }), {
      code: 'invalid_replication_factor',
    })
    await assert.rejects(engine.createTopic({ name: 'odd', configs: { nonsense: '1' } }), { code: 'invalid_config' })
    assert.deepEqual(
      engine.listTopics().map(({ name: one }) => one),
      ['orders'],
    )
    await assert.rejects(engine.growTopic('orders', 2), { code: 'invalid_partitions' })
    await assert.rejects(engine.growTopic('orders', 1), { code: 'invalid_partitions' })
    assert.equal((await engine.growTopic('orders', 5)).partitionCount, 5)
    const altered = await engine.alterTopicConfigs('orders', { 'retention.ms': null, 'segment.bytes': '100000' })
    assert.deepEqual(altered.configOverrides, { 'segment.bytes': '100000' })
    await assert.rejects(engine.alterTopicConfigs('orders', { 'segment.bytes': 'many' }), { code: 'invalid_config' })
    assert.deepEqual(engine.findTopic('orders')?.configOverrides, { 'segment.bytes': '100000' })
    await engine.deleteTopic('orders')
    assert.equal(engine.findTopic('orders'), undefined)
    await assert.rejects(engine.deleteTopic('orders'), { code: 'unknown_topic_or_partition' })
  })

  describe('never mixes a topic with an earlier one of its name', async (engine) => {
    const old = await engine.createTopic({ name: 'orders' })
    await engine.append(old, 0, [batchOf('old')], 'all')
    await engine.deleteTopic('orders')
    await assert.rejects(engine.append(old, 0, [batchOf('x')], 'all'), { code: 'unknown_topic_or_partition' })
    const fresh = await engine.createTopic({ name: 'orders' })
    assert.notEqual(fresh.id, old.id)
    await assert.rejects(engine.append(old, 0, [batchOf('x')], 'all'), { code: 'topic_recreated' })
    assert.equal((await fetchOne(engine, old, 0, 0)).error?.code, 'topic_recreated')
    const [latest] = await engine.listOffsets([{ topic: fresh, partition: 0, at: 'latest' }])
    assert.equal(latest?.offset, 0)
  })

  describe('a fetch that waits on a topic ends when the topic is deleted', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders' })
    await engine.append(topic, 0, [batchOf('a')], 'all')
    const waiting = engine.fetch([{ topic, partition: 0, offset: 1 }], { ...AT_ONCE, maxWaitMs: 60_000 })
    await engine.deleteTopic('orders')
    assert.equal((await waiting)[0]?.error?.code, 'unknown_topic_or_partition')
  })

  describe('describes its partitions', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders', partitionCount: 2 })
    const batch = batchOf('a', 'b')
    const sizeBytes = batch.bytes.length
    await engine.append(topic, 1, [batch], 'all')
    const [empty, filled] = await engine.describePartitions(topic)
    assert.deepEqual([empty?.startOffset, empty?.endOffset, empty?.sizeBytes], [0, 0, 0])
    assert.deepEqual([filled?.startOffset, filled?.endOffset, filled?.sizeBytes], [0, 2, sizeBytes])
    const brokers = engine.cluster().brokers.map(({ id }) => id)
    assert.ok(brokers.includes(filled?.leader ?? -1))
  })

  describe('a named producer has one id, and its repeats are stored once', async (engine) => {
    if (!engine.capabilities.namedProducers) return
    const topic = await engine.createTopic({ name: 'orders' })
    const [id, again] = await Promise.all([producerId(engine, 'meter-7'), producerId(engine, 'meter-7')])
    assert.equal(id, again)
    assert.notEqual(await producerId(engine, 'meter-8'), id)
    assert.equal(id & (1n << 62n), 1n << 62n)
    await engine.append(topic, 0, [batchOf('other')], 'all')
    for (let sequence = 0; sequence < 7; sequence++) {
      const [appended] = await engine.append(topic, 0, [numbered(id, 0, sequence)], 'all')
      assert.deepEqual([appended?.baseOffset, appended?.duplicate], [sequence + 1, false])
    }
    const [repeat] = await engine.append(topic, 0, [numbered(id, 0, 6)], 'all')
    assert.deepEqual([repeat?.baseOffset, repeat?.duplicate], [7, true])
    const [old] = await engine.append(topic, 0, [numbered(id, 0, 1)], 'all')
    assert.deepEqual([old?.baseOffset, old?.duplicate], [-1, true])
    const [newer] = await engine.append(topic, 0, [numbered(id, 1, 0)], 'all')
    assert.equal(newer?.baseOffset, 8)
    const mixed = await engine.append(topic, 0, [batchOf('mine'), numbered(id, 0, 7)], 'all')
    assert.equal(mixed[0]?.baseOffset, 9)
    assert.equal(mixed[1]?.error?.code, 'invalid_producer_epoch')
    const [state] = await engine.producerState(topic, id)
    assert.deepEqual([state?.partition, state?.epoch, state?.batches.length], [0, 1, 1])
  })

  describe('a repeat in the same moment as its first attempt is stored once', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders' })
    const id = await producerId(engine, 'meter-7')
    const attempts = await Promise.all([0, 1, 2].map(() => engine.append(topic, 0, [numbered(id, 0, 0)], 'all')))
    assert.deepEqual(
      attempts.map(([one]) => [one?.baseOffset, one?.duplicate]),
      [
        [0, false],
        [0, true],
        [0, true],
      ],
    )
  })

  describe("an idempotent producer of Kafka's own counts records, and a gap is refused", async (engine) => {
    const topic = await engine.createTopic({ name: 'orders' })
    const of = (baseSequence: number, ...values: string[]) =>
      sealBatch(toParts(values.map((value) => record(value))), {
        compression: 'none',
        producerId: 5n,
        producerEpoch: 0,
        baseSequence,
      })
    await engine.append(topic, 0, [of(0, 'a', 'b')], 'all')
    const [next] = await engine.append(topic, 0, [of(2, 'c')], 'all')
    assert.equal(next?.baseOffset, 2)
    const [gap] = await engine.append(topic, 0, [of(9, 'z')], 'all')
    assert.equal(gap?.error?.code, 'out_of_order_sequence_number')
    const [repeat] = await engine.append(topic, 0, [of(0, 'a', 'b')], 'all')
    assert.deepEqual([repeat?.baseOffset, repeat?.duplicate], [0, true])
  })

  describe('growth records where named producers were, and sends back what was placed before', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders', partitionCount: 2 })
    const id = await producerId(engine, 'meter-7')
    await engine.append(topic, 0, [numbered(id, 3, 0)], 'all')
    await engine.append(topic, 1, [numbered(id, 3, 4)], 'all')
    const inFlight = engine.append(topic, 1, [numbered(id, 3, 5)], 'all')
    const grown = await engine.growTopic('orders', 4)
    assert.equal((await inFlight)[0]?.duplicate, false)
    assert.deepEqual(grown.growths, [
      { partitionCountBefore: 2, lastSequences: new Map([[id, { epoch: 3, sequence: 5 }]]) },
    ])
    await assert.rejects(engine.append(topic, 0, [numbered(id, 3, 6)], 'all'), { code: 'request_cancelled' })
    await engine.append(topic, 0, [batchOf('nameless')], 'all')
    await engine.append(grown, 3, [numbered(id, 3, 6)], 'all')
  })

  describe('refuses partitions that are not there', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders' })
    for (const partition of [1, -1, 0.5]) {
      await assert.rejects(engine.append(topic, partition, [batchOf('a')], 'all'), {
        code: 'unknown_topic_or_partition',
      })
      assert.equal((await fetchOne(engine, topic, partition, 0)).error?.code, 'unknown_topic_or_partition')
    }
  })

  describe('close may be called twice and waits for what is under way', async (engine) => {
    const topic = await engine.createTopic({ name: 'orders' })
    const appending = engine.append(topic, 0, [batchOf('a')], 'all')
    await Promise.all([engine.close(), engine.close()])
    assert.equal((await appending)[0]?.baseOffset, 0)
  })
}
