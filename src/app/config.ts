// The server's configuration: flags before environment before file before defaults. schemas/config.json is the truth of
// names, types, ranges and defaults; what each topic config accepts is ruled by engine/topic-config.ts. Reads nothing by
// itself but that schema: flags, environment and the way to read a file are given. The result is frozen, and app hands
// every module only what that module asks for.

import type { GroupOptions } from '../coordinator/group-coordinator.ts'
import { parseTopicConfig, TOPIC_CONFIG_TABLE, topicConfigDefaults } from '../engine/topic-config.ts'
import { TailraceError } from '../kernel/errors.ts'
import { nearestName } from '../kernel/nearest-name.ts'
import type { AssignorName } from '../service/groups/group-member.ts'
import { isMootBrokerOption, MOOT_BROKER_OPTIONS } from './kafka-broker-options.ts'
import type { Listener } from './listeners.ts'
import { chooseListener } from './listeners.ts'
import { OPTION_SCHEMAS, optionValue } from './option-schema.ts'
import { parseServerProperties } from './server-properties.ts'

export interface ServerConfig {
  readonly host: string
  readonly port: number
  readonly dataDir: string
  /** How replies name this server where they need an absolute URL; undefined: as the request named it. */
  readonly advertised: Readonly<Listener> | undefined
  readonly logLevel: LogLevel
  /** Server options that stand for topic configs, only those that were set, as text: for topicConfigDefaults. */
  readonly broker: Readonly<Record<string, string>>
  readonly numPartitions: number
  readonly autoCreateTopics: boolean
  readonly deleteTopicEnabled: boolean
  readonly internalTopicsWritable: boolean
  readonly bodyBytesMax: number
  /** 0: no limit. */
  readonly requestTimeoutMs: number
  /** 0: no limit. */
  readonly connectionIdleMs: number
  readonly connectionsMax: number
  readonly shutdownGraceMs: number
  readonly compatLenient: boolean
  /** Origins whose pages may come here, beside this server's own: as browsers write them, `*`, `null`. */
  readonly allowedOrigins: readonly string[]
  /** Of members that live in this server, the best first. */
  readonly assignors: readonly AssignorName[]
  readonly consumerRequestTimeoutMs: number
  readonly consumerRequestBytesMax: number
  readonly consumerInstanceTimeoutMs: number
  readonly schemaRegistryProfile: 7 | 8
  readonly retentionCheckIntervalMs: number
  readonly cleanerEnabled: boolean
  readonly cleanerBackoffMs: number
  readonly cleanerDedupeBufferBytes: number
  readonly producerIdExpirationMs: number
  readonly producerIdExpirationCheckIntervalMs: number
  readonly groups: Readonly<GroupOptions>
  readonly offsetsRetentionCheckIntervalMs: number
  /** Kafka's options that were set and mean nothing here, sorted: app names them in one line. */
  readonly ignored: readonly string[]
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'

/** As the command line gives them, unparsed. */
export interface ServerFlags {
  readonly config?: string | undefined
  readonly dataDir?: string | undefined
  readonly host?: string | undefined
  readonly port?: string | undefined
  /** Each `name=value`; of one name the last counts. */
  readonly set?: readonly string[] | undefined
}

export interface ConfigSources {
  readonly flags: ServerFlags
  /** process.env: variables that do not begin with TAILRACE_ are passed over, and so are empty ones. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Gives a file's text, or throws. */
  readonly readFile: (path: string) => string
}

/** invalid_config names the option, its value, where it was set and what is allowed. */
export function loadConfig({ flags, env, readFile }: ConfigSources): ServerConfig {
  const path = flags.config ?? env['TAILRACE_CONFIG']
  const ignored = new Set<string>()
  const layers = [
    layerOf(flagSettings(flags), ignored),
    layerOf(environmentSettings(env), ignored),
    layerOf(path ? fileSettings(path, readFile) : [], ignored),
  ]
  const text = (...names: string[]) => chosenValue(layers, names) as string
  const count = (...names: string[]) => chosenValue(layers, names) as number
  const flag = (...names: string[]) => chosenValue(layers, names) as boolean

  return Object.freeze({
    host: hostOf(layers),
    port: portOf(layers),
    advertised: advertisedBy(layers),
    dataDir: text('data.dir', 'log.dirs', 'log.dir').trim(),
    logLevel: text('log.level') as LogLevel,
    broker: brokerOptions(layers),
    numPartitions: count('num.partitions'),
    autoCreateTopics: flag('auto.create.topics.enable'),
    deleteTopicEnabled: flag('delete.topic.enable'),
    internalTopicsWritable: flag('allow.internal.topics'),
    bodyBytesMax: count('socket.request.max.bytes'),
    requestTimeoutMs: count('http.request.timeout.ms'),
    connectionIdleMs: Math.max(0, count('connections.max.idle.ms')),
    connectionsMax: count('max.connections'),
    shutdownGraceMs: count('shutdown.grace.ms'),
    compatLenient: flag('compat.lenient'),
    allowedOrigins: listOf(text('access.control.allow.origin').toLowerCase()),
    assignors: listOf(text('partition.assignment.strategy')) as readonly AssignorName[],
    consumerRequestTimeoutMs: count('consumer.request.timeout.ms'),
    consumerRequestBytesMax: count('consumer.request.max.bytes'),
    consumerInstanceTimeoutMs: count('consumer.instance.timeout.ms'),
    schemaRegistryProfile: count('schema.registry.compat.profile') as 7 | 8,
    retentionCheckIntervalMs: count('log.retention.check.interval.ms'),
    cleanerEnabled: flag('log.cleaner.enable'),
    cleanerBackoffMs: count('log.cleaner.backoff.ms'),
    cleanerDedupeBufferBytes: count('log.cleaner.dedupe.buffer.size'),
    producerIdExpirationMs: count('producer.id.expiration.ms'),
    producerIdExpirationCheckIntervalMs: count('producer.id.expiration.check.interval.ms'),
    groups: Object.freeze({
      sessionTimeoutMsMin: count('group.min.session.timeout.ms'),
      sessionTimeoutMsMax: count('group.max.session.timeout.ms'),
      initialRebalanceDelayMs: count('group.initial.rebalance.delay.ms'),
      membersMax: count('group.max.size'),
      offsetsRetentionMs: count('offsets.retention.minutes') * 60_000,
      offsetMetadataBytesMax: count('offset.metadata.max.bytes'),
    }),
    offsetsRetentionCheckIntervalMs: count('offsets.retention.check.interval.ms'),
    ignored: Object.freeze([...ignored].sort()),
  })
}

function listOf(text: string): readonly string[] {
  const items = text.split(',').map((item) => item.trim())
  return Object.freeze(items.filter((item) => item !== ''))
}

/** One option as it was set in one place. */
interface Setting {
  readonly name: string
  readonly value: string
  /** For people: `--port`, `TAILRACE_PORT`, `server.properties line 3`. */
  readonly source: string
}

/** All that one place sets, by name. Layers are passed strongest first. */
type Layer = ReadonlyMap<string, Setting>

/** Variables of the same prefix that are no server options: the command line's, and the place of the file. */
const OTHER_VARIABLES = new Set(['TAILRACE_URL', 'TAILRACE_CONFIG'])
const PREFIX = 'TAILRACE_'
const OPTION_NAMES = [...OPTION_SCHEMAS.keys()]
const NAMES_BY_VARIABLE = new Map([...MOOT_BROKER_OPTIONS, ...OPTION_NAMES].map((name) => [variableOf(name), name]))

function variableOf(name: string): string {
  return PREFIX + name.replaceAll('.', '_').toUpperCase()
}

function flagSettings(flags: ServerFlags): Setting[] {
  const settings = (flags.set ?? []).map((pair) => {
    const equals = pair.indexOf('=')
    if (equals < 1) throw invalid(`--set takes name=value, and '${pair}' is not of that form`, { source: '--set' })
    return { name: pair.slice(0, equals).trim(), value: pair.slice(equals + 1), source: '--set' }
  })
  const direct = [
    ['host', flags.host, '--host'],
    ['port', flags.port, '--port'],
    ['data.dir', flags.dataDir, '--data-dir'],
  ] as const
  for (const [name, value, source] of direct) if (value !== undefined) settings.push({ name, value, source })
  return settings
}

function environmentSettings(env: ConfigSources['env']): Setting[] {
  const settings: Setting[] = []
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith(PREFIX) || value === undefined || value === '') continue
    if (OTHER_VARIABLES.has(variable) || isServiceLink(variable, value)) continue
    const name = NAMES_BY_VARIABLE.get(variable)
    if (name === undefined) throw unknown(variable, 'from the environment', nearestVariable(variable))
    settings.push({ name, value, source: variable })
  }
  return settings
}

