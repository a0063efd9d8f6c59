// A produce service over an engine, with a clock that stands still unless it is moved, and short words for records.

import type { ProduceRecord } from '../../src/codec/produce-record.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { topicConfigDefaults } from '../../src/engine/topic-config.ts'
import type { ErrorCode } from '../../src/kernel/errors.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { NO_HEADERS } from '../../src/record/record.ts'
import type { Caller } from '../../src/service/caller.ts'
import { ANONYMOUS } from '../../src/service/caller.ts'
import type { ProduceOptions } from '../../src/service/produce/produce.ts'
import { createProduceService } from '../../src/service/produce/produce.ts'
import type { ProduceResult } from '../../src/service/produce/produce-result.ts'
import type { TopicServiceOptions } from '../../src/service/topics.ts'
import { createTopicService } from '../../src/service/topics.ts'
import { FakeClock } from '../support/fake-clock.ts'

export const caller: Caller = { principal: ANONYMOUS, clientId: 'test', host: '127.0.0.1', requestId: 'r' }

export const NOW = 1_800_000_000_000

export interface Spec {
  readonly key?: string
  readonly value?: string | null
  readonly partition?: number
  readonly timestamp?: number
}

export function record({ key, value = 'v', partition = -1, timestamp = -1 }: Spec): ProduceRecord {
  const keyBytes = Buffer.from(key ?? '')
  const valueBytes = Buffer.from(value ?? '')
  const keyStart = key === undefined ? -1 : 0
  const valueStart = value === null ? -1 : 0
  return {
    key: keyBytes,
    keyStart,
    keyEnd: key === undefined ? -1 : keyBytes.length,
    value: valueBytes,
    valueStart,
    valueEnd: value === null ? -1 : valueBytes.length,
    headers: NO_HEADERS,
    timestamp,
    partition,
  }
}

export function records(...specs: readonly Spec[]): ProduceRecord[] {
  return specs.map(record)
}

export function openService(engine: Engine, options: Partial<TopicServiceOptions> = {}) {
  const clock = new FakeClock(NOW)
  const telemetry = new Telemetry()
  const topics = createTopicService({
    engine,
    options: {
      autoCreateTopics: true,
      deleteTopics: true,
      allowInternalTopics: false,
      defaultPartitionCount: 1,
      topicConfigDefaults: topicConfigDefaults({}),
      ...options,
    },
  })
  const service = createProduceService({ engine, topics, schemas: {} as never, clock, telemetry })
  const produce = (topic: string, specs: readonly Spec[], more: Partial<ProduceOptions> = {}): Promise<ProduceResult> =>
    service.produce(caller, topic, records(...specs), { acks: 'all', badRecords: 'refuse', ...more })
  return { clock, telemetry, topics, service, produce }
}

/** What HTTP would write of a result. */
export function rows(result: ProduceResult) {
  return Array.from({ length: result.recordCount }, (_, index) => ({
    partition: result.partition(index),
    offset: result.offset(index),
    ...(result.error(index) === undefined ? {} : { error: result.error(index)?.code }),
  }))
}

export function offsets(result: ProduceResult): number[] {
  return Array.from({ length: result.recordCount }, (_, index) => result.offset(index))
}

/** For assert.rejects: a TailraceError of that code, with at least these details. */
export function refusal(code: ErrorCode, details: Readonly<Record<string, unknown>> = {}) {
  return (error: unknown) => {
    if (!(error instanceof TailraceError) || error.code !== code) return false
    return Object.entries(details).every(([name, value]) => error.details[name] === value)
  }
}

/** Something to wait for that a test lets through. */
export function barrier() {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { passed: promise, open: resolve }
}

/** Lets everything that can go on without a barrier go on. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}
