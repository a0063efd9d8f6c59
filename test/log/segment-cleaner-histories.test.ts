// Random histories of a compacted partition: segments of keyed records, tombstones and keyless records in every codec,
// passes of the cleaner in between (with small maps, lost first dirty offsets, a moving log start), time going on. After
// each pass every batch is compared with a model's, and what readers come to know with what the whole history says.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import { silentLogger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { createIndexSchema } from '../../src/log/index-schema.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import { emptySegment, segmentPath } from '../../src/log/log-segment.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import type { CleanedGroup } from '../../src/log/segment-cleaner.ts'
import type { SegmentDisk } from '../../src/log/segment-file.ts'
import { COMPRESSION_TYPES } from '../../src/record/compression.ts'
import { hasDeleteHorizon, timestampTypeOf } from '../../src/record/record-batch.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { logSettings, TAIL_MARK_KEY } from '../support/log-settings.ts'
import { PowerCutDisk } from '../support/power-cut-disk.ts'
import { Random } from '../support/random.ts'
import type { BatchPlan, FoundBatch, FoundRecord } from './cleaner-log.ts'
import { CleanerLog, DIRECTORY, noteBatches, readBatches, stateOf } from './cleaner-log.ts'

const RETENTION_MS = 100
const T0 = 1_700_000_000_000

const anyRecord = fc.record(
  {
    key: fc.option(
      fc.integer({ min: 0, max: 5 }).map((key) => `k${key}`),
      { freq: 20 },
    ),
    value: fc.option(fc.string({ unit: 'grapheme-ascii', maxLength: 30 }), { freq: 3 }),
    timestamp: fc.integer({ min: T0 - 50, max: T0 + 300 }),
    headers: fc.constantFrom([], [['h', null]] as const),
  },
  { noNullPrototype: true },
)

const anyBatch: fc.Arbitrary<BatchPlan> = fc.record(
  {
    records: fc.array(anyRecord, { minLength: 1, maxLength: 5 }),
    compression: fc.constantFrom(...COMPRESSION_TYPES),
    producerId: fc.constantFrom(1n, 2n),
    logAppendTime: fc.constant(T0 + 77),
    gap: fc.constantFrom(0, 0, 3),
  },
  { requiredKeys: ['records'], noNullPrototype: true },
)

const anySegment = fc.array(anyBatch, { minLength: 1, maxLength: 4 })

const anyStep = fc.oneof(
  fc.record({ kind: fc.constant('append' as const), segments: fc.array(anySegment, { minLength: 1, maxLength: 2 }) }),
  fc.record({ kind: fc.constant('read' as const), part: fc.nat(100) }),
  fc.record({
    kind: fc.constant('clean' as const),
    waitMs: fc.constantFrom(0, 1, RETENTION_MS - 1, RETENTION_MS, RETENTION_MS + 1),
    slots: fc.integer({ min: 2, max: 9 }),
    forgetsDirty: fc.boolean(),
    segmentsLeft: fc.constantFrom(0, 0, 1),
    raisesStart: fc.constantFrom(0, 0, 0, 4),
    segmentBytes: fc.constantFrom(1, 400, 100_000),
    remembersProducers: fc.boolean(),
  }),
)
type Step = typeof anyStep extends fc.Arbitrary<infer T> ? T : never
type CleanStep = Extract<Step, { kind: 'clean' }>

/** Somebody who has read up to an offset at some time, and goes on from there later. */
interface SlowReader {
  readonly since: number
  readonly nextOffset: number
  readonly seen: readonly FoundRecord[]
}

class History {
  readonly log = new CleanerLog(new PowerCutDisk(new Random(7)), 3)
  readonly #whole: FoundRecord[] = []
  /** What the batches should be. */
  #model: FoundBatch[] = []
  #firstDirtyOffset = 0
  #logStartOffset = 0
  #nowMs = T0 + 1_000
  #readers: SlowReader[] = []
  passes = 0

  async take(step: Step): Promise<void> {
    if (step.kind === 'append') await this.#append(step.segments)
    else if (step.kind === 'read') await this.#beginReading(step.part)
    else await this.#clean(step)
    await this.#checkReaders()
  }

