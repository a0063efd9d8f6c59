import { test } from 'node:test'
import { temporaryDirectory } from '../support/engine-options.ts'
import { Random } from '../support/random.ts'
import { TailHistory } from './tail-history.ts'

test('tails see every record once or are told that it is gone, over 60 cut connections and kills of the server', async (t) => {
  const seed = Number(process.env['TAILRACE_TEST_SEED'] ?? Date.now() % 0x7fff_ffff)
  t.diagnostic(`seed ${seed} (TAILRACE_TEST_SEED=${seed} makes the same choices; what is under way at a cut differs)`)
  const random = new Random(seed)
  const history = new TailHistory({ dataDir: temporaryDirectory(t), random, cuts: 60, kills: 2, readers: 4 })
  await history.run()
  t.diagnostic(JSON.stringify(history.statistics))
})
