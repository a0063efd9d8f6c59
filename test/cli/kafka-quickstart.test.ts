// The lines of Kafka's quick start for topics, console producer and console consumer, as they stand there, with
// `tailrace` in front of them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import { CliProcess, runCli, runCliOk } from './cli-process.ts'

/** A line of a shell, without its quoting. */
const words = (line: string) => line.split(' ')

const on = (server: TestServer) => ({ url: server.url })

test('a topic is created, described and listed as in the quick start', async (t) => {
  const server = await startServer(t)
  const created = await runCliOk(
    words('bin/kafka-topics.sh --create --topic quickstart-events --bootstrap-server localhost:9092'),
    on(server),
  )
  assert.equal(created.stdout, 'Created topic quickstart-events.\n')

  const described = await runCliOk(
    words('bin/kafka-topics.sh --describe --topic quickstart-events --bootstrap-server localhost:9092'),
    on(server),
  )
  const [summary, partition, end] = described.stdout.split('\n')
  assert.match(
    summary ?? '',
    /^Topic: quickstart-events\tTopicId: [\w-]{22}\tPartitionCount: 1\tReplicationFactor: 1\tConfigs: $/,
  )
  assert.match(partition ?? '', /^\tTopic: quickstart-events\tPartition: 0\tLeader: 1\tReplicas: 1\tIsr: 1\t/)
  assert.equal(end, '')

  const listed = await runCliOk(words('bin/kafka-topics.sh --list --bootstrap-server localhost:9092'), on(server))
  assert.equal(listed.stdout, 'quickstart-events\n')
})

test('events are written by one terminal and read by another', async (t) => {
  const server = await startServer(t)
  await runCliOk(
    words('kafka-topics.sh --create --topic quickstart-events --bootstrap-server localhost:9092'),
    on(server),
  )
  const producer = new CliProcess(
    words('bin/kafka-console-producer.sh --topic quickstart-events --bootstrap-server localhost:9092'),
    on(server),
  )
  const consumer = new CliProcess(
    words('bin/kafka-console-consumer.sh --topic quickstart-events --from-beginning --bootstrap-server localhost:9092'),
    on(server),
  )
  t.after(() => {
    producer.signal('SIGKILL')
    consumer.signal('SIGKILL')
  })
  producer.write('This is my first event\n')
  await consumer.until((stdout) => stdout === 'This is my first event\n')
  producer.write('This is my second event\n')
  await consumer.until((stdout) => stdout === 'This is my first event\nThis is my second event\n')

  producer.end()
  const produced = await producer.finished()
  assert.equal(produced.code, 0, produced.stderr)
  assert.equal(produced.stdout, '', 'no prompt in a pipe')
  consumer.signal('SIGINT')
  const consumed = await consumer.finished()
  assert.equal(consumed.code, 130)
  assert.match(consumed.stderr, /^Processed a total of 2 messages$/m)
})

test('the same events can be read again, also by a second consumer, and new ones alone without --from-beginning', async (t) => {
  const server = await startServer(t)
  await runCliOk(words('kafka-console-producer --topic again --broker-list localhost:9092'), {
    ...on(server),
    input: 'one\ntwo\n',
  })
  for (const _ of [1, 2]) {
    const { stdout, stderr } = await runCliOk(
      words('kafka-console-consumer --topic again --from-beginning --timeout-ms 300 --bootstrap-server localhost:9092'),
      on(server),
    )
    assert.equal(stdout, 'one\ntwo\n')
    assert.match(stderr, /^Processed a total of 2 messages$/m)
  }
  const none = await runCliOk(
    words('kafka-console-consumer --topic again --timeout-ms 300 --bootstrap-server localhost:9092'),
    on(server),
  )
  assert.equal(none.stdout, '')
})

test('an existing file is taken in and read as in the part on Connect', async (t) => {
  const server = await startServer(t)
  await runCliOk(words('kafka-console-producer.sh --topic connect-test --bootstrap-server localhost:9092'), {
    ...on(server),
    input: 'foo\nbar\n',
  })
  const { stdout } = await runCliOk(
    words(
      'kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic connect-test --from-beginning --max-messages 2',
    ),
    on(server),
  )
  assert.equal(stdout, 'foo\nbar\n')
})

