// Start and memory: a topic of many records is written over HTTP while the server's memory is watched; then the time
// from spawning node to the first 200 of /readyz is taken after a clean stop, after kill -9 under load, and with
// index.db deleted. After every kill what was acknowledged is counted: all of it must be there.

import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { BenchCase, BenchRow } from '../bench-case.ts'
import type { BenchContext, RunningServer } from '../bench-context.ts'
import * as figures from '../figures.ts'
import { processMemory } from '../process-stat.ts'
import { postRequest, produceBodies } from '../records.ts'
import { median } from '../rounds.ts'
import { createTopic, expectStored, storedCount } from '../tailrace-api.ts'

const TOPIC = 'bench'
const CONNECTIONS = 32
const RECORDS_PER_REQUEST = 100
/** Memory is looked at after each. */
const SLICES = 10
const LOAD_MS_MAX = 600_000
const CLEAN_START_GOAL_MS = 500
const KILLED_START_GOAL_MS = 2_000
const IDLE_GOAL_MB = 120

/** --quick, which must end within a minute, takes one of the two. */
export function startUpCases(quick: boolean): BenchCase[] {
  return (quick ? [8] : [1, 8]).map((partitions) => ({
    name: `start-up-p${partitions}`,
    about: `start after a clean stop and after kill -9, and memory, ${partitionsText(partitions)}`,
    run: (context) => runStartUp(context, partitions),
  }))
}

interface StartUp {
  readonly recordCount: number
  readonly emptyStartMs: number
  readonly emptyIdleMb: number
  /** Resident after each tenth of the records. */
  readonly writingMb: readonly number[]
  readonly recordsPerSecond: number
  readonly writtenIdleMb: number
  readonly stopMs: number
  readonly cleanStartsMs: readonly number[]
  readonly cleanIdleMb: number
  readonly killedStartsMs: readonly number[]
  readonly killedIdleMb: number
  readonly indexDeletedStartMs: number
}

async function runStartUp(context: BenchContext, partitions: number): Promise<readonly BenchRow[]> {
  const dataDir = context.makeDir(`start-up-p${partitions}`)
  const repeats = context.options.quick ? 1 : 3
  const written = await writeRecords(context, dataDir, partitions)
  const clean = await startAfterCleanStops(context, dataDir, repeats)
  const killed = await startAfterKills(context, dataDir, repeats)
  for (const name of readdirSync(dataDir)) if (name.startsWith('index.db')) rmSync(join(dataDir, name))
  const scanned = await context.startTailrace(dataDir)
  await expectStored(scanned, TOPIC, killed.storedCount)
  return startUpRows(partitions, { ...written, ...clean, ...killed, indexDeletedStartMs: scanned.readyMs })
}

async function writeRecords(context: BenchContext, dataDir: string, partitions: number) {
  const recordCount = context.options.startUpRecords
  const server = await context.startTailrace(dataDir)
  const emptyIdleMb = await idleMb(context, server)
  await createTopic(server, TOPIC, partitions)
  const requests = produceRequests()
  const writingMb: number[] = []
  const start = performance.now()
  for (let slice = 0; slice < SLICES; slice += 1) {
    await context.load(server, {
      connections: CONNECTIONS,
      requests,
      status: 200,
      warmUpMs: 0,
      durationMs: LOAD_MS_MAX,
      requestCountMax: recordCount / RECORDS_PER_REQUEST / SLICES,
    })
    writingMb.push(processMemory(server.process.pid).residentMb)
  }
  const recordsPerSecond = (recordCount * 1_000) / (performance.now() - start)
  await expectStored(server, TOPIC, recordCount)
  const writtenIdleMb = await idleMb(context, server)
  const stopMs = await server.process.stop()
  return { recordCount, emptyStartMs: server.readyMs, emptyIdleMb, writingMb, recordsPerSecond, writtenIdleMb, stopMs }
}

function produceRequests(): Buffer[] {
  const bodies = produceBodies({ recordsPerRequest: RECORDS_PER_REQUEST, keyed: true }, 128)
  return bodies.map((body) => postRequest(`/v1/topics/${TOPIC}/records?acks=all`, body))
}

