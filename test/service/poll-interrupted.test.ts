// What happens to polls while their calls are under way: partitions go, leases could run out, groups are reset.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createGroupService } from '../../src/service/groups/groups.ts'
import { holdCall, holdStateWrite } from '../support/held-call.ts'
import { caller, openPollBench } from '../support/poll-bench.ts'

test('a delivery that takes longer to be counted than its lease lasts is given all the same, and is no dead letter', async (t) => {
  const bench = await openPollBench(t)
  await bench.produce('jobs', 0, 'a')
  const write = holdStateWrite(bench.engine)
  const polling = bench.take({ leaseMs: 1_000, maxAttempts: 1 })
  await bench.until(() => write.isHeld)
  await bench.advance(1_500)
  assert.deepEqual(bench.polls.leases(caller, 'g'), [], 'nobody has it yet')
  write.letGo()
  assert.deepEqual((await polling).records, ['0:0=a'])
  assert.equal(bench.polls.leases(caller, 'g').length, 1)
  assert.deepEqual(await bench.deadLetters(), [])
  await bench.advance(1_000)
  await bench.until(async () => (await bench.deadLetters()).length === 1)
})

test('a record that nobody was given, because another partition was lost meanwhile, is not tried', async (t) => {
  const bench = await openPollBench(t)
  await bench.engine.createTopic({ name: 'other', partitionCount: 1 })
  const topics = ['jobs', 'other']
  await bench.take({ topics })
  await bench.produce('jobs', 0, 'a')
  await bench.produce('other', 0, 'b')
  const write = holdStateWrite(bench.engine)
  const polling = bench.take({ topics, maxAttempts: 1 })
  await bench.until(() => write.isHeld)
  await bench.engine.deleteTopic('other')
  await bench.settle()
  write.letGo()
  const { given } = await polling
  assert.deepEqual(
    given.map(({ value, attempts }) => [value, attempts]),
    [['a', 1]],
  )
  assert.deepEqual(await bench.deadLetters(), [])
})
