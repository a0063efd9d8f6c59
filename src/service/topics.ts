// Topics as a caller sees them: create, list, describe, grow and configure, delete; and the ones that a first record
// makes. What the request itself has wrong is found here, before an engine is asked; names are checked before any path
// can be built of them. Internal topics are closed to callers unless the operator opened them.

import type { Engine, PartitionDescription, Topic, TopicSpec } from '../engine/engine.ts'
import { SCHEMAS_TOPIC, SCHEMAS_TOPIC_SPEC } from '../engine/schemas-topic.ts'
import type { TopicConfigDefaults, TopicConfigDescription } from '../engine/topic-config.ts'
import { describeTopicConfig, parseTopicConfig } from '../engine/topic-config.ts'
import { checkTopicName, isInternalTopic } from '../engine/topic-name.ts'
import { TailraceError } from '../kernel/errors.ts'
import { PARTITIONS_MAX, TOPIC_PARTITIONS_MAX } from '../kernel/limits.ts'
import type { Caller } from './caller.ts'

export interface TopicServiceOptions {
  /** auto.create.topics.enable */
  readonly autoCreateTopics: boolean
  /** delete.topic.enable */
  readonly deleteTopics: boolean
  /** allow.internal.topics */
  readonly allowInternalTopics: boolean
  /** num.partitions */
  readonly defaultPartitionCount: number
  readonly topicConfigDefaults: TopicConfigDefaults
}

export interface TopicDescription {
  readonly topic: Topic
  readonly partitions: readonly PartitionDescription[]
  readonly configs: readonly TopicConfigDescription[]
}

export interface TopicListing {
  readonly includeInternal: boolean
  /** Only names that sort after this one; '' begins. */
  readonly after: string
  readonly limit: number
}

export interface TopicPage {
  readonly topics: readonly Topic[]
  /** The `after` of the next page; undefined when this is the last. */
  readonly nextAfter: string | undefined
}

export interface TopicChanges {
  /** The count wanted: equal to the present one changes nothing, fewer is refused. */
  readonly partitionCount?: number | undefined
  /** null: back to the default. */
  readonly configs?: Readonly<Record<string, string | null>> | undefined
}

export interface TopicService {
  /** Every refusal leaves nothing behind. */
  create(caller: Caller, spec: TopicSpec): Promise<TopicDescription>
  list(caller: Caller, listing: TopicListing): TopicPage
  /** unknown_topic_or_partition when there is none. */
  get(caller: Caller, name: string): Topic
  describe(caller: Caller, name: string): Promise<TopicDescription>
  /** All is checked before anything is changed. */
  alter(caller: Caller, name: string, changes: TopicChanges): Promise<TopicDescription>
  delete(caller: Caller, name: string): Promise<void>
  /** topic_authorization_failed for an internal topic. */
  checkWritable(caller: Caller, name: string): void
  /** The topic that a first record would make, to check that record against; unknown_topic_or_partition if none would be. */
  plan(caller: Caller, name: string): Topic
  /** Makes it. Many may ask at once: one topic is made and all get it. */
  autoCreate(caller: Caller, name: string): Promise<Topic>
  /** Holds growth back while named producers' requests are placed and stored, and these while a topic grows. */
  readonly placement: PlacementLock
}

