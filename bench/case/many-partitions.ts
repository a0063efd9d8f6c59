// Ten thousand partitions: topics of 1,000 each are made, a record goes to random ones from 32 connections, and the
// server is started on them again. Idle it must cost neither timers nor descriptors per partition: its CPU time and its
// open files are read from /proc.

import { setTimeout as delay } from 'node:timers/promises'
import type { BenchCase, BenchRow } from '../bench-case.ts'
import type { BenchContext, RunningServer } from '../bench-context.ts'
import type { BenchOptions } from '../bench-options.ts'
import * as figures from '../figures.ts'
import { descriptorCount, processCpuMs, processMemory, threadCount } from '../process-stat.ts'
import { jsonValues, postRequest } from '../records.ts'
import { createTopic, storedCount } from '../tailrace-api.ts'

const TOPIC_PARTITIONS = 1_000
const REQUESTS = 8_192
const CONNECTIONS = 32
const IDLE_WATCH_MS = 3_000
const SEED = 20_261_121

export const manyPartitionsCase: BenchCase = {
  name: 'many-partitions',
  about: 'create, produce to and start on ten thousand partitions',
  run: runManyPartitions,
}

async function runManyPartitions(context: BenchContext): Promise<readonly BenchRow[]> {
  const { options } = context
  const { partitionCount, quick } = options
  const topics = Array.from({ length: partitionCount / TOPIC_PARTITIONS }, (_, index) => `bench-${index}`)
  const dataDir = context.makeDir('many-partitions')
  const first = await context.startTailrace(dataDir)
  const createStart = performance.now()
  for (const topic of topics) await createTopic(first, topic, TOPIC_PARTITIONS)
  const createMs = performance.now() - createStart
  const emptyIdle = await idleCost(first, options)

  const load = await context.load(first, {
    connections: CONNECTIONS,
    requests: requestsToRandomPartitions(topics),
    status: 200,
    warmUpMs: 0,
    durationMs: 120_000,
    requestCountMax: quick ? 2_000 : 20_000,
  })
  let stored = 0
  for (const topic of topics) stored += await storedCount(first, topic)
  if (stored !== load.acceptedCount)
    throw new Error(`${load.acceptedCount} records were acknowledged, ${stored} are there`)
  const usedIdle = await idleCost(first, options)
  const stopMs = await first.process.stop()

  const second = await context.startTailrace(dataDir)
  const startedIdle = await idleCost(second, options)
  await second.process.killNow()
  const third = await context.startTailrace(dataDir)
  const measured = {
    createMs,
    load,
    stopMs,
    emptyIdle,
    usedIdle,
    startedIdle,
    cleanStartMs: second.readyMs,
    killedStartMs: third.readyMs,
  }
  return manyPartitionsRows(partitionCount, topics.length, measured)
}

function requestsToRandomPartitions(topics: readonly string[]): Buffer[] {
  const random = seededRandom(SEED)
  return jsonValues(REQUESTS).map((value) => {
    const topic = topics[random(topics.length)]!
    const body = `{"records":[{"partition":${random(TOPIC_PARTITIONS)},"value":${value}}]}`
    return postRequest(`/v1/topics/${topic}/records?acks=all`, body)
  })
}

interface IdleCost {
  readonly residentMb: number
  readonly cpuShare: number
  readonly descriptors: number
  readonly threads: number
}

async function idleCost(server: RunningServer, { settleMs, quick }: BenchOptions): Promise<IdleCost> {
  const { pid } = server.process
  await delay(settleMs)
  const watchMs = quick ? IDLE_WATCH_MS / 3 : IDLE_WATCH_MS
  const cpuMs = processCpuMs(pid)
  await delay(watchMs)
  return {
    residentMb: processMemory(pid).residentMb,
    cpuShare: (processCpuMs(pid) - cpuMs) / watchMs,
    descriptors: descriptorCount(pid),
    threads: threadCount(pid),
  }
}

interface ManyPartitions {
  readonly createMs: number
  readonly load: {
    readonly replyCount: number
    readonly windowMs: number
    readonly p50Ms: number
    readonly p99Ms: number
  }
  readonly emptyIdle: IdleCost
  readonly usedIdle: IdleCost
  readonly startedIdle: IdleCost
  readonly cleanStartMs: number
  readonly killedStartMs: number
}

function manyPartitionsRows(partitionCount: number, topicCount: number, measured: ManyPartitions): readonly BenchRow[] {
  const { load, startedIdle } = measured
  const place = `${partitionCount.toLocaleString('en')} partitions`
  return [
    {
      work: `create ${topicCount} topics, ${place} in all`,
      tailrace: figures.milliseconds(measured.createMs),
      measured,
    },
    {
      work: `produce, 1 record a request to random ones of ${place}, acks=all`,
      tailrace: `${figures.count((load.replyCount * 1_000) / load.windowMs)}/s`,
      latency: `${load.p50Ms.toFixed(2)} / ${load.p99Ms.toFixed(2)} ms`,
      measured: load,
    },
    {
      work: `start on ${place}: clean / after kill -9`,
      tailrace: `${figures.milliseconds(measured.cleanStartMs)} / ${figures.milliseconds(measured.killedStartMs)}`,
      measured: [measured.cleanStartMs, measured.killedStartMs],
    },
    {
      work: `idle on ${place}: resident, CPU, open files`,
      tailrace: `${figures.megabytes(startedIdle.residentMb)}, ${(startedIdle.cpuShare * 100).toFixed(1)} %, ${startedIdle.descriptors}`,
      measured: startedIdle,
    },
  ]
}

/** Mulberry32: the same partitions in every run. */
function seededRandom(seed: number): (bound: number) => number {
  let state = seed
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound
  }
}
