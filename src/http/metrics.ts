// GET /metrics in Prometheus' text form. The counters are the plain numbers of kernel/telemetry.ts and http-traffic.ts,
// read when somebody scrapes; prom-client, which words them, is loaded by the first scrape. Topic metrics have
// kafka_exporter's names, so that dashboards made for it work unchanged.

import type { FastifyInstance } from 'fastify'
import type { Counter, Metric, Registry } from 'prom-client'
import type { PartitionDescription, Topic } from '../engine/engine.ts'
import type { CommittedOffset, Groups } from '../engine/group-protocol.ts'
import { partitionKey } from '../engine/partition-key.ts'
import { METRICS_PARTITIONS_MAX } from '../kernel/limits.ts'
import type { Distribution, Telemetry } from '../kernel/telemetry.ts'
import type { SchemaRegistry } from '../registry/schema-registry.ts'
import type { DescribedPartition } from './described-partitions.ts'
import { describePartitionsOf } from './described-partitions.ts'
import type { HttpFloor } from './http-floor.ts'
import type { LiveConnections } from './live-connections.ts'

export function metricsRoutes(app: FastifyInstance, floor: HttpFloor): void {
  let registry: Promise<Registry> | undefined
  app.get('/metrics', async (_request, reply) => {
    registry ??= openRegistry(floor)
    const { contentType, metrics } = await scrape(await registry)
    return reply.header('content-type', contentType).send(Buffer.from(metrics))
  })
}

async function scrape(registry: Registry): Promise<{ contentType: string; metrics: string }> {
  return { contentType: registry.contentType, metrics: await registry.metrics() }
}

async function openRegistry(floor: HttpFloor): Promise<Registry> {
  const { default: client } = await import('prom-client')
  const registry = new client.Registry()
  const { user, system } = process.cpuUsage()
  client.collectDefaultMetrics({ register: registry })
  // it counts from here on: what the process has used before belongs to it too
  for (const [name, micros] of Object.entries({ user_: user, system_: system, '': user + system })) {
    const counter = registry.getSingleMetric(`process_cpu_${name}seconds_total`) as Counter
    counter.inc(micros / 1e6)
  }
  for (const { name } of registry.getMetricsAsArray()) {
    if (name.startsWith('nodejs_eventloop_lag')) showMeasured(registry.getSingleMetric(name) as Metric)
  }
  const add = (
    name: string,
    type: 'counter' | 'gauge' | 'histogram',
    help: string,
    read: () => MaybePromise<Sample[]>,
  ) => registry.registerMetric(new ReadMetric(name, type, help, read) as unknown as Metric)
  addTelemetry(add, floor.telemetry)
  addTails(add, floor.telemetry)
  addLive(add, floor.live)
  addSchemas(add, floor.services.registry)
  addCompaction(add, floor)
  addTraffic(add, floor)
  const described = onceAScrape(() => describeShownTopics(floor), floor.clock)
  addTopics(add, floor, described)
  addGroups(add, floor, described)
  return registry
}

/** The event loop's lag is a histogram that each scrape empties: what an empty one says is no measurement. */
function showMeasured(metric: Metric): void {
  const EMPTY_MIN_SECONDS = 9e9
  const get = metric.get.bind(metric)
  metric.get = async () => {
    const got = await get()
    return { ...got, values: got.values.filter(({ value }) => value < EMPTY_MIN_SECONDS) }
  }
}

type MaybePromise<T> = T | Promise<T>

interface Sample {
  readonly value: number
  readonly labels?: Readonly<Record<string, string | number>>
  /** Where it is not the metric's own: the parts of a histogram. */
  readonly metricName?: string
}

type AddMetric = (
  name: string,
  type: 'counter' | 'gauge' | 'histogram',
  help: string,
  read: () => MaybePromise<Sample[]>,
) => void

/** What prom-client asks of a metric, over numbers that are kept elsewhere. */
class ReadMetric {
  readonly name: string
  readonly type: string
  readonly help: string
  readonly aggregator = 'sum'
  readonly #read: () => MaybePromise<Sample[]>

  constructor(name: string, type: string, help: string, read: () => MaybePromise<Sample[]>) {
    this.name = name
    this.type = type
    this.help = help
    this.#read = read
  }

