// What the command line of the bench may say, and the sizes that --quick, the default and the long form stand for.

import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'

export interface BenchOptions {
  readonly quick: boolean
  /** Names of cases or their beginnings; empty: all. */
  readonly only: readonly string[]
  readonly writeReadme: boolean
  /** Tailrace runs with --cpu-prof; its hot spots are printed for every case. */
  readonly profile: boolean
  /** The script that is started as Tailrace: another checkout's bin can be measured with this one's bench. */
  readonly serverEntry: string
  /** Where figures, profiles and, for the time of the run, the servers' data lie. */
  readonly resultsDir: string
  /** Servers are bound to core 0, the load generator to core 1. */
  readonly pin: boolean
  readonly list: boolean
  /** Measured windows of each server in each case, taken in turns. */
  readonly rounds: number
  readonly roundMs: number
  readonly warmUpMs: number
  /** Before every window: the other server has just had the core and its caches. */
  readonly roundWarmUpMs: number
  readonly startUpRecords: number
  readonly readRecords: number
  /** Topics written one record a request take much longer to write. */
  readonly singleReadRecords: number
  readonly partitionCount: number
  /** Before an idle server's memory and CPU time are read. */
  readonly settleMs: number
}

const DEFAULT_ENTRY = new URL('../bin/tailrace.js', import.meta.url).pathname
const RESULTS_DIR = new URL('./results/', import.meta.url).pathname
const TASKSET = '/usr/bin/taskset'
const READ_RECORDS_MAX = 1_000_000

export const USAGE = `npm run bench -- [options]
  --quick              all cases, small: ends within a minute
  --only NAME,…        these cases alone; a beginning is enough (produce, read, start-up-10m …)
  --list               print the names of the cases and end
  --records N          records of the start-up case (default 1000000, long form 10000000) and, up to a million, of reads
  --rounds N           measured windows a server and case (default 5)
  --seconds S          length of a window (default 2)
  --profile            run Tailrace with --cpu-prof and print its hot spots
  --server FILE        start this script in place of bin/tailrace.js
  --no-pin             leave the choice of cores to the kernel
  --readme             write the table into README.md, between its markers`

export function parseBenchOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    allowNegative: true,
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
      list: { type: 'boolean', default: false },
      records: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      profile: { type: 'boolean', default: false },
      server: { type: 'string', default: DEFAULT_ENTRY },
      pin: { type: 'boolean', default: true },
      readme: { type: 'boolean', default: false },
    },
  })
  const { quick } = values
  const startUpRecords = positiveInteger('records', values.records ?? (quick ? '100000' : '1000000'))
  return {
    quick,
    only: values.only.split(',').filter((name) => name !== ''),
    writeReadme: values.readme,
    profile: values.profile,
    serverEntry: values.server,
    resultsDir: RESULTS_DIR,
    pin: values.pin && availableParallelism() > 1 && existsSync(TASKSET),
    list: values.list,
    rounds: positiveInteger('rounds', values.rounds ?? (quick ? '2' : '5')),
    roundMs: Math.round(positiveNumber('seconds', values.seconds ?? (quick ? '0.5' : '2')) * 1_000),
    warmUpMs: quick ? 300 : 2_000,
    roundWarmUpMs: quick ? 50 : 200,
    startUpRecords,
    readRecords: Math.min(startUpRecords, READ_RECORDS_MAX),
    singleReadRecords: quick ? 20_000 : 100_000,
    partitionCount: quick ? 2_000 : 10_000,
    settleMs: quick ? 400 : 1_500,
  }
}

function positiveNumber(option: string, text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${option} takes a number above 0, not ${JSON.stringify(text)}`)
  return value
}

function positiveInteger(option: string, text: string): number {
  const value = positiveNumber(option, text)
  if (!Number.isSafeInteger(value)) throw new Error(`--${option} takes a whole number, not ${JSON.stringify(text)}`)
  return value
}
