import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../../src/kernel/logger.ts'
import { MaintenanceScheduler } from '../../src/log/maintenance-scheduler.ts'
import { FakeClock } from '../support/fake-clock.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('a job runs at its time, and again so long after its end; a failure ends neither it nor the others', async () => {
  const clock = new FakeClock()
  const messages: string[] = []
  const logger = { ...silentLogger, error: (_facts: object, message: string) => messages.push(message) }
  const scheduler = new MaintenanceScheduler({ clock, logger })
  const runs: string[] = []
  let finish = () => {}
  scheduler.add({
    name: 'slow',
    firstMs: 10,
    everyMs: 100,
    run: () => {
      runs.push(`slow ${clock.monotonic()}`)
      return new Promise((resolve) => {
        finish = resolve
      })
    },
  })
  scheduler.add({
    name: 'failing',
    firstMs: 50,
    everyMs: 50,
    run: () => {
      runs.push(`failing ${clock.monotonic()}`)
      throw new Error('no')
    },
  })
  const advance = async (ms: number) => {
    clock.advance(ms)
    await turn()
  }
  await advance(10)
  await advance(40)
  await advance(50)
  assert.deepEqual(runs, ['slow 10', 'failing 50', 'failing 100'])
  assert.deepEqual(messages[0], 'maintenance (failing) failed; it is tried again')
  finish()
  await turn()
  await advance(50)
  await advance(50)
  assert.deepEqual(runs.slice(3).toSorted(), ['failing 150', 'failing 200', 'slow 200'])
  finish()
  await scheduler.close()
})

test('closing tells the job that runs, waits for it, and begins nothing any more', async () => {
  const clock = new FakeClock()
  const scheduler = new MaintenanceScheduler({ clock, logger: silentLogger })
  let hasEnded = false
  let runs = 0
  scheduler.add({
    name: 'long',
    firstMs: 1,
    everyMs: 1,
    run: async (signal) => {
      runs++
      while (!signal.aborted) await turn()
      hasEnded = true
    },
  })
  clock.advance(1)
  await turn()
  await scheduler.close()
  assert.equal(hasEnded, true)
  clock.advance(1_000)
  scheduler.add({ name: 'late', firstMs: 1, everyMs: 1, run: () => assert.fail('it was closed') })
  clock.advance(1_000)
  await turn()
  assert.equal(runs, 1)
})
