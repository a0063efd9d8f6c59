// Live tailing: fan-out to many readers of one topic in deliveries per second of the server's core, beside a bare `ws` server
// that sends each record as a frame of its own; what idle sockets cost; how long a record takes from its produce to its
// readers, alone, while somebody catches up on a long topic, and while others read nothing. The readers count every record
// by its offset and fail at a gap or a repeat; two of them parse all that comes.

import type { BenchCase, BenchRow } from '../bench-case.ts'
import type { BenchContext, RunningServer } from '../bench-context.ts'
import * as figures from '../figures.ts'
import { postRequest } from '../records.ts'
import { median } from '../rounds.ts'
import type { TailJob, TailWindowResult } from '../tail-load.ts'
import { createTopic, expectStored } from '../tailrace-api.ts'

export const tailCases: readonly BenchCase[] = [
  {
    name: 'tail-fan-out',
    about: '500 sockets on one topic, beside a bare ws server',
    run: (context) => runFanOut(context, 'websocket'),
  },
  {
    name: 'tail-events',
    about: '500 event streams on one topic, beside a bare ws server',
    run: (context) => runFanOut(context, 'events'),
  },
  { name: 'tail-idle', about: '10,000 idle sockets', run: runIdle },
  { name: 'tail-latency', about: 'from produce to delivery at 10,000 records/s, 10 sockets', run: runLatency },
  { name: 'tail-late', about: 'the same while a late joiner catches up on 1 M records', run: runLate },
  { name: 'tail-stalled', about: 'the same under full produce while 100 sockets read nothing', run: runStalled },
]

const TOPIC = 'bench'
const READERS = 500
const DELIVERIES_PER_SECOND_GOAL = 1_000_000
const BARE_RATIO_GOAL = 4
/** What all readers together may lack: more is no faster, less lets the server wait for the producers. */
const BEHIND_MAX = 2_000

type Job = Omit<TailJob, 'port' | 'serverPid'>

const FULL: Job = {
  topic: TOPIC,
  transport: 'websocket',
  readers: READERS,
  pace: { behindMax: BEHIND_MAX },
  producers: 8,
  recordsPerRequest: 50,
  settleMs: 1_000,
  windows: [],
}

interface FanOut {
  readonly perSecond: number
  readonly perCpuSecond: number
  readonly serverBusy: number
  readonly generatorBusy: number
  readonly othersBusy: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly rounds: readonly number[]
}

async function runFanOut(context: BenchContext, transport: 'websocket' | 'events'): Promise<readonly BenchRow[]> {
  const { quick, rounds, roundMs, warmUpMs } = context.options
  const server = await context.startTailrace(context.makeDir('tail-fan-out'))
  await createTopic(server, TOPIC, 1)
  const contenders: { server: RunningServer; job: Job; windows: TailWindowResult[] }[] = [
    { server, job: { ...FULL, transport }, windows: [] },
    // it queues without a bound what its sockets have no room for: the closed loop bounds that
    { server: await context.startBareTail(), job: { ...FULL, pace: { behindMax: BEHIND_MAX / 4 } }, windows: [] },
  ]
  const readers = quick ? 100 : READERS
  for (let round = 0; round < rounds; round += 1) {
    for (const { server: one, job, windows } of contenders) {
      const settleMs = round === 0 ? warmUpMs : FULL.settleMs / 2
      const result = await context.loadTails(one, { ...job, readers, settleMs, windows: [{ durationMs: roundMs }] })
      windows.push(...result.windows)
    }
  }
  const [own, bare] = contenders.map(({ windows }) => summarise(windows)) as [FanOut, FanOut]
  const perCore = (figure: FanOut) => `${figures.count(figure.perCpuSecond)} deliveries/s a core`
  const cpuRatio = own.perCpuSecond / bare.perCpuSecond
  const kind = transport === 'websocket' ? 'WebSockets' : 'event streams'
  return [
    {
      work: `fan-out to ${readers} ${kind} of one topic, beside a bare ws server that sends a frame a record`,
      tailrace: perCore(own),
      latency: latencyText(own),
      bare: perCore(bare),
      bareRatio: figures.ratio(own.perSecond / bare.perSecond),
      bareCpuRatio: figures.ratio(cpuRatio),
      othersBusy: Math.max(own.othersBusy, bare.othersBusy),
      ...(transport === 'websocket' && {
        goal: `>= ${figures.count(DELIVERIES_PER_SECOND_GOAL)}/s a core, >= ${BARE_RATIO_GOAL} x bare`,
        goalMet: own.perCpuSecond >= DELIVERIES_PER_SECOND_GOAL && cpuRatio >= BARE_RATIO_GOAL,
      }),
      measured: { own, bare },
    },
  ]
}

