// `tailrace topics list | describe | create | alter | delete`.

import type { TopicDescription, TopicPartition, TopicSummary } from '../client/api.ts'
import { TailraceClientError } from '../client/client-error.ts'
import { CommandFailure, EXIT } from './command-failure.ts'
import type { ListOptions } from './connect.ts'
import { connect } from './connect.ts'
import type { Column } from './table.ts'
import { chosenOutput, printList, renderTable } from './table.ts'
import type { Terminal } from './terminal.ts'

type NameValues = readonly (readonly [name: string, value: string])[]

export async function listTopics(
  terminal: Terminal,
  options: ListOptions & { readonly internal?: boolean },
): Promise<void> {
  const signal = terminal.interruptSignal()
  const topics = await connect(terminal, options).listTopics({ internal: options.internal === true, signal })
  await printList(terminal, chosenOutput(options.output, terminal), topics, SUMMARY_COLUMNS)
}

const SUMMARY_COLUMNS: readonly Column<TopicSummary>[] = [
  { name: 'TOPIC', text: ({ name }) => name },
  { name: 'PARTITIONS', text: ({ partition_count }) => String(partition_count) },
  { name: 'ID', text: ({ id }) => id },
]

export async function describeTopics(
  terminal: Terminal,
  names: readonly string[],
  options: ListOptions & { readonly all?: boolean },
): Promise<void> {
  const client = connect(terminal, options)
  const signal = terminal.interruptSignal()
  const topics: TopicDescription[] = []
  for (const name of names) topics.push(await client.getTopic(name, { signal }))
  await printTopics(terminal, topics, options)
}

export async function createTopic(
  terminal: Terminal,
  name: string,
  options: ListOptions & {
    readonly partitions?: number
    readonly replicationFactor?: number
    readonly config?: NameValues
    readonly ifNotExists?: boolean
  },
): Promise<void> {
  const client = connect(terminal, options)
  const signal = terminal.interruptSignal()
  const request = {
    name,
    partitions: options.partitions,
    replication_factor: options.replicationFactor,
    configs: options.config && Object.fromEntries(options.config),
  }
  try {
    await printTopics(terminal, [await client.createTopic(request, { signal })], options)
  } catch (error) {
    const isThere = error instanceof TailraceClientError && error.code === 'topic_already_exists'
    if (!isThere || options.ifNotExists !== true) throw error
    terminal.note(`topic ${name} exists already: left as it is`)
  }
}

export async function alterTopic(
  terminal: Terminal,
  name: string,
  options: ListOptions & {
    readonly partitions?: number
    readonly config?: NameValues
    readonly unset?: readonly string[]
  },
): Promise<void> {
  const unset = (options.unset ?? []).map((config) => [config, null] as const)
  const configs = [...(options.config ?? []), ...unset]
  if (options.partitions === undefined && configs.length === 0) {
    throw new CommandFailure('nothing to change: --partitions, --config or --unset says what', { exitCode: EXIT.usage })
  }
  const topic = await connect(terminal, options).updateTopic(
    name,
    { partitions: options.partitions, configs: configs.length === 0 ? undefined : Object.fromEntries(configs) },
    { signal: terminal.interruptSignal() },
  )
  await printTopics(terminal, [topic], options)
}

export async function deleteTopics(
  terminal: Terminal,
  names: readonly string[],
  options: ListOptions & { readonly ifExists?: boolean },
): Promise<void> {
  const client = connect(terminal, options)
  const signal = terminal.interruptSignal()
  for (const name of names) {
    try {
      await client.deleteTopic(name, { signal })
    } catch (error) {
      const isGone = error instanceof TailraceClientError && error.code === 'unknown_topic_or_partition'
      if (!isGone || options.ifExists !== true) throw error
    }
  }
}

async function printTopics(
  terminal: Terminal,
  topics: readonly TopicDescription[],
  options: ListOptions & { readonly all?: boolean },
): Promise<void> {
  const output = chosenOutput(options.output, terminal)
  if (output !== 'table') {
    await printList(terminal, output, topics, [])
  } else {
    for (const topic of topics) await terminal.write(renderTopic(topic, options.all === true))
  }
  for (const topic of topics) noteExpired(terminal, topic)
}

function noteExpired(terminal: Terminal, { name, partitions }: TopicDescription): void {
  const expired = partitions.filter(({ expired_bytes }) => expired_bytes > 0)
  if (expired.length === 0) return
  const dueBytes = expired.reduce((sum, { expired_bytes }) => sum + expired_bytes, 0)
  const bytes = partitions.reduce((sum, { size_bytes }) => sum + size_bytes, 0)
  const where = expired.length === 1 ? `partition ${expired[0]?.partition}` : `${expired.length} partitions`
  terminal.note(
    `topic ${name}: ${dueBytes} of ${bytes} bytes, in ${where}, are older than retention.ms: they are due for deletion`,
  )
}

/** For people: what it is, its partitions, and the settings that are its own or the server's (all with `all`). */
function renderTopic(topic: TopicDescription, all: boolean): string {
  const configs = topic.configs.filter(({ source }) => all || source !== 'DEFAULT_CONFIG')
  const settings =
    configs.length === 0
      ? 'All settings have their defaults (--all shows them).\n'
      : renderTable(configs, [
          { name: 'SETTING', text: ({ name }) => name },
          { name: 'VALUE', text: ({ value }) => value },
          { name: 'FROM', text: ({ source }) => SOURCES[source] ?? source },
          { name: 'DEFAULT', text: (config) => config.default },
        ])
  const id = `id ${topic.id}${topic.internal ? ', internal' : ''}`
  return `Topic ${topic.name} (${id})\n\n${renderTable(topic.partitions, PARTITION_COLUMNS)}\n${settings}`
}

const SOURCES: Readonly<Record<string, string>> = {
  DYNAMIC_TOPIC_CONFIG: 'topic',
  STATIC_BROKER_CONFIG: 'server',
  DEFAULT_CONFIG: 'default',
}

function stateOf({ offline, corrupt }: TopicPartition): string {
  if (offline !== undefined) return `offline: ${offline}`
  return corrupt === undefined ? 'online' : `online, but: ${corrupt}`
}

const PARTITION_COLUMNS: readonly Column<TopicPartition>[] = [
  { name: 'PARTITION', text: ({ partition }) => String(partition) },
  { name: 'START', text: ({ start_offset }) => String(start_offset) },
  { name: 'END', text: ({ end_offset }) => String(end_offset) },
  { name: 'BYTES', text: ({ size_bytes }) => String(size_bytes) },
  { name: 'LEADER', text: ({ leader }) => String(leader) },
  { name: 'REPLICAS', text: ({ replicas }) => replicas.join(',') },
  { name: 'ISR', text: ({ isr }) => isr.join(',') },
  { name: 'STATE', text: stateOf },
]
