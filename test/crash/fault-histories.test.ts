import { test } from 'node:test'
import { renderStatistics, runFaultHistories } from './fault-histories.ts'

const HISTORIES = 1_000
const STEPS = 12

test(`keeps every promise over ${HISTORIES} random histories of power cuts, kills and failing disks`, async (t) => {
  const seed = Number(process.env['TAILRACE_TEST_SEED'] ?? Date.now() % 0x7fff_ffff)
  t.diagnostic(`seed ${seed} (TAILRACE_TEST_SEED=${seed} runs the same histories)`)
  const statistics = await runFaultHistories({ seed, count: HISTORIES, steps: STEPS })
  t.diagnostic(`${HISTORIES} histories: ${renderStatistics(statistics)}`)
})
