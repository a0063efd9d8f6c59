import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { TopicConfigRow } from '../../src/engine/topic-config.ts'
import {
  describeTopicConfig,
  parseTopicConfig,
  TOPIC_CONFIG_TABLE,
  topicConfigDefaults,
} from '../../src/engine/topic-config.ts'
import { TailraceError } from '../../src/kernel/errors.ts'

const LONG_MAX = '9223372036854775807'
const NO_OPTIONS = topicConfigDefaults({})

/** Kafka 4.3's topic configs and their defaults, as its reference lists them, and Confluent's of schemas. */
const KAFKA_DEFAULTS: Readonly<Record<string, string>> = {
  'cleanup.policy': 'delete',
  'compression.gzip.level': '-1',
  'compression.lz4.level': '9',
  'compression.type': 'producer',
  'compression.zstd.level': '3',
  'confluent.key.schema.validation': 'false',
  'confluent.key.subject.name.strategy': 'io.confluent.kafka.serializers.subject.TopicNameStrategy',
  'confluent.value.schema.validation': 'false',
  'confluent.value.subject.name.strategy': 'io.confluent.kafka.serializers.subject.TopicNameStrategy',
  'delete.retention.ms': '86400000',
  'file.delete.delay.ms': '60000',
  'flush.messages': LONG_MAX,
  'flush.ms': LONG_MAX,
  'follower.replication.throttled.replicas': '',
  'index.interval.bytes': '4096',
  'leader.replication.throttled.replicas': '',
  'local.retention.bytes': '-2',
  'local.retention.ms': '-2',
  'max.compaction.lag.ms': LONG_MAX,
  'max.message.bytes': '1048588',
  'message.timestamp.after.max.ms': '3600000',
  'message.timestamp.before.max.ms': LONG_MAX,
  'message.timestamp.type': 'CreateTime',
  'min.cleanable.dirty.ratio': '0.5',
  'min.compaction.lag.ms': '0',
  'min.insync.replicas': '1',
  preallocate: 'false',
  'remote.copy.lag.bytes': '0',
  'remote.copy.lag.ms': '0',
  'remote.log.copy.disable': 'false',
  'remote.log.delete.on.disable': 'false',
  'remote.storage.enable': 'false',
  'retention.bytes': '-1',
  'retention.ms': '604800000',
  'segment.bytes': '1073741824',
  'segment.index.bytes': '10485760',
  'segment.jitter.ms': '0',
  'segment.ms': '604800000',
  'unclean.leader.election.enable': 'false',
}

function refusal(act: () => unknown): TailraceError {
  try {
    act()
  } catch (error) {
    assert(error instanceof TailraceError)
    assert.equal(error.code, 'invalid_config')
    return error
  }
  return assert.fail('nothing was refused')
}

const parse = (overrides: Record<string, string>, brokerOptions: Record<string, string> = {}) =>
  parseTopicConfig(overrides, topicConfigDefaults(brokerOptions))

test("knows all of Kafka's topic configs, sorted, with Kafka's defaults but for the largest batch", () => {
  const ours = Object.fromEntries(TOPIC_CONFIG_TABLE.map((row) => [row.name, row.default]))
  assert.deepEqual(ours, { ...KAFKA_DEFAULTS, 'max.message.bytes': '16777216' })
  assert.deepEqual(Object.keys(ours), Object.keys(ours).toSorted())
})

test('gives the defaults as parsed values', () => {
  assert.deepEqual(parse({}), {
    cleanupPolicy: { delete: true, compact: false },
    compressionType: 'producer',
    compressionGzipLevel: -1,
    compressionLz4Level: 9,
    compressionZstdLevel: 3,
    deleteRetentionMs: 86_400_000,
    fileDeleteDelayMs: 60_000,
    indexIntervalBytes: 4096,
    keySchemaValidation: false,
    keySubjects: 'TopicNameStrategy',
    maxCompactionLagMs: Number.MAX_SAFE_INTEGER,
    maxMessageBytes: 16_777_216,
    messageTimestampAfterMaxMs: 3_600_000,
    messageTimestampBeforeMaxMs: Number.MAX_SAFE_INTEGER,
    messageTimestampType: 'CreateTime',
    minCleanableDirtyRatio: 0.5,
    minCompactionLagMs: 0,
    minInsyncReplicas: 1,
    retentionBytes: Number.POSITIVE_INFINITY,
    retentionMs: 604_800_000,
    segmentBytes: 1_073_741_824,
    segmentJitterMs: 0,
    segmentMs: 604_800_000,
    valueSchemaValidation: false,
    valueSubjects: 'TopicNameStrategy',
  })
})

