// The long form of the crash tests, for a night: npm run test:crash [-- --rounds 200 --histories 10000 --seed 7]. Rounds of
// kill -9 against the real server, then histories of power cuts and faults on the simulated disk. Prints the seed first and
// what was gone through; ends with 1 and the seed of the history that broke a promise.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Random } from '../support/random.ts'
import { renderStatistics, runFaultHistories } from './fault-histories.ts'
import { KillHistory } from './kill-history.ts'

const ROUNDS_A_HISTORY = 10
const STEPS_A_FAULT_HISTORY = 25
const HISTORIES_BETWEEN_LINES = 1_000

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '200' },
    histories: { type: 'string', default: '10000' },
    seed: { type: 'string', default: String(Date.now() % 0x7fff_ffff) },
  },
})
const seed = Number(values.seed)
print(`seed ${seed}`)
await killRounds(Number(values.rounds))
await faultHistories(Number(values.histories))

async function killRounds(rounds: number): Promise<void> {
  const start = performance.now()
  const total = { rounds: 0, kills: 0, cleanStops: 0, acknowledged: 0, stored: 0, seen: 0 }
  for (let at = 0; total.rounds < rounds; at++) {
    const dataDir = mkdtempSync(join(tmpdir(), 'tailrace-kill-'))
    const history = new KillHistory(new Random(seed + at), dataDir)
    await held(`kills, history ${at} (--seed ${seed + at} --rounds ${ROUNDS_A_HISTORY}), data in ${dataDir}`, () =>
      history.run(ROUNDS_A_HISTORY),
    )
    rmSync(dataDir, { recursive: true, force: true })
    total.rounds += ROUNDS_A_HISTORY
    for (const [name, count] of Object.entries(history.statistics)) total[name as keyof typeof total] += count
    print(`${secondsSince(start)} s: ${JSON.stringify(total)}`)
  }
}

async function faultHistories(count: number): Promise<void> {
  const start = performance.now()
  const onHistory = (done: number, statistics: ReadonlyMap<string, number>) => {
    if (done % HISTORIES_BETWEEN_LINES !== 0) return
    print(`${secondsSince(start)} s: ${done} fault histories of seed ${seed}: ${renderStatistics(statistics)}`)
  }
  await runFaultHistories({ seed, count, steps: STEPS_A_FAULT_HISTORY, onHistory })
}

async function held(about: string, run: () => Promise<void>): Promise<void> {
  try {
    await run()
  } catch (error) {
    throw new Error(`a promise was broken: ${about}`, { cause: error })
  }
}

function secondsSince(start: number): number {
  return Math.round((performance.now() - start) / 1_000)
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
