// An engine on a disk that fails and loses its power, and what was promised by it: starts, kills, power cuts, clean stops,
// and after each start a look at everything that there is.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { Engine, Topic } from '../../src/engine/engine.ts'
import type { TopicConfigDefaults } from '../../src/engine/topic-config.ts'
import { topicConfigDefaults } from '../../src/engine/topic-config.ts'
import { OFFSET_MAX } from '../../src/kernel/limits.ts'
import type { Logger } from '../../src/kernel/logger.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { findEntries, JOURNAL_HEADER_BYTES, parseJournalId } from '../../src/log/journal-entry.ts'
import { journalDirectory } from '../../src/log/journal-replay.ts'
import { parseNumberedName } from '../../src/log/log-segment.ts'
import { RecordReader } from '../../src/record/batch-reader.ts'
import { GROUP_OPTIONS } from '../support/engine-options.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { PowerCutDatabases } from '../support/power-cut-databases.ts'
import { PowerCutDisk } from '../support/power-cut-disk.ts'
import type { Random } from '../support/random.ts'
import type { FoundRecord, Takers } from './partition-promises.ts'
import type { TopicPromises } from './topic-promises.ts'
import { CatalogPromises } from './topic-promises.ts'

/** It is all in memory; only a lack of descriptors is waited out by real time. */
const TURNS_WITHOUT_PAUSE = 5_000
const WAIT_MS_MAX = 20_000

const set = (value: string) => ({ value, source: 'broker' }) as const

const TRACE_LINES_MAX = 200

/** Smaller than what may be configured, so that a short history rolls. */
const DEFAULTS: TopicConfigDefaults = {
  ...topicConfigDefaults({}),
  'segment.bytes': set('3000'),
  'index.interval.bytes': set('300'),
  'file.delete.delay.ms': set('1000'),
}

/** From one start to its end. */
export class Life {
  readonly engine: Engine
  readonly disk: PowerCutDisk
  readonly databases: PowerCutDatabases
  readonly faultsBefore: number
  /** A database failed, or the start itself. */
  hadOtherFaults = false

  constructor(engine: Engine, disk: PowerCutDisk, databases: PowerCutDatabases, faultsBefore: number) {
    this.engine = engine
    this.disk = disk
    this.databases = databases
    this.faultsBefore = faultsBefore
  }

  /** No reply leaves a machine without power. */
  get isOver(): boolean {
    return this.disk.isUnplugged
  }

  /** Else every failure is one too many. */
  get hadFaults(): boolean {
    return this.hadOtherFaults || this.isOver || strikes(this.disk) > this.faultsBefore
  }
}

function strikes(disk: PowerCutDisk): number {
  let count = 0
  for (const struck of disk.faults.struck.values()) count += struck
  return count
}

export class FaultWorld {
  readonly clock = new FakeClock()
  readonly catalog = new CatalogPromises()
  readonly statistics = new Map<string, number>()
  readonly #dataDir: string
  readonly #telemetry = new Telemetry()
  /** What happened last, for who looks into a failure. */
  readonly #trace: string[] = []
  #life: Life | undefined
  /** Said by a start that could not replay all of the journal. */
  #journalFailure: string | undefined
  #journal = { fileBytes: 0, roundsBeforeMade: 0, roundsBeforeNextTry: 0 }

  constructor(dataDir: string) {
    this.#dataDir = dataDir
  }

