// A topic's settings: the one table of all of Kafka 4's topic configs, and of those of Confluent's server that hold records
// to schemas, with what each accepts, its default, the server
// options that stand for it, and whether it means something here. Texts are kept as they were set; parseTopicConfig turns
// them into what the engines work with. Pure functions; everything returned is frozen.
// Two numbers for "no end": -1 in retention.ms and retention.bytes becomes Infinity, and what is beyond 2^53 - 1 (Kafka's
// Long.MAX_VALUE) becomes Number.MAX_SAFE_INTEGER, which can still be added to a time and written as an int64.

import { TailraceError } from '../kernel/errors.ts'
import { nearestName } from '../kernel/nearest-name.ts'

export interface TopicConfig {
  /** Neither: everything is kept for ever. */
  readonly cleanupPolicy: { readonly delete: boolean; readonly compact: boolean }
  /** producer: batches are stored as they came. stored-codec.ts says what it means for a batch. */
  readonly compressionType: 'producer' | 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'
  /** -1: the library's own default. */
  readonly compressionGzipLevel: number
  readonly compressionLz4Level: number
  readonly compressionZstdLevel: number
  readonly deleteRetentionMs: number
  readonly fileDeleteDelayMs: number
  readonly indexIntervalBytes: number
  /** Keys must be framed with a schema of their subject; false: they may be anything. */
  readonly keySchemaValidation: boolean
  /** Whose schemas keys are made with, and must be framed with where that is asked for. */
  readonly keySubjects: SubjectNameStrategy
  readonly maxCompactionLagMs: number
  /** Of one stored batch. */
  readonly maxMessageBytes: number
  readonly messageTimestampAfterMaxMs: number
  readonly messageTimestampBeforeMaxMs: number
  readonly messageTimestampType: 'CreateTime' | 'LogAppendTime'
  readonly minCleanableDirtyRatio: number
  readonly minCompactionLagMs: number
  readonly minInsyncReplicas: number
  /** Of one partition; Infinity: no limit. */
  readonly retentionBytes: number
  /** Infinity: no limit. */
  readonly retentionMs: number
  readonly segmentBytes: number
  readonly segmentJitterMs: number
  readonly segmentMs: number
  /** As those of keys. */
  readonly valueSchemaValidation: boolean
  readonly valueSubjects: SubjectNameStrategy
}

/** Which subject a record's schema belongs to: TOPIC-key or TOPIC-value, its record's name, or TOPIC-name. */
export type SubjectNameStrategy = (typeof SUBJECT_NAME_STRATEGIES)[number]

const SUBJECT_NAME_STRATEGIES = ['TopicNameStrategy', 'RecordNameStrategy', 'TopicRecordNameStrategy'] as const
const STRATEGY_PACKAGE = 'io.confluent.kafka.serializers.subject.'

/** A topic config without an override: its text, and whether a server option or the table below gave it. */
export interface TopicConfigDefault {
  readonly value: string
  readonly source: 'default' | 'broker'
}

/** By name, one for every row of the table. */
export type TopicConfigDefaults = Readonly<Record<string, TopicConfigDefault>>

/** In Kafka's words: set on the topic, set for the server, set nowhere. */
export type TopicConfigSource = 'DYNAMIC_TOPIC_CONFIG' | 'STATIC_BROKER_CONFIG' | 'DEFAULT_CONFIG'

export interface TopicConfigDescription {
  readonly name: string
  readonly value: string
  readonly source: TopicConfigSource
  /** What the topic would go back to without its own setting. */
  readonly default: string
}

/** A server option that stands for a topic config, in Kafka's order: the first one set wins. */
export interface BrokerSynonym {
  readonly name: string
  /** The option's unit in the topic config's unit: log.retention.hours counts 3,600,000 ms. */
  readonly unit: number
}

export type TopicConfigValues =
  | { readonly type: 'int' | 'long'; readonly min: bigint; readonly max: bigint; readonly or?: bigint }
  | { readonly type: 'double'; readonly min: number; readonly max: number }
  | { readonly type: 'boolean' }
  | { readonly type: 'word'; readonly words: readonly string[] }
  /** Comma-separated, each at most once. */
  | { readonly type: 'list'; readonly words: readonly string[] | undefined }

export interface TopicConfigRow {
  readonly name: string
  readonly default: string
  readonly values: TopicConfigValues
  readonly synonyms: readonly BrokerSynonym[]
  /** Why it means nothing here; such a config is taken at its default only. */
  readonly moot?: string
}