/**
 * What Kubernetes and Docker links put into every container beside a service that is called tailrace:
 * TAILRACE_SERVICE_HOST, TAILRACE_PORT=tcp://10.0.0.7:8082, TAILRACE_PORT_8082_TCP_ADDR and so on.
 */
function isServiceLink(variable: string, value: string): boolean {
  if (variable === 'TAILRACE_PORT') return /^(tcp|udp|sctp):\/\//.test(value)
  return /^TAILRACE_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?|NAME)$/.test(variable)
}

function nearestVariable(variable: string): string | undefined {
  const known = [...OPTION_NAMES.map(variableOf), ...OTHER_VARIABLES].map((each) => each.slice(PREFIX.length))
  const nearest = nearestName(variable.slice(PREFIX.length), known)
  return nearest === undefined ? undefined : PREFIX + nearest
}

function fileSettings(path: string, readFile: ConfigSources['readFile']): Setting[] {
  let text: string
  try {
    text = readFile(path)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw invalid(`the config file '${path}' cannot be read: ${reason}`, { source: path }, error)
  }
  return parseServerProperties(text).map(({ name, value, line }) => ({ name, value, source: `${path} line ${line}` }))
}

/** What is known of the settings, the last of a name; what Kafka knows and means nothing here goes to `ignored`. */
function layerOf(settings: readonly Setting[], ignored: Set<string>): Layer {
  const layer = new Map<string, Setting>()
  for (const setting of settings) {
    if (OPTION_SCHEMAS.has(setting.name)) layer.set(setting.name, setting)
    else if (isMootBrokerOption(setting.name)) ignored.add(setting.name)
    else throw unknown(setting.name, `from ${setting.source}`, nearestOption(setting.name))
  }
  return layer
}

