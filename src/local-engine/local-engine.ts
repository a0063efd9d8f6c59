// A5: the Engine contract on this machine's own log: its parts put together, opened and closed, and each verb handed to
// the part that does it. What must hold: nothing is seen before it is durable.

import { randomUUID } from 'node:crypto'
import type Database from 'better-sqlite3'
import type { GroupOptions } from '../coordinator/group-coordinator.ts'
import { GroupCoordinator } from '../coordinator/group-coordinator.ts'
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
import type { TopicConfigDefaults } from '../engine/topic-config.ts'
import { parseTopicConfig } from '../engine/topic-config.ts'
import type { Clock } from '../kernel/clock.ts'
import { steadyClock } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import { CleanerThread } from '../log/cleaner-thread.ts'
import { lockDirectory } from '../log/directory-lock.ts'
import type { LogIdentity } from '../log/log-identity.ts'
import type { LogManagerOptions } from '../log/log-manager.ts'
import { LogManager } from '../log/log-manager.ts'
import { MaintenanceScheduler } from '../log/maintenance-scheduler.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import type { ProducerEntry } from '../log/producer-state.ts'
import type { SegmentDisk } from '../log/segment-file.ts'
import { realDisk } from '../log/segment-file.ts'
import type { SealedBatch } from '../record/record-batch.ts'
import { DelayedFetches } from './delayed-fetch.ts'
import { DiskReserve } from './disk-reserve.ts'
import { InFlightProducers } from './in-flight-producers.ts'
import { logSettings } from './log-settings.ts'
import type { MaintenanceOptions } from './maintenance-jobs.ts'
import { maintenanceJobs } from './maintenance-jobs.ts'
import type { MetaCommits } from './meta-writer.ts'
import { PartitionAppender } from './partition-appender.ts'
import { PartitionFetcher } from './partition-fetcher.ts'
import { PartitionQueries } from './partition-queries.ts'
import { TopicCatalog } from './topic-catalog.ts'
import { TopicChanges } from './topic-changes.ts'
import { sweepTopicFolders } from './topic-folders.ts'
import { TopicLogs } from './topic-logs.ts'

export interface LocalEngineOptions extends MaintenanceOptions {
  readonly dataDir: string
  readonly topicDefaults: TopicConfigDefaults
  readonly numPartitions: number
  /** producer.id.expiration.ms. */
  readonly producerExpirationMs: number
  readonly groups: GroupOptions
  /** How this server is known to clients that ask for brokers. */
  readonly node: { readonly id: number; readonly host: string; readonly port: number }
  readonly disk?: SegmentDisk
  /** Kept of the disk for the way out of a full one; none if it is left out. */
  readonly reserveBytes?: number
  /** That may be open at once. */
  readonly segmentFilesMax?: number
  readonly journal?: LogManagerOptions['journal']
  /** meta.db and index.db, when they are not files in the data directory: what a power cut leaves of them is simulated. */
  readonly databases?: EngineDatabases
}