test('counts are printed as in the part on Streams', async (t) => {
  const server = await startServer(t)
  await runCliOk(
    words(
      'kafka-topics.sh --create --bootstrap-server localhost:9092 --replication-factor 1 --partitions 1 ' +
        '--topic streams-wordcount-output --config cleanup.policy=compact',
    ),
    on(server),
  )
  const described = await runCliOk(words('kafka-topics.sh --bootstrap-server localhost:9092 --describe'), on(server))
  assert.match(described.stdout, /\tConfigs: cleanup\.policy=compact\n/)
  await server.post('/v1/topics/streams-wordcount-output/records', {
    value_encoding: 'int64',
    records: [
      { key: 'all', value: 1 },
      { key: 'kafka', value: '9007199254740993' },
    ],
  })
  const { stdout } = await runCliOk(
    [
      ...words('kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic streams-wordcount-output'),
      ...words('--from-beginning --max-messages 2 --formatter kafka.tools.DefaultMessageFormatter'),
      ...words('--property print.key=true --property print.value=true'),
      ...words('--property key.deserializer=org.apache.kafka.common.serialization.StringDeserializer'),
      ...words('--property value.deserializer=org.apache.kafka.common.serialization.LongDeserializer'),
    ],
    on(server),
  )
  assert.equal(stdout, 'all\t1\nkafka\t9007199254740993\n')
})

test('partitions are added, topics deleted, and what is not there is said in Kafka’s words', async (t) => {
  const server = await startServer(t)
  const kafka = (line: string) => runCli(words(`kafka-topics ${line} --bootstrap-server localhost:9092`), on(server))
  assert.equal((await kafka('--create --topic t.1 --partitions 3 --replication-factor 1')).code, 0)
  assert.equal((await kafka('--create --topic t.1 --if-not-exists')).code, 0)
  const twice = await kafka('--create --topic t.1')
  assert.equal(twice.code, 1)
  assert.match(twice.stderr, /^Error while executing topic command : Topic 't\.1' already exists\.$/m)
  assert.equal((await kafka('--alter --topic t.1 --partitions 5')).code, 0)
  assert.match((await kafka('--describe --topic t.*')).stdout, /\tPartitionCount: 5\t/)
  const overrides = await kafka('--describe --topics-with-overrides')
  assert.equal(overrides.stdout, '')
  assert.equal((await kafka('--delete --topic t.1')).code, 0)
  const gone = await kafka('--delete --topic t.1')
  assert.equal(gone.code, 1)
  assert.match(gone.stderr, /^Topic 't\.1' does not exist as expected$/m)
  assert.equal((await kafka('--delete --topic t.1 --if-exists')).code, 0)
})

test('a topic stays where the server deletes none, and Kafka’s words say so', async (t) => {
  const server = await startServer(t, { set: { 'delete.topic.enable': 'false' } })
  const kafka = (line: string) => runCli(words(`kafka-topics ${line} --bootstrap-server localhost:9092`), on(server))
  assert.equal((await kafka('--create --topic t')).code, 0)
  const refused = await kafka('--delete --topic t')
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /^Error while executing topic command : Topic deletion is disabled\.$/m)
  assert.equal((await kafka('--list')).stdout, 't\n')
})