const INT_MAX = 2n ** 31n - 1n
const LONG_MAX = 2n ** 63n - 1n
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

const int = (min: bigint, max = INT_MAX): TopicConfigValues => ({ type: 'int', min, max })
const long = (min: bigint): TopicConfigValues => ({ type: 'long', min, max: LONG_MAX })
const word = (...words: string[]): TopicConfigValues => ({ type: 'word', words })
const boolean: TopicConfigValues = { type: 'boolean' }
/** As Confluent's classes are called, or without their package. */
const subjectNames = word(
  ...SUBJECT_NAME_STRATEGIES.map((name) => `${STRATEGY_PACKAGE}${name}`),
  ...SUBJECT_NAME_STRATEGIES,
)
const synonym = (name: string, unit = 1): BrokerSynonym => ({ name, unit })

const SYNCED = 'every append group is synced to disk before it is acknowledged'
const ONE_NODE = 'there are no follower replicas on one node'
const NO_TIERS = 'there is no remote log storage'

/** All topic configs, sorted by name. Defaults and ranges are Kafka's, or Confluent's, except where a comment says otherwise. */
export const TOPIC_CONFIG_TABLE: readonly TopicConfigRow[] = [
  {
    name: 'cleanup.policy',
    default: 'delete',
    values: { type: 'list', words: ['compact', 'delete'] },
    synonyms: [synonym('log.cleanup.policy')],
  },
  {
    name: 'compression.gzip.level',
    default: '-1',
    values: { type: 'int', min: 1n, max: 9n, or: -1n },
    synonyms: [synonym('compression.gzip.level')],
  },
  {
    // Taken for the sake of those who set it: the lz4 library here has one level, the one that Kafka's default stands for.
    name: 'compression.lz4.level',
    default: '9',
    values: int(1n, 17n),
    synonyms: [synonym('compression.lz4.level')],
  },
  {
    name: 'compression.type',
    default: 'producer',
    // Kafka says uncompressed; its clients' word, none, is taken too.
    values: word('producer', 'uncompressed', 'none', 'gzip', 'snappy', 'lz4', 'zstd'),
    synonyms: [synonym('compression.type')],
  },
  {
    name: 'compression.zstd.level',
    default: '3',
    values: int(-131_072n, 22n),
    synonyms: [synonym('compression.zstd.level')],
  },
  ...['key', 'value'].flatMap((part) => [
    { name: `confluent.${part}.schema.validation`, default: 'false', values: boolean, synonyms: [] },
    {
      name: `confluent.${part}.subject.name.strategy`,
      default: `${STRATEGY_PACKAGE}TopicNameStrategy`,
      values: subjectNames,
      synonyms: [],
    },
  ]),
  {
    name: 'delete.retention.ms',
    default: '86400000',
    values: long(0n),
    synonyms: [synonym('log.cleaner.delete.retention.ms')],
  },
  {
    name: 'file.delete.delay.ms',
    default: '60000',
    values: long(0n),
    synonyms: [synonym('log.segment.delete.delay.ms')],
  },
  {
    name: 'flush.messages',
    default: String(LONG_MAX),
    values: long(1n),
    synonyms: [synonym('log.flush.interval.messages')],
    moot: SYNCED,
  },
  {
    name: 'flush.ms',
    default: String(LONG_MAX),
    values: long(0n),
    synonyms: [synonym('log.flush.interval.ms'), synonym('log.flush.scheduler.interval.ms')],
    moot: SYNCED,
  },
  {
    name: 'follower.replication.throttled.replicas',
    default: '',
    values: { type: 'list', words: undefined },
    synonyms: [],
    moot: ONE_NODE,
  },
  {
    name: 'index.interval.bytes',
    default: '4096',
    values: int(0n),
    synonyms: [synonym('log.index.interval.bytes')],
  },
  {
    name: 'leader.replication.throttled.replicas',
    default: '',
    values: { type: 'list', words: undefined },
    synonyms: [],
    moot: ONE_NODE,
  },
  {
    name: 'local.retention.bytes',
    default: '-2',
    values: long(-2n),
    synonyms: [synonym('log.local.retention.bytes')],
    moot: NO_TIERS,
  },
  {
    name: 'local.retention.ms',
    default: '-2',
    values: long(-2n),
    synonyms: [synonym('log.local.retention.ms')],
    moot: NO_TIERS,
  },
  {
    name: 'max.compaction.lag.ms',
    default: String(LONG_MAX),
    values: long(1n),
    synonyms: [synonym('log.cleaner.max.compaction.lag.ms')],
  },
  {
    // Kafka's default is 1048588: a request makes one batch a partition here, so a batch may be larger.
    name: 'max.message.bytes',
    default: '16777216',
    values: int(0n),
    synonyms: [synonym('message.max.bytes')],
  },
  {
    name: 'message.timestamp.after.max.ms',
    default: '3600000',
    values: long(0n),
    synonyms: [synonym('log.message.timestamp.after.max.ms')],
  },
  {
    name: 'message.timestamp.before.max.ms',
    default: String(LONG_MAX),
    values: long(0n),
    synonyms: [synonym('log.message.timestamp.before.max.ms')],
  },
  {
    name: 'message.timestamp.type',
    default: 'CreateTime',
    values: word('CreateTime', 'LogAppendTime'),
    synonyms: [synonym('log.message.timestamp.type')],
  },
  {
    name: 'min.cleanable.dirty.ratio',
    default: '0.5',
    values: { type: 'double', min: 0, max: 1 },
    synonyms: [synonym('log.cleaner.min.cleanable.ratio')],
  },
  {
    name: 'min.compaction.lag.ms',
    default: '0',
    values: long(0n),
    synonyms: [synonym('log.cleaner.min.compaction.lag.ms')],
  },
  {
    name: 'min.insync.replicas',
    default: '1',
    values: int(1n),
    synonyms: [synonym('min.insync.replicas')],
  },
  {
    name: 'preallocate',
    default: 'false',
    values: boolean,
    synonyms: [synonym('log.preallocate')],
    moot: 'segment files grow as they are written',
  },
  { name: 'remote.copy.lag.bytes', default: '0', values: long(-1n), synonyms: [], moot: NO_TIERS },
  { name: 'remote.copy.lag.ms', default: '0', values: long(-1n), synonyms: [], moot: NO_TIERS },
  { name: 'remote.log.copy.disable', default: 'false', values: boolean, synonyms: [], moot: NO_TIERS },
  { name: 'remote.log.delete.on.disable', default: 'false', values: boolean, synonyms: [], moot: NO_TIERS },
  { name: 'remote.storage.enable', default: 'false', values: boolean, synonyms: [], moot: NO_TIERS },
  {
    name: 'retention.bytes',
    default: '-1',
    // Kafka takes any negative number for no limit.
    values: long(-1n),
    synonyms: [synonym('log.retention.bytes')],
  },
  {
    name: 'retention.ms',
    default: '604800000',
    values: long(-1n),
    synonyms: [
      synonym('log.retention.ms'),
      synonym('log.retention.minutes', MINUTE_MS),
      synonym('log.retention.hours', HOUR_MS),
    ],
  },
  {
    // Kafka's least is 1 MiB; small topics may roll earlier here.
    name: 'segment.bytes',
    default: '1073741824',
    values: int(65_536n),
    synonyms: [synonym('log.segment.bytes')],
  },
  {
    name: 'segment.index.bytes',
    default: '10485760',
    values: int(4n),
    synonyms: [synonym('log.index.size.max.bytes')],
    moot: 'the index of all segments is one database that grows as needed',
  },
  {
    name: 'segment.jitter.ms',
    default: '0',
    values: long(0n),
    synonyms: [synonym('log.roll.jitter.ms'), synonym('log.roll.jitter.hours', HOUR_MS)],
  },
  {
    name: 'segment.ms',
    default: '604800000',
    values: long(1n),
    synonyms: [synonym('log.roll.ms'), synonym('log.roll.hours', HOUR_MS)],
  },
  {
    name: 'unclean.leader.election.enable',
    default: 'false',
    values: boolean,
    synonyms: [synonym('unclean.leader.election.enable')],
    moot: ONE_NODE,
  },
]

