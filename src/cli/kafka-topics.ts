// `tailrace kafka-topics`: the lines of Kafka's tool, and its answers to the letter.

import type { TopicDescription, TopicPartition } from '../client/api.ts'
import type { TailraceClient } from '../client/client.ts'
import { TailraceClientError } from '../client/client-error.ts'
import { CommandFailure, messageOf } from './command-failure.ts'
import type { KafkaConnectOptions } from './kafka-connect.ts'
import { connectAsKafka, noteUnread } from './kafka-connect.ts'
import type { Terminal } from './terminal.ts'

const ACTIONS = ['list', 'describe', 'create', 'alter', 'delete'] as const

export interface KafkaTopicsOptions extends KafkaConnectOptions {
  readonly list?: boolean
  readonly describe?: boolean
  readonly create?: boolean
  readonly alter?: boolean
  readonly delete?: boolean
  /** A regular expression, except for --create. */
  readonly topic?: string
  readonly topicId?: string
  readonly partitions?: number
  readonly replicationFactor?: number
  readonly config?: readonly (readonly [name: string, value: string])[]
  readonly deleteConfig?: readonly string[]
  readonly ifExists?: boolean
  readonly ifNotExists?: boolean
  readonly excludeInternal?: boolean
  readonly topicsWithOverrides?: boolean
  readonly underReplicatedPartitions?: boolean
  readonly unavailablePartitions?: boolean
  readonly underMinIsrPartitions?: boolean
  readonly atMinIsrPartitions?: boolean
  readonly replicaAssignment?: string
  readonly commandConfig?: string
}

export async function kafkaTopics(terminal: Terminal, options: KafkaTopicsOptions): Promise<void> {
  const actions = ACTIONS.filter((action) => options[action])
  if (actions.length !== 1) {
    throw new CommandFailure(
      'Command must include exactly one action: --list, --describe, --create, --alter or --delete',
    )
  }
  if (options.replicaAssignment !== undefined) {
    throw new CommandFailure('--replica-assignment means nothing to one server: leave it out')
  }
  const client = await connectAsKafka(terminal, options)
  noteUnread(terminal, { '--command-config': options.commandConfig })
  try {
    if (options.list) await list(terminal, client, options)
    else if (options.describe) await describe(terminal, client, options)
    else if (options.create) await create(terminal, client, options)
    else if (options.alter) await alter(terminal, client, options)
    else await remove(terminal, client, options)
  } catch (error) {
    if (!(error instanceof TailraceClientError)) throw error
    const message = `Error while executing topic command : ${messageOf(error)}`
    throw new CommandFailure(message, { cause: error })
  }
}

async function list(terminal: Terminal, client: TailraceClient, options: KafkaTopicsOptions): Promise<void> {
  const names = await matchingTopics(terminal, client, options)
  await terminal.write(`${names.join('\n')}\n`)
}

async function create(terminal: Terminal, client: TailraceClient, options: KafkaTopicsOptions): Promise<void> {
  const name = requiredTopic(options)
  try {
    const { name: created } = await client.createTopic(
      {
        name,
        partitions: options.partitions,
        replication_factor: options.replicationFactor,
        configs: options.config && Object.fromEntries(options.config),
      },
      { signal: terminal.interruptSignal() },
    )
    await terminal.write(`Created topic ${created}.\n`)
  } catch (error) {
    const isThere = error instanceof TailraceClientError && error.code === 'topic_already_exists'
    if (isThere && options.ifNotExists) return
    throw isThere ? new CommandFailure(`Error while executing topic command : Topic '${name}' already exists.`) : error
  }
}

async function alter(terminal: Terminal, client: TailraceClient, options: KafkaTopicsOptions): Promise<void> {
  requiredTopic(options)
  const unset = (options.deleteConfig ?? []).map((name) => [name, null] as const)
  const configs = [...(options.config ?? []), ...unset]
  if (options.partitions === undefined && configs.length === 0) {
    throw new CommandFailure('Missing required argument "[partitions]"')
  }
  for (const name of await existingTopics(terminal, client, options)) {
    await client.updateTopic(name, {
      partitions: options.partitions,
      configs: configs.length === 0 ? undefined : Object.fromEntries(configs),
    })
  }
}

