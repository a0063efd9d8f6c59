import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import type { Caller } from '../../src/service/caller.ts'
import { ANONYMOUS } from '../../src/service/caller.ts'
import { parsePosition } from '../../src/service/positions.ts'
import type { Tail, TailRequest } from '../../src/service/tail.ts'
import { createTailService } from '../../src/service/tails.ts'
import { FakeClock } from '../support/fake-clock.ts'
import type { PlainRecord } from '../support/readable-engine.ts'
import { ReadableEngine } from '../support/readable-engine.ts'
import { TailLog, textForm } from './tail-fixture.ts'

const caller: Caller = { principal: ANONYMOUS, clientId: '', host: '', requestId: '' }

interface Asked extends Partial<Omit<TailRequest, 'from' | 'until' | 'reader'>> {
  readonly topics?: readonly string[]
  readonly from?: string
  readonly until?: string | number
}

function newTails() {
  const clock = new FakeClock()
  const store = new ReadableEngine(clock)
  const telemetry = new Telemetry()
  const tails = createTailService({ engine: store.engine, clock, telemetry })
  const form = textForm()
  const open = async ({ topics = ['orders'], from = 'earliest', until, ...asked }: Asked = {}) => {
    const log = new TailLog()
    const tail: Tail = await tails.open({
      caller,
      sources: { kind: 'topics', topics: topics.map((topic) => ({ topic })) },
      from: parsePosition(from),
      until: typeof until === 'number' ? { kind: 'count', recordCount: until } : until && parsePosition(until),
      onGap: 'earliest',
      overflow: 'pause',
      batchRecords: 500,
      batchWaitMs: 0,
      form,
      reader: log,
      ...asked,
    } as TailRequest)
    log.tail = tail
    return { tail, log }
  }
  return { clock, store, telemetry, tails, form, open }
}

const values = (...texts: string[]): PlainRecord[] => texts.map((value) => ({ value }))

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await turnOfTheLoop()
}

test('a tail gives what is stored and goes over to what is appended', async () => {
  const { store, open } = newTails()
  store.create('orders', 2)
  store.append('orders', 0, values('a', 'b'))
  store.append('orders', 1, values('c'))
  const { log } = await open()
  assert.deepEqual(log.events, [])
  await settle()
  assert.deepEqual(log.records, ['orders/0@0=a', 'orders/0@1=b', 'orders/1@0=c'])
  assert.equal(log.events.at(-1), 'progress caught up')
  store.append('orders', 1, values('d'))
  await settle()
  assert.deepEqual(log.records.slice(3), ['orders/1@1=d'])
})

test('tails at the end share one fetch and one encoding of what is appended', async () => {
  const { store, open, form, telemetry } = newTails()
  store.create('orders', 2)
  const opened = await Promise.all(Array.from({ length: 50 }, () => open({ from: 'latest' })))
  await settle()
  const fetches = store.fetches.length
  store.append('orders', 1, values('a', 'b'))
  await settle()
  for (const { log } of opened) assert.deepEqual(log.records, ['orders/1@0=a', 'orders/1@1=b'])
  assert.equal(store.fetches.length - fetches, 1)
  assert.equal(form.encoders, 1)
  assert.equal(telemetry.tails.chunksGiven, 50)
  assert.equal(new Set(opened.map(({ log }) => log.bodies[0])).size, 1)
})

test('a cursor goes on behind what was given', async () => {
  const { store, open } = newTails()
  store.create('orders', 2)
  store.create('bills', 1)
  store.append('orders', 0, values('a', 'b'))
  store.append('bills', 0, values('c'))
  const { log, tail } = await open({ topics: ['orders', 'bills'] })
  await settle()
  assert.equal(log.records.length, 3)
  store.append('bills', 0, values('d'))
  const { log: second } = await open({ topics: ['orders', 'bills'], from: `cursor:${tail.cursor}` })
  await settle()
  assert.deepEqual(second.records, ['bills/0@1=d'])
})
