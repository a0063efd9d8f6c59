// The long form of the test of tails: npm run test:tails [-- --rounds 3 --cuts 1000 --kills 12 --readers 8 --seed 7].
// Prints the seed first, and what was gone through; ends with 1 when a promise was broken.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Random } from '../support/random.ts'
import { TailHistory } from './tail-history.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '1' },
    cuts: { type: 'string', default: '1000' },
    kills: { type: 'string', default: '12' },
    readers: { type: 'string', default: '8' },
    seed: { type: 'string', default: String(Date.now() % 0x7fff_ffff) },
  },
})
const seed = Number(values.seed)
process.stdout.write(`seed ${seed}\n`)
for (let round = 0; round < Number(values.rounds); round++) {
  const start = performance.now()
  const dataDir = mkdtempSync(join(tmpdir(), 'tailrace-tails-'))
  const history = new TailHistory({
    dataDir,
    random: new Random(seed + round),
    cuts: Number(values.cuts),
    kills: Number(values.kills),
    readers: Number(values.readers),
  })
  try {
    await history.run()
  } catch (error) {
    throw new Error(`a promise was broken: --seed ${seed + round}, data in ${dataDir}`, { cause: error })
  }
  rmSync(dataDir, { recursive: true, force: true })
  const seconds = ((performance.now() - start) / 1_000).toFixed(1)
  process.stdout.write(`${seconds} s: seed ${seed + round}: ${JSON.stringify(history.statistics)}\n`)
}
