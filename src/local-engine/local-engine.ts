// A5: the Engine contract on this machine's own log. It finds the partition, hands sealed batches to its log, and waits
// for readers' bytes (F1). What must hold: a Topic object of an earlier incarnation never reaches another's files; topics
// are changed one at a time; nothing is seen before it is durable.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type Database from 'better-sqlite3'
import type {
  Acks,
  AppendListener,
  BatchAppended,
  ClusterDescription,
  Engine,
  FetchedPartition,
  FetchOptions,
  FetchPosition,
  OffsetFound,
  OffsetQuery,
  PartitionDescription,
  ProducerPartitionState,
  Topic,
  TopicSpec,
} from '../engine/engine.ts'
import { storedCodec } from '../engine/stored-codec.ts'
import type { TopicConfigDefaults } from '../engine/topic-config.ts'
import { parseTopicConfig } from '../engine/topic-config.ts'
import { checkTopicName } from '../engine/topic-name.ts'
import type { Clock } from '../kernel/clock.ts'
import { steadyClock } from '../kernel/clock.ts'
import { ClockWatch } from '../kernel/clock-watch.ts'
import { asTailraceError, TailraceError } from '../kernel/errors.ts'
import { PARTITIONS_MAX, TOPIC_PARTITIONS_MAX } from '../kernel/limits.ts'
import type { Logger } from '../kernel/logger.ts'
import { SerialQueue } from '../kernel/serial-queue.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import { lockDirectory } from '../log/directory-lock.ts'
import { compactedSegmentMs } from '../log/log-compaction.ts'
import type { LogIdentity } from '../log/log-manager.ts'
import { LogManager } from '../log/log-manager.ts'
import { bytesOlderThan, rollJitterMs } from '../log/log-segment.ts'
import { MaintenanceScheduler } from '../log/maintenance-scheduler.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import type { ProducerEntry } from '../log/producer-state.ts'
import type { SegmentDisk } from '../log/segment-file.ts'
import { realDisk } from '../log/segment-file.ts'
import { findKeylessRecord } from '../record/batch-check.ts'
import type { SealedBatch } from '../record/record-batch.ts'
import { AppendLines } from './append-lines.ts'
import { DelayedFetches } from './delayed-fetch.ts'
import { DiskReserve } from './disk-reserve.ts'
import { InFlightProducers } from './in-flight-producers.ts'
import type { MetaCommits } from './meta-writer.ts'
import { PartitionFetcher } from './partition-fetcher.ts'
import { TopicCatalog } from './topic-catalog.ts'
import { sweepTopicFolders } from './topic-folders.ts'

export interface LocalEngineOptions {
  readonly dataDir: string
  readonly clock: Clock
  readonly logger: Logger
  readonly telemetry: Telemetry
  readonly topicDefaults: TopicConfigDefaults
  readonly numPartitions: number
  /** producer.id.expiration.ms and producer.id.expiration.check.interval.ms. */
  readonly producerExpirationMs: number
  readonly producerExpirationCheckMs: number
  readonly retentionCheckIntervalMs: number
  /** How this server is known to clients that ask for brokers. */
  readonly node: { readonly id: number; readonly host: string; readonly port: number }
  readonly cleaner: {
    readonly isEnabled: boolean
    readonly backoffMs: number
    readonly dedupeBufferBytes: number
  }
  readonly disk?: SegmentDisk
  /** Kept of the disk for the way out of a full one; none if it is left out. */
  readonly reserveBytes?: number
  /** That may be open at once. */
  readonly segmentFilesMax?: number
  /** meta.db and index.db, when they are not files in the data directory: what a power cut leaves of them is simulated. */
  readonly databases?: EngineDatabases
}

export interface EngineDatabases {
  openMeta(): Database.Database
  readonly metaCommits: MetaCommits
  openIndex(): Database.Database
}

/** The first check of retention comes when a start is over, as Kafka's does. */
const FIRST_RETENTION_CHECK_MS = 30_000

const CLOCK_LOOK_MS = 10_000
/** Between two checks of compaction, each of which looks at all partitions, though log.cleaner.backoff.ms be 0. */
const COMPACTION_PAUSE_MS_MIN = 10

/** Partitions opened in one turn of the event loop. */
const OPENED_PER_TURN = 128

