// The topics of this machine, in memory; meta.db is their journal. Every change is durable before it is seen here. Also
// keeps what belongs to no topic: cluster id, start counter, producers' names (producer-names.ts) and consumer groups
// (group-storage.ts). One caller at a time changes a topic (topic-changes.ts serializes); reading is free.

import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type Database from 'better-sqlite3'
import type { PartitionGrowth, Topic } from '../engine/engine.ts'
import type { TopicConfigDefaults } from '../engine/topic-config.ts'
import { parseTopicConfig } from '../engine/topic-config.ts'
import { checkTopicName, isInternalTopic } from '../engine/topic-name.ts'
import type { Clock } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import { TOPIC_PARTITIONS_MAX } from '../kernel/limits.ts'
import { SIPHASH_KEY_BYTES } from '../kernel/siphash.ts'
import { isDiskFull } from '../log/storage-failure.ts'
import { GroupStorage } from './group-storage.ts'
import type { MetaChange } from './meta-schema.ts'
import { checkMetaDatabase, openMetaDatabase } from './meta-schema.ts'
import type { MetaCommits } from './meta-writer.ts'
import { MetaWriter } from './meta-writer.ts'
import { ProducerNames } from './producer-names.ts'

export interface TopicCatalogOptions {
  readonly dataDir: string
  readonly clock: Clock
  readonly defaults: TopicConfigDefaults
  readonly producerExpirationMs: number
  /** meta.db, when it is not the file in the data directory. */
  readonly meta?: { readonly open: () => Database.Database; readonly commits: MetaCommits } | undefined
}

export interface DeletedTopic {
  readonly topicId: string
  readonly name: string
}

export type LastSequences = Map<bigint, { readonly epoch: number; readonly sequence: number }>

/** A PartitionGrowth that forgets. */
interface Growth {
  readonly partitionCountBefore: number
  readonly lastSequences: LastSequences
}

export class TopicCatalog {
  readonly clusterId: string
  /** How often this data directory was started, this start included. */
  readonly startNumber: number
  /** For marks in segment files (log/rewritten-tail). */
  readonly tailMarkKey: Buffer
  readonly producers: ProducerNames
  readonly groups: GroupStorage
  readonly #defaults: TopicConfigDefaults
  readonly #writer: MetaCommits
  readonly #byName = new Map<string, Topic>()
  readonly #byId = new Map<string, Topic>()
  readonly #logStartOffsets = new Map<string, number>()
  readonly #cleaningGenerations = new Map<string, number>()
  readonly #deleted = new Map<string, DeletedTopic>()
  /** By topic; the same objects as in the topics. */
  readonly #growths = new Map<string, readonly Growth[]>()

  constructor(options: TopicCatalogOptions) {
    this.#defaults = options.defaults
    const path = join(options.dataDir, 'meta.db')
    this.#writer = options.meta?.commits ?? new MetaWriter(path)
    let db: Database.Database | undefined
    try {
      db = options.meta?.open() ?? openMetaDatabase(path, () => refuseOrphanedTopics(options.dataDir, path))
      checkMetaDatabase(db)
      const cluster = startCluster(db)
      this.clusterId = cluster.clusterId
      this.startNumber = cluster.startNumber
      this.tailMarkKey = Buffer.from(cluster.tailMarkKey, 'hex')
      this.#load(db)
      this.producers = new ProducerNames(db, {
        clock: options.clock,
        expirationMs: options.producerExpirationMs,
        writer: this.#writer,
        onForgotten: (producerIds) => this.#forgetGrowths(producerIds),
      })
      this.groups = new GroupStorage(db, { clock: options.clock, writer: this.#writer })
    } catch (error) {
      throw isDiskFull(error) ? error : unusable(path, error)
    } finally {
      db?.close()
    }
  }

  #load(db: Database.Database): void {
    const overrides = new Map<string, Record<string, string>>()
    for (const row of db.prepare('SELECT * FROM topic_configs').all() as ConfigRow[]) {
      const configs = overrides.get(row.topic_id) ?? {}
      configs[row.name] = row.value
      overrides.set(row.topic_id, configs)
    }
    for (const [topicId, growths] of loadGrowths(db)) this.#growths.set(topicId, growths)
    for (const row of db.prepare('SELECT * FROM topics').all() as TopicRow[]) {
      const configOverrides = overrides.get(row.topic_id) ?? {}
      const growths = this.#growths.get(row.topic_id) ?? []
      checkTopicRow(row)
      this.#put(this.#topic(row.topic_id, row.name, row.partition_count, configOverrides, growths))
    }
    for (const row of db.prepare('SELECT * FROM log_start_offsets').all() as LogStartRow[]) {
      this.#logStartOffsets.set(`${row.topic_id}-${row.partition}`, row.offset)
    }
    for (const row of db.prepare('SELECT * FROM cleaning_generations').all() as CleaningRow[]) {
      this.#cleaningGenerations.set(`${row.topic_id}-${row.partition}`, row.generation)
    }
    for (const row of db.prepare('SELECT * FROM deleted_topics').all() as { topic_id: string; name: string }[]) {
      this.#deleted.set(row.topic_id, { topicId: row.topic_id, name: row.name })
    }
  }

  #topic(
    id: string,
    name: string,
    partitionCount: number,
    configOverrides: Readonly<Record<string, string>>,
    growths: readonly PartitionGrowth[],
  ): Topic {
    const config = parseTopicConfig(configOverrides, this.#defaults)
    return { id, name, partitionCount, internal: isInternalTopic(name), config, configOverrides, growths }
  }

  #put(topic: Topic): void {
    this.#byName.set(topic.name, topic)
    this.#byId.set(topic.id, topic)
  }

