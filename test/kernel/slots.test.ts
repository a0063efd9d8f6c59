import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Slots } from '../../src/kernel/slots.ts'

test('runs so many at once and no more, the others in their order, whatever becomes of them', async () => {
  const slots = new Slots(2)
  const begun: number[] = []
  const ends = Array.from({ length: 6 }, () => Promise.withResolvers<void>())
  const works = ends.map(({ promise }, at) =>
    slots.run(() => {
      begun.push(at)
      return promise
    }),
  )
  assert.deepEqual(begun, [0, 1])
  ends[1]?.reject(new Error('it failed'))
  await assert.rejects(works[1] as Promise<void>, /it failed/)
  assert.deepEqual(begun, [0, 1, 2])
  for (const { resolve } of ends) resolve()
  await Promise.allSettled(works)
  assert.deepEqual(begun, [0, 1, 2, 3, 4, 5])
  const again = [7, 8, 9].map((at) => slots.run(async () => begun.push(at)))
  assert.deepEqual(begun.slice(6), [7, 8])
  await Promise.all(again)
})
