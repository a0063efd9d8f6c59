// The composition root, the only place that constructs across floors: configuration in, a listening server out. What is
// opened here is closed here, in the reverse order, by one close() that may be called twice.

import type { AddressInfo, Server } from 'node:net'
import { hostname } from 'node:os'
import type { Engine } from '../engine/engine.ts'
import type { TopicConfigDefaults } from '../engine/topic-config.ts'
import { topicConfigDefaults } from '../engine/topic-config.ts'
import { buildServer } from '../http/server.ts'
import type { Clock } from '../kernel/clock.ts'
import { systemClock } from '../kernel/clock.ts'
import { DISK_RESERVE_BYTES, REGISTRY_SESSION_MS } from '../kernel/limits.ts'
import type { Logger } from '../kernel/logger.ts'
import { Telemetry } from '../kernel/telemetry.ts'
import type { LocalEngineOptions } from '../local-engine/local-engine.ts'
import { openLocalEngine } from '../local-engine/local-engine.ts'
import { SCHEMA_FORMATS } from '../registry/schema-formats.ts'
import { SchemaRegistry } from '../registry/schema-registry.ts'
import { SchemaWriter } from '../registry/schema-writer.ts'
import { ConsumerInstances } from '../service/consumers/consumer-instances.ts'
import { createGroupTailService } from '../service/group-tails/group-tails.ts'
import { openGroupMembers } from '../service/groups/group-members.ts'
import { createGroupService } from '../service/groups/groups.ts'
import { createStateTopic } from '../service/groups/state-topic.ts'
import { createGroupPollService } from '../service/leases/group-polls.ts'
import { createProduceService } from '../service/produce/produce.ts'
import { createConsumeService } from '../service/read/consume.ts'
import { createTailService } from '../service/tail/tails.ts'
import { createTopicService } from '../service/topics.ts'
import type { ServerConfig } from './config.ts'
import { processDescriptorLimit, shareDescriptors } from './descriptors.ts'
import { diskCheck } from './disk-check.ts'
import { openLogger } from './log-lines.ts'
import { registryCheck } from './registry-check.ts'

export interface App {
  /** Where it listens, as a client on this machine reaches it. */
  readonly url: string
  /** Finishes what is under way, within the configured grace, and lets go of everything. */
  close(): Promise<void>
}

/** What may be brought in place of the real things. */
export interface AppParts {
  readonly clock?: Clock
  readonly logger?: Logger
  readonly openEngine?: (options: LocalEngineOptions) => Promise<Engine>
}

/** One process, one node. */
const NODE_ID = 1

export async function openApp(config: ServerConfig, parts: AppParts = {}): Promise<App> {
  const clock = parts.clock ?? systemClock
  const logger = parts.logger ?? openLogger(config.logLevel)
  const telemetry = new Telemetry()
  const topicDefaults = topicConfigDefaults(config.broker)
  // Its port is known when it listens, if the configuration leaves that to the system.
  const node = {
    id: NODE_ID,
    host: config.advertised?.host ?? config.host,
    port: config.advertised?.port ?? config.port,
  }
  if (config.ignored.length > 0) logger.warn({ options: config.ignored }, 'these options of Kafka mean nothing here')

  const descriptors = shareDescriptors(processDescriptorLimit())
  const engine = await (parts.openEngine ?? openLocalEngine)({
    dataDir: config.dataDir,
    reserveBytes: DISK_RESERVE_BYTES,
    segmentFilesMax: descriptors.segmentFiles,
    clock,
    logger,
    telemetry,
    topicDefaults,
    numPartitions: config.numPartitions,
    producerExpirationMs: config.producerIdExpirationMs,
    producerExpirationCheckMs: config.producerIdExpirationCheckIntervalMs,
    retentionCheckIntervalMs: config.retentionCheckIntervalMs,
    offsetsRetentionCheckMs: config.offsetsRetentionCheckIntervalMs,
    groups: config.groups,
    cleaner: {
      isEnabled: config.cleanerEnabled,
      backoffMs: config.cleanerBackoffMs,
      dedupeBufferBytes: config.cleanerDedupeBufferBytes,
    },
    node,
  })
  try {
    const topics = createTopicService({ engine, options: topicOptions(config, topicDefaults) })
    const writer = openSchemaWriter({ engine, clock, logger }, config)
    const registry = new SchemaRegistry({ engine, clock, logger, formats: SCHEMA_FORMATS, writer })
    const produce = createProduceService({ engine, topics, schemas: registry, clock, telemetry })
    const consume = createConsumeService({ engine, clock, telemetry })
    const members = openGroupMembers({ engine, clock, logger })
    const state = createStateTopic({ engine, clock })
    const consumers = new ConsumerInstances({
      engine,
      consume,
      members,
      state,
      clock,
      assignors: config.assignors,
      instanceTimeoutMs: config.consumerInstanceTimeoutMs,
      requestTimeoutMs: config.consumerRequestTimeoutMs,
      sessionTimeoutMsMin: config.groups.sessionTimeoutMsMin,
      sessionTimeoutMsMax: config.groups.sessionTimeoutMsMax,
    })
    const groupPolls = createGroupPollService({
      engine,
      consume,
      members,
      state,
      telemetry,
      clock,
      logger,
      assignors: config.assignors,
      sessionTimeoutMsMin: config.groups.sessionTimeoutMsMin,
      sessionTimeoutMsMax: config.groups.sessionTimeoutMsMax,
    })
    const groups = createGroupService({ engine, clock, polls: groupPolls })
    const tails = createTailService({ engine, clock, telemetry, logger })
    const groupTails = createGroupTailService({
      engine,
      members,
      tails,
      groupPolls,
      assignors: config.assignors,
      sessionTimeoutMsMin: config.groups.sessionTimeoutMsMin,
      sessionTimeoutMsMax: config.groups.sessionTimeoutMsMax,
      clock,
    })
    const server = buildServer({
      services: { engine, topics, produce, consume, groups, consumers, groupPolls, tails, groupTails, registry },
      options: config,
      clock,
      logger,
      telemetry,
      healthChecks: [diskCheck(config.dataDir), registryCheck(registry)],
    })
    boundConnections(server.server, descriptors.connections, logger)
    await listen(server, config)
    const { port, address } = server.server.address() as AddressInfo
    if (config.advertised === undefined) node.port = port
    writer?.open({ protocol: config.advertised?.protocol ?? 'http', host: reachedHost(node.host), port: node.port })
    tellWhere(`http://${hostInUrl(config.host)}:${port}`, address, config, logger)
    return {
      url: `http://${hostInUrl(ownHost(config.host))}:${port}`,
      close: closeOnce(
        [
          server,
          ...(writer === undefined ? [] : [writer]),
          consumers,
          groupTails,
          groupPolls,
          tails,
          members,
          produce,
          registry,
          engine,
        ],
        logger,
      ),
    }
  } catch (error) {
    await engine.close()
    throw error
  }
}