  get life(): Life {
    assert.ok(this.#life !== undefined)
    return this.#life
  }

  /** What maintenance did, which nobody asked for. */
  countMaintenance(): void {
    const { segmentsDeleted, compaction, journalEntries } = this.#telemetry
    this.count('journal entries', journalEntries)
    this.count('segments deleted', segmentsDeleted)
    this.count('passes of compaction', compaction.passes)
    this.count('records compacted away', compaction.recordsRead - compaction.recordsKept)
  }

  get trace(): readonly string[] {
    return this.#trace
  }

  note(line: string): void {
    this.#trace.push(line)
    if (this.#trace.length > TRACE_LINES_MAX) this.#trace.shift()
  }

  count(what: string, by = 1): void {
    if (what !== 'records read') this.note(`- ${what}`)
    this.statistics.set(what, (this.statistics.get(what) ?? 0) + by)
  }

  // --- starts and ends ---

  async begin(random: Random): Promise<void> {
    // few entries fit into the smaller ones, and they are written anew all the time
    const fileBytes = JOURNAL_HEADER_BYTES + random.pick([3_000, 12_288])
    const roundsBeforeMade = random.chance(0.75) ? 0 : Number.POSITIVE_INFINITY
    this.#journal = { fileBytes, roundsBeforeMade, roundsBeforeNextTry: random.below(10) }
    const disk = new PowerCutDisk(random, { isSlow: true })
    await this.#start(disk, new PowerCutDatabases(random, disk), random)
  }

  async stop(random: Random): Promise<void> {
    const { engine, disk, databases } = this.life
    const topics = this.catalog.topics
    const described = await Promise.all(
      topics.map(({ name }) => engine.describePartitions(engine.findTopic(name) as Topic).catch(() => [])),
    )
    await within('a stop', engine.close())
    if (!disk.isUnplugged) {
      this.count('stops')
      // an offline partition's last group is lost or not
      for (const [at, topic] of topics.entries()) {
        for (const { partition, offline } of described[at] ?? []) {
          if (offline === undefined && !this.life.hadFaults) topic.partitions[partition]?.afterStop()
        }
      }
    }
    const next = disk.cut(disk.isUnplugged ? 'power' : 'process', random)
    this.#countFaults(disk)
    await this.#start(next, new PowerCutDatabases(random, next, databases.cut('stop', random)), random)
  }

  /** The power goes, or the process is killed, now or (the disk being unplugged already) a moment ago. */
  async crash(what: 'power' | 'process', random: Random): Promise<void> {
    const { engine, disk, databases } = this.life
    disk.unplug()
    databases.freeze()
    await within('the end of what has crashed', engine.close())
    this.count(what === 'power' ? 'power cuts' : 'kills')
    if (what === 'power') {
      for (const { partitions } of this.catalog.topics) for (const partition of partitions) partition.afterPowerCut()
    }
    const next = disk.cut(what, random)
    this.#countFaults(disk)
    await this.#start(next, new PowerCutDatabases(random, next, databases.cut(what, random)), random)
  }

  #countFaults({ faults }: PowerCutDisk): void {
    for (const [name, count] of [...faults.struck, ...faults.losses]) this.count(name, count)
  }

  /** Some starts meet faults or are cut themselves; the last one meets none. */
  async #start(disk: PowerCutDisk, databases: PowerCutDatabases, random: Random): Promise<void> {
    this.note('--- start')
    this.#countUses(disk)
    disk.faults.trace = (line) => this.note(line.replaceAll(`${this.#dataDir}/topics/`, ''))
    const trouble = random.next()
    const what = random.chance(0.7) ? 'power' : 'process'
    if (trouble < 0.15) {
      disk.faults.cutAfter(1 + random.below(30), () => {
        disk.unplug()
        databases.freeze()
      })
    } else if (trouble < 0.3) {
      disk.faults.failByChance(random.pick([0.02, 0.2]), random)
    }
    const engine = await this.#open(disk, databases)
    disk.faults.cancelCut()
    disk.faults.end()
    const wasCut = disk.isUnplugged
    assert.equal(this.#journalFailure, undefined)
    if (engine === undefined || wasCut) {
      assert.ok(wasCut || strikes(disk) > 0, 'a start fails only where the disk does')
      await engine?.close()
      this.count(wasCut ? 'starts cut' : 'starts failed')
      if (wasCut && what === 'power') {
        for (const { partitions } of this.catalog.topics) for (const partition of partitions) partition.afterPowerCut()
      }
      databases.freeze()
      const next = disk.cut(wasCut ? what : 'process', random)
      this.#countFaults(disk)
      return this.#start(
        next,
        new PowerCutDatabases(random, next, databases.cut(wasCut ? what : 'process', random)),
        random,
      )
    }
    const life = new Life(engine, disk, databases, 0)
    life.hadOtherFaults = strikes(disk) > 0
    this.#life = life
    this.catalog.resolve(engine)
    for (const topic of this.catalog.topics) await this.#checkTopic(topic, random)
  }