test('subjects of keys and values are named by the class of a strategy or its short name, and validated where it is asked for', () => {
  const validated = { 'confluent.value.schema.validation': 'TRUE', 'confluent.key.schema.validation': 'false' }
  const { valueSchemaValidation, keySchemaValidation } = parse(validated)
  assert.deepEqual([valueSchemaValidation, keySchemaValidation], [true, false])
  for (const strategy of ['TopicNameStrategy', 'RecordNameStrategy', 'TopicRecordNameStrategy']) {
    for (const name of [strategy, `io.confluent.kafka.serializers.subject.${strategy}`]) {
      const { keySubjects, valueSubjects } = parse({ 'confluent.key.subject.name.strategy': name })
      assert.deepEqual([keySubjects, valueSubjects], [strategy, 'TopicNameStrategy'])
    }
  }
  refusal(() => parse({ 'confluent.value.subject.name.strategy': 'com.acme.MyStrategy' }))
  refusal(() => parse({ 'confluent.value.schema.validation': 'yes' }))
})

for (const { name, values, moot } of TOPIC_CONFIG_TABLE) {
  if (moot !== undefined || (values.type !== 'int' && values.type !== 'long')) continue
  test(`takes ${name} from ${values.min} to ${values.max} and nothing beyond`, () => {
    // The compaction lags bound each other.
    const room: Record<string, string> = name === 'max.compaction.lag.ms' ? {} : { 'max.compaction.lag.ms': LONG_MAX }
    parse({ ...room, [name]: String(values.min) })
    parse({ ...room, [name]: String(values.max) })
    for (const beyond of [values.min - (values.or === undefined ? 1n : 5n), values.max + 1n]) {
      const error = refusal(() => parse({ [name]: String(beyond) }))
      assert.equal(error.details['config'], name)
      assert.equal(error.details['value'], String(beyond))
      assert.match(error.message, new RegExp(`from ${values.min} to ${values.max}`))
    }
    for (const text of ['', ' ', '1.5', '1e3', '0x10', 'abc', '99999999999999999999', '1_000', '٣']) {
      refusal(() => parse({ [name]: text }))
    }
  })
}

test('segment.bytes goes down to 64 KiB', () => {
  assert.equal(parse({ 'segment.bytes': '65536' }).segmentBytes, 65_536)
  refusal(() => parse({ 'segment.bytes': '65535' }))
})

test('gzip levels are -1 and 1 to 9', () => {
  for (const level of ['-1', '1', '9'])
    assert.equal(parse({ 'compression.gzip.level': level }).compressionGzipLevel, Number(level))
  for (const level of ['-2', '0', '10']) refusal(() => parse({ 'compression.gzip.level': level }))
})

test('the dirty ratio is a number from 0 to 1', () => {
  const ratio = (text: string) => parse({ 'min.cleanable.dirty.ratio': text }).minCleanableDirtyRatio
  assert.deepEqual(['0', '1', '.25', ' 0.5 ', '1e-1', '+1.0'].map(ratio), [0, 1, 0.25, 0.5, 0.1, 1])
  for (const text of ['-0.1', '1.01', 'NaN', 'Infinity', '', '0x0', '.']) refusal(() => ratio(text))
})

test('cleanup.policy is delete, compact, both, or neither', () => {
  const policy = (text: string) => parse({ 'cleanup.policy': text }).cleanupPolicy
  assert.deepEqual(policy('compact'), { delete: false, compact: true })
  assert.deepEqual(policy('compact, delete'), { delete: true, compact: true })
  assert.deepEqual(policy(''), { delete: false, compact: false })
  for (const text of ['Compact', 'delete,delete', 'delete,', 'trim']) refusal(() => policy(text))
})