export async function openLocalEngine(options: LocalEngineOptions): Promise<Engine> {
  const unlock = lockDirectory(options.dataDir)
  const { dataDir, reserveBytes: bytes = 0, clock, logger } = options
  const reserve = new DiskReserve({ dataDir, bytes, clock, logger })
  try {
    return await reserve.withRoom(() => openParts(options, reserve, unlock))
  } catch (error) {
    await reserve.close()
    unlock()
    throw error
  }
}

async function openParts(options: LocalEngineOptions, reserve: DiskReserve, unlock: () => void): Promise<Engine> {
  const { dataDir, topicDefaults: defaults, producerExpirationMs, databases } = options
  // what is remembered of producers goes by it, here and in the logs
  const steady = steadyClock(options.clock)
  const meta = databases && { open: databases.openMeta, commits: databases.metaCommits }
  const catalog = new TopicCatalog({ dataDir, defaults, clock: steady, producerExpirationMs, meta })
  try {
    return await LocalEngine.open(options, { catalog, reserve, unlock, steady })
  } catch (error) {
    await catalog.close()
    throw error
  }
}

interface EngineParts {
  readonly catalog: TopicCatalog
  readonly reserve: DiskReserve
  readonly unlock: () => void
  readonly steady: Clock
}

class LocalEngine implements Engine {
  readonly capabilities = { name: 'local', replicationFactorMax: 1, namedProducers: true } as const

  readonly #options: LocalEngineOptions
  readonly #catalog: TopicCatalog
  readonly #reserve: DiskReserve
  readonly #unlock: () => void
  readonly #steady: Clock
  readonly #logs: LogManager
  readonly #lines = new AppendLines()
  /** Found without a look-up by name: a fetch may be for thousands of a topic's partitions. */
  readonly #logsOf = new WeakMap<Topic, PartitionLog[]>()
  readonly #waiting: DelayedFetches<PartitionLog>
  readonly #fetcher: PartitionFetcher
  readonly #maintenance: MaintenanceScheduler
  readonly #inFlight = new InFlightProducers()
  readonly #topicChanges = new SerialQueue()
  readonly #listeners = new Set<AppendListener>()
  readonly #sweeping = new Set<Promise<void>>()
  #closing: Promise<void> | undefined

  static async open(options: LocalEngineOptions, parts: EngineParts): Promise<LocalEngine> {
    const engine = new LocalEngine(options, parts)
    try {
      await engine.#start()
      return engine
    } catch (error) {
      await engine.#logs.close()
      throw error
    }
  }

