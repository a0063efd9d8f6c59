// A short form of test/crash/groups-run.ts: the same workers, fewer records.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runWorkers } from '../crash/group-workers.ts'
import { temporaryDirectory } from '../support/engine-options.ts'

for (const mode of ['exclusive', 'shared'] as const) {
  test(`16 workers of a group with mode ${mode} die at random, and so does the server: what is acknowledged stays so`, async (t) => {
    const seed = Date.now() % 0x7fff_ffff
    t.diagnostic(`seed ${seed}`)
    const dataDir = temporaryDirectory(t)
    const report = await runWorkers({ dataDir, mode, seed, records: 6_000, workers: 16, kills: 2, limit: 100 })
    t.diagnostic(JSON.stringify(report))
    assert.equal(report.kills, 2)
    assert.ok(report.processesKilled > 0)
  })
}