test("compression.type takes Kafka's word and its clients' word for none", () => {
  const compression = (text: string) => parse({ 'compression.type': text }).compressionType
  assert.deepEqual(['none', 'uncompressed', 'zstd'].map(compression), ['none', 'none', 'zstd'])
  assert.match(
    refusal(() => compression('brotli')).message,
    /one of producer, uncompressed, none, gzip, snappy, lz4, zstd/,
  )
})

test('retention -1 is no limit, and the largest longs are capped as numbers but not as text', () => {
  const overrides = { 'retention.ms': '-1', 'retention.bytes': '-1', 'delete.retention.ms': LONG_MAX }
  const config = parse(overrides)
  assert.equal(config.retentionMs, Number.POSITIVE_INFINITY)
  assert.equal(config.retentionBytes, Number.POSITIVE_INFINITY)
  assert.equal(config.deleteRetentionMs, Number.MAX_SAFE_INTEGER)
  const described = describeTopicConfig(overrides, NO_OPTIONS)
  assert.equal(described.find(({ name }) => name === 'delete.retention.ms')?.value, LONG_MAX)
  assert.equal(described.find(({ name }) => name === 'message.timestamp.before.max.ms')?.value, LONG_MAX)
})

test('min.compaction.lag.ms beyond max.compaction.lag.ms is refused', () => {
  parse({ 'min.compaction.lag.ms': '10', 'max.compaction.lag.ms': '10' })
  const error = refusal(() => parse({ 'min.compaction.lag.ms': '11', 'max.compaction.lag.ms': '10' }))
  assert.match(error.message, /at most max\.compaction\.lag\.ms, which is 10/)
})

for (const row of TOPIC_CONFIG_TABLE.filter(({ moot }) => moot !== undefined)) {
  test(`takes ${row.name} at its default only, and says why`, () => {
    parse({ [row.name]: row.default })
    const other = { boolean: 'true', list: '0:1', int: '5', long: '5', double: '', word: '' }[row.values.type]
    assert.match(refusal(() => parse({ [row.name]: other })).message, new RegExp(`its default.*only: ${row.moot}`))
  })
}

test('a moot config is recognised at its default in another spelling', () => {
  parse({ preallocate: ' FALSE', 'local.retention.ms': '-02', 'flush.messages': `+${LONG_MAX}` })
})

test('an unknown name is refused with the nearest known one', () => {
  const meant = (name: string) => refusal(() => parse({ [name]: '1' })).details['nearest']
  assert.equal(meant('retnetion.ms'), 'retention.ms')
  assert.equal(meant('Retention.MS'), 'retention.ms')
  assert.equal(meant('segment.byte'), 'segment.bytes')
  assert.equal(meant('colour'), undefined)
  assert.equal(meant('__proto__'), undefined)
  assert.equal(meant('x'.repeat(100_000)), undefined)
})

test("a server option's name is answered with the topic config that it stands for", () => {
  const error = refusal(() => parse({ 'log.retention.hours': '1' }))
  assert.equal(error.message, "'log.retention.hours' is a server option; the topic config is 'retention.ms'")
})

test('members of Object.prototype are no topic configs', () => {
  for (const name of ['constructor', 'toString', '__proto__']) {
    refusal(() => parse(JSON.parse(`{"${name}":"1"}`) as Record<string, string>))
  }
})

test("server options stand for topic configs in Kafka's order", () => {
  const all = { 'log.retention.hours': '3', 'log.retention.minutes': '2', 'log.retention.ms': '1' }
  const { 'log.retention.ms': _ms, ...withoutMs } = all
  assert.equal(parse({}, all).retentionMs, 1)
  assert.equal(parse({}, withoutMs).retentionMs, 120_000)
  assert.equal(parse({}, { 'log.retention.hours': '3' }).retentionMs, 10_800_000)
  assert.equal(parse({}, { 'log.roll.hours': '1', 'log.roll.ms': '5' }).segmentMs, 5)
  assert.equal(parse({}, { 'log.roll.jitter.hours': '2' }).segmentJitterMs, 7_200_000)
  assert.equal(parse({ 'retention.ms': '9' }, all).retentionMs, 9)
})