  async get() {
    const { name, type, help, aggregator } = this
    return { name, type, help, aggregator, values: await this.#read() }
  }
}

function addTelemetry(add: AddMetric, telemetry: Telemetry): void {
  const number = (name: string, type: 'counter' | 'gauge', help: string, read: () => number) =>
    add(name, type, help, () => [{ value: read() }])
  const histogram = (name: string, help: string, distribution: Distribution) =>
    add(name, 'histogram', help, () => samplesOf(name, distribution))
  number('tailrace_produce_requests_total', 'counter', 'Requests that produced', () => telemetry.produceRequests)
  number('tailrace_produce_records_total', 'counter', 'Records stored', () => telemetry.recordsIn)
  number('tailrace_produce_bytes_total', 'counter', 'Bytes of batches stored', () => telemetry.bytesIn)
  number('tailrace_produce_duplicates_total', 'counter', 'Repeats of named producers', () => telemetry.duplicates)
  number('tailrace_fetch_requests_total', 'counter', 'Reads', () => telemetry.fetchRequests)
  number('tailrace_fetch_records_total', 'counter', 'Records given to readers', () => telemetry.recordsOut)
  number('tailrace_fetch_bytes_total', 'counter', 'Bytes given to readers', () => telemetry.bytesOut)
  number('tailrace_fetch_waiting', 'gauge', 'Reads that wait for records', () => telemetry.waitingFetches)
  number('tailrace_partitions_failed_total', 'counter', 'Partitions taken offline', () => telemetry.partitionsFailed)
  number('tailrace_retention_segments_total', 'counter', 'Segments deleted', () => telemetry.segmentsDeleted)
  number('tailrace_retention_bytes_total', 'counter', 'Bytes of deleted segments', () => telemetry.segmentBytesDeleted)
  number('tailrace_clock_steps_total', 'counter', 'Steps of the wall clock', () => telemetry.clockSteps)
  histogram('tailrace_produce_gathered_requests', 'Requests that shared one batch', telemetry.gatheredRequests)
  histogram('tailrace_log_group_batches', 'Batches that shared one fdatasync', telemetry.syncedBatches)
  number('tailrace_log_journal_entries_total', 'counter', 'Syncs shared by partitions', () => telemetry.journalEntries)
  histogram('tailrace_log_fsync_duration_seconds', 'Time of an fdatasync', telemetry.syncSeconds)
}

function addTails(add: AddMetric, { tails }: Telemetry): void {
  const number = (name: string, type: 'counter' | 'gauge', help: string, read: () => number) =>
    add(`tailrace_tail_${name}`, type, help, () => [{ value: read() }])
  number('open', 'gauge', 'Live tails that are open', () => tails.open)
  number('fetches_total', 'counter', 'Fetches for tails', () => tails.fetches)
  number('chunks_made_total', 'counter', 'Chunks of records encoded for tails', () => tails.chunksMade)
  number('chunks_given_total', 'counter', 'Chunks given, to each tail that shared one', () => tails.chunksGiven)
  number('records_total', 'counter', 'Records given to tails', () => tails.recordsGiven)
  number('bytes_total', 'counter', 'Bytes of chunks given to tails', () => tails.bytesGiven)
  number('records_dropped_total', 'counter', 'Records left out for want of room', () => tails.recordsDropped)
}

function addLive(add: AddMetric, live: LiveConnections): void {
  add('tailrace_live_connections', 'gauge', 'Event streams and WebSockets', () => [{ value: live.count }])
  const help = 'Bytes that wait for the sockets of live connections'
  add('tailrace_live_pending_bytes', 'gauge', help, () => [{ value: live.pendingBytes }])
}

function addSchemas(add: AddMetric, { writer }: SchemaRegistry): void {
  const help = '1 if this node writes the schema registry'
  add('tailrace_schema_registry_writer', 'gauge', help, () => [{ value: (writer?.isHere ?? true) ? 1 : 0 }])
}

function addCompaction(add: AddMetric, { telemetry, clock }: HttpFloor): void {
  const { compaction } = telemetry
  const number = (name: string, type: 'counter' | 'gauge', help: string, read: () => number) =>
    add(`tailrace_compaction_${name}`, type, help, () => [{ value: read() }])
  const sinceLastCheckMs = () =>
    compaction.lastCheckMs === undefined ? Number.NaN : clock.monotonic() - compaction.lastCheckMs
  number('passes_total', 'counter', 'Passes of compaction', () => compaction.passes)
  number('failures_total', 'counter', 'Passes that failed', () => compaction.failures)
  number('seconds_total', 'counter', 'Time that passes took', () => compaction.seconds)
  number('records_read_total', 'counter', 'Records that passes looked at', () => compaction.recordsRead)
  number('records_kept_total', 'counter', 'Of those the ones that stayed', () => compaction.recordsKept)
  number('bytes_read_total', 'counter', 'Bytes of segments that were written anew', () => compaction.bytesRead)
  number('bytes_written_total', 'counter', 'Bytes of the new segments', () => compaction.bytesWritten)
  number('max_dirty_ratio', 'gauge', 'Of the filthiest log, at the last check', () => compaction.maxDirtyRatio)
  number('max_delay_seconds', 'gauge', 'By which max.compaction.lag.ms was passed, at the last check', () => {
    return compaction.maxOverdueMs / 1_000
  })
  number('uncleanable_partitions', 'gauge', 'Partitions left alone until the next start', () => {
    return compaction.uncleanablePartitions
  })
  number('time_since_last_check_seconds', 'gauge', 'NaN: there was none', () => sinceLastCheckMs() / 1_000)
}

function samplesOf(name: string, { bounds, counts, sum, count }: Distribution): Sample[] {
  let below = 0
  const buckets = bounds.map((bound, at) => {
    below += counts[at] ?? 0
    return { metricName: `${name}_bucket`, labels: { le: bound }, value: below }
  })
  return [
    ...buckets,
    { metricName: `${name}_bucket`, labels: { le: '+Inf' }, value: count },
    { metricName: `${name}_sum`, value: sum },
    { metricName: `${name}_count`, value: count },
  ]
}

function addTraffic(add: AddMetric, { traffic }: HttpFloor): void {
  add('http_server_requests_total', 'counter', 'Replies by route and class of status', () =>
    [...traffic.routes()].flatMap(({ method, route, byStatusClass }) =>
      byStatusClass.flatMap((value, at) =>
        value === 0 ? [] : [{ value, labels: { method, route, status: `${at + 1}xx` } }],
      ),
    ),
  )
}

function describeShownTopics({ services: { engine } }: HttpFloor): Promise<readonly DescribedPartition[]> {
  return describePartitionsOf(engine, shownTopics(engine.listTopics()))
}

function addTopics(
  add: AddMetric,
  { services: { engine } }: HttpFloor,
  described: () => Promise<readonly DescribedPartition[]>,
): void {
  const byPartition = (name: string, help: string, read: (partition: PartitionDescription) => number) =>
    add(name, 'gauge', help, async () =>
      (await described()).map(({ topic, partition }) => ({
        value: read(partition),
        labels: { topic, partition: partition.partition },
      })),
    )
  add('kafka_brokers', 'gauge', 'Number of brokers', () => [{ value: engine.cluster().brokers.length }])
  add('kafka_broker_info', 'gauge', 'Information about a broker', () =>
    engine.cluster().brokers.map(({ id, host, port }) => ({ value: 1, labels: { id, address: `${host}:${port}` } })),
  )
  add('kafka_topic_partitions', 'gauge', 'Number of partitions of a topic', () =>
    engine
      .listTopics()
      .slice(0, METRICS_PARTITIONS_MAX)
      .map(({ name, partitionCount }) => ({
        value: partitionCount,
        labels: { topic: name },
      })),
  )
  add('tailrace_metrics_partitions_left_out', 'gauge', 'Partitions that are not shown by themselves here', () => {
    const topics = engine.listTopics()
    return [{ value: countPartitions(topics) - countPartitions(shownTopics(topics)) }]
  })
  byPartition('kafka_topic_partition_current_offset', 'End offset', ({ endOffset }) => endOffset)
  byPartition('kafka_topic_partition_oldest_offset', 'Start offset', ({ startOffset }) => startOffset)
  byPartition('kafka_topic_partition_leader', 'Leader', ({ leader }) => leader)
  byPartition('kafka_topic_partition_replicas', 'Number of replicas', ({ replicas }) => replicas.length)
  byPartition('kafka_topic_partition_in_sync_replica', 'Number of replicas in sync', ({ isr }) => isr.length)
  byPartition('kafka_topic_partition_under_replicated_partition', '1 if some replica is not in sync', (partition) =>
    partition.isr.length < partition.replicas.length ? 1 : 0,
  )
  byPartition('tailrace_log_size_bytes', 'Bytes on disk', ({ sizeBytes }) => sizeBytes)
  byPartition('tailrace_partition_offline', '1 if the partition takes nothing', ({ offline }) => (offline ? 1 : 0))
  byPartition('tailrace_partition_corrupt', '1 if a bad batch was met in it', ({ corrupt }) => (corrupt ? 1 : 0))
}

function addGroups(
  add: AddMetric,
  { services, telemetry, clock }: HttpFloor,
  described: () => Promise<readonly DescribedPartition[]>,
): void {
  const { groups } = telemetry
  const count = (name: string, help: string, read: () => number) =>
    add(`tailrace_group_${name}_total`, 'counter', help, () => [{ value: read() }])
  count('rebalances', 'Rebalances begun', () => groups.rebalances)
  count('expired_members', 'Members taken out because they were silent', () => groups.expiredMembers)
  count('committed_offsets', 'Offsets committed', () => groups.committedOffsets)
  count('expired_offsets', 'Committed offsets forgotten', () => groups.expiredOffsets)
  add('tailrace_groups', 'gauge', 'Consumer groups by state', async () =>
    [...Map.groupBy(await services.engine.groups.list(), ({ state }) => state)].map(([state, { length: value }]) => {
      return { value, labels: { state } }
    }),
  )
  const shown = onceAScrape(() => describeGroups(services.engine.groups), clock)
  add('kafka_consumergroup_members', 'gauge', 'Members of a consumer group', async () =>
    (await shown()).map(({ consumergroup, members }) => ({ value: members, labels: { consumergroup } })),
  )
  const byOffset = (name: string, help: string, read: (offset: number, endOffset: number) => number) => {
    const samples = async () => {
      const ends = new Map(
        (await described()).map((one) => [partitionKey(one.topic, one.partition.partition), one.partition]),
      )
      return (await shown()).flatMap(({ consumergroup, offsets }) =>
        offsets.flatMap(({ topic, partition, offset }) => {
          const end = ends.get(partitionKey(topic, partition))
          if (end === undefined) return []
          return [{ value: read(offset, end.endOffset), labels: { consumergroup, topic, partition } }]
        }),
      )
    }
    add(`kafka_consumergroup_${name}`, 'gauge', `${help} in a partition`, samples)
    add(`kafka_consumergroup_${name}_sum`, 'gauge', `${help} in a topic`, async () =>
      sumOverPartitions(await samples()),
    )
  }
  byOffset('current_offset', 'Offset that a group has committed', (offset) => offset)
  // below zero where a commit lies beyond the end, as Kafka's tool says it
  byOffset('lag', 'Records that a group has not consumed', (offset, endOffset) => endOffset - offset)
}

function sumOverPartitions(
  samples: readonly { readonly value: number; readonly labels: { consumergroup: string; topic: string } }[],
): Sample[] {
  const byTopic = Map.groupBy(samples, ({ labels: { consumergroup, topic } }) => JSON.stringify([consumergroup, topic]))
  return [...byTopic.values()].map((of) => {
    const { consumergroup = '', topic = '' } = of[0]?.labels ?? {}
    return { value: of.reduce((sum, { value }) => sum + value, 0), labels: { consumergroup, topic } }
  })
}

/** As many groups as have room, with what they have committed. */
async function describeGroups(groups: Groups) {
  const shown: { consumergroup: string; members: number; offsets: readonly CommittedOffset[] }[] = []
  let room = METRICS_PARTITIONS_MAX
  for (const { groupId: consumergroup } of await groups.list()) {
    if (room <= 0) break
    const offsets = (await groups.committed(consumergroup)).slice(0, room)
    const members = (await groups.describe(consumergroup))?.members.length ?? 0
    room -= Math.max(1, offsets.length)
    shown.push({ consumergroup, members, offsets })
  }
  return shown
}

/** Whole topics, as many as are shown. */
function shownTopics(topics: readonly Topic[]): Topic[] {
  let partitionCount = 0
  return topics.filter((topic) => {
    if (partitionCount + topic.partitionCount > METRICS_PARTITIONS_MAX) return false
    partitionCount += topic.partitionCount
    return true
  })
}

function countPartitions(topics: readonly Topic[]): number {
  return topics.reduce((sum, { partitionCount }) => sum + partitionCount, 0)
}

/** The metrics of one scrape are read at once: they share one look at the partitions. */
function onceAScrape<T>(look: () => Promise<T>, clock: { monotonic(): number }): () => Promise<T> {
  const SCRAPE_MS = 100
  let taken: { atMs: number; result: Promise<T> } | undefined
  return () => {
    const now = clock.monotonic()
    if (taken === undefined || now - taken.atMs > SCRAPE_MS) taken = { atMs: now, result: look() }
    return taken.result
  }
}
