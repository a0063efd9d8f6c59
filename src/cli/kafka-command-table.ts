// The commands that take the lines people know from Kafka, as they are written there. Options that have no meaning here
// are taken and change nothing; those that would need what is not there are refused by the command.

import { basename } from 'node:path'
import type { Command } from 'commander'
import { Option } from 'commander'
import { DEFAULT_URL } from '../client/server-url.ts'
import { nameValue, repeated, topicsWithPartitions, wholeNumber } from './option-value.ts'
import type { Terminal } from './terminal.ts'

const KAFKA_VERBS = [
  'kafka-topics',
  'kafka-configs',
  'kafka-console-producer',
  'kafka-console-consumer',
  'kafka-consumer-groups',
] as const

const ADDRESS_HELP = `
The server is --url; else what --bootstrap-server names, as an HTTP address; else TAILRACE_URL, which goes before
localhost:9092 too; else ${DEFAULT_URL}. Where nothing behind port 9092 answers as Tailrace, 8082 is meant, and a
line on stderr says so.
Exits with 1 when it fails, as Kafka's does.`

/** The command that a first argument means: `bin/kafka-topics.sh` is kafka-topics. */
export function kafkaVerbOf(argument: string | undefined): (typeof KAFKA_VERBS)[number] | undefined {
  const name = toolName(argument)
  return KAFKA_VERBS.find((verb) => verb === name)
}

/** A tool of Confluent's, which is not here: its name. */
export function schemaToolOf(argument: string | undefined): string | undefined {
  const name = toolName(argument)
  return /^kafka-(?:avro|json-schema|protobuf)-console-(?:producer|consumer)$/.test(name) ? name : undefined
}

function toolName(argument = ''): string {
  return argument.startsWith('-') ? '' : basename(argument).replace(/\.(sh|bat)$/, '')
}

export function addKafkaCommands(program: Command, terminal: Terminal): void {
  addTopics(program, terminal)
  addConfigs(program, terminal)
  addConsoleProducer(program, terminal)
  addConsoleConsumer(program, terminal)
  addConsumerGroups(program, terminal)
}

function addTopics(program: Command, terminal: Terminal): void {
  const count = wholeNumber(1, 2 ** 31 - 1)
  const command = program.command('kafka-topics').description("Kafka's tool for topics, with its options and answers.")
  connecting(command, ['--replica-assignment <list>', '--partition-size-limit-per-response <count>'])
    .option('--list', 'list all topics')
    .option('--describe', 'show topics with their partitions')
    .option('--create', 'create a topic')
    .option('--alter', 'add partitions, or change settings')
    .option('--delete', 'delete topics')
    .option('--topic <topic>', 'the topic; except with --create a regular expression')
    .option('--topic-id <id>', 'the topic to describe')
    .option('--partitions <count>', 'how many', count)
    .option('--replication-factor <count>', 'one server takes 1 only', wholeNumber(-1, 32_767))
    .option('--config <name=value>', 'a setting (repeat)', nameValue)
    .option('--delete-config <name>', 'with --alter: a setting that goes back to its default (repeat)', repeated)
    .option('--if-exists', 'with --alter, --delete and --describe: no topic is no failure')
    .option('--if-not-exists', 'with --create: a topic that is there is no failure')
    .option('--exclude-internal', 'without internal topics')
    .option('--topics-with-overrides', 'only topics with settings of their own')
    .option('--under-replicated-partitions', 'only partitions with replicas out of sync')
    .option('--unavailable-partitions', 'only partitions without a leader')
    .option('--under-min-isr-partitions', 'only partitions with fewer replicas in sync than min.insync.replicas')
    .option('--at-min-isr-partitions', 'only partitions with just as many')
    .action(async (options) => {
      const { kafkaTopics } = await import('./kafka-topics.ts')
      await kafkaTopics(terminal, options)
    })
}

function addConfigs(program: Command, terminal: Terminal): void {
  const command = program
    .command('kafka-configs')
    .description("Kafka's tool for settings, those of topics, with its options and answers.")
  connecting(command, ['--force'])
    .option('--describe', 'show the settings that a topic has of its own')
    .option('--all', 'with --describe: the others too')
    .option('--alter', 'change settings')
    .option('--add-config <name=value,…>', 'set them; a value with commas stands in [] (repeat)', repeated)
    .option('--delete-config <name,…>', 'back to the default (repeat)', repeated)
    .option('--entity-type <type>', 'topics')
    .option('--entity-name <topic>', 'the topic; without it --describe shows all')
    .option('--topic <topic>', 'the same as --entity-type topics --entity-name <topic>')
    .action(async (options) => {
      const { kafkaConfigs } = await import('./kafka-configs.ts')
      await kafkaConfigs(terminal, options)
    })
}

function addConsoleProducer(program: Command, terminal: Terminal): void {
  const command = program
    .command('kafka-console-producer')
    .description("Kafka's console producer: each line of stdin is a record.")
  connecting(command, UNTOLD_OF_PRODUCER)
    .option('--topic <topic>', 'the topic')
    .option('--property <name=value>', 'parse.key, key.separator, parse.headers, null.marker, … (repeat)', repeated)
    .option('--reader-property <name=value>', 'the same', repeated)
    .option('--producer-property <name=value>', 'acks is read, the others change nothing (repeat)', repeated)
    .option('--command-property <name=value>', 'the same', repeated)
    .option('--request-required-acks <acks>', 'all, -1, 1 or 0')
    .option('--sync', 'one request for each line')
    .action(async (options) => {
      const { kafkaConsoleProducer } = await import('./kafka-console-producer.ts')
      await kafkaConsoleProducer(terminal, options)
    })
}

