import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WAITING_FETCHES_MAX, WAITING_PARTITIONS_MAX } from '../../src/kernel/limits.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { DelayedFetches } from '../../src/local-engine/delayed-fetch.ts'
import { FakeClock } from '../support/fake-clock.ts'

const keys = (count: number) => Array.from({ length: count }, (_, at) => `t-${at}`)

test('refuses reads that would wait for more partitions than there is room for, and takes them when others went', async () => {
  const waiting = new DelayedFetches({ clock: new FakeClock(), telemetry: new Telemetry() })
  const wide = keys(10_000)
  const waits = Array.from({ length: WAITING_PARTITIONS_MAX / wide.length }, () => waiting.wait(wide, 1, 60_000))
  await assert.rejects(waiting.wait(keys(1), 1, 60_000), { code: 'overloaded' })
  waiting.appended('t-9999', 1)
  await Promise.all(waits)
  const again = waiting.wait(wide, 1, 60_000)
  waiting.close()
  await again
})

test('refuses more reads than may wait at once', async () => {
  const telemetry = new Telemetry()
  const waiting = new DelayedFetches({ clock: new FakeClock(), telemetry })
  telemetry.waitingFetches = WAITING_FETCHES_MAX
  await assert.rejects(waiting.wait(keys(1), 1, 60_000), { code: 'overloaded' })
})