export function createTopicService(dependencies: {
  readonly engine: Engine
  readonly options: TopicServiceOptions
}): TopicService {
  const { engine, options } = dependencies
  const placement = new PlacementLock()
  const creations = new Map<string, Promise<Topic>>()

  const get = (name: string): Topic => {
    const topic = engine.findTopic(name)
    if (topic === undefined) throw unknownTopic(name)
    return topic
  }

  const checkOpen = (name: string): void => {
    if (!isInternalTopic(name) || options.allowInternalTopics) return
    throw new TailraceError(
      'topic_authorization_failed',
      `topic '${name}' is internal: it is written and changed by the service only, while the server's option allow.internal.topics is false`,
      { topic: name },
    )
  }

  const describe = async (topic: Topic): Promise<TopicDescription> => ({
    topic,
    partitions: await engine.describePartitions(topic),
    configs: describeTopicConfig(topic.configOverrides, options.topicConfigDefaults),
  })

  const checkSpec = (spec: TopicSpec): void => {
    const { name, configs = {} } = spec
    checkTopicName(name)
    checkOpen(name)
    if (engine.findTopic(name) !== undefined) {
      throw new TailraceError('topic_already_exists', `Topic '${name}' already exists.`, { topic: name })
    }
    checkPartitionCount(engine, spec.partitionCount ?? options.defaultPartitionCount, 0)
    checkReplicationFactor(spec.replicationFactor ?? -1, engine.capabilities.replicationFactorMax)
    parseTopicConfig(configs, options.topicConfigDefaults)
  }

  const alter = async (name: string, changes: TopicChanges): Promise<TopicDescription> => {
    checkOpen(name)
    let topic = get(name)
    const { partitionCount = topic.partitionCount, configs = {} } = changes
    checkGrowth(engine, topic, partitionCount)
    const { topicConfigDefaults } = options
    parseTopicConfig(changedConfigs(topic, configs, topicConfigDefaults), topicConfigDefaults)
    if (Object.keys(configs).length > 0) topic = await engine.alterTopicConfigs(name, configs)
    if (partitionCount > topic.partitionCount) {
      topic = await placement.alone(topic.id, () => engine.growTopic(name, partitionCount))
    }
    return describe(topic)
  }

  const autoCreate = (name: string): Promise<Topic> => {
    const found = engine.findTopic(name)
    if (found !== undefined) return Promise.resolve(found)
    let creation = creations.get(name)
    if (creation === undefined) {
      creation = createOnce(engine, name).finally(() => creations.delete(name))
      creations.set(name, creation)
    }
    return creation
  }

  return {
    placement,
    async create(_caller, spec) {
      checkSpec(spec)
      return describe(await engine.createTopic(spec))
    },
    list: (_caller, listing) => pageOf(engine.listTopics(), listing),
    get: (_caller, name) => get(name),
    describe: async (_caller, name) => describe(get(name)),
    alter: (_caller, name, changes) => alter(name, changes),
    async delete(_caller, name) {
      checkOpen(name)
      get(name)
      if (!options.deleteTopics) {
        throw new TailraceError('topic_deletion_disabled', 'Topic deletion is disabled.', { topic: name })
      }
      await engine.deleteTopic(name)
    },
    checkWritable: (_caller, name) => checkOpen(name),
    plan(_caller, name) {
      checkTopicName(name)
      if (!options.autoCreateTopics) throw unknownTopic(name)
      const topic = plannedTopic(name, options)
      checkPartitionCount(engine, topic.partitionCount, 0)
      return topic
    },
    autoCreate: (_caller, name) => autoCreate(name),
  }
}

export function unknownTopic(name: string): TailraceError {
  return new TailraceError('unknown_topic_or_partition', `there is no topic '${name}'`, { topic: name })
}

async function createOnce(engine: Engine, name: string): Promise<Topic> {
  try {
    return await engine.createTopic(specOf(name))
  } catch (error) {
    // Somebody else made it meanwhile, by its own verb: that is the topic.
    const found = engine.findTopic(name)
    if (found !== undefined) return found
    throw error
  }
}

/** Of a topic that a first record makes. Where schemas are kept a broker's defaults would delete them. */
function specOf(name: string): TopicSpec {
  return name === SCHEMAS_TOPIC ? SCHEMAS_TOPIC_SPEC : { name }
}

function plannedTopic(name: string, options: TopicServiceOptions): Topic {
  const { partitionCount = options.defaultPartitionCount, configs = {} } = specOf(name)
  return {
    id: '',
    name,
    partitionCount,
    internal: isInternalTopic(name),
    config: parseTopicConfig(configs, options.topicConfigDefaults),
    configOverrides: configs,
    growths: [],
  }
}

function checkPartitionCount(engine: Engine, partitionCount: number, present: number): void {
  if (!Number.isInteger(partitionCount) || partitionCount < 1) {
    throw new TailraceError(
      'invalid_partitions',
      `Number of partitions was set to an invalid non-positive value: ${partitionCount}; 1 to ${TOPIC_PARTITIONS_MAX} are allowed.`,
      { partitions: partitionCount, min: 1, max: TOPIC_PARTITIONS_MAX },
    )
  }
  if (partitionCount > TOPIC_PARTITIONS_MAX) {
    throw new TailraceError(
      'invalid_partitions',
      `${partitionCount} partitions are more than the ${TOPIC_PARTITIONS_MAX} that one topic may have`,
      { partitions: partitionCount, min: 1, max: TOPIC_PARTITIONS_MAX },
    )
  }
  let all = partitionCount - present
  for (const topic of engine.listTopics()) all += topic.partitionCount
  if (all > PARTITIONS_MAX) {
    throw new TailraceError(
      'invalid_partitions',
      `all topics together would have ${all} partitions, ${PARTITIONS_MAX} are allowed`,
      { partitions: partitionCount, all_partitions: all, max: PARTITIONS_MAX },
    )
  }
}