  find(name: string): Topic | undefined {
    return this.#byName.get(name)
  }

  findById(id: string): Topic | undefined {
    return this.#byId.get(id)
  }

  list(): Topic[] {
    return [...this.#byName.values()]
  }

  partitionCount(): number {
    let count = 0
    for (const topic of this.#byId.values()) count += topic.partitionCount
    return count
  }

  logStartOffset(topicId: string, partition: number): number {
    return this.#logStartOffsets.get(`${topicId}-${partition}`) ?? 0
  }

  /** How often segments of the partition were replaced by cleaned ones. */
  cleaningGeneration(topicId: string, partition: number): number {
    return this.#cleaningGenerations.get(`${topicId}-${partition}`) ?? 0
  }

  /** Topics whose files may still be there. */
  deletedTopics(): DeletedTopic[] {
    return [...this.#deleted.values()]
  }

  async create(
    name: string,
    partitionCount: number,
    configs: Readonly<Record<string, string>>,
    nowMs: number,
  ): Promise<Topic> {
    const topic = this.#topic(randomUUID(), name, partitionCount, { ...configs }, [])
    await this.#writer.commit([
      { statement: 'addTopic', values: [topic.id, name, partitionCount, nowMs] },
      ...Object.entries(configs).map(([key, value]) => setConfig(topic.id, key, value)),
    ])
    this.#put(topic)
    return topic
  }

  /** Of the producers without a name nothing is recorded: their requests are not placed here. */
  async grow(topic: Topic, partitionCount: number, producers: LastSequences): Promise<Topic> {
    const lastSequences = new Map([...producers].filter(([producerId]) => this.producers.has(producerId)))
    const growth = { partitionCountBefore: topic.partitionCount, lastSequences }
    const changes: MetaChange[] = [{ statement: 'setPartitionCount', values: [partitionCount, topic.id] }]
    for (const [producerId, last] of lastSequences) {
      const values = [topic.id, topic.partitionCount, producerId, last.epoch, last.sequence]
      changes.push({ statement: 'addGrowth', values })
    }
    await this.#writer.commit(changes)
    const growths = [...(this.#growths.get(topic.id) ?? []), growth]
    this.#growths.set(topic.id, growths)
    const grown = this.#topic(topic.id, topic.name, partitionCount, topic.configOverrides, growths)
    this.#put(grown)
    return grown
  }

  async alter(topic: Topic, changes: Readonly<Record<string, string | null>>): Promise<Topic> {
    const overrides: Record<string, string> = { ...topic.configOverrides }
    const statements: MetaChange[] = []
    for (const [name, value] of Object.entries(changes)) {
      if (value === null) {
        delete overrides[name]
        statements.push({ statement: 'dropConfig', values: [topic.id, name] })
      } else {
        overrides[name] = value
        statements.push(setConfig(topic.id, name, value))
      }
    }
    const altered = this.#topic(topic.id, topic.name, topic.partitionCount, overrides, topic.growths)
    await this.#writer.commit(statements)
    this.#put(altered)
    return altered
  }

  /** One transaction drops the topic with all that hangs on it, and notes that its files have to go. */
  async delete(topic: Topic): Promise<void> {
    await this.#writer.commit([
      { statement: 'dropTopic', values: [topic.id] },
      { statement: 'dropTopicConfigs', values: [topic.id] },
      { statement: 'dropLogStartOffsets', values: [topic.id] },
      { statement: 'dropCleaningGenerations', values: [topic.id] },
      { statement: 'dropGrowths', values: [topic.id] },
      { statement: 'dropCommittedOffsetsOfTopic', values: [topic.id] },
      { statement: 'addDeletedTopic', values: [topic.id, topic.name] },
    ])
    this.#byName.delete(topic.name)
    this.#byId.delete(topic.id)
    this.#growths.delete(topic.id)
    this.#deleted.set(topic.id, { topicId: topic.id, name: topic.name })
    for (let partition = 0; partition < topic.partitionCount; partition++) {
      this.#logStartOffsets.delete(`${topic.id}-${partition}`)
      this.#cleaningGenerations.delete(`${topic.id}-${partition}`)
    }
  }

  /** A deleted topic's files are gone. */
  async forgetDeleted(topicId: string): Promise<void> {
    await this.#writer.commit([{ statement: 'dropDeletedTopic', values: [topicId] }])
    this.#deleted.delete(topicId)
  }

  async setLogStartOffset(topic: Topic, partition: number, offset: number): Promise<void> {
    await this.#writer.commit([{ statement: 'setLogStartOffset', values: [topic.id, partition, offset] }])
    this.#logStartOffsets.set(`${topic.id}-${partition}`, offset)
  }

  #forgetGrowths(producerIds: ReadonlySet<bigint>): void {
    for (const growths of this.#growths.values()) {
      for (const { lastSequences } of growths) {
        const fewer = lastSequences.size < producerIds.size ? lastSequences.keys() : producerIds
        for (const producerId of fewer) if (producerIds.has(producerId)) lastSequences.delete(producerId)
      }
    }
  }

