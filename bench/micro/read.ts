// Pages of 1,000 JSON records as reply bytes, through service and codec: records per second of one core. Once from
// batches in memory (what reading costs by itself), once through the engine on disk.
//
//   node bench/micro/read.ts [--quick] [--only=memory/8/1/]
//
// Beside them, in the same run, what JSON.parse and JSON.stringify take for the same values: a busy machine slows both.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KnownJson } from '../../src/codec/known-json.ts'
import type { Engine, FetchedPartition, FetchOptions, FetchPosition, Topic } from '../../src/engine/engine.ts'
import { parseTopicConfig, topicConfigDefaults } from '../../src/engine/topic-config.ts'
import { ReplyBuffers } from '../../src/http/reply-buffers.ts'
import { JsonPage } from '../../src/http/v1/json-page.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import type { RecordParts } from '../../src/record/record.ts'
import type { SealedBatch } from '../../src/record/record-batch.ts'
import { sealBatch, stampBatch } from '../../src/record/record-batch.ts'
import type { Caller } from '../../src/service/caller.ts'
import { ANONYMOUS } from '../../src/service/caller.ts'
import type { ConsumeService } from '../../src/service/read/consume.ts'
import { createConsumeService } from '../../src/service/read/consume.ts'
import type { Position } from '../../src/service/read/positions.ts'

const PAGE_RECORDS = 1_000
const quick = process.argv.includes('--quick')
const only = process.argv.find((word) => word.startsWith('--only='))?.slice(7) ?? ''
const recordCount = quick ? 50_000 : 200_000
/** The best counts: what the code can do when nothing else disturbs it. */
const ROUNDS = 20
const pageCount = quick ? 1_000 : 4_000

const caller: Caller = { principal: ANONYMOUS, clientId: '', host: '', requestId: '' }
const clock = systemClock
const buffers = new ReplyBuffers()
const known = new KnownJson()

async function measure(place: 'memory' | 'disk', partitionCount: number, batchRecords: number): Promise<void> {
  if (!`${place}/${partitionCount}/${batchRecords}/`.startsWith(only)) return
  const { engine, close } = await fill(place, partitionCount, batchRecords)
  const consume = createConsumeService({ engine, clock, telemetry: new Telemetry() })
  await readPages(consume, pageCount / 4)
  const plain = parseAndStringify()
  let best = { perSecond: 0, bytesPerRecord: 0 }
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage()
    const { records, bytes } = await readPages(consume, pageCount / ROUNDS)
    const { user, system } = process.cpuUsage(before)
    const perSecond = (records * 1e6) / (user + system)
    if (perSecond > best.perSecond) best = { perSecond, bytesPerRecord: bytes / records }
  }
  console.log(
    `${place.padEnd(6)} ${partitionCount} partition(s), ${String(batchRecords).padStart(3)} a batch: ` +
      `${(best.perSecond / 1e6).toFixed(2)} M records/s of one core, ${best.bytesPerRecord.toFixed(0)} bytes each, ` +
      `${(best.perSecond / plain).toFixed(2)} x parse + stringify`,
  )
  await close()
}

/** Records per second of one core when values are parsed and put together again. */
function parseAndStringify(): number {
  const texts = Array.from({ length: 1_000 }, (_, at) => sampleRecord(at).value.toString())
  let best = 0
  let chars = 0
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage()
    for (let left = 20; left > 0; left--) {
      for (const text of texts) chars += JSON.stringify(JSON.parse(text)).length
    }
    const { user, system } = process.cpuUsage(before)
    best = Math.max(best, (20 * texts.length * 1e6) / (user + system))
  }
  if (chars === 0) throw new Error('nothing was parsed')
  return best
}

/** Goes through the topic again and again, as many readers one after the other would. */
async function readPages(consume: ConsumeService, pages: number): Promise<{ records: number; bytes: number }> {
  let position: Position = { kind: 'earliest' }
  let records = 0
  let bytes = 0
  for (let left = pages; left > 0; left--) {
    const output = buffers.take()
    const sink = new JsonPage(output, { keyFormat: 'auto', valueFormat: 'auto' }, known)
    const request = { topic: 'bench', position, limit: PAGE_RECORDS, maxBytes: 1024 * 1024, waitMs: 0 }
    const page = await consume.read(caller, request, sink)
    bytes += sink.finish({ cursor: page.cursor, next: '/v1/topics/bench/records' }).length
    records += page.recordCount
    buffers.giveBack(output)
    position = page.caughtUp ? { kind: 'earliest' } : { kind: 'cursor', cursor: page.cursor }
  }
  return { records, bytes }
}

async function fill(place: 'memory' | 'disk', partitionCount: number, batchRecords: number) {
  const batches: SealedBatch[] = []
  for (let at = 0; at < recordCount; at += batchRecords) {
    const records = Array.from({ length: batchRecords }, (_, within) => sampleRecord(at + within))
    batches.push(sealBatch(records, { compression: 'none' }))
  }
  return place === 'memory' ? fillMemory(batches, partitionCount) : await fillDisk(batches, partitionCount)
}