  private constructor(options: LocalEngineOptions, { catalog, reserve, unlock, steady }: EngineParts) {
    const { clock, telemetry, logger } = options
    this.#steady = steady
    this.#options = options
    this.#catalog = catalog
    this.#reserve = reserve
    this.#unlock = unlock
    this.#waiting = new DelayedFetches({ clock, telemetry })
    this.#fetcher = new PartitionFetcher({
      clock,
      waiting: this.#waiting,
      leaderEpoch: catalog.startNumber,
      getLog: (topic, partition) => {
        this.#checkPartition(topic, partition)
        return this.#log(topic, partition)
      },
      whyGone: (topic) => this.#whyGone(topic),
      isClosing: () => this.#closing !== undefined,
    })
    this.#maintenance = new MaintenanceScheduler({ clock, logger })
    this.#logs = new LogManager({
      dataDir: options.dataDir,
      disk: options.disk ?? realDisk,
      clock,
      steady,
      logger,
      telemetry,
      segmentFilesMax: options.segmentFilesMax,
      isForgotten: (entry) => this.#isForgotten(entry),
      leaderEpoch: catalog.startNumber,
      settings: (identity) => this.#settings(identity),
      logStartOffset: ({ topicId, partition }) => catalog.logStartOffset(topicId, partition),
      cleaningGeneration: ({ topicId, partition }) => catalog.cleaningGeneration(topicId, partition),
      setCleaningGeneration: ({ topicId, partition }, generation) =>
        catalog.setCleaningGeneration(topicId, partition, generation),
      checkpointIndex: (path) => catalog.checkpoint(path),
      ...(options.databases === undefined ? {} : { openIndex: options.databases.openIndex }),
      onSynced: (identity, highWatermark, bytes) => this.#synced(identity, highWatermark, bytes),
    })
  }

  async #start(): Promise<void> {
    const disk = this.#options.disk ?? realDisk
    await disk.makeDirectory(this.#logs.topicsDirectory)
    await this.#reserve.withRoom(() =>
      sweepTopicFolders({ disk, catalog: this.#catalog, logs: this.#logs, logger: this.#options.logger }),
    )
    await this.#recover()
    void this.#reserve.take()
    this.#maintain()
  }

  /** While its name is known a partition forgets no producer: some partitions would take a repeat for new, others not. */
  #isForgotten({ producerId, lastSeenMs }: ProducerEntry): boolean {
    const { producerExpirationMs } = this.#options
    return lastSeenMs < this.#steady.now() - producerExpirationMs && !this.#catalog.producers.has(producerId)
  }

  #maintain(): void {
    const { clock, logger, telemetry, retentionCheckIntervalMs, producerExpirationCheckMs } = this.#options
    const watch = new ClockWatch({ clock, logger, telemetry })
    this.#maintenance.add({ name: 'clock', firstMs: CLOCK_LOOK_MS, everyMs: CLOCK_LOOK_MS, run: () => watch.look() })
    this.#maintenance.add({
      name: 'retention',
      firstMs: Math.min(FIRST_RETENTION_CHECK_MS, retentionCheckIntervalMs),
      everyMs: retentionCheckIntervalMs,
      run: (signal) => this.#logs.retain(this.#identities(), signal),
    })
    this.#maintenance.add({
      name: 'producers',
      firstMs: producerExpirationCheckMs,
      everyMs: producerExpirationCheckMs,
      run: async (signal) => {
        await this.#catalog.producers.forgetSilent(signal)
        await this.#logs.forgetProducers(signal)
      },
    })
    const { isEnabled, backoffMs, dedupeBufferBytes } = this.#options.cleaner
    if (!isEnabled) return
    const compacted = {
      list: () => this.#identities(),
      isCompacted: ({ topicId }: LogIdentity) => this.#catalog.findById(topicId)?.config.cleanupPolicy.compact === true,
    }
    this.#maintenance.add({
      name: 'compaction',
      firstMs: backoffMs,
      everyMs: Math.max(backoffMs, COMPACTION_PAUSE_MS_MIN),
      run: (signal) => this.#logs.compact(compacted, dedupeBufferBytes, signal),
    })
  }

  async #recover(): Promise<void> {
    try {
      await this.#reserve.withRoom(() => this.#logs.recover(this.#identities()))
    } catch (error) {
      // a partition that finds no room even so has said it, and is opened when it is asked for
      if (!(error instanceof TailraceError && error.code === 'disk_full')) throw error
    }
  }

  /** Whoever takes them one by one, with pauses, gets none of a topic that was deleted meanwhile. */
  *#identities(): Generator<LogIdentity> {
    for (const topic of this.#catalog.list()) {
      for (let partition = 0; partition < topic.partitionCount; partition++) {
        if (this.#catalog.findById(topic.id) !== undefined) yield identify(topic, partition)
      }
    }
  }

  #settings({ topicId, partition }: LogIdentity) {
    const config = this.#catalog.findById(topicId)?.config ?? parseTopicConfig({}, this.#options.topicDefaults)
    const { segmentBytes, indexIntervalBytes, maxMessageBytes, fileDeleteDelayMs, cleanupPolicy } = config
    const { segmentJitterMs } = config
    const segmentMs = cleanupPolicy.compact
      ? compactedSegmentMs(config.segmentMs, config.maxCompactionLagMs)
      : config.segmentMs
    return {
      segmentBytes,
      segmentMs: segmentMs - rollJitterMs(`${topicId}-${partition}`, { segmentMs, segmentJitterMs }),
      indexIntervalBytes,
      maxMessageBytes,
      fileDeleteDelayMs,
      logAppendTime: config.messageTimestampType === 'LogAppendTime',
      retentionMs: cleanupPolicy.delete ? config.retentionMs : Infinity,
      retentionBytes: cleanupPolicy.delete ? config.retentionBytes : Infinity,
      compaction: cleanupPolicy.compact ? config : undefined,
    }
  }

  #synced(identity: LogIdentity, highWatermark: number, bytes: number): void {
    const log = this.#logs.find(identity)
    if (log !== undefined) this.#waiting.appended(log, bytes)
    if (this.#listeners.size === 0) return
    const topic = this.#catalog.findById(identity.topicId)
    if (topic === undefined) return
    for (const listener of this.#listeners) listener(topic, identity.partition, highWatermark)
  }

  cluster(): ClusterDescription {
    const { node } = this.#options
    return { clusterId: this.#catalog.clusterId, controllerId: node.id, brokers: [node] }
  }

  findTopic(name: string): Topic | undefined {
    return this.#catalog.find(name)
  }

  listTopics(): readonly Topic[] {
    return this.#catalog.list()
  }

  createTopic(spec: TopicSpec): Promise<Topic> {
    return this.#topicChanges.run(async () => {
      checkTopicName(spec.name)
      const partitionCount = spec.partitionCount ?? this.#options.numPartitions
      this.#checkPartitionCount(partitionCount, partitionCount)
      const factor = spec.replicationFactor ?? -1
      if (factor !== 1 && factor !== -1) throw badReplicationFactor(factor)
      parseTopicConfig(spec.configs ?? {}, this.#options.topicDefaults)
      if (this.#catalog.find(spec.name) !== undefined) {
        throw new TailraceError('topic_already_exists', `Topic '${spec.name}' already exists.`, { topic: spec.name })
      }
      const { name, configs = {} } = spec
      const topic = await this.#catalog.create(name, partitionCount, configs, this.#options.clock.now())
      const partitions = partitionCount === 1 ? '1 partition' : `${partitionCount} partitions`
      this.#tell(topic, `was created: ${[partitions, ...settingsOf(configs)].join(', ')}`)
      return topic
    })
  }

  #checkPartitionCount(partitionCount: number, added: number): void {
    if (!Number.isInteger(partitionCount) || partitionCount < 1 || partitionCount > TOPIC_PARTITIONS_MAX) {
      throw new TailraceError(
        'invalid_partitions',
        `Number of partitions was set to ${partitionCount}: it must be a whole number from 1 to ${TOPIC_PARTITIONS_MAX}.`,
        { partitions: partitionCount, min: 1, max: TOPIC_PARTITIONS_MAX },
      )
    }
    const total = this.#catalog.partitionCount() + added
    if (total > PARTITIONS_MAX) {
      throw new TailraceError(
        'invalid_partitions',
        `${total} partitions in all would be more than ${PARTITIONS_MAX}.`,
        {
          max: PARTITIONS_MAX,
        },
      )
    }
  }

  growTopic(name: string, partitionCount: number): Promise<Topic> {
    return this.#topicChanges.run(async () => {
      const topic = this.#get(name)
      this.#checkPartitionCount(partitionCount, partitionCount - topic.partitionCount)
      if (partitionCount <= topic.partitionCount) throw badGrowth(topic, partitionCount)
      // where named producers' requests were placed depends on the count: they finish first, new ones are sent back
      return this.#inFlight.whileNone(topic.id, async () => {
        const last = new Map<bigint, { epoch: number; sequence: number }>()
        for (const log of await this.#openAll(topic)) {
          for (const entry of log.producers()) {
            const sequence = entry.batches.at(-1)?.baseSequence ?? -1
            const known = last.get(entry.producerId)
            const newer = known === undefined || entry.epoch > known.epoch
            if (newer || (entry.epoch === known.epoch && sequence > known.sequence)) {
              last.set(entry.producerId, { epoch: entry.epoch, sequence })
            }
          }
        }
        const grown = await this.#catalog.grow(topic, partitionCount, last)
        this.#tell(topic, `was altered: ${partitionCount} partitions, ${topic.partitionCount} before`)
        return grown
      })
    })
  }

  alterTopicConfigs(name: string, changes: Readonly<Record<string, string | null>>): Promise<Topic> {
    return this.#topicChanges.run(async () => {
      const topic = await this.#reserve.withRoom(() => this.#catalog.alter(this.#get(name), changes))
      this.#tell(topic, `was altered: ${settingsOf(changes).join(', ')}`)
      return topic
    })
  }

  #tell({ name, id }: Topic, what: string): void {
    this.#options.logger.info({ topic: name, id }, `topic ${name} ${what}`)
  }

  deleteTopic(name: string): Promise<void> {
    return this.#topicChanges.run(async () => {
      const topic = this.#get(name)
      await this.#reserve.withRoom(() => this.#catalog.delete(topic))
      this.#tell(topic, 'was deleted')
      const folders = await this.#retire(topic)
      if (folders === undefined) return
      const sweep: Promise<void> = this.#sweep(topic.id, folders).finally(() => this.#sweeping.delete(sweep))
      this.#sweeping.add(sweep)
    })
  }

  /**
   * Moves the folders of a topic that is deleted already out of the way. What keeps one there undoes no deletion: undefined
   * then, and the next start clears up.
   */
  async #retire(topic: Topic): Promise<readonly string[] | undefined> {
    const folders: string[] = []
    const failures: unknown[] = []
    const fail = (error: unknown) => {
      failures.push(error)
    }
    for (let partition = 0; partition < topic.partitionCount; partition++) {
      const identity = identify(topic, partition)
      const log = this.#logs.find(identity)
      const folder = await this.#logs.retire(identity).catch(fail)
      if (folder !== undefined) folders.push(folder)
      if (log !== undefined) this.#waiting.wakeAll(log)
      if (partition % OPENED_PER_TURN === OPENED_PER_TURN - 1) await nextTurn()
    }
    await (this.#options.disk ?? realDisk).syncDirectory(this.#logs.topicsDirectory).catch(fail)
    if (failures.length === 0) return folders
    this.#warnOfRest(failures[0])
    return undefined
  }

  /** Unlinks what a deleted topic has left; what fails is tried again at the next start. */
  async #sweep(topicId: string, folders: readonly string[]): Promise<void> {
    try {
      for (const folder of folders) await (this.#options.disk ?? realDisk).remove(folder)
      await this.#catalog.forgetDeleted(topicId)
      void this.#reserve.take()
    } catch (error) {
      this.#warnOfRest(error)
    }
  }

  #warnOfRest(error: unknown): void {
    this.#options.logger.warn({ err: error }, 'files of a deleted topic are left until the next start')
  }

  async describePartitions(topic: Topic): Promise<readonly PartitionDescription[]> {
    const logs = await this.#openAll(topic)
    const nodes = [this.#options.node.id]
    const { cleanupPolicy, retentionMs } = topic.config
    const keptFromMs = cleanupPolicy.delete ? this.#options.clock.now() - retentionMs : Number.NEGATIVE_INFINITY
    return logs.map((log, partition) => {
      const { logStartOffset, highWatermark } = log.bounds
      return {
        partition,
        startOffset: logStartOffset,
        endOffset: highWatermark,
        sizeBytes: log.sizeBytes,
        expiredBytes: bytesOlderThan(log.segments, keptFromMs),
        leader: log.offline === undefined ? this.#options.node.id : -1,
        replicas: nodes,
        isr: log.offline === undefined ? nodes : [],
        offline: log.offline,
        corrupt: log.corrupt,
      }
    })
  }

  /** The logs of a topic's partitions, open. It may be deleted meanwhile, and another may have its folders then. */
  async #openAll(topic: Topic): Promise<PartitionLog[]> {
    const logs: PartitionLog[] = []
    for (let partition = 0; partition < topic.partitionCount; partition++) {
      this.#checkCurrent(topic)
      const log = this.#log(topic, partition)
      logs.push(log)
      if (log.isOpen) continue
      await log.open()
      if (partition % OPENED_PER_TURN === OPENED_PER_TURN - 1) await nextTurn()
    }
    return logs
  }

  append(
    topic: Topic,
    partition: number,
    batches: readonly SealedBatch[],
    acks: Acks,
  ): Promise<readonly BatchAppended[]> {
    const current = this.#catalog.findById(topic.id)
    if (current === undefined) return Promise.reject(this.#gone(topic))
    if (!hasPartition(current, partition)) return Promise.reject(unknownPartition(current, partition))
    try {
      if (current.config.cleanupPolicy.compact) checkKeys(current, partition, batches)
    } catch (error) {
      return Promise.reject(asTailraceError(error))
    }
    const place = { topic: current, partition, log: this.#log(current, partition) }
    if (!batches.some((batch) => batch.header.producerId >= 0n)) return this.#store(place, batches, acks)
    if (topic.partitionCount !== current.partitionCount || this.#inFlight.isHeld(topic.id)) {
      return Promise.reject(
        new TailraceError('request_cancelled', `topic ${topic.name} has grown: place the request again`),
      )
    }
    return this.#inFlight.during(topic.id, this.#store(place, batches, acks))
  }

  #store(place: Place, batches: readonly SealedBatch[], acks: Acks): Promise<readonly BatchAppended[]> {
    const { topic, partition, log } = place
    const { maxMessageBytes } = topic.config
    const codec = storedCodec(topic.config)
    const handOn = (stored: readonly SealedBatch[]) => {
      const tooLarge = stored.find((batch) => batch.bytes.length > maxMessageBytes)
      if (tooLarge !== undefined) return Promise.reject(batchTooLarge(topic, partition, tooLarge))
      return log.append(stored, acks)
    }
    if (codec === undefined && !this.#lines.has(log)) return handOn(batches)
    return this.#lines.append(log, {
      batches,
      codec,
      maxMessageBytes,
      acks,
      handOn: (stored) =>
        this.#catalog.findById(topic.id) === undefined ? Promise.reject(this.#gone(topic)) : handOn(stored),
    })
  }

  fetch(positions: readonly FetchPosition[], options: FetchOptions): Promise<readonly FetchedPartition[]> {
    return this.#fetcher.fetch(positions, options)
  }

  onAppend(listener: AppendListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async listOffsets(queries: readonly OffsetQuery[]): Promise<readonly OffsetFound[]> {
    const found: OffsetFound[] = []
    for (const query of queries) found.push(await this.#listOffset(query))
    return found
  }

  async #listOffset({ topic, partition, at }: OffsetQuery): Promise<OffsetFound> {
    this.#checkPartition(topic, partition)
    const log = this.#log(topic, partition)
    if (!log.isOpen) await log.open()
    if (log.offline !== undefined) throw log.offline
    const leaderEpoch = this.#catalog.startNumber
    if (at === 'earliest') return { partition, offset: log.bounds.logStartOffset, timestamp: -1, leaderEpoch }
    if (at === 'latest') return { partition, offset: log.bounds.highWatermark, timestamp: -1, leaderEpoch }
    const record = await (at === 'max_timestamp' ? log.findMaxTimestamp() : log.findByTimestamp(at.timestamp))
    return { partition, offset: record?.offset ?? -1, timestamp: record?.timestamp ?? -1, leaderEpoch }
  }

  deleteRecords(topic: Topic, partition: number, beforeOffset: number): Promise<{ readonly logStartOffset: number }> {
    return this.#topicChanges.run(async () => {
      this.#checkPartition(topic, partition)
      checkDeletable(this.#catalog.findById(topic.id) ?? topic)
      const log = this.#log(topic, partition)
      await log.open()
      if (log.offline !== undefined) throw log.offline
      const { logStartOffset, highWatermark } = log.bounds
      const target = beforeOffset === -1 ? highWatermark : beforeOffset
      if (!Number.isSafeInteger(target) || target < 0 || target > highWatermark) {
        throw new TailraceError(
          'offset_out_of_range',
          `records before ${beforeOffset} cannot be deleted: partition ${partition} holds ${logStartOffset} to ${highWatermark}`,
          { offset: beforeOffset, start_offset: logStartOffset, end_offset: highWatermark },
        )
      }
      if (target > logStartOffset) {
        await this.#reserve.withRoom(() => this.#catalog.setLogStartOffset(topic, partition, target))
        log.raiseLogStartOffset(target)
      }
      return { logStartOffset: log.bounds.logStartOffset }
    })
  }

  withProducerId<Result>(name: string, work: (producerId: bigint) => Promise<Result>): Promise<Result> {
    return this.#catalog.producers.use(name, work)
  }

  async producerState(topic: Topic, producerId: bigint): Promise<readonly ProducerPartitionState[]> {
    const states: ProducerPartitionState[] = []
    for (const [partition, log] of (await this.#openAll(topic)).entries()) {
      const entry = log.producer(producerId)
      if (entry !== undefined) states.push({ partition, epoch: entry.epoch, batches: entry.batches })
    }
    return states
  }

  #log(topic: Topic, partition: number): PartitionLog {
    let logs = this.#logsOf.get(topic)
    if (logs === undefined) {
      logs = []
      this.#logsOf.set(topic, logs)
    }
    logs[partition] ??= this.#logs.log(identify(topic, partition))
    return logs[partition]
  }

  #get(name: string): Topic {
    const topic = this.#catalog.find(name)
    if (topic === undefined) {
      throw new TailraceError('unknown_topic_or_partition', `there is no topic ${name}`, { topic: name })
    }
    return topic
  }

  #checkCurrent(topic: Topic): void {
    if (this.#catalog.findById(topic.id) === undefined) throw this.#gone(topic)
  }

  #whyGone(topic: Topic): TailraceError | undefined {
    return this.#catalog.findById(topic.id) === undefined ? this.#gone(topic) : undefined
  }

  #checkPartition(topic: Topic, partition: number): void {
    const current = this.#catalog.findById(topic.id)
    if (current === undefined) throw this.#gone(topic)
    if (!hasPartition(current, partition)) throw unknownPartition(current, partition)
  }

  #gone(topic: Topic): TailraceError {
    const again = this.#catalog.find(topic.name) !== undefined
    if (again) {
      return new TailraceError('topic_recreated', `topic ${topic.name} was deleted and made again`, {
        topic: topic.name,
      })
    }
    return new TailraceError('unknown_topic_or_partition', `there is no topic ${topic.name} any more`, {
      topic: topic.name,
    })
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const maintained = this.#maintenance.close()
    await this.#topicChanges.idle()
    this.#waiting.close()
    await this.#lines.idle()
    await this.#logs.close()
    await maintained
    await Promise.all(this.#sweeping)
    await this.#catalog.close()
    await this.#reserve.close()
    this.#unlock()
  }
}

