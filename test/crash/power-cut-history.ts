// One random history of a partition: appends with all kinds of acks, named producers that repeat, rolls, index flushes,
// failing writes, kills of the process and power cuts, and after each of them a start. A small model of the promises
// (DESIGN 1) goes along and is held against what the log says after every start.

import assert from 'node:assert/strict'
import Database from 'better-sqlite3'
import { silentLogger } from '../../src/kernel/logger.ts'
import type { Telemetry } from '../../src/kernel/telemetry.ts'
import { createIndexSchema } from '../../src/log/log-index.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import { RecordReader } from '../../src/record/batch-reader.ts'
import { sealBatch } from '../../src/record/record-batch.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { logSettings } from '../support/log-settings.ts'
import { PowerCutDisk } from '../support/power-cut-disk.ts'
import type { Random } from '../support/random.ts'

const IDENTITY = { topicId: '0191d5a0-0000-7000-8000-000000000001', topicName: 'orders', partition: 0 }
const PRODUCER = (1n << 62n) + 7n

/** One batch that was sent: the values of its records, unique in the history. */
interface Sent {
  readonly values: readonly string[]
  readonly timestamps: readonly number[]
  readonly sequence: number
  /** 'refused': it was reported as not stored. 'visible': somebody may have read it or was told that it is synced: it stays for ever. 'written': a power cut may take it. */
  promise: 'none' | 'refused' | 'written' | 'visible'
  offset: number
}

interface Found {
  readonly offset: number
  readonly value: string
  readonly timestamp: number
}

export class PowerCutHistory {
  readonly #random: Random
  readonly #telemetry: Telemetry
  readonly #clock = new FakeClock()
  readonly #sent: Sent[] = []
  /** Copies of index.db as it was at some flush. */
  readonly #indexCopies: Buffer[] = []
  #disk: PowerCutDisk
  #index: Database.Database | undefined
  #manager: LogManager | undefined
  #startNumber = 0
  #values = 0
  #sequence = -1
  cuts = 0
  records = 0

  constructor(random: Random, telemetry: Telemetry) {
    this.#random = random
    this.#telemetry = telemetry
    this.#disk = new PowerCutDisk(random)
  }

  async run(steps: number): Promise<void> {
    await this.#start(undefined)
    for (let step = 0; step < steps; step++) {
      const kind = this.#random.next()
      if (kind < 0.6) await this.#produce()
      else if (kind < 0.7) await this.#repeat()
      else if (kind < 0.78) this.#keepIndexCopy()
      else if (kind < 0.82) this.#clock.advance(this.#random.below(5_000))
      else if (kind < 0.86) await this.#failWrite()
      else if (kind < 0.92) await this.#stop()
      else await this.#crash()
    }
    await this.#crash()
  }

  get #log(): PartitionLog {
    assert.ok(this.#manager !== undefined)
    return this.#manager.log(IDENTITY)
  }