function sampleRecord(number: number): RecordParts & { value: Buffer } {
  const key = Buffer.from(`customer-${number % 5_000}`)
  const text = `{"order":${100_000 + number},"customer":"c-${number % 5_000}","total":${(number % 997) / 10},"currency":"EUR","status":"paid","items":[1,2,3]}`
  const value = Buffer.from(text)
  const ranges = { keyStart: 0, keyEnd: key.length, valueStart: 0, valueEnd: value.length }
  return { key, value, ...ranges, headers: [], timestamp: 1_790_000_000_000 + number }
}

async function fillDisk(batches: readonly SealedBatch[], partitionCount: number) {
  const dataDir = mkdtempSync(join(tmpdir(), 'tailrace-bench-read-'))
  const engine = await openLocalEngine({
    dataDir,
    clock,
    logger: silentLogger,
    telemetry: new Telemetry(),
    topicDefaults: topicConfigDefaults({}),
    numPartitions: 1,
    retentionCheckIntervalMs: 300_000,
    offsetsRetentionCheckMs: 600_000,
    groups: {
      sessionTimeoutMsMin: 1_000,
      sessionTimeoutMsMax: 1_800_000,
      initialRebalanceDelayMs: 0,
      membersMax: 10_000,
      offsetsRetentionMs: 604_800_000,
      offsetMetadataBytesMax: 4_096,
    },
    producerExpirationMs: 86_400_000,
    producerExpirationCheckMs: 600_000,
    cleaner: { isEnabled: false, backoffMs: 15_000, dedupeBufferBytes: 1_048_576 },
    node: { id: 1, host: 'localhost', port: 0 },
  })
  const topic = await engine.createTopic({ name: 'bench', partitionCount })
  const appends = batches.map((batch, at) => engine.append(topic, at % partitionCount, [batch], 'all'))
  await Promise.all(appends)
  const close = async () => {
    await engine.close()
    rmSync(dataDir, { recursive: true, force: true })
  }
  return { engine, close }
}

/** Each partition is one run of batches; a fetch is a look-up of the first batch and a slice. */
function fillMemory(batches: readonly SealedBatch[], partitionCount: number) {
  const config = parseTopicConfig({}, topicConfigDefaults({}))
  const topic: Topic = {
    id: '01234567-89ab-cdef-0123-456789abcdef',
    name: 'bench',
    partitionCount,
    internal: false,
    config,
    configOverrides: {},
    growths: [],
  }
  const partitions = Array.from({ length: partitionCount }, (_, partition) => {
    return new MemoryPartition(batches.filter((_, at) => at % partitionCount === partition))
  })
  const engine = {
    findTopic: () => topic,
    listOffsets: async (queries: readonly unknown[]) =>
      queries.map((_, partition) => ({ partition, offset: 0, timestamp: -1 })),
    fetch: async (positions: readonly FetchPosition[], options: FetchOptions): Promise<FetchedPartition[]> => {
      let left = options.maxBytes
      return positions.map(({ partition, offset }) => {
        const place = partitions[partition] as MemoryPartition
        const bytes = place.read(offset, Math.min(left, options.partitionMaxBytes ?? left))
        left = Math.max(0, left - bytes.length)
        const bounds = { logStartOffset: 0, highWatermark: place.endOffset, lastStableOffset: place.endOffset }
        return { topic, partition, error: undefined, bytes, ...bounds, leaderEpoch: 0, abortedTransactions: [] }
      })
    },
  } as unknown as Engine
  return { engine, close: async () => {} }
}

class MemoryPartition {
  readonly endOffset: number
  readonly #bytes: Buffer
  readonly #starts: number[] = []
  readonly #recordsPerBatch: number

  constructor(batches: readonly SealedBatch[]) {
    let position = 0
    let offset = 0
    for (const batch of batches) {
      stampBatch(batch, offset, 0)
      this.#starts.push(position)
      position += batch.bytes.length
      offset += batch.header.recordCount
    }
    this.#starts.push(position)
    this.endOffset = offset
    this.#recordsPerBatch = batches[0]?.header.recordCount ?? 1
    this.#bytes = Buffer.concat(batches.map(({ bytes }) => bytes))
  }

  read(offset: number, maxBytes: number): Buffer {
    const first = Math.floor(offset / this.#recordsPerBatch)
    const start = this.#starts[first] ?? this.#bytes.length
    let last = first
    while (last < this.#starts.length - 1 && (this.#starts[last + 1] as number) - start <= maxBytes) last++
    // A copy, as from a file.
    return Buffer.from(this.#bytes.subarray(start, this.#starts[last]))
  }
}

for (const place of ['memory', 'disk'] as const) {
  for (const partitionCount of [1, 8]) {
    for (const batchRecords of [100, 1]) await measure(place, partitionCount, batchRecords)
  }
}