async function startAfterCleanStops(context: BenchContext, dataDir: string, repeats: number) {
  const cleanStartsMs: number[] = []
  let cleanIdleMb = 0
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    const server = await context.startTailrace(dataDir)
    cleanStartsMs.push(server.readyMs)
    cleanIdleMb = await idleMb(context, server)
    await server.process.stop()
  }
  return { cleanStartsMs, cleanIdleMb }
}

async function startAfterKills(context: BenchContext, dataDir: string, repeats: number) {
  const killedStartsMs: number[] = []
  let server = await context.startTailrace(dataDir)
  let stored = await storedCount(server, TOPIC)
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    const acknowledged = await killUnderLoad(context, server)
    server = await context.startTailrace(dataDir)
    killedStartsMs.push(server.readyMs)
    const storedNow = await storedCount(server, TOPIC)
    if (storedNow < stored + acknowledged) {
      throw new Error(`kill -9 lost records: ${stored} + ${acknowledged} were acknowledged, ${storedNow} are there`)
    }
    stored = storedNow
  }
  const killedIdleMb = await idleMb(context, server)
  await server.process.stop()
  return { killedStartsMs, killedIdleMb, storedCount: stored }
}

/** How many records were acknowledged before the end. */
async function killUnderLoad(context: BenchContext, server: RunningServer): Promise<number> {
  const load = context.load(server, {
    connections: CONNECTIONS,
    requests: produceRequests(),
    status: 200,
    warmUpMs: 0,
    durationMs: LOAD_MS_MAX,
    serverMayDie: true,
  })
  await delay(context.options.quick ? 500 : 2_000)
  await server.process.killNow()
  return (await load).acceptedCount * RECORDS_PER_REQUEST
}

async function idleMb(context: BenchContext, server: RunningServer): Promise<number> {
  await delay(context.options.settleMs)
  return processMemory(server.process.pid).residentMb
}

function startUpRows(partitions: number, figuresTaken: StartUp): readonly BenchRow[] {
  const { recordCount, cleanStartsMs, killedStartsMs, writingMb } = figuresTaken
  const place = `${figures.count(recordCount)} records, ${partitionsText(partitions)}`
  const cleanMs = median(cleanStartsMs)
  const killedMs = median(killedStartsMs)
  const idleMbMax = Math.max(figuresTaken.emptyIdleMb, figuresTaken.cleanIdleMb, figuresTaken.killedIdleMb)
  const idle = [
    figuresTaken.emptyIdleMb,
    figuresTaken.writtenIdleMb,
    figuresTaken.cleanIdleMb,
    figuresTaken.killedIdleMb,
  ]
  return [
    {
      work: `start after a clean stop, ${place}`,
      tailrace: figures.milliseconds(cleanMs),
      goal: `< ${CLEAN_START_GOAL_MS} ms`,
      goalMet: cleanMs < CLEAN_START_GOAL_MS,
      measured: figuresTaken,
    },
    {
      work: `start after kill -9 under load, ${place}`,
      tailrace: figures.milliseconds(killedMs),
      goal: `< ${KILLED_START_GOAL_MS / 1_000} s`,
      goalMet: killedMs < KILLED_START_GOAL_MS,
      measured: killedStartsMs,
    },
    {
      work: `start with index.db deleted, all scanned, ${place}`,
      tailrace: figures.milliseconds(figuresTaken.indexDeletedStartMs),
      measured: figuresTaken.indexDeletedStartMs,
    },
    {
      work: `resident idle: empty / just written / restarted / after kill -9, ${place}`,
      tailrace: `${idle.map((mb) => Math.round(mb)).join(' / ')} MB`,
      goal: `< ${IDLE_GOAL_MB} MB`,
      goalMet: idleMbMax < IDLE_GOAL_MB,
      measured: idle,
    },
    {
      work: `resident while writing: after a tenth / half / all of ${place}`,
      tailrace: `${[0, SLICES / 2 - 1, SLICES - 1].map((slice) => Math.round(writingMb[slice]!)).join(' / ')} MB`,
      goal: 'flat',
      measured: writingMb,
    },
  ]
}

function partitionsText(partitions: number): string {
  return partitions === 1 ? '1 partition' : `${partitions} partitions`
}