export interface EngineDatabases {
  openMeta(): Database.Database
  readonly metaCommits: MetaCommits
  openIndex(): Database.Database
}

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
  // what is remembered of producers and groups goes by it, here and in the logs
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
  readonly capabilities = { name: 'local', replicationFactorMax: 1, namedProducers: true, isShared: false } as const
  readonly groups: GroupCoordinator

  readonly #options: LocalEngineOptions
  readonly #catalog: TopicCatalog
  readonly #reserve: DiskReserve
  readonly #unlock: () => void
  readonly #steady: Clock
  readonly #disk: SegmentDisk
  readonly #logs: LogManager
  readonly #topicLogs: TopicLogs
  readonly #waiting: DelayedFetches<PartitionLog>
  readonly #appender: PartitionAppender
  readonly #fetcher: PartitionFetcher
  readonly #queries: PartitionQueries
  readonly #changes: TopicChanges
  readonly #maintenance: MaintenanceScheduler
  readonly #listeners = new Set<AppendListener>()
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

  private constructor(options: LocalEngineOptions, parts: EngineParts) {
    const { clock, telemetry, logger, topicDefaults, numPartitions, node, disk = realDisk } = options
    const { catalog, reserve } = parts
    this.#options = options
    this.#catalog = catalog
    this.#reserve = reserve
    this.#unlock = parts.unlock
    this.#steady = parts.steady
    this.#disk = disk
    const logs = this.#makeLogs()
    const topicLogs = new TopicLogs({ catalog, logs })
    const waiting = new DelayedFetches<PartitionLog>({ clock, telemetry })
    const inFlight = new InFlightProducers()
    const leaderEpoch = catalog.startNumber
    this.#logs = logs
    this.#topicLogs = topicLogs
    this.#waiting = waiting
    this.#appender = new PartitionAppender({ logs: topicLogs, inFlight })
    const isClosing = () => this.#closing !== undefined
    this.#fetcher = new PartitionFetcher({ clock, waiting, leaderEpoch, logs: topicLogs, isClosing })
    this.#queries = new PartitionQueries({ logs: topicLogs, clock, nodeId: node.id, leaderEpoch })
    this.groups = this.#makeGroups()
    this.#changes = new TopicChanges({
      catalog,
      logs,
      topicLogs,
      waiting,
      inFlight,
      groups: this.groups,
      reserve,
      disk,
      clock,
      logger,
      topicDefaults,
      numPartitions,
    })
    this.#maintenance = new MaintenanceScheduler({ clock, logger })
  }

  #makeLogs(): LogManager {
    const { dataDir, disk, clock, logger, telemetry, topicDefaults, segmentFilesMax, databases, journal } =
      this.#options
    const catalog = this.#catalog
    return new LogManager({
      dataDir,
      disk: this.#disk,
      // a double of the disk has none that another thread could work on
      ...(disk === undefined ? { cleaner: new CleanerThread(clock) } : {}),
      ...(journal === undefined ? {} : { journal }),
      clock,
      steady: this.#steady,
      logger,
      telemetry,
      segmentFilesMax,
      isForgotten: (entry) => this.#isForgotten(entry),
      leaderEpoch: catalog.startNumber,
      tailMarkKey: catalog.tailMarkKey,
      settings: (identity) => {
        const config = catalog.findById(identity.topicId)?.config ?? parseTopicConfig({}, topicDefaults)
        return logSettings(config, identity)
      },
      logStartOffset: ({ topicId, partition }) => catalog.logStartOffset(topicId, partition),
      cleaningGeneration: ({ topicId, partition }) => catalog.cleaningGeneration(topicId, partition),
      setCleaningGeneration: ({ topicId, partition }, generation) =>
        catalog.setCleaningGeneration(topicId, partition, generation),
      checkpointIndex: (path) => catalog.checkpoint(path),
      ...(databases === undefined ? {} : { openIndex: databases.openIndex }),
      onSynced: (identity, highWatermark, bytes) => this.#synced(identity, highWatermark, bytes),
    })
  }

  #makeGroups(): GroupCoordinator {
    const { telemetry, groups: options } = this.#options
    const catalog = this.#catalog
    const { groups: stored } = catalog
    return new GroupCoordinator({
      clock: this.#steady,
      telemetry,
      store: {
        saveGroup: (group) => stored.saveGroup(group),
        saveOffsets: (groupId, offsets) => stored.saveOffsets(groupId, offsets),
        deleteOffsets: (groupId, places) => stored.deleteOffsets(groupId, places),
        deleteGroup: (groupId) => this.#reserve.withRoom(() => stored.deleteGroup(groupId)),
      },
      saved: stored.saved,
      options,
      newId: randomUUID,
      findTopic: (name) => catalog.find(name),
      findTopicById: (topicId) => catalog.findById(topicId),
    })
  }

  /** While its name is known a partition forgets no producer: some partitions would take a repeat for new, others not. */
  #isForgotten({ producerId, lastSeenMs }: ProducerEntry): boolean {
    const { producerExpirationMs } = this.#options
    return lastSeenMs < this.#steady.now() - producerExpirationMs && !this.#catalog.producers.has(producerId)
  }

  async #start(): Promise<void> {
    const logs = this.#logs
    const catalog = this.#catalog
    await this.#disk.makeDirectory(logs.topicsDirectory)
    // a folder that is set aside takes along what was acknowledged of it
    const deleted = new Set(catalog.deletedTopics().map(({ topicId }) => topicId))
    await this.#reserve.withRoom(() => this.#logs.replayJournal(deleted))
    await this.#reserve.withRoom(() =>
      sweepTopicFolders({ disk: this.#disk, catalog, logs, logger: this.#options.logger }),
    )
    await this.#recover()
    void this.#reserve.take()
    const jobs = maintenanceJobs(this.#options, { catalog, logs, topicLogs: this.#topicLogs, groups: this.groups })
    for (const job of jobs) this.#maintenance.add(job)
  }

  async #recover(): Promise<void> {
    try {
      await this.#reserve.withRoom(() => this.#logs.recover(this.#topicLogs.identities()))
    } catch (error) {
      // a partition that finds no room even so has said it, and is opened when it is asked for
      if (!(error instanceof TailraceError && error.code === 'disk_full')) throw error
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

  onTopicsChanged(listener: () => void): () => void {
    return this.#changes.onChanged(listener)
  }

  createTopic(spec: TopicSpec): Promise<Topic> {
    return this.#changes.create(spec)
  }

  growTopic(name: string, partitionCount: number): Promise<Topic> {
    return this.#changes.grow(name, partitionCount)
  }

  alterTopicConfigs(name: string, changes: Readonly<Record<string, string | null>>): Promise<Topic> {
    return this.#changes.alter(name, changes)
  }

  deleteTopic(name: string): Promise<void> {
    return this.#changes.delete(name)
  }

  describePartitions(topic: Topic): Promise<readonly PartitionDescription[]> {
    return this.#queries.describe(topic)
  }

  append(
    topic: Topic,
    partition: number,
    batches: readonly SealedBatch[],
    acks: Acks,
  ): Promise<readonly BatchAppended[]> {
    return this.#appender.append(topic, partition, batches, acks)
  }

  fetch(positions: readonly FetchPosition[], options: FetchOptions): Promise<readonly FetchedPartition[]> {
    return this.#fetcher.fetch(positions, options)
  }

  onAppend(listener: AppendListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  listOffsets(queries: readonly OffsetQuery[]): Promise<readonly OffsetFound[]> {
    return this.#queries.listOffsets(queries)
  }

  deleteRecords(topic: Topic, partition: number, beforeOffset: number): Promise<{ readonly logStartOffset: number }> {
    return this.#changes.deleteRecords(topic, partition, beforeOffset)
  }

  withProducerId<Result>(name: string, work: (producerId: bigint) => Promise<Result>): Promise<Result> {
    return this.#catalog.producers.use(name, work)
  }

  producerState(topic: Topic, producerId: bigint): Promise<readonly ProducerPartitionState[]> {
    return this.#queries.producerState(topic, producerId)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const maintained = this.#maintenance.close()
    await this.#changes.idle()
    this.#waiting.close()
    await this.#appender.idle()
    await this.#logs.close()
    await maintained
    await this.#changes.swept()
    await this.groups.close()
    await this.#catalog.close()
    await this.#reserve.close()
    this.#unlock()
  }
}
