// The one sweep over all connections that stay.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LiveConnections } from '../../src/http/live-connections.ts'
import { LIVE_SWEEP_MS } from '../../src/kernel/limits.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { FakeClock } from '../support/fake-clock.ts'

function connection() {
  const seen: number[] = []
  return { seen, sweep: (now: number) => void seen.push(now), drain: () => undefined }
}

test('each connection is looked at once in a sweep, however many there are, and few at a time where there are many', () => {
  for (const count of [1, 2, 63, 64, 65, 1_000, 10_000]) {
    const clock = new FakeClock()
    const live = new LiveConnections(clock, silentLogger)
    const all = Array.from({ length: count }, connection)
    for (const one of all) live.add(one)
    const steps: number[] = []
    for (let ms = 0; ms < 10 * LIVE_SWEEP_MS; ms += 10) {
      const before = all.reduce((sum, { seen }) => sum + seen.length, 0)
      clock.advance(10)
      steps.push(all.reduce((sum, { seen }) => sum + seen.length, 0) - before)
    }
    const times = all.map(({ seen }) => seen.length)
    assert.ok(
      Math.min(...times) >= 8 && Math.max(...times) <= 10,
      `${count}: ${Math.min(...times)} to ${Math.max(...times)}`,
    )
    assert.ok(Math.max(...steps) <= Math.max(64, count / 20 + 1), `${count}: ${Math.max(...steps)} at once`)
  }
})

test('connections that come and go during a sweep neither break it nor are looked at when they have gone', () => {
  const clock = new FakeClock()
  const live = new LiveConnections(clock, silentLogger)
  const leaving: (() => void)[] = []
  const gone = new Set<object>()
  let lateCount = 0
  for (let at = 0; at < 300; at++) {
    const one = {
      sweep() {
        assert.ok(!gone.has(one))
        if (at % 3 === 0) {
          leaving[at]?.()
          gone.add(one)
        }
        if (at % 100 === 1 && lateCount < 3) {
          lateCount++
          live.add(connection())
        }
      },
      drain: () => undefined,
    }
    leaving.push(live.add(one))
  }
  for (let ms = 0; ms < 5 * LIVE_SWEEP_MS; ms += 50) clock.advance(50)
  assert.equal(live.count, 203)
})

test('without connections nothing is looked at', () => {
  const clock = new FakeClock()
  const live = new LiveConnections(clock, silentLogger)
  const one = connection()
  const leave = live.add(one)
  leave()
  clock.advance(LIVE_SWEEP_MS)
  assert.equal(one.seen.length, 0)
  live.add(one)
  clock.advance(LIVE_SWEEP_MS)
  assert.equal(one.seen.length, 1)
})

test('bytes that wait are counted over all connections', () => {
  const live = new LiveConnections(new FakeClock(), silentLogger)
  live.pending(10)
  live.pending(2 ** 30)
  assert.ok(live.isFull)
  live.pending(-(2 ** 30))
  assert.deepEqual([live.isFull, live.pendingBytes], [false, 10])
})

test('a connection that fails keeps no other from being looked at, or from being told that the server closes', () => {
  const clock = new FakeClock()
  const live = new LiveConnections(clock, silentLogger)
  const failing = () => {
    throw new Error('unforeseen')
  }
  live.add({ sweep: failing, drain: failing })
  let drained = 0
  const sound = { ...connection(), drain: () => drained++ }
  live.add(sound)
  for (let sweep = 0; sweep < 3; sweep++) clock.advance(LIVE_SWEEP_MS)
  assert.ok(sound.seen.length >= 2)
  live.drain()
  assert.equal(drained, 1)
})