  async #append(segments: readonly (readonly BatchPlan[])[]): Promise<void> {
    for (const batches of segments) {
      const { baseOffset } = await this.log.addSegment(batches)
      const written = readBatches(await this.log.bytesOf(baseOffset))
      this.#model.push(...written)
      this.#whole.push(...written.flatMap(({ records }) => records))
    }
  }

  async #beginReading(part: number): Promise<void> {
    const records = (await this.log.records()).filter(({ offset }) => offset >= this.#logStartOffset)
    const nextOffset = Math.floor((this.log.nextOffset * part) / 100)
    this.#readers.push({ since: this.#nowMs, nextOffset, seen: records.filter(({ offset }) => offset < nextOffset) })
  }

  async #clean(step: CleanStep): Promise<void> {
    const { segments } = this.log
    const cleanable = segments.slice(0, Math.max(0, segments.length - step.segmentsLeft))
    if (cleanable.length === 0) return
    this.passes++
    this.#nowMs += step.waitMs
    if (step.raisesStart > 0) {
      this.#logStartOffset = Math.min(this.log.nextOffset, this.#logStartOffset + step.raisesStart)
      this.#readers = []
    }
    const firstDirtyOffset = step.forgetsDirty ? 0 : this.#firstDirtyOffset
    const cleanableEnd = segments[cleanable.length]?.baseOffset ?? this.log.nextOffset
    const producerLastOffsets = step.remembersProducers ? this.#producerLastOffsets() : []
    const before = new Map<number, Buffer>()
    for (const { baseOffset } of segments) before.set(baseOffset, await this.log.bytesOf(baseOffset))
    const indexIntervalBytes = 150
    const result = await this.log.clean(
      {
        segments: [...segments],
        logStartOffset: this.#logStartOffset,
        firstDirtyOffset,
        cleanableEnd,
        segmentBytes: step.segmentBytes,
        indexIntervalBytes,
        deleteRetentionMs: RETENTION_MS,
        nowMs: this.#nowMs,
        producerLastOffsets,
        mapBytesMax: step.slots * 24,
      },
      (group) => this.#checkGroup(group, indexIntervalBytes),
    )
    const dirtyFrom = Math.max(firstDirtyOffset, this.#logStartOffset)
    this.#checkEnd(result.cleanedTo, dirtyFrom, cleanableEnd, step.slots)
    this.#model = this.#cleaned(dirtyFrom, result.cleanedTo, cleanableEnd, new Set(producerLastOffsets))
    this.#firstDirtyOffset = Math.max(this.#firstDirtyOffset, result.cleanedTo)
    assert.deepEqual((await this.log.batches()).map(comparable), this.#model.map(comparable))
    await this.#checkState()
  }

  #producerLastOffsets(): number[] {
    const last = new Map<bigint, number>()
    for (const { header } of this.#model) {
      if (header.producerId >= 0n) last.set(header.producerId, header.baseOffset + header.lastOffsetDelta)
    }
    return [...last.values()]
  }

  /** The pass ends where the map was full: at a record whose key was not in it yet. */
  #checkEnd(cleanedTo: number, dirtyFrom: number, cleanableEnd: number, slots: number): void {
    const keysMax = Math.max(1, Math.floor(slots * 0.9))
    const dirty = this.#model
      .flatMap(({ records }) => records)
      .filter(({ key, offset }) => key !== null && offset >= dirtyFrom && offset < cleanableEnd)
    const keys = new Set(dirty.filter(({ offset }) => offset < cleanedTo).map(({ key }) => key))
    assert.ok(keys.size <= keysMax, `${keys.size} keys in a map for ${keysMax}`)
    if (cleanedTo === Math.max(cleanableEnd, dirtyFrom)) return
    assert.equal(keys.size, keysMax)
    assert.equal(keys.has(dirty.find(({ offset }) => offset === cleanedTo)?.key ?? 'none'), false)
  }

  #cleaned(dirtyFrom: number, cleanedTo: number, cleanableEnd: number, producerLasts: Set<number>): FoundBatch[] {
    const newest = new Map<string | null, number>()
    for (const { key, offset } of this.#model.flatMap(({ records }) => records)) {
      if (offset >= dirtyFrom && offset < cleanedTo) newest.set(key, offset)
    }
    return this.#model.flatMap((batch) => {
      const { header } = batch
      const lastOffset = header.baseOffset + header.lastOffsetDelta
      if (header.baseOffset >= Math.min(cleanedTo, cleanableEnd)) return [batch]
      const hadHorizon = hasDeleteHorizon(header.attributes)
      const records = batch.records.filter(({ key, value, offset }) => {
        if (offset < this.#logStartOffset) return false
        if (offset >= cleanedTo) return true
        if (value === null && hadHorizon && header.baseTimestamp <= this.#nowMs) return false
        return key !== null && offset >= (newest.get(key) ?? 0)
      })
      if (records.length === 0) {
        if (!producerLasts.has(lastOffset) && lastOffset + 1 !== cleanableEnd) return []
        return [
          { header: { ...header, attributes: header.attributes & 0x08, baseTimestamp: -1, recordCount: 0 }, records },
        ]
      }
      const getsHorizon = !hadHorizon && lastOffset < cleanedTo && records.some(({ value }) => value === null)
      const isAppendTime = timestampTypeOf(header.attributes) === 'LogAppendTime'
      const maxTimestamp = isAppendTime ? header.maxTimestamp : Math.max(...records.map(({ timestamp }) => timestamp))
      const horizon = { attributes: header.attributes | 0x40, baseTimestamp: this.#nowMs + RETENTION_MS }
      const changed = { ...header, maxTimestamp, recordCount: records.length, ...(getsHorizon ? horizon : {}) }
      return [{ header: changed, records }]
    })
  }

  /** A group's file says of itself what a log that had written it would say. */
  async #checkGroup({ replaced, segment, entries, cleanedPath }: CleanedGroup, intervalBytes: number): Promise<void> {
    assert.equal(cleanedPath, `${segmentPath(DIRECTORY, replaced[0] as number)}.cleaned`)
    const bytes = (await this.log.disk.readFile(cleanedPath)) ?? Buffer.alloc(0)
    const noted = emptySegment(replaced[0] as number)
    noteBatches(noted, bytes)
    assert.deepEqual(segment, noted)
    const expected = []
    let position = 0
    let sinceEntry = 0
    let priorMaxTimestamp = -1
    for (const { header } of readBatches(bytes)) {
      if (sinceEntry >= intervalBytes) {
        expected.push({ offset: header.baseOffset, position, priorMaxTimestamp })
        sinceEntry = 0
      }
      position += header.sizeBytes
      sinceEntry += header.sizeBytes
      priorMaxTimestamp = Math.max(priorMaxTimestamp, header.maxTimestamp)
    }
    assert.deepEqual(entries, expected)
  }

  /** Who reads everything knows in the end what the whole history says. */
  async #checkState(): Promise<void> {
    const isThere = ({ offset }: FoundRecord) => offset >= this.#logStartOffset
    const left = (await this.log.records()).filter(isThere)
    assert.deepEqual(sorted(stateOf(left)), sorted(stateOf(this.#whole.filter(isThere))))
  }

  /** Who began not longer than delete.retention.ms ago and reads to the end now, too. */
  async #checkReaders(): Promise<void> {
    const truth = sorted(stateOf(this.#whole.filter(({ offset }) => offset >= this.#logStartOffset)))
    this.#readers = this.#readers.filter(({ since }) => this.#nowMs < since + RETENTION_MS)
    for (const { seen, nextOffset } of this.#readers) {
      const rest = (await this.log.records()).filter(({ offset }) => offset >= nextOffset)
      assert.deepEqual(sorted(stateOf([...seen, ...rest])), truth)
    }
  }
}

/** What the files hold, read in every way that a partition's log can be read. */
async function checkReading({ log }: History): Promise<void> {
  const end = log.nextOffset
  // the active segment, as a roll leaves it
  await (await log.disk.open(segmentPath(DIRECTORY, end), true)).close()
  const partition = openLog(log.disk)
  await partition.open()
  assert.equal(partition.offline, undefined)
  assert.deepEqual(partition.bounds, { logStartOffset: log.segments[0]?.baseOffset, highWatermark: end })
  const records = await log.records()
  for (let from = partition.bounds.logStartOffset; from <= end; from++) {
    const read: FoundRecord[] = []
    let next = from
    while (next < end) {
      const batches = readBatches(await partition.read(next, 200))
      const last = batches.at(-1)?.header
      assert.ok(last !== undefined, `nothing at ${next} of ${end}`)
      assert.ok(last.baseOffset + last.lastOffsetDelta >= next)
      read.push(...batches.flatMap((batch) => batch.records))
      next = last.baseOffset + last.lastOffsetDelta + 1
    }
    assert.deepEqual(
      read.filter(({ offset }) => offset >= from),
      records.filter(({ offset }) => offset >= from),
    )
  }
  const place = (record: FoundRecord | undefined) => record && { offset: record.offset, timestamp: record.timestamp }
  const times = new Set(records.flatMap(({ timestamp }) => [timestamp, timestamp + 1]))
  for (const time of times) {
    assert.deepEqual(await partition.findByTimestamp(time), place(records.find(({ timestamp }) => timestamp >= time)))
  }
  const latest = Math.max(...records.map(({ timestamp }) => timestamp))
  assert.deepEqual(await partition.findMaxTimestamp(), place(records.find(({ timestamp }) => timestamp === latest)))
  await partition.close()
}

function openLog(disk: SegmentDisk): PartitionLog {
  const index = new Database(':memory:')
  createIndexSchema(index)
  const manager = new LogManager({
    dataDir: '/',
    disk,
    clock: new FakeClock(),
    logger: silentLogger,
    telemetry: new Telemetry(),
    isForgotten: () => false,
    leaderEpoch: 1,
    tailMarkKey: TAIL_MARK_KEY,
    settings: () => logSettings({ segmentBytes: 100_000, indexIntervalBytes: 150, maxMessageBytes: 100_000 }),
    logStartOffset: () => 0,
    cleaningGeneration: () => 0,
    setCleaningGeneration: async () => undefined,
    onSynced: () => undefined,
    openIndex: () => index,
  })
  return manager.log({ topicId: '0191d5a0-0000-7000-8000-000000000001', topicName: 'clean', partition: 0 })
}

const sorted = (state: Map<string, string>) => [...state].sort()

/** All but what follows from the rest; the base timestamp has no meaning of its own unless it is a delete horizon. */
function comparable({ header, records }: FoundBatch) {
  const { crc: _crc, sizeBytes: _sizeBytes, baseTimestamp, ...facts } = header
  const shown = hasDeleteHorizon(header.attributes) || header.recordCount === 0 ? baseTimestamp : undefined
  return { ...facts, baseTimestamp: shown, records }
}

test('every pass leaves what Kafka’s rules say, and no reader misses anything', async () => {
  let passes = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(anySegment, { minLength: 1, maxLength: 3 }),
      fc.array(anyStep, { minLength: 1, maxLength: 7 }),
      async (segments, steps) => {
        const history = new History()
        await history.take({ kind: 'append', segments })
        for (const step of steps) await history.take(step)
        passes += history.passes
      },
    ),
    { numRuns: 200 },
  )
  assert.ok(passes > 100, `only ${passes} passes`)
})

test('what a pass leaves is read from every offset and time, over holes and batches without records', async () => {
  const steps = fc.array(anyStep, { minLength: 1, maxLength: 5 })
  await fc.assert(
    fc.asyncProperty(fc.array(anySegment, { minLength: 1, maxLength: 3 }), steps, async (segments, some) => {
      const history = new History()
      await history.take({ kind: 'append', segments })
      for (const step of some) await history.take(step)
      await checkReading(history)
    }),
    { numRuns: 40 },
  )
})
