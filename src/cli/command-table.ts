// The table of commands: names, arguments, options and help. What a command does is loaded when it runs, so that `serve`
// starts without the client and the client's commands without the server.

import { Command, Option } from 'commander'
import { listing, output, talking } from './client-options.ts'
import { addKafkaCommands } from './kafka-command-table.ts'
import { lineCount, nameValue, partitionNumbers, repeated, topicsWithPartitions, wholeNumber } from './option-value.ts'
import { addSchemas } from './schema-command-table.ts'
import { RECORD_OUTPUTS } from './table.ts'
import type { Terminal } from './terminal.ts'
import { packageVersion } from './version.ts'

const ENCODINGS = [
  'string',
  'json',
  'base64',
  'int16',
  'int32',
  'int64',
  'float32',
  'float64',
  'uuid',
  'avro',
  'jsonschema',
  'protobuf',
]

const PROGRAM_HELP = `
Data goes to stdout and everything else to stderr. Lists and records are a table on a terminal, and one JSON object a
line in a pipe (--output says otherwise).

Positions: earliest, latest, -N (the last N records), an offset (with one --partition), a time such as
2026-11-21T02:00:00Z, a duration ago such as 30m or 7d, cursor:TEXT, or with --group committed.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no such topic, group or file, 130 interrupted.`

export function buildProgram(terminal: Terminal): Command {
  const program = new Command('tailrace')
    .description('Event streaming over plain HTTP: the server, and commands that talk to one.')
    .version(packageVersion(), '--version', 'print the version')
    // else `schemas delete S --version 1` would print the version, and delete nothing
    .enablePositionalOptions()
    .exitOverride()
    .showHelpAfterError('(--help shows how)')
    .addHelpText('after', PROGRAM_HELP)
  addServe(program, terminal)
  addTopics(program, terminal)
  addProduce(program, terminal)
  addConsume(program, terminal)
  addTail(program, terminal)
  addGroups(program, terminal)
  addSchemas(program, terminal)
  addExport(program, terminal)
  addImport(program, terminal)
  addBench(program, terminal)
  addDumpLog(program, terminal)
  addKafkaCommands(program, terminal)
  program
    .command('version')
    .description('Print the version.')
    .action(() => terminal.write(`tailrace ${packageVersion()}\n`))
  return program
}

function addServe(program: Command, terminal: Terminal): void {
  program
    .command('serve')
    .description('Run the server: one data directory, one port. Logs go to stderr. SIGTERM or SIGINT stops it cleanly.')
    .option('--host <address>', 'address to listen on (127.0.0.1 unless configured)')
    .option('--port <number>', 'port to listen on (8082 unless configured; 0 takes a free one)')
    .option('--data-dir <dir>', 'where everything is kept (./data unless configured)')
    .option('--config <file>', "options as name=value lines; a Kafka broker's server.properties is read as it is")
    .option('--set <name=value>', 'any server option, such as log.retention.hours=24 (repeat)', repeated)
    .addHelpText(
      'after',
      '\nFlags go before the environment (TAILRACE_PORT, TAILRACE_LOG_RETENTION_HOURS, …), that before the file.',
    )
    .action(async (options) => {
      const { serve } = await import('./serve.ts')
      await serve(terminal, options)
    })
}

function addTopics(program: Command, terminal: Terminal): void {
  const topics = program.command('topics').description('List, describe, create, alter and delete topics.')
  const load = () => import('./topics.ts')
  const config = new Option('-c, --config <name=value>', 'a setting, such as retention.ms=3600000 (repeat)').argParser(
    nameValue,
  )
  const partitions = (what: string) => new Option('-p, --partitions <count>', what).argParser(wholeNumber(1))

  listing(topics.command('list').description('List the topics.'))
    .option('--internal', 'internal topics too')
    .action(async (options) => (await load()).listTopics(terminal, options))

  listing(topics.command('describe').description("Show topics' partitions and settings."))
    .argument('<topic...>')
    .option('--all', 'settings that have their defaults too (table)')
    .action(async (names, options) => (await load()).describeTopics(terminal, names, options))

  listing(topics.command('create').description('Create a topic.'))
    .argument('<topic>')
    .addOption(partitions("how many (the server's num.partitions if left out)"))
    .option('--replication-factor <count>', 'one server takes 1 only', wholeNumber(-1))
    .addOption(config)
    .option('--if-not-exists', 'leave a topic that is there as it is')
    .action(async (name, options) => (await load()).createTopic(terminal, name, options))

  listing(topics.command('alter').description('Add partitions to a topic, or change its settings.'))
    .argument('<topic>')
    .addOption(partitions('how many there shall be: never fewer than there are'))
    .addOption(config)
    .option('--unset <name>', 'a setting that goes back to its default (repeat)', repeated)
    .action(async (name, options) => (await load()).alterTopic(terminal, name, options))

  talking(topics.command('delete').description('Delete topics with all their records.'))
    .argument('<topic...>')
    .option('--if-exists', 'pass over topics that are not there')
    .action(async (names, options) => (await load()).deleteTopics(terminal, names, options))
}