const ROWS = new Map(TOPIC_CONFIG_TABLE.map((row) => [row.name, row]))
const ROWS_BY_SYNONYM = new Map(TOPIC_CONFIG_TABLE.flatMap((row) => row.synonyms.map((each) => [each.name, row])))

/**
 * What each topic config is where the topic does not set it: from the server options that stand for it (only those
 * explicitly set belong in `brokerOptions`; others among them are passed over), else from the table.
 */
export function topicConfigDefaults(brokerOptions: Readonly<Record<string, string>>): TopicConfigDefaults {
  const defaults: Record<string, TopicConfigDefault> = {}
  for (const row of TOPIC_CONFIG_TABLE) {
    const set = row.synonyms.find(({ name }) => row.moot === undefined && Object.hasOwn(brokerOptions, name))
    defaults[row.name] = Object.freeze(
      set === undefined
        ? { value: row.default, source: 'default' }
        : { value: valueFromOption(row, set, brokerOptions[set.name] ?? ''), source: 'broker' },
    )
  }
  return Object.freeze(defaults)
}

/** invalid_config names the config, its value and what is allowed. */
export function parseTopicConfig(
  overrides: Readonly<Record<string, string>>,
  defaults: TopicConfigDefaults,
): TopicConfig {
  for (const [name, value] of Object.entries(overrides)) checkOverride(name, value)
  const text = (name: string) => (Object.hasOwn(overrides, name) ? overrides[name] : defaults[name]?.value) ?? ''
  const count = (name: string) => Number(safely(parseInteger(text(name)) ?? 0n))
  const limit = (name: string) => (count(name) === -1 ? Number.POSITIVE_INFINITY : count(name))
  const policies = listItems(text('cleanup.policy'))
  const compression = text('compression.type').trim()
  const isValidated = (part: 'key' | 'value') =>
    text(`confluent.${part}.schema.validation`).trim().toLowerCase() === 'true'
  const subjects = (part: 'key' | 'value') => {
    const strategy = text(`confluent.${part}.subject.name.strategy`).trim().replace(STRATEGY_PACKAGE, '')
    return strategy as SubjectNameStrategy
  }

  const config: TopicConfig = {
    cleanupPolicy: Object.freeze({ delete: policies.includes('delete'), compact: policies.includes('compact') }),
    compressionType: (compression === 'uncompressed' ? 'none' : compression) as TopicConfig['compressionType'],
    compressionGzipLevel: count('compression.gzip.level'),
    compressionLz4Level: count('compression.lz4.level'),
    compressionZstdLevel: count('compression.zstd.level'),
    deleteRetentionMs: count('delete.retention.ms'),
    fileDeleteDelayMs: count('file.delete.delay.ms'),
    indexIntervalBytes: count('index.interval.bytes'),
    keySchemaValidation: isValidated('key'),
    keySubjects: subjects('key'),
    maxCompactionLagMs: count('max.compaction.lag.ms'),
    maxMessageBytes: count('max.message.bytes'),
    messageTimestampAfterMaxMs: count('message.timestamp.after.max.ms'),
    messageTimestampBeforeMaxMs: count('message.timestamp.before.max.ms'),
    messageTimestampType: text('message.timestamp.type').trim() as TopicConfig['messageTimestampType'],
    minCleanableDirtyRatio: Number(text('min.cleanable.dirty.ratio')),
    minCompactionLagMs: count('min.compaction.lag.ms'),
    minInsyncReplicas: count('min.insync.replicas'),
    retentionBytes: limit('retention.bytes'),
    retentionMs: limit('retention.ms'),
    segmentBytes: count('segment.bytes'),
    segmentJitterMs: count('segment.jitter.ms'),
    segmentMs: count('segment.ms'),
    valueSchemaValidation: isValidated('value'),
    valueSubjects: subjects('value'),
  }
  if (config.minCompactionLagMs > config.maxCompactionLagMs) {
    throw invalid(
      'min.compaction.lag.ms',
      text('min.compaction.lag.ms'),
      `at most max.compaction.lag.ms, which is ${text('max.compaction.lag.ms')}`,
    )
  }
  return Object.freeze(config)
}