test('a retention of -1 in hours or minutes is no limit', () => {
  assert.equal(parse({}, { 'log.retention.hours': '-1' }).retentionMs, Number.POSITIVE_INFINITY)
  assert.equal(topicConfigDefaults({ 'log.retention.minutes': '-1' })['retention.ms']?.value, '-1')
  refusal(() => topicConfigDefaults({ 'log.retention.hours': '-2' }))
})

test('every topic config that means something has its server option, but for those of schemas', () => {
  const values: Record<string, string> = {
    'log.cleanup.policy': 'compact',
    'compression.type': 'zstd',
    'log.message.timestamp.type': 'LogAppendTime',
    'log.cleaner.min.cleanable.ratio': '0.25',
    'log.segment.bytes': '70000',
  }
  const withOption = ({ name, moot }: TopicConfigRow) => moot === undefined && !name.startsWith('confluent.')
  for (const row of TOPIC_CONFIG_TABLE.filter(withOption)) {
    for (const option of row.synonyms) {
      const value = values[option.name] ?? '7'
      const found = topicConfigDefaults({ [option.name]: value })[row.name]
      const expected = option.unit === 1 ? value : String(7 * option.unit)
      assert.deepEqual(found, { value: expected, source: 'broker' }, option.name)
    }
    assert(row.synonyms.length > 0, row.name)
  }
})

test('a server option out of range is refused under its own name and in its own unit', () => {
  assert.match(
    refusal(() => topicConfigDefaults({ 'log.segment.bytes': '1' })).message,
    /^log\.segment\.bytes cannot be '1'/,
  )
  assert.match(
    refusal(() => topicConfigDefaults({ 'log.roll.hours': '0' })).message,
    /a whole number from 1 to 2147483647$/,
  )
  assert.match(
    refusal(() => topicConfigDefaults({ 'log.retention.hours': 'x' })).message,
    /a whole number from -1 to 2147483647$/,
  )
})

test('describes every config with value, source and the default it would go back to', () => {
  const defaults = topicConfigDefaults({ 'log.retention.hours': '1', 'log.flush.interval.ms': '5' })
  const described = describeTopicConfig({ 'retention.ms': '5', 'segment.ms': '6' }, defaults)
  assert.deepEqual(
    described.map(({ name }) => name),
    Object.keys(KAFKA_DEFAULTS),
  )
  const of = (wanted: string) => described.find(({ name }) => name === wanted)
  assert.deepEqual(of('retention.ms'), {
    name: 'retention.ms',
    value: '5',
    source: 'DYNAMIC_TOPIC_CONFIG',
    default: '3600000',
  })
  assert.equal(of('segment.ms')?.default, '604800000')
  assert.equal(of('segment.bytes')?.source, 'DEFAULT_CONFIG')
  assert.deepEqual(of('flush.ms'), { name: 'flush.ms', value: LONG_MAX, source: 'DEFAULT_CONFIG', default: LONG_MAX })
  const inherited = describeTopicConfig({}, defaults).find(({ name }) => name === 'retention.ms')
  assert.deepEqual(inherited, {
    name: 'retention.ms',
    value: '3600000',
    source: 'STATIC_BROKER_CONFIG',
    default: '3600000',
  })
})

test('what it gives is frozen', () => {
  const config = parse({})
  assert(Object.isFrozen(config) && Object.isFrozen(config.cleanupPolicy))
  assert(Object.isFrozen(NO_OPTIONS) && Object.values(NO_OPTIONS).every((each) => Object.isFrozen(each)))
})

test('any text for any config is taken or refused, and what is taken can be parsed again', () => {
  const name = fc.constantFrom(...TOPIC_CONFIG_TABLE.map((row) => row.name))
  const number = fc.bigInt({ min: -(2n ** 65n), max: 2n ** 65n }).map(String)
  fc.assert(
    fc.property(name, fc.oneof(fc.string({ unit: 'binary' }), number, fc.double().map(String)), (config, text) => {
      try {
        const parsed = parse({ [config]: text })
        for (const value of Object.values(parsed)) assert(!Number.isNaN(value))
      } catch (error) {
        assert(error instanceof TailraceError && error.code === 'invalid_config')
      }
    }),
  )
})