function checkGrowth(engine: Engine, topic: Topic, partitionCount: number): void {
  if (partitionCount === topic.partitionCount) return
  if (partitionCount < topic.partitionCount) {
    throw new TailraceError(
      'invalid_partitions',
      `The topic ${topic.name} currently has ${topic.partitionCount} partition(s); ${partitionCount} would not be an increase.`,
      { topic: topic.name, partitions: partitionCount, min: topic.partitionCount, max: TOPIC_PARTITIONS_MAX },
    )
  }
  checkPartitionCount(engine, partitionCount, topic.partitionCount)
}

/** In the words that Kafka has for it. */
function checkReplicationFactor(replicationFactor: number, brokerCount: number): void {
  if (replicationFactor === -1) return
  if (!Number.isInteger(replicationFactor) || replicationFactor < 1) {
    throw new TailraceError(
      'invalid_replication_factor',
      'Replication factor must be larger than 0, or -1 to use the default value.',
      { replication_factor: replicationFactor, max: brokerCount },
    )
  }
  if (replicationFactor > brokerCount) {
    throw new TailraceError(
      'invalid_replication_factor',
      `Replication factor: ${replicationFactor} larger than available brokers: ${brokerCount}.`,
      { replication_factor: replicationFactor, max: brokerCount },
    )
  }
}

/** With a default restored under its name: so a name that nobody knows is refused as well. */
function changedConfigs(
  topic: Topic,
  changes: Readonly<Record<string, string | null>>,
  defaults: TopicConfigDefaults,
): Record<string, string> {
  const overrides = new Map(Object.entries(topic.configOverrides))
  for (const [name, value] of Object.entries(changes)) {
    overrides.set(name, value ?? (Object.hasOwn(defaults, name) ? (defaults[name]?.value ?? '') : ''))
  }
  return Object.fromEntries(overrides)
}

function pageOf(all: readonly Topic[], { includeInternal, after, limit }: TopicListing): TopicPage {
  const topics = all
    .filter((topic) => (includeInternal || !topic.internal) && topic.name > after)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  const page = topics.slice(0, limit)
  return { topics: page, nextAfter: topics.length > limit ? page.at(-1)?.name : undefined }
}

/**
 * A named producer's repeat must be placed as its first attempt was. Growth is recorded with each producer's last number,
 * so it may not happen between a request's placing and its storing. Many requests share a topic's lock, one growth has it
 * alone; a growth that waits goes before later requests.
 */
export class PlacementLock {
  readonly #topics = new Map<string, { sharers: number; growth: Promise<void> | undefined; drained: () => void }>()

  /** undefined: entered. Else try again when that has passed. */
  enter(topicId: string): Promise<void> | undefined {
    const held = this.#topics.get(topicId)
    if (held === undefined) this.#topics.set(topicId, { sharers: 1, growth: undefined, drained: () => {} })
    else if (held.growth !== undefined) return held.growth
    else held.sharers++
    return undefined
  }

  leave(topicId: string): void {
    const held = this.#topics.get(topicId)
    if (held === undefined) return
    held.sharers--
    if (held.sharers > 0) return
    if (held.growth === undefined) this.#topics.delete(topicId)
    held.drained()
  }

  async alone<T>(topicId: string, grow: () => Promise<T>): Promise<T> {
    for (let wait = this.#topics.get(topicId)?.growth; wait !== undefined; wait = this.#topics.get(topicId)?.growth) {
      await wait
    }
    const over = Promise.withResolvers<void>()
    const drained = Promise.withResolvers<void>()
    const sharers = this.#topics.get(topicId)?.sharers ?? 0
    this.#topics.set(topicId, { sharers, growth: over.promise, drained: drained.resolve })
    try {
      if (sharers > 0) await drained.promise
      return await grow()
    } finally {
      this.#topics.delete(topicId)
      over.resolve()
    }
  }
}
