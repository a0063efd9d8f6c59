import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { ServerConfig, ServerFlags } from '../../src/app/config.ts'
import { loadConfig } from '../../src/app/config.ts'
import { MOOT_BROKER_OPTIONS } from '../../src/app/kafka-broker-options.ts'
import { OPTION_SCHEMAS, optionValue } from '../../src/app/option-schema.ts'
import type { TopicConfig } from '../../src/engine/topic-config.ts'
import { parseTopicConfig, TOPIC_CONFIG_TABLE, topicConfigDefaults } from '../../src/engine/topic-config.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { TOPIC_PARTITIONS_MAX } from '../../src/kernel/limits.ts'

interface Given {
  readonly flags?: ServerFlags
  readonly env?: Record<string, string>
  readonly file?: string
}

function load({ flags = {}, env = {}, file }: Given): ServerConfig {
  const readFile = (path: string): string => {
    if (path === 'server.properties' && file !== undefined) return file
    throw new Error(`ENOENT: no such file or directory, open '${path}'`)
  }
  return loadConfig({ flags: file === undefined ? flags : { config: 'server.properties', ...flags }, env, readFile })
}

const set = (...pairs: string[]): Given => ({ flags: { set: pairs } })

function refusal(given: Given): TailraceError {
  try {
    load(given)
  } catch (error) {
    assert(error instanceof TailraceError)
    assert.equal(error.code, 'invalid_config')
    return error
  }
  return assert.fail('nothing was refused')
}

test('without anything set all is as schemas/config.json says', () => {
  assert.deepEqual(load({}), {
    host: '127.0.0.1',
    port: 8082,
    advertised: undefined,
    dataDir: './data',
    logLevel: 'info',
    broker: {},
    numPartitions: 1,
    autoCreateTopics: true,
    deleteTopicEnabled: true,
    internalTopicsWritable: false,
    bodyBytesMax: 104_857_600,
    requestTimeoutMs: 60_000,
    connectionIdleMs: 600_000,
    connectionsMax: 60_000,
    shutdownGraceMs: 8_000,
    compatLenient: false,
    allowedOrigins: [],
    assignors: ['cooperative-sticky', 'range'],
    consumerRequestTimeoutMs: 1_000,
    consumerRequestBytesMax: 67_108_864,
    consumerInstanceTimeoutMs: 300_000,
    schemaRegistryProfile: 8,
    retentionCheckIntervalMs: 300_000,
    cleanerEnabled: true,
    cleanerBackoffMs: 15_000,
    cleanerDedupeBufferBytes: 134_217_728,
    producerIdExpirationMs: 86_400_000,
    producerIdExpirationCheckIntervalMs: 600_000,
    groups: {
      sessionTimeoutMsMin: 1_000,
      sessionTimeoutMsMax: 1_800_000,
      initialRebalanceDelayMs: 0,
      membersMax: 10_000,
      offsetsRetentionMs: 604_800_000,
      offsetMetadataBytesMax: 4_096,
    },
    offsetsRetentionCheckIntervalMs: 600_000,
    ignored: [],
  })
})

test('flags come before environment, environment before file, file before defaults', () => {
  const file = 'num.partitions=2\nport=1002\ndata.dir=/file'
  const env = { TAILRACE_NUM_PARTITIONS: '3', TAILRACE_PORT: '1003', TAILRACE_DATA_DIR: '/env' }
  const flags = { port: '1004', dataDir: '/flag', set: ['num.partitions=4'] }
  const seen = (given: Given) => {
    const { numPartitions, port, dataDir } = load(given)
    return [numPartitions, port, dataDir]
  }
  assert.deepEqual(seen({ file, env, flags }), [4, 1004, '/flag'])
  assert.deepEqual(seen({ file, env }), [3, 1003, '/env'])
  assert.deepEqual(seen({ file }), [2, 1002, '/file'])
})