/** Where an append goes: the topic as it is at the time of the call. */
interface Place {
  readonly topic: Topic
  readonly partition: number
  readonly log: PartitionLog
}

function settingsOf(changes: Readonly<Record<string, string | null>>): string[] {
  return Object.entries(changes).map(([name, value]) =>
    value === null ? `${name} back to its default` : `${name}=${value}`,
  )
}

function identify(topic: Topic, partition: number): LogIdentity {
  return { topicId: topic.id, topicName: topic.name, partition }
}

function hasPartition(topic: Topic, partition: number): boolean {
  return Number.isInteger(partition) && partition >= 0 && partition < topic.partitionCount
}

function unknownPartition(topic: Topic, partition: number): TailraceError {
  return new TailraceError(
    'unknown_topic_or_partition',
    `topic ${topic.name} has no partition ${partition}: it has 0 to ${topic.partitionCount - 1}`,
    { topic: topic.name, partition, partition_count: topic.partitionCount },
  )
}

function batchTooLarge(topic: Topic, partition: number, batch: SealedBatch): TailraceError {
  const limit = topic.config.maxMessageBytes
  return new TailraceError(
    'message_too_large',
    `a batch of ${batch.bytes.length} bytes for partition ${partition} of ${topic.name} is over max.message.bytes ${limit}`,
    { partition, size_bytes: batch.bytes.length, limit_bytes: limit },
  )
}

