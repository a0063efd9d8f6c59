// What this engine looks after by itself, and how often: the wall clock, retention, producers that fell silent,
// committed offsets that nobody needs any more, compaction. When a job's time has come log/maintenance-scheduler.ts says.

import type { GroupCoordinator } from '../coordinator/group-coordinator.ts'
import type { Clock } from '../kernel/clock.ts'
import { ClockWatch } from '../kernel/clock-watch.ts'
import type { Logger } from '../kernel/logger.ts'
import type { Telemetry } from '../kernel/telemetry.ts'
import type { LogIdentity } from '../log/log-identity.ts'
import type { LogManager } from '../log/log-manager.ts'
import type { MaintenanceJob } from '../log/maintenance-scheduler.ts'
import type { TopicCatalog } from './topic-catalog.ts'
import type { TopicLogs } from './topic-logs.ts'

export interface MaintenanceOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly telemetry: Telemetry
  readonly retentionCheckIntervalMs: number
  /** producer.id.expiration.check.interval.ms. */
  readonly producerExpirationCheckMs: number
  /** offsets.retention.check.interval.ms. */
  readonly offsetsRetentionCheckMs: number
  readonly cleaner: {
    readonly isEnabled: boolean
    readonly backoffMs: number
    readonly dedupeBufferBytes: number
  }
}

export interface MaintainedParts {
  readonly catalog: TopicCatalog
  readonly logs: LogManager
  readonly topicLogs: TopicLogs
  readonly groups: GroupCoordinator
}

/** The first check of retention comes when a start is over, as Kafka's does. */
const FIRST_RETENTION_CHECK_MS = 30_000

const CLOCK_LOOK_MS = 10_000
/** Between two checks of compaction, each of which looks at all partitions, though log.cleaner.backoff.ms be 0. */
const COMPACTION_PAUSE_MS_MIN = 10

export function maintenanceJobs(options: MaintenanceOptions, parts: MaintainedParts): MaintenanceJob[] {
  const jobs = [
    clockJob(options),
    retentionJob(options, parts),
    producersJob(options, parts),
    offsetsJob(options, parts),
  ]
  return options.cleaner.isEnabled ? [...jobs, compactionJob(options, parts)] : jobs
}

function clockJob({ clock, logger, telemetry }: MaintenanceOptions): MaintenanceJob {
  const watch = new ClockWatch({ clock, logger, telemetry })
  return { name: 'clock', firstMs: CLOCK_LOOK_MS, everyMs: CLOCK_LOOK_MS, run: () => watch.look() }
}

function retentionJob(
  { retentionCheckIntervalMs }: MaintenanceOptions,
  { logs, topicLogs }: MaintainedParts,
): MaintenanceJob {
  return {
    name: 'retention',
    firstMs: Math.min(FIRST_RETENTION_CHECK_MS, retentionCheckIntervalMs),
    everyMs: retentionCheckIntervalMs,
    run: (signal) => logs.retain(topicLogs.identities(), signal),
  }
}

function producersJob(
  { producerExpirationCheckMs }: MaintenanceOptions,
  { catalog, logs }: MaintainedParts,
): MaintenanceJob {
  return {
    name: 'producers',
    firstMs: producerExpirationCheckMs,
    everyMs: producerExpirationCheckMs,
    run: async (signal) => {
      await catalog.producers.forgetSilent(signal)
      await logs.forgetProducers(signal)
    },
  }
}

function offsetsJob({ offsetsRetentionCheckMs }: MaintenanceOptions, { groups }: MaintainedParts): MaintenanceJob {
  return {
    name: 'offsets',
    firstMs: offsetsRetentionCheckMs,
    everyMs: offsetsRetentionCheckMs,
    run: (signal) => groups.expire(signal),
  }
}

function compactionJob({ cleaner }: MaintenanceOptions, { catalog, logs, topicLogs }: MaintainedParts): MaintenanceJob {
  const { backoffMs, dedupeBufferBytes } = cleaner
  const compacted = {
    list: () => topicLogs.identities(),
    isCompacted: ({ topicId }: LogIdentity) => catalog.findById(topicId)?.config.cleanupPolicy.compact === true,
  }
  return {
    name: 'compaction',
    firstMs: backoffMs,
    everyMs: Math.max(backoffMs, COMPACTION_PAUSE_MS_MIN),
    run: (signal) => logs.compact(compacted, dedupeBufferBytes, signal),
  }
}