test('of --set the last of a name counts, and a flag of its own comes before it', () => {
  assert.equal(load(set('num.partitions=2', 'num.partitions=3')).numPartitions, 3)
  assert.equal(load({ flags: { port: '1', set: ['port=2'] } }).port, 1)
})

test('the file may be named by TAILRACE_CONFIG', () => {
  const readFile = (path: string) => (path === '/etc/t' ? 'port=7' : assert.fail(path))
  assert.equal(loadConfig({ flags: {}, env: { TAILRACE_CONFIG: '/etc/t' }, readFile }).port, 7)
})

test('empty variables, those of others, and the command line’s own are passed over', () => {
  const env = { TAILRACE_PORT: '', TAILRACE_URL: 'http://x', PATH: '/bin', PORT: '1', tailrace_port: '2' }
  assert.equal(load({ env }).port, 8082)
})

test('what Kubernetes says of a service called tailrace is no option', () => {
  const env = {
    TAILRACE_PORT: 'tcp://10.0.0.7:8082',
    TAILRACE_PORT_8082_TCP: 'tcp://10.0.0.7:8082',
    TAILRACE_PORT_8082_TCP_ADDR: '10.0.0.7',
    TAILRACE_PORT_8082_TCP_PORT: '8082',
    TAILRACE_PORT_8082_TCP_PROTO: 'tcp',
    TAILRACE_SERVICE_HOST: '10.0.0.7',
    TAILRACE_SERVICE_PORT: '8082',
    TAILRACE_SERVICE_PORT_HTTP: '8082',
  }
  assert.deepEqual(load({ env }), load({}))
})

test('a file that cannot be read is named with the reason', () => {
  const error = refusal({ flags: { config: '/nowhere' } })
  assert.match(error.message, /^the config file '\/nowhere' cannot be read: ENOENT/)
  assert(error.cause instanceof Error)
})

test('unknown names are refused with the nearest known one and their place', () => {
  assert.equal(
    refusal(set('num.partitons=3')).message,
    "there is no option 'num.partitons' (from --set); did you mean 'num.partitions'?",
  )
  assert.equal(
    refusal({ env: { TAILRACE_PROT: '1' } }).message,
    "there is no option 'TAILRACE_PROT' (from the environment); did you mean 'TAILRACE_PORT'?",
  )
  assert.equal(
    refusal({ file: '\n\nlog.retenton.hours=1' }).message,
    "there is no option 'log.retenton.hours' (from server.properties line 3); did you mean 'log.retention.hours'?",
  )
  assert.equal(refusal(set('bogus=1')).message, "there is no option 'bogus' (from --set)")
  assert.equal(refusal(set('num.netwrok.threads=1')).details['nearest'], 'num.network.threads')
  for (const name of ['__proto__', 'constructor']) refusal(set(`${name}=1`))
})

test("a topic config's name is answered with the server option that stands for it", () => {
  assert.equal(refusal(set('retention.ms=1')).details['nearest'], 'log.retention.ms')
  assert.equal(refusal(set('max.message.bytes=1')).details['nearest'], 'message.max.bytes')
})

test('values out of range name option, value, place and what is allowed', () => {
  assert.equal(
    refusal({ flags: { port: '65536' } }).message,
    "port cannot be '65536' (from --port): allowed is a whole number from 0 to 65535",
  )
  assert.deepEqual(refusal({ env: { TAILRACE_NUM_PARTITIONS: '0' } }).details, {
    option: 'num.partitions',
    value: '0',
    source: 'TAILRACE_NUM_PARTITIONS',
    allowed: 'a whole number from 1 to 10000',
  })
  assert.equal(
    refusal({ file: 'delete.topic.enable=yes' }).message,
    "delete.topic.enable cannot be 'yes' (from server.properties line 1): allowed is true or false",
  )
  assert.match(refusal(set('log.level=loud')).message, /one of trace, debug, info/)
  assert.match(
    refusal(set('log.retention.hours=week')).message,
    /^log\.retention\.hours cannot be 'week' \(from --set\)/,
  )
  assert.match(refusal(set('log.segment.bytes=65535')).message, /a whole number from 65536 to 2147483647$/)
  assert.match(refusal(set('nothing')).message, /--set takes name=value/)
})

