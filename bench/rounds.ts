// Several servers measured in turns (A B C A B C …) in one run, because a machine's speed drifts: each gets the median
// of its windows, and a ratio compares medians.

import type { BenchContext, RunningServer } from './bench-context.ts'
import type { LoadJob, LoadResult } from './generate-load.ts'

export interface Contender {
  readonly server: RunningServer
  readonly connections: number
  readonly requests: readonly Uint8Array[]
  readonly status: number
  readonly bodyBytes?: readonly number[]
}

export interface Measured {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Replies per second of the server's CPU time, over all its threads. */
  readonly perCpuSecond: number
  /** Share of the windows in which the server, all threads together, was on a core; above 1: more than one. */
  readonly serverBusy: number
  /** The same of the load generator: near 1, the generator was the bottleneck. */
  readonly generatorBusy: number
  /** The same of everyone else: above a tenth or so, figures by the clock mean little. */
  readonly othersBusy: number
  readonly rounds: readonly number[]
  /** Replies over the whole of it, warm-up included. */
  readonly acceptedCount: number
}

export async function measureInTurns(context: BenchContext, contenders: readonly Contender[]): Promise<Measured[]> {
  const { rounds, roundMs, warmUpMs, roundWarmUpMs } = context.options
  const results: LoadResult[][] = contenders.map(() => [])
  const accepted = contenders.map(() => 0)
  for (let round = -1; round < rounds; round += 1) {
    for (const [index, { server, ...load }] of contenders.entries()) {
      const windows =
        round === -1 ? { warmUpMs: 0, durationMs: warmUpMs } : { warmUpMs: roundWarmUpMs, durationMs: roundMs }
      const result = await context.load(server, { ...load, ...windows } satisfies Omit<LoadJob, 'port' | 'serverPid'>)
      accepted[index]! += result.acceptedCount
      if (round >= 0) results[index]!.push(result)
    }
  }
  return results.map((windows, index) => summarise(windows, accepted[index]!))
}

function summarise(windows: readonly LoadResult[], acceptedCount: number): Measured {
  const perSecond = windows.map(({ replyCount, windowMs }) => (replyCount * 1_000) / windowMs)
  const sum = (pick: (window: LoadResult) => number) => windows.reduce((total, window) => total + pick(window), 0)
  return {
    perSecond: median(perSecond),
    p50Ms: median(windows.map(({ p50Ms }) => p50Ms)),
    p99Ms: median(windows.map(({ p99Ms }) => p99Ms)),
    perCpuSecond: median(
      windows.map(({ replyCount, serverCpuMs }) => (replyCount * 1_000) / Math.max(10, serverCpuMs)),
    ),
    serverBusy: sum(({ serverCpuMs }) => serverCpuMs) / sum(({ windowMs }) => windowMs),
    generatorBusy: sum(({ generatorCpuMs }) => generatorCpuMs) / sum(({ windowMs }) => windowMs),
    othersBusy: sum(({ otherCpuMs }) => otherCpuMs) / sum(({ windowMs }) => windowMs),
    rounds: perSecond.map(Math.round),
    acceptedCount,
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
