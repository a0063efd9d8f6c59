// What a case is, and the lines of the table that it gives.

import type { BenchContext } from './bench-context.ts'

export interface BenchCase {
  readonly name: string
  /** One line, for --list. */
  readonly about: string
  run(context: BenchContext): Promise<readonly BenchRow[]>
}

/** One line of the table. Figures are text as they are shown; `measured` holds them all as numbers, for the JSON file. */
export interface BenchRow {
  readonly work: string
  readonly tailrace: string
  readonly latency?: string
  readonly bare?: string
  readonly bareRatio?: string
  /** The same ratio for equal CPU time of the servers' processes: hardly moved by what else the machine does. */
  readonly bareCpuRatio?: string
  readonly peer?: string
  readonly peerRatio?: string
  readonly goal?: string
  /** Left out: the goal is not for this line, or not for this size. */
  readonly goalMet?: boolean
  /** Cores that others kept busy meanwhile. */
  readonly othersBusy?: number
  readonly measured: unknown
}
