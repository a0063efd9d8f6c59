// A local engine in a folder of its own, as tests open it.

import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { GroupOptions } from '../../src/coordinator/group-coordinator.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { topicConfigDefaults } from '../../src/engine/topic-config.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import type { LocalEngineOptions } from '../../src/local-engine/local-engine.ts'

/** A folder that goes with the test. */
export function temporaryDirectory(t: { after(cleanUp: () => Promise<void>): void }): string {
  const path = mkdtempSync(join(tmpdir(), 'tailrace-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

/** The id behind a producer's name. */
export function producerId(engine: Engine, name: string): Promise<bigint> {
  return engine.withProducerId(name, (id) => Promise.resolve(id))
}

export const GROUP_OPTIONS: GroupOptions = {
  sessionTimeoutMsMin: 1,
  sessionTimeoutMsMax: 1_800_000,
  initialRebalanceDelayMs: 0,
  membersMax: 10_000,
  offsetsRetentionMs: 7 * 86_400_000,
  offsetMetadataBytesMax: 4_096,
}

export function engineOptions(dataDir: string, changes: Partial<LocalEngineOptions> = {}): LocalEngineOptions {
  return {
    dataDir,
    clock: systemClock,
    logger: silentLogger,
    telemetry: new Telemetry(),
    // records of the tests are dated as they like
    topicDefaults: topicConfigDefaults({ 'log.retention.ms': '-1' }),
    numPartitions: 1,
    producerExpirationMs: 86_400_000,
    producerExpirationCheckMs: 600_000,
    retentionCheckIntervalMs: 300_000,
    offsetsRetentionCheckMs: 660_000,
    groups: GROUP_OPTIONS,
    cleaner: { isEnabled: true, backoffMs: 15_000, dedupeBufferBytes: 1_048_576 },
    node: { id: 1, host: '127.0.0.1', port: 8082 },
    ...changes,
  }
}