test('keys, headers, nulls and any bytes go through the console tools as they are', async (t) => {
  const server = await startServer(t)
  const input = Buffer.concat([
    Buffer.from('h1:v1,h2:NIL\tk1\t{"n":12345678901234567890}\nNIL\tNIL\tNIL\n'),
    Buffer.from([0x68, 0x3a, 0xfe, 0x09, 0xff, 0x09, 0x80, 0x00, 0x81, 0x0a]),
  ])
  await runCliOk(
    words(
      'kafka-console-producer --topic t --bootstrap-server localhost:9092 --reader-property parse.key=true ' +
        '--property parse.headers=true --property null.marker=NIL --producer-property acks=1 --sync',
    ),
    { ...on(server), input },
  )
  const { bytes } = await runCliOk(
    words(
      'kafka-console-consumer --topic t --partition 0 --offset earliest --max-messages 3 --bootstrap-server localhost:9092 ' +
        '--property print.key=true --formatter-property print.headers=true --property null.literal=NIL',
    ),
    on(server),
  )
  assert.deepEqual(
    bytes.toString('latin1'),
    Buffer.concat([
      Buffer.from('h1:v1,h2:NIL\tk1\t{"n":12345678901234567890}\nNO_HEADERS\tNIL\tNIL\n'),
      Buffer.from([0x68, 0x3a, 0xfe, 0x09, 0xff, 0x09, 0x80, 0x00, 0x81, 0x0a]),
    ]).toString('latin1'),
  )
})

test('a consumer waits for a topic that is not there yet and misses none of it', async (t) => {
  const server = await startServer(t)
  const consumer = new CliProcess(
    words('kafka-console-consumer --topic later --bootstrap-server localhost:9092 --max-messages 1'),
    on(server),
  )
  t.after(() => consumer.signal('SIGKILL'))
  await consumer.until((_, stderr) => stderr.includes('not there yet'))
  await runCliOk(words('kafka-console-producer --topic later --bootstrap-server localhost:9092'), {
    ...on(server),
    input: 'first\n',
  })
  const { code, stdout } = await consumer.finished()
  assert.deepEqual({ code, stdout }, { code: 0, stdout: 'first\n' })
})

test('what cannot be had is refused in a sentence', async (t) => {
  const server = await startServer(t)
  for (const [line, says] of [
    ['kafka-topics --list --zookeeper localhost:2181', /--zookeeper .*--bootstrap-server/],
    ['kafka-topics --create --bootstrap-server localhost:9092', /Missing required argument "\[topic\]"/],
    ['kafka-topics --list --describe --bootstrap-server localhost:9092', /exactly one action/],
    ['kafka-topics --frobnicate', /unknown option '--frobnicate'/],
    ['kafka-topics --create --topic t --replication-factor 3', /replication factor/i],
    ['kafka-console-consumer --topic t --group g --partition 0', /group and partition cannot be specified together/],
    ['kafka-console-consumer --topic t --offset 5', /The partition is required when offset is specified\./],
    ['kafka-console-consumer --bootstrap-server localhost:9092', /Missing required argument "\[topic\]"/],
    ['kafka-console-producer --topic t --producer-property acks=2', /acks cannot be '2'/],
    [
      'kafka-console-producer --topic t --property value.schema.id=1',
      /value\.schema\.id: .*tailrace produce t --value-e/,
    ],
    [
      'kafka-console-consumer --topic t --property schema.registry.url=x',
      /schema\.registry\.url: .*tailrace consume t/,
    ],
    [
      'kafka-console-consumer --topic t --value-deserializer io.confluent.kafka.serializers.KafkaAvroDeserializer',
      /here are StringDeserializer, .*'tailrace consume' shows/,
    ],
  ] as const) {
    const { code, stdout, stderr } = await runCli(words(line), on(server))
    assert.deepEqual({ line, code, stdout }, { line, code: 1, stdout: '' })
    assert.match(stderr, says)
  }
})

test('a line without a key for a compacted topic is named, with what went in before', async (t) => {
  const server = await startServer(t)
  await runCliOk(words('kafka-topics --create --topic kept --config cleanup.policy=compact'), on(server))
  const { code, stderr } = await runCli(
    words('kafka-console-producer --topic kept --property parse.key=true --property null.marker=NULL --sync'),
    { ...on(server), input: 'k\tone\nNULL\ttwo\n' },
  )
  assert.equal(code, 1)
  assert.match(
    stderr,
    /line 2: Compacted topic cannot accept message without key.* 1 record was produced, none of line 2/,
  )
})
