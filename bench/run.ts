// `npm run bench`: runs the cases one after another, prints one table with the ratios of this very run, and keeps every
// figure in bench/results/. Loopback only, bounded in time, and no process or file of it is left behind.

import { mkdirSync, statfsSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { BenchCase, BenchRow } from './bench-case.ts'
import { BenchContext } from './bench-context.ts'
import type { BenchOptions } from './bench-options.ts'
import { parseBenchOptions, USAGE } from './bench-options.ts'
import { generatorCase } from './case/generator.ts'
import { groupCases } from './case/groups.ts'
import { maintenanceCase } from './case/maintenance.ts'
import { manyPartitionsCase } from './case/many-partitions.ts'
import { produceCases } from './case/produce.ts'
import { readCases } from './case/read.ts'
import { registryCases } from './case/registry.ts'
import { retentionCase } from './case/retention.ts'
import { startUpCases } from './case/start-up.ts'
import { tailCases } from './case/tail.ts'
import { summariseProfiles } from './profile.ts'
import { renderTable, writeIntoReadme } from './table.ts'

/** Cores. The kernel's own work for the disk stays below it. */
const OTHERS_BUSY_MAX = 0.3
const TMPFS_MAGIC = 0x01021994
const README = new URL('../README.md', import.meta.url).pathname

export interface BenchReport {
  readonly options: BenchOptions
  readonly rows: readonly BenchRow[]
  /** Cases that did not come through, and why. */
  readonly failures: readonly { readonly name: string; readonly reason: string }[]
}

export async function runBench(options: BenchOptions, say: (line: string) => void): Promise<BenchReport> {
  const cases = chooseCases(options)
  const context = new BenchContext(options)
  const abandon = () => context.abandon()
  process.on('exit', abandon)
  const rows: BenchRow[] = []
  const failures: { name: string; reason: string }[] = []
  try {
    for (const { name, about, run } of cases) {
      say(`${name}: ${about}`)
      const start = performance.now()
      try {
        rows.push(...(await run(context)))
      } catch (error) {
        failures.push({ name, reason: (error as Error).message })
        say(`${name} FAILED: ${(error as Error).message}`)
      }
      await context.endCase()
      say(`  ${((performance.now() - start) / 1_000).toFixed(1)} s`)
      if (options.profile) say(summariseProfiles(context.takeProfiles(name)))
    }
  } finally {
    await context.close()
    process.off('exit', abandon)
  }
  return { options, rows, failures }
}

function allCases(options: BenchOptions): BenchCase[] {
  return [
    generatorCase,
    ...produceCases(options.quick),
    ...readCases,
    ...startUpCases(options.quick),
    manyPartitionsCase,
    maintenanceCase,
    retentionCase,
    ...groupCases,
    ...tailCases,
    ...registryCases,
  ]
}

function chooseCases(options: BenchOptions): BenchCase[] {
  const cases = allCases(options)
  if (options.only.length === 0) return cases
  const names = new Set(cases.map(({ name }) => name))
  const isWanted = (name: string, wanted: string) => (names.has(wanted) ? name === wanted : name.startsWith(wanted))
  const chosen = cases.filter(({ name }) => options.only.some((wanted) => isWanted(name, wanted)))
  if (chosen.length === 0) throw new Error(`No case is named ${options.only.join(', ')}; --list prints the names`)
  return chosen
}

/** The table with what must be known to read it. */
function renderReport({ options, rows, failures }: BenchReport): string {
  const { rounds, roundMs, quick } = options
  const othersBusy = Math.max(0, ...rows.map((row) => row.othersBusy ?? 0))
  const date = new Date().toISOString().slice(0, 10)
  return [
    `${availableParallelism()} cores, load generator on the same machine; Node ${process.versions.node}; ${date}${quick ? '; quick sizes' : ''}.`,
    `Medians of ${rounds} windows of ${roundMs / 1_000} s, the servers in turns; produce: 32 connections, records of 100 bytes; read: 4 connections, CPU time of all threads of the server.`,
    '',
    renderTable(rows),
    '',
    'Bare Fastify parses the same body (read: parses and stringifies the same page) and stores nothing. durable-streams is file-backed and syncs every append (fdatasync, then LMDB); a stream stands for a partition. By CPU: the ratio for equal CPU time of the two processes, all their threads.',
    ...(othersBusy > OTHERS_BUSY_MAX
      ? [`\nNOT QUIET: others kept ${othersBusy.toFixed(1)} cores busy; go by the CPU column.`]
      : []),
    ...failures.map(({ name, reason }) => `\n${name} failed: ${reason.split('\n')[0]}`),
  ].join('\n')
}

async function main(args: readonly string[]): Promise<number> {
  const options = parseBenchOptions(args)
  const say = (line: string) => process.stderr.write(`${line}\n`)
  if (options.list) {
    for (const { name, about } of allCases(options)) process.stdout.write(`${name.padEnd(28)} ${about}\n`)
    return 0
  }
  mkdirSync(options.resultsDir, { recursive: true })
  if (statfsSync(options.resultsDir).type === TMPFS_MAGIC)
    throw new Error(`${options.resultsDir} lies in memory, not on a disk`)
  const report = await runBench(options, say)
  const text = renderReport(report)
  process.stdout.write(`\n${text}\n`)
  const file = join(options.resultsDir, `bench-${new Date().toISOString().replaceAll(':', '-')}.json`)
  writeFileSync(
    file,
    `${JSON.stringify({ node: process.versions.node, cores: availableParallelism(), ...report }, null, 2)}\n`,
  )
  say(`All figures: ${file}`)
  if (options.writeReadme && report.failures.length === 0) writeIntoReadme(README, text)
  return report.failures.length === 0 ? 0 : 1
}

if (import.meta.main) {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))
  try {
    process.exitCode = await main(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}\n`)
    process.exitCode = 2
  }
}