  async #open(disk: PowerCutDisk, databases: PowerCutDatabases): Promise<Engine | undefined> {
    const opening = openLocalEngine({
      dataDir: this.#dataDir,
      clock: this.clock,
      logger: this.#logger,
      telemetry: this.#telemetry,
      topicDefaults: DEFAULTS,
      numPartitions: 1,
      producerExpirationMs: 30 * 86_400_000,
      producerExpirationCheckMs: 600_000,
      retentionCheckIntervalMs: 300_000,
      offsetsRetentionCheckMs: 600_000,
      groups: { ...GROUP_OPTIONS, offsetsRetentionMs: 3650 * 86_400_000 },
      cleaner: { isEnabled: true, backoffMs: 15_000, dedupeBufferBytes: 1_048_576 },
      node: { id: 1, host: '127.0.0.1', port: 8082 },
      journal: this.#journal,
      disk,
      databases,
    })
    try {
      return await within('a start', opening)
    } catch (error) {
      if (error instanceof Endless || (strikes(disk) === 0 && !disk.isUnplugged)) throw error
      return undefined
    }
  }

  /** A journal that a power cut, a kill or a failing disk has left as a whole is replayed as a whole. */
  readonly #logger: Logger = {
    ...silentLogger,
    info: (_facts, message) => {
      if (message === 'replayed the commit journal') this.count('journal replays')
    },
    error: (_facts, message) => {
      this.note(`! ${message}`)
      if (/could not be replayed/.test(message)) this.#journalFailure = message
    },
  }

  /** An entry that is needed from a later number on than the first is in the second use of a file. */
  #countUses(disk: PowerCutDisk): void {
    const directory = journalDirectory(this.#dataDir)
    for (const name of disk.namesIn(directory)) {
      const bytes = disk.bytesOf(join(directory, name))
      const id = parseJournalId(bytes)
      if (id !== undefined && findEntries(bytes, id).some(({ neededFrom }) => neededFrom > 1)) {
        this.count('journals written anew')
      }
    }
  }

  // --- looking ---

  takers(topic: TopicPromises, partition: number): Takers {
    const names = this.life.disk.namesIn(`${this.#dataDir}/topics/${topic.name}-${partition}`)
    let activeBase = -1
    for (const name of names) {
      const parsed = parseNumberedName(name)
      if (parsed?.kind === 'log') activeBase = Math.max(activeBase, parsed.offset)
    }
    return { nowMs: this.clock.now(), configs: topic.configs, activeBase: activeBase < 0 ? OFFSET_MAX : activeBase }
  }

  async #checkTopic(topic: TopicPromises, random: Random): Promise<void> {
    const { engine } = this.life
    const handle = engine.findTopic(topic.name) as Topic
    for (const described of await engine.describePartitions(handle).catch((error) => this.#excuse(error) ?? [])) {
      if (described.offline !== undefined) {
        this.#excuse(described.offline)
        continue
      }
      const { partition, startOffset, endOffset } = described
      const promises = topic.partitions[partition]
      assert.ok(promises !== undefined)
      const about = (error: unknown) => {
        throw new Error(`${topic.name}-${partition}: ${(error as Error).message}`, { cause: error })
      }
      await this.#checkPartition(topic, handle, partition, startOffset, endOffset, random).catch(about)
    }
    if (!this.life.hadFaults) topic.configs = [handle.config]
  }

  async #checkPartition(
    topic: TopicPromises,
    handle: Topic,
    partition: number,
    start: number,
    end: number,
    random: Random,
  ): Promise<void> {
    const promises = topic.partitions[partition]
    assert.ok(promises !== undefined)
    promises.readBounds(start, end, promises.beginRead(), this.takers(topic, partition))
    const found: FoundRecord[] = []
    for (let offset = start; offset < end; ) {
      const read = await this.read(topic, handle, partition, offset, 1 + random.below(3_000))
      if (read === undefined) return
      found.push(...read.found)
      if (read.next === offset) break
      offset = read.next
    }
    promises.readAll(start, found)
    await this.#checkTimes(handle, partition, found, random)
  }

  /** The first record at or after a time, and the one with the largest. */
  async #checkTimes(topic: Topic, partition: number, found: readonly FoundRecord[], random: Random): Promise<void> {
    const { engine } = this.life
    const timestamp = this.clock.now() + random.below(20_000) - 18_000
    const first = found.find((one) => one.timestamp >= timestamp)
    const max = found.reduce<FoundRecord | undefined>(
      (best, one) => (best !== undefined && best.timestamp >= one.timestamp ? best : one),
      undefined,
    )
    const queries = [{ timestamp }, 'max_timestamp'] as const
    const answers = await engine
      .listOffsets(queries.map((at) => ({ topic, partition, at })))
      .catch((error) => this.#excuse(error))
    if (answers === undefined) return
    const told = answers.map(({ offset, timestamp: time }) => [offset, time])
    const place = (one: FoundRecord | undefined) => (one === undefined ? [-1, -1] : [one.offset, one.timestamp])
    assert.deepEqual(told, [place(first), place(max)], `the first record at ${timestamp}, and the last by time`)
  }

  /** A page from an offset on, held against the promises; undefined when the partition could not be read. */
  async read(
    topic: TopicPromises,
    handle: Topic,
    partition: number,
    offset: number,
    maxBytes: number,
  ): Promise<{ found: FoundRecord[]; next: number } | undefined> {
    const life = this.life
    const promises = topic.partitions[partition]
    assert.ok(promises !== undefined)
    const begun = promises.beginRead()
    const options = { minBytes: 1, maxBytes, maxWaitMs: 0, isolation: 'read_committed' } as const
    const [fetched] = await life.engine.fetch([{ topic: handle, partition, offset }], options)
    if (life.isOver || topic.isDying) return undefined
    assert.ok(fetched !== undefined)
    const { error, bytes, logStartOffset, highWatermark } = fetched
    if (error !== undefined && error.code !== 'offset_out_of_range') {
      this.#excuse(error)
      return undefined
    }
    const takers = this.takers(topic, partition)
    promises.readBounds(logStartOffset, highWatermark, begun, takers)
    if (error !== undefined) {
      assert.ok(offset < logStartOffset || offset > highWatermark, `${offset} is out of range: ${error.message}`)
      return { found: [], next: logStartOffset }
    }
    const { found, next } = recordsIn(bytes, offset)
    this.count('records read', found.length)
    assert.ok(next <= highWatermark, 'nothing behind the end is read')
    promises.readRecords(offset, next, found, begun, takers)
    if (next === offset && offset < highWatermark) {
      // nothing but what compaction took
      promises.readRecords(offset, highWatermark, [], begun, takers)
    }
    return { found, next }
  }

  /** Storage may fail only after a fault, and only in words that are known. */
  #excuse(error: unknown): undefined {
    const { code } = error as { code?: string }
    assert.ok(
      isStorageFailure(code) && this.life.hadFaults,
      `failed without a fault, or unexpectedly: ${(error as Error).stack}`,
    )
    return undefined
  }
}

