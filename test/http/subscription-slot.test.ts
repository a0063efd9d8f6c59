// Commands of one subscription, one after the other, and what becomes of them when their socket goes.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import type { HttpFloor } from '../../src/http/http-floor.ts'
import { ReplyBuffers } from '../../src/http/reply-buffers.ts'
import type { SlotOwner } from '../../src/http/websocket/subscription-slot.ts'
import { SubscriptionSlot } from '../../src/http/websocket/subscription-slot.ts'
import type { TailraceError } from '../../src/kernel/errors.ts'
import type { TailRequest } from '../../src/service/tail/tail.ts'
import { FakeClock } from '../support/fake-clock.ts'

/** A slot whose tails are opened, and sought, when the test says so. */
function openSlot() {
  const opened: TailRequest[] = []
  const sought: (AbortSignal | undefined)[] = []
  const gate = Promise.withResolvers<void>()
  const tail = {
    cursor: 'c',
    positions: [],
    wake() {},
    close() {},
    async seek(_to: unknown, signal?: AbortSignal) {
      sought.push(signal)
      await gate.promise
    },
  }
  const tails = {
    async open(request: TailRequest) {
      opened.push(request)
      await gate.promise
      return tail
    },
  }
  const floor = {
    services: { tails },
    clock: new FakeClock(),
    replyBuffers: new ReplyBuffers(),
  } as unknown as HttpFloor
  const said: string[] = []
  const owner = {
    caller: { requestId: 'r' },
    outbox: { send() {}, hasRoom: () => true },
    warningsOf: () => [],
    answer: (id: unknown) => said.push(`ok ${id}`),
    refuse: (id: unknown, _sub: unknown, { code }: TailraceError) => said.push(`${code} ${id}`),
  } as unknown as SlotOwner
  return { slot: new SubscriptionSlot('a', floor, owner, () => said.push('free')), opened, sought, gate, said }
}

const subscribe = (id: number) => ({ type: 'subscribe', id, sub: 'a', topics: ['orders'] }) as const

test('a subscribe that waits behind others when its socket goes opens nothing', async () => {
  const { slot, opened, gate, said } = openSlot()
  void slot.take(subscribe(1))
  void slot.take({ type: 'unsubscribe', id: 2, sub: 'a' })
  const last = slot.take(subscribe(3))
  slot.lose('lost')
  assert.ok(opened[0]?.signal?.aborted)
  gate.resolve()
  await last
  await turnOfTheLoop()
  assert.equal(opened.length, 1)
  assert.ok(said.includes('request_cancelled 3'), said.join())
})

test('a seek that is under way is told that its socket has gone', async () => {
  const { slot, sought, gate } = openSlot()
  gate.resolve()
  await slot.take(subscribe(1))
  void slot.take({ type: 'seek', id: 2, sub: 'a', to: 'earliest' })
  slot.lose('lost')
  assert.equal(sought[0]?.aborted, true)
})