test('only what counts is checked: a stronger place repairs a bad value in a weaker one', () => {
  assert.equal(
    load({ file: 'log.dirs=/a,/b\nnum.partitions=x', ...set('num.partitions=2', 'data.dir=/c') }).dataDir,
    '/c',
  )
})

test('every option of the schema has its edges checked', () => {
  for (const [name, schema] of OPTION_SCHEMAS) {
    if (schema['x-topic-config'] !== undefined || (schema.type !== 'integer' && schema.type !== 'number')) continue
    const { minimum, maximum } = schema
    assert(minimum !== undefined && maximum !== undefined, `${name} has bounds`)
    load(set(`${name}=${minimum}`))
    load(set(`${name}=${maximum}`))
    refusal(set(`${name}=${minimum - 1}`))
    refusal(set(`${name}=${maximum + 1}`))
    for (const text of ['', 'x', '1.5', '0x1', '1e2', '9'.repeat(400)]) refusal(set(`${name}=${text}`))
  }
})

test('every option of the schema has an effect', () => {
  const other: Record<string, string> = {
    host: '::1',
    'host.name': 'box',
    listeners: 'PLAINTEXT://box:1',
    'advertised.listeners': 'PLAINTEXT://box:1',
    'log.level': 'debug',
    'compression.type': 'zstd',
    'log.message.timestamp.type': 'LogAppendTime',
    'log.cleanup.policy': 'compact',
    'partition.assignment.strategy': 'range, sticky',
    'consumer.request.max.bytes': '1',
    'schema.registry.compat.profile': '7',
    'access.control.allow.origin': 'https://app.example',
  }
  // These two say which listener counts.
  const companions: Record<string, string[]> = {
    'listener.security.protocol.map': ['listeners=A://a:1,B://b:2', 'listener.security.protocol.map=B:PLAINTEXT,A:SSL'],
    'controller.listener.names': ['listeners=PLAINTEXT://a:1,HTTP://b:2', 'controller.listener.names=PLAINTEXT'],
  }
  const plain = JSON.stringify(load({}))
  for (const [name, schema] of OPTION_SCHEMAS) {
    const changed =
      typeof schema.default === 'boolean'
        ? String(!schema.default)
        : String(schema.maximum === undefined || schema.maximum > 2 ** 53 ? 7 : schema.maximum)
    const pairs = companions[name] ?? [`${name}=${other[name] ?? changed}`]
    assert.notEqual(JSON.stringify(load(set(...pairs))), plain, name)
    assert(schema.description.endsWith('.'), name)
  }
})

test('the schema is valid JSON Schema, and gives the verdicts that ajv gives', () => {
  const schema = JSON.parse(readFileSync(new URL('../../schemas/config.json', import.meta.url), 'utf8'))
  const ajv = new Ajv2020({ strict: true, keywords: ['x-allowed', 'x-topic-config'] })
  assert(ajv.validate('https://json-schema.org/draft/2020-12/schema', schema))
  const validate = ajv.compile(schema)
  const integers = [-2, -1, 0, 1, 7, 8, 65_535, 65_536, 2 ** 31 - 1, 2 ** 31]
  const candidates = [...integers, 0.5, 1.5, true, false, '', 'x', 'a/b', '/a', '/a,/b', 'info', 'none', 'gzip', '::1']
  for (const name of OPTION_SCHEMAS.keys()) {
    for (const value of candidates) {
      const ours = optionValue(name, String(value)).value
      // ajv judges the value that we make of the text; where we make none, neither may ajv take it.
      if (ours === undefined) assert(!validate({ [name]: value }), `${name} ${value}`)
      else assert(validate({ [name]: ours }), `${name} ${value}`)
    }
  }
  assert(
    validate(
      Object.fromEntries(
        [...OPTION_SCHEMAS].flatMap(([name, each]) => ('default' in each ? [[name, each.default]] : [])),
      ),
    ),
  )
})

