// Random histories of a group (group-world.ts): no partition ever has two unfenced owners, generations rise over crashes and
// failed saves, no acknowledged offset is lost, and no group is ever stuck.

import { test } from 'node:test'
import fc from 'fast-check'
import { GroupWorld } from './group-world.ts'

test('whatever happens to a group, its promises hold', async () => {
  const step = fc.tuple(fc.nat(15), fc.nat(999))
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }), async (steps) => {
      const world = new GroupWorld()
      for (const [action, pick] of steps) await world.act(action, pick)
      await world.end()
    }),
    { numRuns: Number(process.env['RUNS'] ?? 60) },
  )
})