function summarise(windows: readonly TailWindowResult[]): FanOut {
  const perSecond = windows.map(({ deliveryCount, windowMs }) => (deliveryCount * 1_000) / windowMs)
  const share = (pick: (window: TailWindowResult) => number) => median(windows.map((one) => pick(one) / one.windowMs))
  return {
    perSecond: median(perSecond),
    perCpuSecond: median(
      windows.map(({ deliveryCount, serverCpuMs }) => (deliveryCount * 1_000) / Math.max(10, serverCpuMs)),
    ),
    serverBusy: share(({ serverCpuMs }) => serverCpuMs),
    generatorBusy: share(({ generatorCpuMs }) => generatorCpuMs),
    othersBusy: share(({ otherCpuMs }) => otherCpuMs),
    p50Ms: median(windows.map(({ p50Ms }) => p50Ms)),
    p99Ms: median(windows.map(({ p99Ms }) => p99Ms)),
    rounds: perSecond.map(Math.round),
  }
}

function latencyText({ p50Ms, p99Ms }: { readonly p50Ms: number; readonly p99Ms: number }): string {
  return `${p50Ms.toFixed(2)} / ${p99Ms.toFixed(2)} ms`
}

const IDLE_SOCKETS = 10_000
const IDLE_BYTES_GOAL = 20 * 1024

/** After a first, smaller crowd has come and gone: what a server takes once for its first sockets is not theirs. */
async function runIdle(context: BenchContext): Promise<readonly BenchRow[]> {
  const { quick, settleMs } = context.options
  const sockets = quick ? 1_000 : IDLE_SOCKETS
  const server = await context.startTailrace(context.makeDir('tail-idle'))
  await createTopic(server, TOPIC, 1)
  const idle = { topic: TOPIC, transport: 'websocket', producers: 0, recordsPerRequest: 1 } as const
  await context.loadTails(server, { ...idle, readers: sockets / 10, settleMs, windows: [] })
  const windows = [{ durationMs: quick ? 1_000 : 12_000 }]
  const { residentMbBefore, openMs, ...measured } = await context.loadTails(server, {
    ...idle,
    readers: sockets,
    settleMs: quick ? settleMs : 6_000,
    windows,
  })
  const [window] = measured.windows as [TailWindowResult]
  const bytesPerSocket = ((window.residentMbAtEnd - residentMbBefore) * 1_048_576) / sockets
  return [
    {
      work: `${sockets.toLocaleString('en')} idle WebSockets, each with a subscription: memory of one, CPU with heartbeats, opening them all`,
      tailrace: `${figures.count(bytesPerSocket)} bytes, ${((window.serverCpuMs / window.windowMs) * 100).toFixed(1)} %, ${figures.milliseconds(openMs)}`,
      othersBusy: window.otherCpuMs / window.windowMs,
      goal: `< ${IDLE_BYTES_GOAL / 1024} KiB a socket`,
      ...(!quick && { goalMet: bytesPerSocket < IDLE_BYTES_GOAL }),
      measured: { bytesPerSocket, openMs, residentMbBefore, window },
    },
  ]
}

const PACED: Job = {
  topic: TOPIC,
  transport: 'websocket',
  readers: 10,
  pace: { perSecond: 10_000 },
  producers: 32,
  recordsPerRequest: 10,
  settleMs: 2_000,
  windows: [],
}
const P99_MS_GOAL = 5

async function runLatency(context: BenchContext): Promise<readonly BenchRow[]> {
  const { quick, rounds, roundMs, warmUpMs } = context.options
  const server = await context.startTailrace(context.makeDir('tail-latency'))
  await createTopic(server, TOPIC, 1)
  const windows = Array.from({ length: rounds }, () => ({ durationMs: roundMs }))
  const result = await context.loadTails(server, { ...PACED, settleMs: warmUpMs, windows })
  const own = summarise(result.windows)
  return [
    {
      work: 'from produce to delivery, 10,000 records/s in requests of 10, 10 WebSockets',
      tailrace: `${(own.serverBusy * 100).toFixed(0)} % of a core`,
      latency: latencyText(own),
      othersBusy: own.othersBusy,
      goal: `p99 < ${P99_MS_GOAL} ms`,
      ...(!quick && { goalMet: own.p99Ms < P99_MS_GOAL }),
      measured: { own, windows: result.windows },
    },
  ]
}