  async setCleaningGeneration(topicId: string, partition: number, generation: number): Promise<void> {
    await this.#writer.commit([{ statement: 'setCleaningGeneration', values: [partition, generation, topicId] }])
    if (this.#byId.has(topicId)) this.#cleaningGenerations.set(`${topicId}-${partition}`, generation)
  }

  /** Has the writer's thread checkpoint another SQLite file. */
  checkpoint(path: string): void {
    this.#writer.checkpoint(path)
  }

  close(): Promise<void> {
    return this.#writer.close()
  }
}

interface ConfigRow {
  topic_id: string
  name: string
  value: string
}

interface TopicRow {
  topic_id: string
  name: string
  partition_count: number
}

interface LogStartRow {
  topic_id: string
  partition: number
  offset: number
}

interface CleaningRow {
  topic_id: string
  partition: number
  generation: number
}

function setConfig(topicId: string, name: string, value: string): MetaChange {
  return { statement: 'setConfig', values: [topicId, name, value] }
}

function startCluster(db: Database.Database): { clusterId: string; startNumber: number; tailMarkKey: string } {
  const find = db.prepare('SELECT value FROM cluster WHERE name = ?').pluck()
  const put = db.prepare('INSERT OR REPLACE INTO cluster (name, value) VALUES (?, ?)')
  return db.transaction(() => {
    const clusterId = (find.get('cluster_id') as string | undefined) ?? randomUUID()
    const startNumber = Number(find.get('start_number') ?? 0) + 1
    put.run('cluster_id', clusterId)
    put.run('start_number', String(startNumber))
    const tailMarkKey =
      (find.get('tail_mark_key') as string | undefined) ?? randomBytes(SIPHASH_KEY_BYTES).toString('hex')
    put.run('tail_mark_key', tailMarkKey)
    return { clusterId, startNumber, tailMarkKey }
  })()
}

function loadGrowths(db: Database.Database): Map<string, Growth[]> {
  const rows = db
    .prepare('SELECT * FROM growths ORDER BY topic_id, partition_count_before')
    .safeIntegers(true)
    .all() as {
    topic_id: string
    partition_count_before: bigint
    producer_id: bigint
    epoch: bigint
    sequence: bigint
  }[]
  const growths = new Map<string, Growth[]>()
  for (const row of rows) {
    const ofTopic = growths.get(row.topic_id) ?? []
    growths.set(row.topic_id, ofTopic)
    const partitionCountBefore = Number(row.partition_count_before)
    let growth = ofTopic.at(-1)
    if (growth?.partitionCountBefore !== partitionCountBefore) {
      growth = { partitionCountBefore, lastSequences: new Map() }
      ofTopic.push(growth)
    }
    growth.lastSequences.set(row.producer_id, { epoch: Number(row.epoch), sequence: Number(row.sequence) })
  }
  return growths
}

/** A bit that flipped must not become a topic of two thousand million partitions. */
function checkTopicRow({ name, partition_count: count }: TopicRow): void {
  checkTopicName(name)
  if (Number.isInteger(count) && count >= 1 && count <= TOPIC_PARTITIONS_MAX) return
  throw new Error(`topic ${name} has ${count} partitions`)
}

/** What was thrown while meta.db was read, with what to do. A refusal that says it already stays as it is. */
function unusable(path: string, cause: unknown): unknown {
  if (cause instanceof TailraceError && cause.code === 'kafka_storage_error') return cause
  const { message, code } = cause as Error & { code?: unknown }
  if (code === 'EMFILE' || (typeof code === 'string' && /^SQLITE_(BUSY|LOCKED|CANTOPEN|IOERR)/.test(code))) return cause
  return new TailraceError(
    'kafka_storage_error',
    `${path} is damaged (${message.replaceAll(/\s+/g, ' ')}): put meta.db back from a backup; the segment files are as they were`,
    {},
    { cause },
  )
}

/** Segment files without meta.db: nobody knows any more what they are, and an empty catalog would lose them silently. */
function refuseOrphanedTopics(dataDir: string, path: string): void {
  const topics = join(dataDir, 'topics')
  const names = existsSync(topics) ? readdirSync(topics) : []
  if (names.length === 0) return
  throw new TailraceError(
    'kafka_storage_error',
    `${path} is missing or empty, but ${topics} holds ${names.length} folders (${names.slice(0, 3).join(', ')}…): ` +
      'put meta.db back from a backup, or move the folder topics away to begin empty',
    { data_dir: dataDir },
  )
}