/** A record without a key could never be overtaken by another. */
function checkKeys(topic: Topic, partition: number, batches: readonly SealedBatch[]): void {
  for (const [batch, sealed] of batches.entries()) {
    const record = findKeylessRecord(sealed)
    if (record < 0) continue
    throw new TailraceError(
      'invalid_record',
      `Compacted topic cannot accept message without key in topic partition ${topic.name}-${partition}: record ${record} of the batch has none`,
      { topic: topic.name, partition, batch, record },
    )
  }
}

function badReplicationFactor(factor: number): TailraceError {
  const message =
    factor < 1
      ? 'Replication factor must be larger than 0, or -1 to use the default.'
      : `Unable to replicate the partition ${factor} time(s): The target replication factor of ${factor} cannot be reached because only 1 broker(s) are registered.`
  return new TailraceError('invalid_replication_factor', message, { replication_factor: factor, allowed: [1, -1] })
}

function badGrowth(topic: Topic, partitionCount: number): TailraceError {
  return new TailraceError(
    'invalid_partitions',
    partitionCount === topic.partitionCount
      ? `Topic already has ${partitionCount} partition(s).`
      : `The topic ${topic.name} currently has ${topic.partitionCount} partition(s); ${partitionCount} would not be an increase.`,
    { partitions: partitionCount, current: topic.partitionCount },
  )
}

/** As Kafka does: of a topic that is only compacted every key keeps its newest record. */
function checkDeletable({ name, config: { cleanupPolicy } }: Topic): void {
  if (cleanupPolicy.delete || !cleanupPolicy.compact) return
  throw new TailraceError(
    'policy_violation',
    `records of topic ${name} cannot be deleted: its cleanup.policy is compact (compact,delete allows it; a record without a value deletes its key)`,
    { topic: name, cleanup_policy: 'compact' },
  )
}