const LATE_RATIO_GOAL = 3

async function runLate(context: BenchContext): Promise<readonly BenchRow[]> {
  const { quick, readRecords, roundMs, warmUpMs } = context.options
  const windowMs = quick ? 2 * roundMs : 5_000
  const server = await context.startTailrace(context.makeDir('tail-late'))
  await createTopic(server, TOPIC, 1)
  await fill(context, server, readRecords)
  const windows = [{ durationMs: windowMs }, { durationMs: windowMs, lateJoinRecords: readRecords }]
  const result = await context.loadTails(server, { ...PACED, settleMs: warmUpMs, windows })
  const [alone, late] = result.windows as [TailWindowResult, TailWindowResult]
  const joinMs = median(late.lateJoinsMs)
  return [
    {
      work: `the same while late joiners catch up on ${figures.count(readRecords)} records, one after another`,
      tailrace: `${figures.milliseconds(joinMs)} each, ${figures.count((readRecords * 1_000) / joinMs)} records/s`,
      latency: `${latencyText(late)}, alone ${latencyText(alone)}`,
      othersBusy: late.otherCpuMs / late.windowMs,
      goal: `p99 <= ${LATE_RATIO_GOAL} x alone`,
      ...(!quick && { goalMet: late.p99Ms <= LATE_RATIO_GOAL * alone.p99Ms }),
      measured: { alone, late },
    },
  ]
}

async function fill(context: BenchContext, server: RunningServer, recordCount: number): Promise<void> {
  const value = `{"t":"${'0'.repeat(14)}","note":"${'x'.repeat(67)}"}`
  const records = Array.from({ length: 1_000 }, () => `{"value":${value}}`)
  const request = postRequest(`/v1/topics/${TOPIC}/records`, `{"records":[${records.join(',')}]}`)
  const requests = Array.from({ length: recordCount / records.length }, () => request)
  const job = { connections: 4, status: 200, warmUpMs: 0, durationMs: 600_000, once: true }
  await context.load(server, { ...job, requests })
  await expectStored(server, TOPIC, recordCount)
}

const STALLED = 100
const STALL_CLOSED_MS_GOAL = 25_000

/** Full produce is what ten readers keep up with. Afterwards all is as it was before. */
async function runStalled(context: BenchContext): Promise<readonly BenchRow[]> {
  const { quick, warmUpMs } = context.options
  const stalled = quick ? 10 : STALLED
  const server = await context.startTailrace(context.makeDir('tail-stalled'))
  await createTopic(server, TOPIC, 1)
  const stalledMs = quick ? 1_000 : 60_000
  const aloneMs = quick ? 500 : 10_000
  const windows = [{ durationMs: aloneMs }, { durationMs: stalledMs, stalled }, { durationMs: aloneMs }]
  const full: Job = { ...FULL, readers: 10, settleMs: warmUpMs, windows }
  const result = await context.loadTails(server, full)
  const [alone, beside, after] = result.windows as [TailWindowResult, TailWindowResult, TailWindowResult]
  const closed = beside.stalledClosedMs
  const last = Math.max(0, ...closed)
  return [
    {
      work: `${stalled} WebSockets that read nothing, for ${stalledMs / 1_000} s beside 10 that do, under full produce: closed, memory`,
      tailrace: `${closed.length} within ${figures.milliseconds(last)}, ${figures.megabytes(alone.residentMbMax)} before, ${figures.megabytes(beside.residentMbMax)} at most, ${figures.megabytes(after.residentMbAtEnd)} after`,
      latency: `${latencyText(beside)}, alone ${latencyText(alone)}`,
      othersBusy: beside.otherCpuMs / beside.windowMs,
      goal: `all closed, p99 <= ${LATE_RATIO_GOAL} x alone`,
      ...(!quick && {
        goalMet:
          closed.length === stalled && last < STALL_CLOSED_MS_GOAL && beside.p99Ms <= LATE_RATIO_GOAL * alone.p99Ms,
      }),
      measured: { alone, beside, after },
    },
  ]
}