  async #start(indexBytes: Buffer | undefined): Promise<void> {
    this.#startNumber++
    const db = indexBytes === undefined ? new Database(':memory:') : new Database(indexBytes)
    if (indexBytes === undefined) createIndexSchema(db)
    this.#index = db
    this.#manager = new LogManager({
      dataDir: '/data',
      disk: this.#disk,
      clock: this.#clock,
      logger: silentLogger,
      telemetry: this.#telemetry,
      isForgotten: () => false,
      leaderEpoch: this.#startNumber,
      settings: () => logSettings({ segmentBytes: 4_096, indexIntervalBytes: 256 }),
      logStartOffset: () => 0,
      cleaningGeneration: () => 0,
      setCleaningGeneration: () => Promise.resolve(),
      onSynced: () => undefined,
      openIndex: () => db,
    })
    await this.#manager.recover([IDENTITY])
    await this.#log.open()
    assert.equal(this.#log.offline, undefined, 'the partition opens')
    await this.#compare()
  }

  #make(sequence: number): Sent {
    const count = 1 + this.#random.below(4)
    const values = Array.from({ length: count }, () => `v${this.#values++}-${'x'.repeat(this.#random.below(700))}`)
    const timestamps = values.map(() => this.#clock.now() + this.#random.below(2_000) - 1_000)
    return { values, timestamps, sequence, promise: 'none', offset: -1 }
  }

  #seal(sent: Sent) {
    const records = sent.values.map((value, at) => {
      const bytes = Buffer.from(value)
      const none = { key: bytes, keyStart: -1, keyEnd: -1, headers: [] }
      return { ...none, value: bytes, valueStart: 0, valueEnd: bytes.length, timestamp: sent.timestamps[at] as number }
    })
    const producer = { producerId: PRODUCER, producerEpoch: 0, baseSequence: sent.sequence }
    return sealBatch(records, { compression: 'none', ...(sent.sequence < 0 ? {} : producer) })
  }

  /** A few appends at once, so that they share a group; some are answered before they are synced. */
  async #produce(): Promise<void> {
    const appends: Promise<void>[] = []
    for (let left = 1 + this.#random.below(3); left > 0; left--) {
      const sent = this.#make(this.#random.chance(0.3) ? ++this.#sequence : -1)
      this.#sent.push(sent)
      appends.push(this.#append(sent, this.#random.pick(['all', 'all', 'leader', 'none'] as const)))
    }
    if (this.#random.chance(0.85)) await Promise.all(appends)
    else await Promise.race([...appends, this.#someTurns()])
  }

  async #someTurns(): Promise<void> {
    for (let left = this.#random.below(12); left > 0; left--) await Promise.resolve()
  }

  async #append(sent: Sent, acks: 'all' | 'leader' | 'none'): Promise<void> {
    const log = this.#log
    const disk = this.#disk
    try {
      const [appended] = await log.append([this.#seal(sent)], acks)
      // no reply leaves a machine without power
      if (appended === undefined || disk !== this.#disk) return
      assert.equal(appended.error, undefined)
      if (sent.offset >= 0) assert.equal(appended.baseOffset, sent.offset, 'a repeat has its first offset')
      if (sent.promise === 'refused') sent.promise = 'none'
      sent.offset = appended.baseOffset
      const promise = acks === 'all' ? 'visible' : 'written'
      if (sent.promise !== 'visible') sent.promise = promise
    } catch (error) {
      // cut off, it may be stored or not; refused, it is not
      if ((error as { code?: string }).code === 'disk_full' && sent.promise === 'none') sent.promise = 'refused'
    }
  }

  /** The producer sends its last request once more, as after a lost reply. */
  async #repeat(): Promise<void> {
    const last = this.#sent.findLast((sent) => sent.sequence === this.#sequence && sent.sequence >= 0)
    if (last !== undefined) await this.#append(last, 'all')
  }

  #keepIndexCopy(): void {
    this.#manager?.flushIndex()
    if (this.#index !== undefined) this.#indexCopies.push(this.#index.serialize())
  }

  /** A write that finds no room: those who asked are told, and the log goes on. */
  async #failWrite(): Promise<void> {
    this.#disk.failNext(this.#random.pick(['write', 'write-partly'] as const), 'ENOSPC')
    const sent = this.#make(-1)
    this.#sent.push(sent)
    await this.#append(sent, 'all')
  }

  async #stop(): Promise<void> {
    const index = this.#index
    const manager = this.#manager
    assert.ok(index !== undefined && manager !== undefined)
    let copy: Buffer | undefined
    const close = index.close.bind(index)
    index.close = () => {
      copy = index.serialize()
      return close()
    }
    await manager.close()
    if (copy !== undefined) this.#indexCopies.push(copy)
    for (const sent of this.#sent) if (sent.promise === 'written') sent.promise = 'visible'
    await this.#start(copy)
  }

  async #crash(): Promise<void> {
    this.cuts++
    const what = this.#random.chance(0.75) ? 'power' : 'process'
    await this.#noteVisible()
    this.#disk = this.#disk.cut(what)
    if (what === 'power') {
      for (const sent of this.#sent) if (sent.promise === 'written') sent.promise = 'none'
      const copies = this.#indexCopies
      await this.#start(copies.length === 0 || this.#random.chance(0.2) ? undefined : this.#random.pick(copies))
    } else {
      await this.#start(this.#index?.serialize())
    }
  }

  /** Whatever lies below the high watermark could have been read. */
  async #noteVisible(): Promise<void> {
    const offsets = new Map((await this.#readAll()).map((found) => [found.value, found.offset]))
    for (const sent of this.#sent) {
      const offset = offsets.get(sent.values[0] as string)
      if (offset === undefined) continue
      sent.promise = 'visible'
      sent.offset = offset
    }
  }

  async #readAll(): Promise<Found[]> {
    const found: Found[] = []
    const reader = new RecordReader()
    const { highWatermark } = this.#log.bounds
    let offset = 0
    while (offset < highWatermark) {
      const bytes = await this.#log.read(offset, 1 + this.#random.below(3_000))
      let position = 0
      while (position < bytes.length) {
        reader.open(bytes, position)
        while (reader.next()) {
          const value = reader.bytes.toString('utf8', reader.valueStart, reader.valueEnd)
          found.push({ offset: reader.offset, value, timestamp: reader.timestamp })
        }
        position = reader.batchEnd
      }
      offset = (found.at(-1)?.offset ?? -1) + 1
    }
    return found
  }

  /** The promises, against all that is there. */
  async #compare(): Promise<void> {
    const found = await this.#readAll()
    this.records = found.length
    for (const [at, one] of found.entries()) assert.equal(one.offset, at, 'offsets have no gaps')
    const offsets = new Map(found.map((one) => [one.value, one.offset]))
    assert.equal(offsets.size, found.length, 'nothing is stored twice')
    for (const sent of this.#sent) {
      const places = sent.values.map((value) => offsets.get(value))
      const stored = places.filter((place) => place !== undefined)
      assert.ok(stored.length === 0 || stored.length === places.length, 'a batch is there as a whole or not at all')
      if (sent.promise === 'refused') {
        assert.equal(stored.length, 0, 'what was refused is not there')
        continue
      }
      if (sent.promise === 'none') {
        sent.offset = places[0] ?? -1
        // after a start everything that is there is visible
        if (stored.length > 0) sent.promise = 'visible'
        continue
      }
      assert.equal(places[0], sent.offset, `acknowledged (${sent.promise}) at offset ${sent.offset}`)
      sent.promise = 'visible'
    }
    await this.#compareTimes(found)
  }

  async #compareTimes(found: readonly Found[]): Promise<void> {
    for (let left = 2; left > 0; left--) {
      const timestamp = this.#clock.now() + this.#random.below(20_000) - 18_000
      const expected = found.find((one) => one.timestamp >= timestamp)
      const answer = await this.#log.findByTimestamp(timestamp)
      assert.deepEqual(answer, expected && { offset: expected.offset, timestamp: expected.timestamp })
    }
    const max = found.reduce<Found | undefined>(
      (best, one) => (best && best.timestamp >= one.timestamp ? best : one),
      undefined,
    )
    const answer = await this.#log.findMaxTimestamp()
    assert.deepEqual(answer, max && { offset: max.offset, timestamp: max.timestamp })
  }
}
