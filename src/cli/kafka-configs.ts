// `tailrace kafka-configs`: the lines of Kafka's tool for the settings of topics, and its answers. A broker's own settings
// are given to `tailrace serve`; users, clients and groups have none here.

import type { TopicConfigEntry } from '../client/api.ts'
import type { TailraceClient } from '../client/client.ts'
import { TailraceClientError } from '../client/client-error.ts'
import { CommandFailure, messageOf } from './command-failure.ts'
import type { KafkaConnectOptions } from './kafka-connect.ts'
import { connectAsKafka, noteUnread } from './kafka-connect.ts'
import type { Terminal } from './terminal.ts'

export interface KafkaConfigsOptions extends KafkaConnectOptions {
  readonly alter?: boolean
  readonly describe?: boolean
  readonly all?: boolean
  /** Each `name=value`, several with commas between, a value that has commas in brackets. */
  readonly addConfig?: readonly string[]
  readonly deleteConfig?: readonly string[]
  readonly entityType?: string
  readonly entityName?: string
  readonly topic?: string
  readonly commandConfig?: string
}

export async function kafkaConfigs(terminal: Terminal, options: KafkaConfigsOptions): Promise<void> {
  if ((options.alter === true) === (options.describe === true)) {
    throw new CommandFailure('Command must include exactly one action: --describe, --alter')
  }
  const { entityType = options.topic === undefined ? undefined : 'topics', entityName = options.topic } = options
  if (entityType === undefined) throw new CommandFailure('At least one of --entity-type or --topic must be specified')
  if (entityType !== 'topics' && entityType !== 'topic') {
    throw new CommandFailure(
      `Only topics have settings that can be looked at and changed here, not ${entityType}: those of the server are given to tailrace serve (--config, --set)`,
    )
  }
  const client = await connectAsKafka(terminal, options)
  noteUnread(terminal, { '--command-config': options.commandConfig })
  try {
    if (options.alter) await alter(terminal, client, options, entityName)
    else await describe(terminal, client, options, entityName)
  } catch (error) {
    if (!(error instanceof TailraceClientError)) throw error
    throw new CommandFailure(`Error while executing config command: ${messageOf(error)}`, { cause: error })
  }
}

async function alter(
  terminal: Terminal,
  client: TailraceClient,
  { addConfig = [], deleteConfig = [] }: KafkaConfigsOptions,
  name: string | undefined,
): Promise<void> {
  if (name === undefined) throw new CommandFailure('An entity-name must be specified with --alter of topics')
  const unset = deleteConfig.flatMap((list) => list.split(',')).map((config) => [config.trim(), null] as const)
  const changes = [...addConfig.flatMap(settingsIn), ...unset]
  if (changes.length === 0) {
    throw new CommandFailure(
      'At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter',
    )
  }
  await client.updateTopic(name, { configs: Object.fromEntries(changes) })
  await terminal.write(`Completed updating config for topic ${name}.\n`)
}

/** `a=1,b=[x,y]` */
function settingsIn(list: string): [name: string, value: string][] {
  return list
    .split(/,(?=[^[\]]*(?:\[|$))/)
    .filter((setting) => setting.trim() !== '')
    .map((setting) => {
      const equals = setting.indexOf('=')
      if (equals < 1) throw new CommandFailure(`Invalid entity config: ${setting} has not the form name=value`)
      const value = setting.slice(equals + 1).trim()
      return [setting.slice(0, equals).trim(), value.replace(/^\[(.*)\]$/, '$1')]
    })
}

async function describe(
  terminal: Terminal,
  client: TailraceClient,
  { all }: KafkaConfigsOptions,
  name: string | undefined,
): Promise<void> {
  const signal = terminal.interruptSignal()
  const names =
    name === undefined ? (await client.listTopics({ internal: true, signal })).map((topic) => topic.name) : [name]
  for (const one of names.sort()) {
    const { configs } = await client.getTopic(one)
    const shown = all ? configs : configs.filter(({ source }) => source === 'DYNAMIC_TOPIC_CONFIG')
    await terminal.write(
      `${all ? 'All' : 'Dynamic'} configs for topic ${one} are:\n${shown.map(renderConfig).join('')}`,
    )
  }
}

function renderConfig({ name, value, source }: TopicConfigEntry): string {
  return `  ${name}=${value} sensitive=false synonyms={${source}:${name}=${value}}\n`
}
