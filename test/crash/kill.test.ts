import { test } from 'node:test'
import { temporaryDirectory } from '../support/engine-options.ts'
import { Random } from '../support/random.ts'
import { KillHistory } from './kill-history.ts'

const ROUNDS = 10

test(`keeps every promise over ${ROUNDS} rounds of kill -9 under concurrent producers and readers`, async (t) => {
  const seed = Number(process.env['TAILRACE_TEST_SEED'] ?? Date.now() % 0x7fff_ffff)
  t.diagnostic(`seed ${seed} (TAILRACE_TEST_SEED=${seed} makes the same choices; what is under way at a kill differs)`)
  const history = new KillHistory(new Random(seed), temporaryDirectory(t))
  await history.run(ROUNDS)
  t.diagnostic(JSON.stringify(history.statistics))
})
