import assert from 'node:assert/strict'
import { test } from 'node:test'
import { steadyClock } from '../../src/kernel/clock.ts'
import { ClockWatch } from '../../src/kernel/clock-watch.ts'
import type { Logger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { FakeClock } from '../support/fake-clock.ts'

const DAY_MS = 86_400_000

test('each step of the wall clock is counted and told once, with its size', () => {
  const clock = new FakeClock()
  const telemetry = new Telemetry()
  const lines: string[] = []
  const logger: Logger = { info() {}, error() {}, warn: (_facts, message) => lines.push(message) }
  const watch = new ClockWatch({ clock, logger, telemetry })
  const look = () => {
    clock.advance(10_000)
    watch.look()
    return telemetry.clockSteps
  }
  assert.equal(look(), 0)
  clock.step(DAY_MS)
  assert.equal(look(), 1)
  assert.equal(look(), 1)
  clock.step(-DAY_MS)
  assert.equal(look(), 2)
  // what keeps a clock right is no step
  for (let at = 0; at < 10; at++) {
    clock.step(400)
    look()
  }
  assert.equal(telemetry.clockSteps, 2)
  assert.deepEqual(lines, [
    'the clock has stepped forwards by 86400 s: retention goes by it',
    'the clock has stepped backwards by 86400 s: retention goes by it',
  ])
})

test('a steady clock goes on where the wall clock leaps', () => {
  const clock = new FakeClock(1_000)
  const steady = steadyClock(clock)
  clock.advance(50)
  clock.step(DAY_MS)
  assert.equal(steady.now(), 1_050)
  clock.step(-2 * DAY_MS)
  clock.advance(50)
  assert.equal(steady.now(), 1_100)
})