const schemaNumber = wholeNumber(1, 2 ** 31 - 1)

function addProduce(program: Command, terminal: Terminal): void {
  listing(program.command('produce').description('Store each line of files or stdin as a record.'))
    .argument('<topic>')
    .argument('[file...]', 'files to read; - or none is stdin')
    .option('-k, --key <key>', 'the key of every record')
    .option('-K, --key-separator <text>', 'what stands between key and value in each line')
    .option('-H, --header <name=value>', 'a header of every record (repeat)', nameValue)
    .option('-p, --partition <number>', 'the partition (by key if left out)', wholeNumber(0))
    .addOption(new Option('--key-encoding <name>', 'how a key is meant, as --value-encoding').choices(ENCODINGS))
    .addOption(
      new Option(
        '--value-encoding <name>',
        "how a line is meant: string stores its bytes as they are, json checks that they are JSON, base64 decodes them, avro, jsonschema and protobuf take them as JSON of a schema, the others are Kafka's serializers (that of the schema if one is named, else string)",
      ).choices(ENCODINGS),
    )
    .option('--schema-id <id>', 'the schema that values are made by', schemaNumber)
    .option('--subject <name>', 'or the subject whose schema it is (TOPIC-value if left out)')
    .option('--schema-version <number>', "the subject's version (the latest if left out)", schemaNumber)
    .option('--key-schema-id <id>', 'the schema that keys are made by', schemaNumber)
    .option('--key-subject <name>', 'or the subject whose schema it is (TOPIC-key if left out)')
    .option('--key-schema-version <number>', "that subject's version (the latest if left out)", schemaNumber)
    .option('-Z, --tombstones', 'an empty value is none: a tombstone')
    .addOption(
      new Option('--input <form>', 'lines: values; ndjson: whole records, as consume and export print them')
        .choices(['lines', 'ndjson'])
        .default('lines'),
    )
    .option('--no-keep-partitions', 'with --input ndjson: place records by their keys, not where the lines say')
    .addOption(acks())
    .option('--batch-records <count>', 'records in one request at most', wholeNumber(1, 100_000), 1_000)
    .option('--idempotent', 'repeat requests that got no clear answer; their records are stored once')
    .option('--echo', 'print where each record was stored')
    .action(async (topic, files, options) => {
      const { produce } = await import('./produce.ts')
      await produce(terminal, topic, files, options)
    })
}

function addConsume(program: Command, terminal: Terminal): void {
  reading(
    program.command('consume').argument('<topic>').description('Print the records of a topic, and wait for more.'),
  )
    .option(
      '-o, --offset <position>',
      'where to begin (latest if left out; of a group, where it has committed nothing)',
    )
    .option('--from-beginning', 'begin at the earliest record')
    .addOption(
      new Option(
        '--on-gap <what>',
        'where the records at --offset are gone: error, or earliest to go on at the first',
      ).choices(['error', 'earliest']),
    )
    .option('-e, --exit', 'stop at the end of the topic')
    .option('-n, --max-messages <count>', 'stop after this many', wholeNumber(1))
    .option('--timeout-ms <ms>', 'stop when nothing comes for this long', wholeNumber(0))
    .option('-g, --group <name>', 'as a worker of this group: what is printed is committed')
    .option('--shared', 'the group is a work queue: records come one by one, and those printed are accepted')
    .action(async (topic, options) => {
      const { consume } = await import('./consume.ts')
      await consume(terminal, topic, options)
    })
}