test('what the schema says of topic configs is what the table of topic configs says', () => {
  for (const row of TOPIC_CONFIG_TABLE) {
    for (const option of row.synonyms) {
      const schema = OPTION_SCHEMAS.get(option.name)
      if (row.moot !== undefined) {
        assert(schema === undefined && MOOT_BROKER_OPTIONS.has(option.name), option.name)
        continue
      }
      assert.equal(schema?.['x-topic-config'], row.name)
      const { values } = row
      if (values.type === 'word') assert.deepEqual(schema.enum, values.words)
      if (values.type === 'double') assert.deepEqual([schema.minimum, schema.maximum], [values.min, values.max])
      if ((values.type === 'int' || values.type === 'long') && option.unit === 1) {
        assert.equal(schema.minimum, Number(values.or ?? values.min), option.name)
        assert.equal(schema.maximum, Number(values.max), option.name)
      } else if (option.unit !== 1) {
        const [least, most] = [schema.minimum ?? Number.NaN, schema.maximum ?? Number.NaN]
        for (const edge of [least, most]) load(set(`${option.name}=${edge}`))
        for (const beyond of [least - 1, most + 1]) {
          const { details } = refusal(set(`${option.name}=${beyond}`))
          assert.equal(details['allowed'], `a whole number from ${least} to ${most}`)
        }
      }
      if (schema.default !== undefined && option.unit !== 1)
        assert.equal(Number(schema.default) * option.unit, Number(row.default))
      if (schema.default !== undefined && option.unit === 1) {
        const expected = typeof schema.default === 'number' ? Number(row.default) : row.default
        assert.equal(schema.default, expected, option.name)
      }
    }
    // Each default is told once, where there is an option.
    const told = row.synonyms.filter(({ name }) => OPTION_SCHEMAS.get(name)?.default !== undefined)
    if (row.moot === undefined && row.synonyms.length > 0) assert.equal(told.length, 1, row.name)
  }
  const pointed = [...OPTION_SCHEMAS]
    .filter(([, schema]) => schema['x-topic-config'] !== undefined)
    .map(([name]) => name)
  const known = TOPIC_CONFIG_TABLE.flatMap((row) =>
    row.moot === undefined ? row.synonyms.map(({ name }) => name) : [],
  )
  assert.deepEqual(pointed.toSorted(), known.toSorted())
  assert.equal(OPTION_SCHEMAS.get('num.partitions')?.maximum, TOPIC_PARTITIONS_MAX)
})

test('no option is both known and moot, and no two share a variable', () => {
  const names = [...OPTION_SCHEMAS.keys(), ...MOOT_BROKER_OPTIONS]
  assert.equal(new Set(names).size, names.length)
  const variables = names.map((name) => name.replaceAll('.', '_').toUpperCase())
  assert.equal(new Set(variables).size, names.length)
})

test('only the options that were set go to the topics, as text', () => {
  const env = {
    TAILRACE_LOG_RETENTION_HOURS: ' 24 ',
    TAILRACE_LOG_CLEANER_MAX_COMPACTION_LAG_MS: '9223372036854775807',
  }
  assert.deepEqual(load({ env }).broker, {
    'log.cleaner.max.compaction.lag.ms': '9223372036854775807',
    'log.retention.hours': '24',
  })
})

