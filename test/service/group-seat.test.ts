import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SeatHolder } from '../../src/service/group-tails/group-seat.ts'
import { GroupSeat } from '../../src/service/group-tails/group-seat.ts'
import { COOPERATIVE, openMembers, REBALANCE_MS, SESSION_MS } from './group-fixture.ts'

const HOLDER: SeatHolder = {
  connection: {},
  assigned: () => undefined,
  revoked: async () => undefined,
  lostPartitions: () => undefined,
  superseded: async () => undefined,
}

test('who is gone from a seat that was closed leaves nothing behind that waits', async () => {
  const { clock, members } = openMembers()
  const waiting = new Set<number>()
  const after: typeof clock.after = (delayMs, callback) => {
    const timer = clock.after(delayMs, callback)
    waiting.add(delayMs)
    return {
      cancel: () => {
        timer.cancel()
        waiting.delete(delayMs)
      },
    }
  }
  const seats = { now: () => clock.now(), monotonic: () => clock.monotonic(), after }
  const seat = new GroupSeat({ members, clock: seats, onClosed: () => undefined }, 'worker', {
    groupId: 'readers',
    clientId: 'worker',
    host: '127.0.0.1',
    protocolType: 'consumer',
    assignors: COOPERATIVE,
    sessionTimeoutMs: SESSION_MS,
    rebalanceTimeoutMs: REBALANCE_MS,
  })
  await seat.take(HOLDER)
  await seat.leave(HOLDER, 'lost', Promise.resolve())
  assert.deepEqual([...waiting], [SESSION_MS])
  await seat.take(HOLDER)
  assert.deepEqual([...waiting], [])
  await seat.close()
  await seat.leave(HOLDER, 'lost', Promise.resolve())
  assert.deepEqual([...waiting], [])
})