function addTail(program: Command, terminal: Terminal): void {
  const tail = program.command('tail').argument('[topic...]').description('Print the last records of topics.')
  reading(tail)
    .addOption(
      new Option(
        '-n, --lines <count>',
        'how many of each topic (of a --pattern: of all), or shorter -N; +N: from the Nth record on',
      )
        .argParser(lineCount)
        .default({ count: 10, isFirst: false }, '10'),
    )
    .option('-f, --follow', 'wait for more, over lost connections too')
    .option('-F, --follow-name', 'the same, and wait for topics that are not there, or no longer')
    .addOption(
      new Option(
        '--pattern <expression>',
        "all topics whose names fit, such as 'ord.*', also those made later",
      ).conflicts('partition'),
    )
    .addOption(new Option('--since <position>', 'from there on, such as 1h or a time').conflicts('lines'))
    .addOption(
      new Option('--until <position>', 'up to there (the present end if left out)').conflicts(['follow', 'followName']),
    )
    .option('--grep <expression>', 'only records with a key or value that this regular expression is found in')
    .option('-i, --ignore-case', 'with --grep: upper and lower case are the same')
    .option('-q, --quiet', 'no lines with the names of topics')
    .addOption(new Option('-v, --verbose', 'always lines with the names of topics').conflicts('quiet'))
    .addHelpText(
      'after',
      `
What is asked for by --key, --header, --filter or --grep is looked for among the last --lines records.
The last N of a topic are printed in the order of their times. With +N or --since all is printed as it is read: in the
order of offsets in each partition, one partition after the other. What comes is printed as it comes. With -f, a reader that has gone away (head) is noticed
by the next record; 'consume -n N' ends by itself after N.`,
    )
    .action(async (topics, options) => {
      const { tail } = await import('./tail.ts')
      await tail(terminal, topics, options)
    })
}

function addGroups(program: Command, terminal: Terminal): void {
  const groups = program
    .command('groups')
    .description('List, describe, reset and delete consumer groups; show and end the leases of their workers.')
    // nobody who mistypes a word is to be led to one that sets offsets
    .showSuggestionAfterError(false)
  const load = () => import('./groups.ts')
  const topic = (what: string) => new Option('-t, --topic <topic[:partitions]>', what).argParser(topicsWithPartitions)

  listing(groups.command('list').description('List the groups.')).action(async (options) =>
    (await load()).listGroups(terminal, options),
  )

  listing(groups.command('describe').description('Show who is in groups, and how far they have come.'))
    .argument('<group...>')
    .action(async (names, options) => (await load()).describeGroups(terminal, names, options))

  listing(groups.command('leases').description('Show which workers of a group have leased what, until when.'))
    .argument('<group>')
    .action(async (name, options) => (await load()).listLeases(terminal, name, options))

  talking(groups.command('release').description("End a worker's leases: what they are on is given out again, at once."))
    .argument('<group>')
    .requiredOption('-m, --member <name>', "the worker's name for itself; '' for those that gave none")
    .action(async (name, options) => (await load()).releaseMember(terminal, name, options))

  listing(
    groups.command('reset').description("Show where a group's offsets would be put; with --execute put them there."),
  )
    .argument('<group>')
    .option('--to <position>', 'earliest, latest, committed, an offset, a time, or a duration ago')
    .option('--shift-by <count>', 'so many records on, or back', wholeNumber(-Number.MAX_SAFE_INTEGER))
    .addOption(topic('only this topic, or orders:0,1 (repeat; all that it has committed if left out)'))
    .option('--execute', 'do it')
    .option('--force', 'while members are in it too: they are made to leave')
    .action(async (name, options) => (await load()).resetGroup(terminal, name, options))

  talking(groups.command('delete').description('Delete groups that nobody is in, with their offsets.'))
    .argument('<group...>')
    .addOption(topic('only the offsets of this topic, or orders:0,1 (repeat)'))
    .addOption(new Option('--force', 'whole groups: members are made to leave, leases end').conflicts('topic'))
    .action(async (names, options) => (await load()).deleteGroups(terminal, names, options))
}

function addExport(program: Command, terminal: Terminal): void {
  talking(program.command('export').description('Write a topic as newline-delimited JSON that import takes back.'))
    .argument('<topic>')
    .argument('[file]', 'appears when it is whole; .gz and .zst are compressed; - or none is stdout')
    .option('--from <position>', 'where to begin (earliest if left out)')
    .option('--until <position>', 'where to end (the present end if left out)')
    .option('-p, --partition <numbers>', 'only these (repeat, or with commas)', partitionNumbers)
    .action(async (topic, file, options) => {
      const { exportTopic } = await import('./export.ts')
      await exportTopic(terminal, topic, file, options)
    })
}