test("of several options for one topic config the strongest place wins, and within it Kafka's order", () => {
  const file = 'log.retention.ms=1000\nlog.roll.ms=5\nlog.roll.hours=1'
  const { broker } = load({ file, env: { TAILRACE_LOG_RETENTION_HOURS: '24' } })
  assert.deepEqual(broker, { 'log.retention.hours': '24', 'log.roll.ms': '5', 'log.roll.hours': '1' })
})

test('all that rules retention can be set by flag, environment and file, for all topics', () => {
  const options: readonly (readonly [name: string, value: string, config: keyof TopicConfig, parsed: number])[] = [
    ['log.retention.ms', '5', 'retentionMs', 5],
    ['log.retention.minutes', '5', 'retentionMs', 300_000],
    ['log.retention.hours', '5', 'retentionMs', 18_000_000],
    ['log.retention.bytes', '5', 'retentionBytes', 5],
    ['log.segment.bytes', '65536', 'segmentBytes', 65_536],
    ['log.roll.ms', '5', 'segmentMs', 5],
    ['log.roll.hours', '5', 'segmentMs', 18_000_000],
    ['log.roll.jitter.ms', '5', 'segmentJitterMs', 5],
    ['log.segment.delete.delay.ms', '5', 'fileDeleteDelayMs', 5],
  ]
  for (const [name, value, config, parsed] of options) {
    const variable = `TAILRACE_${name.replaceAll('.', '_').toUpperCase()}`
    for (const given of [set(`${name}=${value}`), { env: { [variable]: value } }, { file: `${name} = ${value}` }]) {
      assert.equal(parseTopicConfig({}, topicConfigDefaults(load(given).broker))[config], parsed, JSON.stringify(given))
    }
  }
  const { retentionMs } = parseTopicConfig({}, topicConfigDefaults(load({}).broker))
  assert.equal(retentionMs, 168 * 3_600_000)
  assert.equal(load({ env: { TAILRACE_LOG_RETENTION_CHECK_INTERVAL_MS: '7' } }).retentionCheckIntervalMs, 7)
})

test('compaction lags that contradict each other are refused', () => {
  refusal(set('log.cleaner.min.compaction.lag.ms=5', 'log.cleaner.max.compaction.lag.ms=4'))
})

test('log.dirs is the data directory, and only one', () => {
  assert.equal(load({ file: 'log.dir=/one' }).dataDir, '/one')
  assert.equal(load({ file: 'log.dirs= /two \nlog.dir=/one' }).dataDir, '/two')
  assert.equal(load({ file: 'log.dirs=/two\ndata.dir=/three' }).dataDir, '/three')
  assert.equal(load({ file: 'data.dir=/three', env: { TAILRACE_LOG_DIRS: '/two' } }).dataDir, '/two')
  assert.match(refusal({ file: 'log.dirs=/a,/b' }).message, /one path, since there is one data directory/)
})

test('host and port come from the first plain listener', () => {
  const address = (...pairs: string[]) => {
    const { host, port } = load(set(...pairs))
    return `${host} ${port}`
  }
  assert.equal(address('listeners=PLAINTEXT://box:9092'), 'box 9092')
  assert.equal(address('listeners=http://0.0.0.0:8080/'), '0.0.0.0 8080')
  assert.equal(address('listeners=PLAINTEXT://[::1]:9092'), '::1 9092')
  assert.equal(address('listeners=SSL://a:1, PLAINTEXT://b:2'), 'b 2')
  assert.equal(address('listeners=PLAINTEXT://:9092'), '127.0.0.1 9092')
  assert.equal(address('listeners=PLAINTEXT://b:2', 'port=3'), 'b 3')
  assert.equal(address('host.name=old'), 'old 8082')
  assert.equal(
    address('listeners=CLIENT://c:3,X://x:4', 'listener.security.protocol.map=client:PLAINTEXT,X:SSL'),
    'c 3',
  )
  const outer = load({ file: 'listeners=PLAINTEXT://:9092\nhost=inner', env: { TAILRACE_HOST: '0.0.0.0' } })
  assert.deepEqual([outer.host, outer.port], ['0.0.0.0', 9092])
})