async function remove(terminal: Terminal, client: TailraceClient, options: KafkaTopicsOptions): Promise<void> {
  requiredTopic(options)
  for (const name of await existingTopics(terminal, client, options)) await client.deleteTopic(name)
}

async function describe(terminal: Terminal, client: TailraceClient, options: KafkaTopicsOptions): Promise<void> {
  for (const name of await existingTopics(terminal, client, options)) {
    await terminal.write(renderDescription(await client.getTopic(name), options))
  }
}

function requiredTopic({ topic }: KafkaTopicsOptions): string {
  if (topic !== undefined) return topic
  throw new CommandFailure('Missing required argument "[topic]"')
}

async function existingTopics(
  terminal: Terminal,
  client: TailraceClient,
  options: KafkaTopicsOptions,
): Promise<string[]> {
  const names = await matchingTopics(terminal, client, options)
  if (names.length > 0 || options.ifExists) return names
  if (options.topicId !== undefined) {
    throw new CommandFailure(`TopicId '${options.topicId}' does not exist as expected`)
  }
  if (options.topic === undefined) return names
  throw new CommandFailure(`Topic '${options.topic}' does not exist as expected`)
}

/** Names that the expression matches as a whole; commas stand between alternatives. */
async function matchingTopics(
  terminal: Terminal,
  client: TailraceClient,
  { topic, topicId, excludeInternal }: KafkaTopicsOptions,
): Promise<string[]> {
  const pattern = topic === undefined ? undefined : patternOf(topic)
  const topics = await client.listTopics({ internal: !excludeInternal, signal: terminal.interruptSignal() })
  const matching = topics.filter(({ name, id }) => {
    return topicId === undefined ? (pattern?.test(name) ?? true) : kafkaUuid(id) === topicId
  })
  return matching.map(({ name }) => name).sort()
}

function patternOf(topic: string): RegExp {
  const alternatives = topic
    .trim()
    .replaceAll(',', '|')
    .replaceAll(/\s/g, '')
    .replaceAll(/^["']+|["']+$/g, '')
  try {
    return new RegExp(`^(?:${alternatives})$`, 'u')
  } catch (error) {
    throw new CommandFailure(`${topic} is an invalid regex.`, { cause: error })
  }
}

/** Kafka writes the sixteen bytes in base64. */
function kafkaUuid(uuid: string): string {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex').toString('base64url')
}

function renderDescription(topic: TopicDescription, options: KafkaTopicsOptions): string {
  const { name, id, partitions } = topic
  const overridden = topic.configs.filter(({ source }) => source !== 'DEFAULT_CONFIG')
  const isReport = PARTITION_REPORTS.some(([flag]) => options[flag])
  if (options.topicsWithOverrides && overridden.length === 0) return ''
  const configs = overridden.map((config) => `${config.name}=${config.value}`).join(',')
  const summary =
    `Topic: ${name}\tTopicId: ${kafkaUuid(id)}\tPartitionCount: ${partitions.length}` +
    `\tReplicationFactor: ${partitions[0]?.replicas.length ?? 0}\tConfigs: ${configs}\n`
  if (options.topicsWithOverrides) return summary
  const minIsr = Number(topic.configs.find((config) => config.name === 'min.insync.replicas')?.value ?? 1)
  const shown = partitions.filter((partition) => {
    return !isReport || PARTITION_REPORTS.some(([flag, applies]) => options[flag] && applies(partition, minIsr))
  })
  return (isReport ? '' : summary) + shown.map((partition) => renderPartition(name, partition)).join('')
}

const PARTITION_REPORTS = [
  ['underReplicatedPartitions', ({ replicas, isr }: TopicPartition) => isr.length < replicas.length],
  ['unavailablePartitions', ({ leader }: TopicPartition) => leader < 0],
  ['underMinIsrPartitions', ({ leader, isr }: TopicPartition, minIsr: number) => leader < 0 || isr.length < minIsr],
  ['atMinIsrPartitions', ({ isr }: TopicPartition, minIsr: number) => isr.length === minIsr],
] as const

function renderPartition(topic: string, { partition, leader, replicas, isr }: TopicPartition): string {
  return (
    `\tTopic: ${topic}\tPartition: ${partition}\tLeader: ${leader < 0 ? 'none' : leader}` +
    `\tReplicas: ${replicas.join(',')}\tIsr: ${isr.join(',')}\tElr: \tLastKnownElr: \n`
  )
}
