// The long form of the test of polled groups, for a night: npm run test:groups [-- --rounds 10 --records 231083 --kills 2
// --seed 7]. Workers of an exclusive and of a shared group go through a real data set while they and the server die: half of
// them in processes that are killed. Prints the seed first, and what was done; ends with 1 when a promise was broken.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runWorkers } from './group-workers.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    records: { type: 'string', default: '231083' },
    kills: { type: 'string', default: '2' },
    seed: { type: 'string', default: String(Date.now() % 0x7fff_ffff) },
  },
})
process.stdout.write(`seed ${values.seed}\n`)
for (let round = 0; round < Number(values.rounds); round++) {
  for (const mode of ['exclusive', 'shared'] as const) {
    const start = performance.now()
    const dataDir = mkdtempSync(join(tmpdir(), 'tailrace-groups-'))
    const report = await runWorkers({
      dataDir,
      mode,
      seed: Number(values.seed) + round,
      records: Number(values.records),
      workers: 16,
      kills: Number(values.kills),
      limit: 500,
    })
    rmSync(dataDir, { recursive: true, force: true })
    const seconds = ((performance.now() - start) / 1_000).toFixed(1)
    process.stdout.write(`${seconds} s: ${mode}, seed ${Number(values.seed) + round}: ${JSON.stringify(report)}\n`)
  }
}
