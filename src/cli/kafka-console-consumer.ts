// `tailrace kafka-console-consumer`: prints a topic as Kafka's tool does, byte for byte, and says how many at the end.

import type { TailraceClient } from '../client/client.ts'
import { TailraceClientError } from '../client/client-error.ts'
import type { RawRecord } from '../client/record-page.ts'
import { foregroundClock } from '../kernel/clock.ts'
import { CommandFailure } from './command-failure.ts'
import { follow } from './follow.ts'
import { followAsGroup } from './group-follow.ts'
import type { KafkaConnectOptions } from './kafka-connect.ts'
import { connectAsKafka, noteUnread, parseProperties } from './kafka-connect.ts'
import { openMessageFormatter } from './kafka-message-formatter.ts'
import { refuseSchemaProperties } from './kafka-schema-tools.ts'
import { pause } from './pause.ts'
import type { Terminal } from './terminal.ts'

export interface KafkaConsoleConsumerOptions extends KafkaConnectOptions {
  readonly topic?: string
  readonly include?: string
  readonly whitelist?: string
  readonly partition?: number
  readonly offset?: string
  readonly fromBeginning?: boolean
  readonly maxMessages?: number
  readonly timeoutMs?: number
  readonly group?: string
  readonly property?: readonly string[]
  readonly formatterProperty?: readonly string[]
  readonly consumerProperty?: readonly string[]
  readonly commandProperty?: readonly string[]
  readonly keyDeserializer?: string
  readonly valueDeserializer?: string
  readonly formatter?: string
  readonly commandConfig?: string
  readonly 'consumer.config'?: string
  readonly formatterConfig?: string
}

const TOPIC_POLL_MS = 1_000

export async function kafkaConsoleConsumer(terminal: Terminal, options: KafkaConsoleConsumerOptions): Promise<void> {
  const topic = topicOf(options)
  const group = groupOf(options)
  const properties = formatterProperties(options)
  refuseSchemaProperties(properties, `tailrace consume ${topic}`)
  const format = openMessageFormatter(properties)
  const from = positionOf(options)
  const client = await connectAsKafka(terminal, options)
  noteUnread(terminal, {
    '--command-config': options.commandConfig,
    '--consumer.config': options['consumer.config'],
    '--formatter-config': options.formatterConfig,
  })
  const quietMsMax = options.timeoutMs !== undefined && options.timeoutMs >= 0 ? options.timeoutMs : undefined
  const recordsMax = options.maxMessages === -1 ? undefined : options.maxMessages
  let messageCount = 0
  try {
    const found = await findTopic(terminal, client, topic, quietMsMax)
    if (found === undefined) return
    const print = async (records: readonly RawRecord[]) => {
      await terminal.write(Buffer.concat(records.map(format)))
      messageCount += records.length
    }
    const following = {
      // All that is in a topic which came after us has come after us.
      from: found === 'new' ? 'earliest' : from,
      keyFormat: 'base64',
      valueFormat: 'base64',
      recordsMax,
      quietMsMax,
    }
    if (group !== undefined) {
      await followAsGroup(terminal, client, { topic, ...following, stopAtEnd: false, group }, print)
      return
    }
    const partitions = options.partition === undefined ? undefined : [options.partition]
    const source = { source: topic, partitions }
    for await (const records of follow(terminal, client, { ...source, ...following })) await print(records)
  } finally {
    terminal.note(`Processed a total of ${messageCount} messages`)
  }
}

function topicOf(options: KafkaConsoleConsumerOptions): string {
  const { topic } = options
  if (options.include !== undefined || options.whitelist !== undefined) {
    throw new CommandFailure('--include is not there yet: name one --topic')
  }
  if (topic === undefined) throw new CommandFailure('Missing required argument "[topic]"')
  const { formatter = 'DefaultMessageFormatter' } = options
  if (!formatter.endsWith('DefaultMessageFormatter')) {
    throw new CommandFailure(`--formatter ${formatter}: there is no other than DefaultMessageFormatter here`)
  }
  return topic
}

/** Kafka's tool makes a group up where none is named; here it reads without one. */
function groupOf(options: KafkaConsoleConsumerOptions): string | undefined {
  const property = consumerProperties(options).get('group.id')
  const { group = property, partition } = options
  if (property !== undefined && property !== group) {
    throw new CommandFailure(`--group says ${group}, and group.id says ${property}: one of them`)
  }
  if (group !== undefined && partition !== undefined) {
    throw new CommandFailure('Options group and partition cannot be specified together.')
  }
  return group
}

function consumerProperties(options: KafkaConsoleConsumerOptions) {
  return parseProperties([...(options.consumerProperty ?? []), ...(options.commandProperty ?? [])])
}

function formatterProperties(options: KafkaConsoleConsumerOptions) {
  const { keyDeserializer, valueDeserializer, property, formatterProperty } = options
  return parseProperties([
    ...(keyDeserializer ? [`key.deserializer=${keyDeserializer}`] : []),
    ...(valueDeserializer ? [`value.deserializer=${valueDeserializer}`] : []),
    ...(property ?? []),
    ...(formatterProperty ?? []),
  ])
}

function positionOf(options: KafkaConsoleConsumerOptions): string {
  const { offset, partition, fromBeginning } = options
  if (offset === undefined) {
    const reset = consumerProperties(options).get('auto.offset.reset')
    return fromBeginning || reset === 'earliest' ? 'earliest' : 'latest'
  }
  if (partition === undefined) throw new CommandFailure('The partition is required when offset is specified.')
  if (fromBeginning) throw new CommandFailure('Options from-beginning and offset cannot be specified together.')
  const word = offset.toLowerCase()
  if (word === 'earliest' || word === 'latest' || /^\d+$/.test(offset)) return word
  throw new CommandFailure(
    `The provided offset value '${offset}' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long.`,
  )
}

/** Waits for a topic that is not there yet, as Kafka's does; undefined when it did not come in time. */
async function findTopic(
  terminal: Terminal,
  client: TailraceClient,
  topic: string,
  quietMsMax = Number.POSITIVE_INFINITY,
): Promise<'known' | 'new' | undefined> {
  const signal = terminal.interruptSignal()
  const startedAt = foregroundClock.monotonic()
  for (let found: 'known' | 'new' = 'known'; ; found = 'new') {
    try {
      await client.getTopic(topic, { signal })
      return found
    } catch (error) {
      if (!(error instanceof TailraceClientError) || error.code !== 'unknown_topic_or_partition') throw error
      if (found === 'known') terminal.note(`tailrace: topic ${topic} is not there yet: waiting for it`)
      const leftMs = startedAt + quietMsMax - foregroundClock.monotonic()
      if (leftMs <= 0) return undefined
      await pause(Math.min(TOPIC_POLL_MS, leftMs), signal)
    }
  }
}