function nearestOption(name: string): string | undefined {
  // A topic config's name is meant as the server option that stands for it.
  const synonym = TOPIC_CONFIG_TABLE.find((row) => row.name === name)?.synonyms[0]?.name
  return synonym ?? nearestName(name, OPTION_NAMES) ?? nearestName(name, MOOT_BROKER_OPTIONS)
}

/**
 * The value of the first of these names, all for one thing, that the strongest layer sets which sets any; else the
 * default of the first.
 */
function chosenValue(layers: readonly Layer[], names: readonly string[]): string | number | boolean {
  const setting = layers.map((layer) => settingIn(layer, names)).find((each) => each !== undefined)
  if (setting !== undefined) return checkedValue(setting)
  const schema = OPTION_SCHEMAS.get(names[0] ?? '')
  if (schema?.default === undefined) throw new Error(`schemas/config.json has no default for ${names[0]}`)
  return schema.default
}

function settingIn(layer: Layer, names: readonly string[]): Setting | undefined {
  return names.map((name) => layer.get(name)).find((setting) => setting !== undefined)
}

function checkedValue(setting: Setting): string | number | boolean {
  const { value, allowed } = optionValue(setting.name, setting.value)
  if (value === undefined) throw refused(setting, allowed)
  return value
}

/** From the strongest layer that says it; within one, Kafka's listeners come last. */
function hostOf(layers: readonly Layer[]): string {
  for (const layer of layers) {
    const host = settingIn(layer, ['host', 'host.name'])
    if (host !== undefined) return checkedValue(host) as string
    const listeners = layer.get('listeners')
    const listened = listeners && listenerFrom(listeners, layers).host
    if (listened) return listened
  }
  return chosenValue([], ['host']) as string
}

function portOf(layers: readonly Layer[]): number {
  const setting = layers.map((layer) => settingIn(layer, ['port', 'listeners'])).find((each) => each !== undefined)
  if (setting?.name === 'listeners') return listenerFrom(setting, layers).port
  return chosenValue(layers, ['port']) as number
}

function advertisedBy(layers: readonly Layer[]): Readonly<Listener> | undefined {
  const setting = layers.map((layer) => layer.get('advertised.listeners')).find((each) => each !== undefined)
  const listener = setting && listenerFrom(setting, layers)
  if (setting === undefined || listener === undefined) return undefined
  if (listener.host === '') throw refused(setting, 'a listener that names its host, which clients are told')
  return Object.freeze(listener)
}

function listenerFrom(setting: Setting, layers: readonly Layer[]): Listener {
  const chosen = chooseListener(setting.value, {
    securityProtocols: chosenValue(layers, ['listener.security.protocol.map']) as string,
    controllerNames: chosenValue(layers, ['controller.listener.names']) as string,
    httpsAllowed: setting.name === 'advertised.listeners',
  })
  if (typeof chosen === 'string') throw refused(setting, chosen)
  return chosen
}

/**
 * The options that stand for topic configs. Of several that stand for the same one only those of the strongest layer stay:
 * log.retention.hours in the environment wins over log.retention.ms in the file.
 */
function brokerOptions(layers: readonly Layer[]): Readonly<Record<string, string>> {
  const set: Record<string, string> = {}
  for (const row of TOPIC_CONFIG_TABLE) {
    const names = row.synonyms.map(({ name }) => name)
    const layer = layers.find((each) => names.some((name) => each.has(name)))
    for (const setting of names.map((name) => layer?.get(name)).filter((each) => each !== undefined)) {
      checkTopicOption(setting)
      set[setting.name] = setting.value.trim()
    }
  }
  parseTopicConfig({}, topicConfigDefaults(set))
  return Object.freeze(set)
}

function checkTopicOption(setting: Setting): void {
  try {
    topicConfigDefaults({ [setting.name]: setting.value })
  } catch (error) {
    if (!(error instanceof TailraceError)) throw error
    throw refused(setting, String(error.details['allowed']), error)
  }
}

function refused({ name, value, source }: Setting, allowed: string, cause?: unknown): TailraceError {
  return invalid(
    `${name} cannot be '${value}' (from ${source}): allowed is ${allowed}`,
    { option: name, value, source, allowed },
    cause,
  )
}

function unknown(name: string, where: string, nearest: string | undefined): TailraceError {
  const hint = nearest === undefined ? '' : `; did you mean '${nearest}'?`
  return invalid(`there is no option '${name}' (${where})${hint}`, { option: name, ...(nearest && { nearest }) })
}

function invalid(message: string, details: Record<string, unknown>, cause?: unknown): TailraceError {
  return new TailraceError('invalid_config', message, details, cause === undefined ? undefined : { cause })
}