/** Where this node is the only one on its engine there is nobody to choose between. */
function openSchemaWriter(
  parts: { readonly engine: Engine; readonly clock: Clock; readonly logger: Logger },
  { groups: { sessionTimeoutMsMin, sessionTimeoutMsMax } }: ServerConfig,
): SchemaWriter | undefined {
  if (!parts.engine.capabilities.isShared) return undefined
  const sessionTimeoutMs = Math.min(Math.max(REGISTRY_SESSION_MS, sessionTimeoutMsMin), sessionTimeoutMsMax)
  return new SchemaWriter({ ...parts, sessionTimeoutMs })
}

function topicOptions(config: ServerConfig, defaults: TopicConfigDefaults) {
  return {
    autoCreateTopics: config.autoCreateTopics,
    deleteTopics: config.deleteTopicEnabled,
    allowInternalTopics: config.internalTopicsWritable,
    defaultPartitionCount: config.numPartitions,
    topicConfigDefaults: defaults,
  }
}

/** One over the bound is closed at once: it could not be served. */
function boundConnections(server: Server, connectionsMax: number, logger: Logger): void {
  if (!Number.isFinite(connectionsMax)) return
  server.maxConnections = connectionsMax
  server.once('drop', () => {
    logger.warn({ connections: connectionsMax }, 'connections are refused: raise the limit of open files (ulimit -n)')
  })
}

async function listen(
  server: { listen(at: { host: string; port: number }): Promise<string> },
  { host, port }: ServerConfig,
): Promise<void> {
  try {
    await server.listen({ host, port })
  } catch (error) {
    throw cannotListen(host, port, error)
  }
}

/** The configuration is not to blame: who else is there is. */
function cannotListen(host: string, port: number, cause: unknown): Error {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new Error(`cannot listen on ${host}:${port} (${reason}); choose another address with --host and --port`, {
    cause,
  })
}

function tellWhere(url: string, address: string, { dataDir }: ServerConfig, logger: Logger): void {
  logger.info({ url, dataDir }, `Tailrace listens on ${url}`)
  if (/^(127\.|::1$)/.test(address)) return
  const message = 'there is no authentication: whoever reaches this address may read, write and delete everything'
  logger.warn({ url }, message)
}

/** How this machine reaches what listens on all of its addresses. */
function ownHost(host: string): string {
  return host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
}

/** How other machines do. */
function reachedHost(host: string): string {
  return host === '0.0.0.0' || host === '::' ? hostname() : host
}

function hostInUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

/** One after the other, the first given first; a failure to close one does not keep the others open. */
function closeOnce(parts: readonly { close(): PromiseLike<unknown> }[], logger: Logger): () => Promise<void> {
  let closing: Promise<void> | undefined
  const closeAll = async (): Promise<void> => {
    const failures: unknown[] = []
    for (const part of parts) {
      try {
        await part.close()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'closing failed')
    logger.info({}, 'Tailrace has stopped')
  }
  return () => {
    closing ??= closeAll()
    return closing
  }
}