function addImport(program: Command, terminal: Terminal): void {
  listing(
    program.command('import').description('Store newline-delimited JSON; lines that cannot be taken are reported.'),
  )
    .argument('<topic>')
    .argument('[file...]', 'files; .gz and .zst go compressed; - or none is stdin')
    .addOption(
      new Option('--format <form>', 'record: lines as export writes them; value: each line is a value')
        .choices(['record', 'value'])
        .default('record'),
    )
    .option('--key <member>', 'with --format value: the member of each line that is its key')
    .addOption(acks())
    .option('--no-keep-partitions', 'place records by their keys, not where the lines say')
    .action(async (topic, files, options) => {
      const { importTopic } = await import('./import.ts')
      await importTopic(terminal, topic, files, options)
    })
}

function addBench(program: Command, terminal: Terminal): void {
  const bench = program
    .command('bench')
    .description("Load a server and print figures in the form of Kafka's performance tools.")
  const load = () => import('./bench.ts')
  const shared = (command: Command) =>
    talking(command).option('--num-records <count>', 'how many', wholeNumber(1), 1_000_000)
  const writing = (command: Command) =>
    command
      .option('--record-size <bytes>', 'size of a value', wholeNumber(1, 1_000_000), 100)
      .option('--throughput <records>', 'a second; -1: no limit', wholeNumber(-1), -1)
      .option('--batch-records <count>', 'records in one request', wholeNumber(1, 100_000), 500)
      .option('--clients <count>', 'requests under way at once', wholeNumber(1, 1_000), 8)
      .addOption(acks())

  writing(shared(bench.command('run', { isDefault: true }).description('Both, on a topic that is deleted afterwards.')))
    .option('--partitions <count>', 'of that topic', wholeNumber(1), 1)
    .action(async (options) => (await load()).bench(terminal, options))
  writing(shared(bench.command('produce').description('Produce records.')))
    .argument('<topic>')
    .action(async (topic, options) => (await load()).benchProduce(terminal, topic, options))
  shared(bench.command('consume').description('Read from the beginning. MB are those of the pages as they come.'))
    .argument('<topic>')
    .option('--hide-header', 'without the names of the columns')
    .action(async (topic, options) => (await load()).benchConsume(terminal, topic, options))
}

function addDumpLog(program: Command, terminal: Terminal): void {
  program
    .command('dump-log')
    .description('Check segment files, without a server, and print their batches. Exits with 1 when one is corrupt.')
    .argument('<file...>', 'segment files, or folders: all segments below them')
    .option('--records', 'print the records too')
    .option('--verify', 'print one line for each file only')
    .option('--repair', 'say how what is bad would be taken out of a data directory that no server has')
    .option('--yes', 'with --repair: do it; what is taken out is kept beside')
    .addOption(output())
    .action(async (files, options) => {
      const { dumpLog } = await import('./dump-log.ts')
      await dumpLog(terminal, files, options)
    })
}

function reading(command: Command): Command {
  return talking(command)
    .addOption(output(RECORD_OUTPUTS))
    .option('-p, --partition <numbers>', 'only these (repeat, or with commas)', partitionNumbers)
    .option('--key <key>', 'only records with this key')
    .option('-H, --header <name=value>', 'only records with this header (repeat)', nameValue)
    .option('--filter <expression>', "only records for which this holds, in CEL: 'value.total > 100'")
    .addOption(new Option('--key-format <name>', 'how keys are shown').choices(['auto', ...ENCODINGS]))
    .addOption(
      new Option(
        '--value-format <name>',
        'how values are shown; auto: as their schema has them, else JSON, else text, else base64',
      ).choices(['auto', ...ENCODINGS]),
    )
    .addOption(
      new Option('--unions <form>', 'of Avro: tagged, with the name of the branch, or plain, the value alone').choices([
        'tagged',
        'plain',
      ]),
    )
}

function acks(): Option {
  return new Option('--acks <when>', 'when a record counts as stored: all, synced to disk; 1, written; 0, sent')
    .choices(['all', '1', '0'])
    .default('all')
}