/** Every row of the table, sorted by name. */
export function describeTopicConfig(
  overrides: Readonly<Record<string, string>>,
  defaults: TopicConfigDefaults,
): readonly TopicConfigDescription[] {
  return TOPIC_CONFIG_TABLE.map((row) => {
    const fallback = defaults[row.name] ?? { value: row.default, source: 'default' }
    if (Object.hasOwn(overrides, row.name)) {
      const value = overrides[row.name] ?? ''
      return { name: row.name, value, source: 'DYNAMIC_TOPIC_CONFIG', default: fallback.value }
    }
    const source = fallback.source === 'broker' ? 'STATIC_BROKER_CONFIG' : 'DEFAULT_CONFIG'
    return { name: row.name, value: fallback.value, source, default: fallback.value }
  })
}

function checkOverride(name: string, value: string): void {
  const row = ROWS.get(name)
  if (row === undefined) throw unknownName(name)
  const fault = faultOf(row.values, value)
  if (fault !== undefined) throw invalid(name, value, fault)
  if (row.moot !== undefined && canonical(row.values, value) !== row.default) {
    throw invalid(name, value, `its default, ${row.default === '' ? 'which is empty' : row.default}, only: ${row.moot}`)
  }
}

function unknownName(name: string): TailraceError {
  const meant = ROWS_BY_SYNONYM.get(name)?.name ?? nearestName(name, ROWS.keys())
  const isServerOption = ROWS_BY_SYNONYM.has(name)
  return new TailraceError(
    'invalid_config',
    isServerOption
      ? `'${name}' is a server option; the topic config is '${meant}'`
      : `there is no topic config '${name.slice(0, 100)}'${meant === undefined ? '' : `; did you mean '${meant}'?`}`,
    { config: name.slice(0, 100), ...(meant === undefined ? {} : { nearest: meant }) },
  )
}

