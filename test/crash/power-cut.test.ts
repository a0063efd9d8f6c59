import { test } from 'node:test'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { Random } from '../support/random.ts'
import { PowerCutHistory } from './power-cut-history.ts'

const HISTORIES = 1_000
const STEPS = 25

test(`keeps every promise over ${HISTORIES} random histories of power cuts, kills and full disks`, async (t) => {
  const seed = Number(process.env['TAILRACE_TEST_SEED'] ?? Date.now() % 0x7fff_ffff)
  t.diagnostic(`seed ${seed} (TAILRACE_TEST_SEED=${seed} runs the same histories)`)
  let cuts = 0
  for (let at = 0; at < HISTORIES; at++) {
    const history = new PowerCutHistory(new Random(seed + at), new Telemetry())
    try {
      await history.run(STEPS)
    } catch (error) {
      throw new Error(`history ${at} of seed ${seed} broke a promise: ${(error as Error).message}`, { cause: error })
    }
    cuts += history.cuts
  }
  t.diagnostic(`${HISTORIES} histories, ${cuts} crashes`)
})