const UNTOLD_OF_PRODUCER = [
  '--line-reader <class>',
  '--reader-config <file>',
  '--producer.config <file>',
  '--compression-codec [codec]',
  '--batch-size <size>',
  '--message-send-max-retries <count>',
  '--retry-backoff-ms <ms>',
  '--timeout <ms>',
  '--request-timeout-ms <ms>',
  '--metadata-expiry-ms <ms>',
  '--max-block-ms <ms>',
  '--max-memory-bytes <bytes>',
  '--max-partition-memory-bytes <bytes>',
  '--socket-buffer-size <bytes>',
]

function addConsoleConsumer(program: Command, terminal: Terminal): void {
  const command = program
    .command('kafka-console-consumer')
    .description("Kafka's console consumer: prints records as they come.")
  connecting(command, UNTOLD_OF_CONSUMER)
    .option('--topic <topic>', 'the topic; one that is not there yet is waited for')
    .option('--from-beginning', 'begin at the earliest record')
    .option('--partition <number>', 'only this one', wholeNumber(0, 2 ** 31 - 1))
    .option('--offset <offset>', 'with --partition: earliest, latest or a number')
    .option('--max-messages <count>', 'stop after this many', wholeNumber(-1))
    .option('--timeout-ms <ms>', 'stop when nothing comes for this long', wholeNumber(-1))
    .option('--property <name=value>', 'print.key, print.timestamp, key.separator, … (repeat)', repeated)
    .option('--formatter-property <name=value>', 'the same', repeated)
    .option('--key-deserializer <class>', 'as which keys are printed')
    .option('--value-deserializer <class>', 'as which values are printed')
    .option('--group <name>', 'as a consumer of this group: what is printed is committed')
    .action(async (options) => {
      const { kafkaConsoleConsumer } = await import('./kafka-console-consumer.ts')
      await kafkaConsoleConsumer(terminal, options)
    })
}

const UNTOLD_OF_CONSUMER = [
  '--include <topics>',
  '--whitelist <topics>',
  '--formatter <class>',
  '--formatter-config <file>',
  '--consumer-property <name=value>',
  '--command-property <name=value>',
  '--consumer.config <file>',
  '--isolation-level <level>',
  '--skip-message-on-error',
  '--enable-systest-events',
]

function addConsumerGroups(program: Command, terminal: Terminal): void {
  const offset = wholeNumber(-Number.MAX_SAFE_INTEGER)
  const command = program
    .command('kafka-consumer-groups')
    .description("Kafka's tool for consumer groups, with its options and answers.")
  connecting(command, ['--timeout <ms>'])
    .option('--list', 'list all groups')
    .option('--describe', 'show how far groups have come')
    .option('--delete', 'delete groups')
    .option('--reset-offsets', "put a group's offsets elsewhere")
    .option('--delete-offsets', "forget a group's offsets of topics")
    .option('--group <group>', 'the group (repeat)', repeated)
    .option('--all-groups', 'all groups')
    .option('--members', 'with --describe: who is in it')
    .option('--offsets', 'with --describe: how far it has come, as without')
    .option('--state [states]', 'with --describe: its state; with --list: states, or only groups in these')
    .option('--type [types]', 'with --list: types, or only groups of these')
    .option('--verbose', 'with --describe: more')
    .option('--topic <topic>', 'the topic, or topic:0,1 (repeat)', topicsWithPartitions)
    .option('--all-topics', 'all topics that the group has committed')
    .option('--to-earliest', 'to the earliest offset')
    .option('--to-latest', 'to the latest offset')
    .option('--to-current', 'to the current offset')
    .option('--to-offset <offset>', 'to this offset', offset)
    .option('--to-datetime <time>', 'to a time, YYYY-MM-DDTHH:mm:SS.sss, in UTC unless it says otherwise')
    .option('--by-duration <duration>', 'to a duration ago, PnDTnHnMnS')
    .option('--shift-by <count>', 'so many offsets on, or back', offset)
    .option('--from-file <file>', 'to what lines of CSV say')
    .option('--dry-run', 'only show what would be done')
    .option('--execute', 'do it')
    .option('--export', 'print it as CSV')
    .action(async (options) => {
      const { kafkaConsumerGroups } = await import('./kafka-consumer-groups.ts')
      await kafkaConsumerGroups(terminal, options)
    })
}

/** With the options that --help does not tell of. */
function connecting(command: Command, untold: readonly string[]): Command {
  command
    .option('-u, --url <url>', 'the server: goes before --bootstrap-server')
    .option('--bootstrap-server <host:port>', 'the server')
    .addHelpText('after', ADDRESS_HELP)
  for (const flags of ['--broker-list <host:port>', '--zookeeper <host:port>', '--command-config <file>', ...untold]) {
    const option = new Option(flags).hideHelp()
    command.addOption(flags.endsWith('<name=value>') ? option.argParser(repeated) : option)
  }
  return command
}