test('listeners that cannot be served are refused, TLS ones above all', () => {
  assert.match(refusal(set('listeners=SASL_SSL://box:9093')).message, /TLS and SASL are not served here/)
  assert.match(refusal(set('listeners=HTTPS://box:443')).message, /TLS and SASL are not served here/)
  for (const text of ['box:9092', 'PLAINTEXT://box', 'PLAINTEXT://box:70000', '', 'PLAINTEXT://b ox:1']) {
    assert.match(refusal(set(`listeners=${text}`)).message, /allowed is PLAINTEXT:\/\/host:port or http/)
  }
})

test('advertised listeners say what clients are told, https too', () => {
  const advertised = (text: string) => load(set(`advertised.listeners=${text}`)).advertised
  assert.deepEqual(advertised('PLAINTEXT://box:9092'), { protocol: 'http', host: 'box', port: 9092 })
  assert.deepEqual(advertised('https://stream.example.com:443'), {
    protocol: 'https',
    host: 'stream.example.com',
    port: 443,
  })
  assert.match(refusal(set('advertised.listeners=PLAINTEXT://:9092')).message, /names its host/)
})

/** The settings of the file that comes with Kafka 4, its comments told shortly. */
const KAFKA_SERVER_PROPERTIES = `
############################# Server Basics #############################
# Broker and controller in one.
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093

############################# Socket Server Settings #############################
#     listeners = PLAINTEXT://your.host.name:9092
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600

############################# Log Basics #############################
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
num.recovery.threads.per.data.dir=2

############################# Internal Topic Settings  #############################
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

############################# Log Retention Policy #############################
#log.flush.interval.messages=10000
log.retention.hours=168
#log.retention.bytes=1073741824
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
`

test("reads the server.properties of Kafka's distribution as it is", () => {
  const config = load({ file: KAFKA_SERVER_PROPERTIES })
  assert.equal(config.host, '127.0.0.1')
  assert.equal(config.port, 9092)
  assert.equal(config.dataDir, '/tmp/kraft-combined-logs')
  assert.deepEqual(config.advertised, { protocol: 'http', host: 'localhost', port: 9092 })
  assert.deepEqual(config.broker, { 'log.retention.hours': '168', 'log.segment.bytes': '1073741824' })
  assert.deepEqual(config.ignored, [
    'controller.quorum.bootstrap.servers',
    'inter.broker.listener.name',
    'node.id',
    'num.io.threads',
    'num.network.threads',
    'num.recovery.threads.per.data.dir',
    'offsets.topic.replication.factor',
    'process.roles',
    'share.coordinator.state.topic.min.isr',
    'share.coordinator.state.topic.replication.factor',
    'socket.receive.buffer.bytes',
    'socket.send.buffer.bytes',
    'transaction.state.log.min.isr',
    'transaction.state.log.replication.factor',
  ])
})

test('reads one of the ZooKeeper days too, and names what a plug-in may bring', () => {
  const file = `broker.id=0
zookeeper.connect=localhost:2181
zookeeper.connection.timeout.ms=18000
log.flush.interval.ms=1000
listener.name.internal.ssl.keystore.location=/k
group.initial.rebalance.delay.ms=0`
  assert.deepEqual(load({ file, ...set('num.io.threads=8'), env: { TAILRACE_BROKER_RACK: 'a' } }).ignored, [
    'broker.id',
    'broker.rack',
    'listener.name.internal.ssl.keystore.location',
    'log.flush.interval.ms',
    'num.io.threads',
    'zookeeper.connect',
    'zookeeper.connection.timeout.ms',
  ])
})

test('what it gives is frozen', () => {
  const config = load({ file: KAFKA_SERVER_PROPERTIES })
  for (const each of [config, config.broker, config.ignored, config.advertised]) assert(Object.isFrozen(each))
})