/** What a failing disk, a full one, or a lack of descriptors is called. */
export function isStorageFailure(code: string | undefined): boolean {
  return code === 'kafka_storage_error' || code === 'disk_full' || code === 'overloaded'
}

const reader = new RecordReader()

function recordsIn(bytes: Buffer, from: number): { found: FoundRecord[]; next: number } {
  const found: FoundRecord[] = []
  let next = from
  for (let position = 0; position < bytes.length; position = reader.batchEnd) {
    reader.open(bytes, position)
    while (reader.next()) {
      if (reader.offset < from) continue
      const text = (start: number, end: number) => (start < 0 ? null : reader.bytes.toString('utf8', start, end))
      found.push({
        offset: reader.offset,
        id: Buffer.from(reader.headers()[0]?.value ?? []).toString(),
        key: text(reader.keyStart, reader.keyEnd),
        value: text(reader.valueStart, reader.valueEnd),
        timestamp: reader.timestamp,
      })
    }
    next = Math.max(next, reader.lastOffset + 1)
  }
  return { found, next }
}

/** Waits for what needs next to no time, only turns of the event loop. */
export async function within<Result>(what: string, work: Promise<Result>): Promise<Result> {
  let isDone = false
  const done = () => {
    isDone = true
  }
  work.then(done, done)
  const started = performance.now()
  for (let turns = 0; !isDone; turns++) {
    if (turns < TURNS_WITHOUT_PAUSE) await new Promise((resolve) => setImmediate(resolve))
    else if (performance.now() - started < WAIT_MS_MAX) await new Promise((resolve) => setTimeout(resolve, 1))
    else throw new Endless(`${what} does not end`)
  }
  return work
}

class Endless extends Error {}
