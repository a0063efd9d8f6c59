import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  FETCHES_WOKEN_PER_TURN_MAX,
  PARTITIONS_WOKEN_PER_TURN_MAX,
  WAITING_FETCHES_MAX,
  WAITING_PARTITIONS_MAX,
} from '../../src/kernel/limits.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { DelayedFetches } from '../../src/local-engine/delayed-fetch.ts'
import { FakeClock } from '../support/fake-clock.ts'

const keys = (count: number) => Array.from({ length: count }, (_, at) => `t-${at}`)

function open() {
  const clock = new FakeClock()
  const telemetry = new Telemetry()
  return { clock, telemetry, waiting: new DelayedFetches<string>({ clock, telemetry }) }
}

/** How many of some waits were over at each turn of the event loop, the present one first, until all are. */
async function turnsUntilOver(waits: readonly Promise<void>[]): Promise<number[]> {
  let over = 0
  for (const wait of waits) wait.then(() => over++)
  const turns: number[] = []
  while (over < waits.length) {
    // after the present turn's promises, before the next turn
    await new Promise<void>((resolve) => process.nextTick(() => queueMicrotask(resolve)))
    const before = turns.reduce((sum, one) => sum + one, 0)
    turns.push(over - before)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return turns
}

test('refuses reads that would wait for more partitions than there is room for, and takes them when others went', async () => {
  const { waiting } = open()
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
  const { waiting, telemetry } = open()
  telemetry.waitingFetches = WAITING_FETCHES_MAX
  await assert.rejects(waiting.wait(keys(1), 1, 60_000), { code: 'overloaded' })
})

test('an append wakes a bounded number of reads in a turn of the event loop, whichever partition it was to', async () => {
  const { waiting } = open()
  const waits = Array.from({ length: FETCHES_WOKEN_PER_TURN_MAX * 3 }, () => waiting.wait(['a', 'b'], 1, 60_000))
  waiting.appended('a', 1)
  waiting.appended('b', 1)
  const turns = await turnsUntilOver(waits)
  assert.equal(turns[0], FETCHES_WOKEN_PER_TURN_MAX)
  assert.ok(Math.max(...turns) <= FETCHES_WOKEN_PER_TURN_MAX, `${turns}`)
})

test('of wide reads an append wakes one in a turn', async () => {
  const { waiting } = open()
  const wide = keys(PARTITIONS_WOKEN_PER_TURN_MAX)
  const waits = Array.from({ length: 10 }, () => waiting.wait(wide, 1, 60_000))
  waiting.appended('t-7', 1)
  const turns = await turnsUntilOver(waits)
  assert.deepEqual([turns[0], Math.max(...turns)], [1, 1])
})

test('one that is due and whose time is over meanwhile goes on at once, and once', async () => {
  const { waiting, clock, telemetry } = open()
  const waits = Array.from({ length: FETCHES_WOKEN_PER_TURN_MAX * 2 }, () => waiting.wait(['a'], 1, 1_000))
  waiting.appended('a', 1)
  clock.advance(1_000)
  await Promise.all(waits)
  assert.equal(telemetry.waitingFetches, 0)
  const next = waiting.wait(['a'], 1, 1_000)
  waiting.appended('a', 1)
  await next
})
