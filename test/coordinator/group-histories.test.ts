// Random histories of a group (group-world.ts): no partition ever has two unfenced owners, generations rise over crashes and
// failed saves, a static member that comes back has its place again and fences who had it, no acknowledged offset is lost, and
// no group is ever stuck.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { GroupWorld } from './group-world.ts'

test('whatever happens to a group, its promises hold', async (t) => {
  const returned = { joined: 0, synced: 0 }
  const step = fc.tuple(fc.nat(16), fc.nat(999))
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }), async (steps) => {
      const world = new GroupWorld()
      for (const [action, pick] of steps) await world.act(action, pick)
      await world.end()
      returned.joined += world.returned.joined
      returned.synced += world.returned.synced
    }),
    { numRuns: Number(process.env['RUNS'] ?? 60) },
  )
  t.diagnostic(JSON.stringify({ returned }))
  assert.ok(returned.joined > 0 && returned.synced > 0, 'static members came back to stable groups')
})