function invalid(name: string, value: string, allowed: string): TailraceError {
  return new TailraceError('invalid_config', `${name} cannot be '${value.slice(0, 100)}': allowed is ${allowed}`, {
    config: name,
    value: value.slice(0, 100),
    allowed,
  })
}

/** A server option's text as the topic config's: in its unit, and checked against its range. */
function valueFromOption(row: TopicConfigRow, option: BrokerSynonym, text: string): string {
  if (option.unit === 1) {
    const fault = faultOf(row.values, text)
    if (fault !== undefined) throw invalid(option.name, text, fault)
    return text.trim()
  }
  // hours and minutes are ints in Kafka: the most of them, in ms, is a long still
  const counts = int(row.values.type === 'long' ? row.values.min : 0n)
  const fault = faultOf(counts, text)
  if (fault !== undefined) throw invalid(option.name, text, fault)
  const count = parseInteger(text) ?? 0n
  // A negative log.retention.hours is no limit, in Kafka too, and not minus so many milliseconds.
  return String(count < 0n ? count : count * BigInt(option.unit))
}

/** undefined when the text is a value of this kind, else what is allowed. */
function faultOf(values: TopicConfigValues, text: string): string | undefined {
  return isAllowed(values, text) ? undefined : allowedText(values)
}

function isAllowed(values: TopicConfigValues, text: string): boolean {
  switch (values.type) {
    case 'int':
    case 'long': {
      const number = parseInteger(text)
      return number !== undefined && ((number >= values.min && number <= values.max) || number === values.or)
    }
    case 'double': {
      const number = DECIMAL.test(text.trim()) ? Number(text) : Number.NaN
      return number >= values.min && number <= values.max
    }
    case 'boolean':
      return BOOLEAN.test(text.trim())
    case 'word':
      return values.words.includes(text.trim())
    case 'list': {
      const items = listItems(text)
      const { words } = values
      return (
        new Set(items).size === items.length && (words === undefined || items.every((item) => words.includes(item)))
      )
    }
  }
}

function allowedText(values: TopicConfigValues): string {
  switch (values.type) {
    case 'int':
    case 'long':
      return `a whole number from ${values.min} to ${values.max}${values.or === undefined ? '' : `, or ${values.or}`}`
    case 'double':
      return `a number from ${values.min} to ${values.max}`
    case 'boolean':
      return 'true or false'
    case 'word':
      return `one of ${values.words.join(', ')}`
    case 'list':
      return values.words === undefined
        ? 'a list, comma-separated, nothing twice'
        : `one or more of ${values.words.join(', ')}, comma-separated, nothing twice; or empty for none`
  }
}

/** Two texts of one value are the same text afterwards: `+08` and `8`, `TRUE` and `true`. */
function canonical(values: TopicConfigValues, text: string): string {
  if (values.type === 'int' || values.type === 'long') return String(parseInteger(text))
  if (values.type === 'boolean') return text.trim().toLowerCase()
  return text.trim()
}

const INTEGER = /^[+-]?\d{1,19}$/
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i
const BOOLEAN = /^(true|false)$/i

function parseInteger(text: string): bigint | undefined {
  const trimmed = text.trim()
  return INTEGER.test(trimmed) ? BigInt(trimmed.replace(/^\+/, '')) : undefined
}

function safely(value: bigint): bigint {
  return value > Number.MAX_SAFE_INTEGER ? BigInt(Number.MAX_SAFE_INTEGER) : value
}

function listItems(text: string): string[] {
  return text.trim() === '' ? [] : text.split(',').map((item) => item.trim())
}
