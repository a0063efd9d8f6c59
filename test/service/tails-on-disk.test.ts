// Tails over the real engine: what its appends, removed records, growth, deletions and restarts look like to them. Every
// corner is tried over an engine in memory (tails.test.ts, tail-histories.test.ts).

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Engine } from '../../src/engine/engine.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { sealBatch } from '../../src/record/record-batch.ts'
import { ANONYMOUS } from '../../src/service/caller.ts'
import { parsePosition } from '../../src/service/read/positions.ts'
import { createTailService } from '../../src/service/tail/tails.ts'
import { engineOptions, temporaryDirectory } from '../support/engine-options.ts'
import { partsOf } from '../support/record-parts.ts'
import { TailLog, textForm } from './tail-fixture.ts'

const caller = { principal: ANONYMOUS, clientId: '', host: '', requestId: '' }
const TIMEOUT = { timeout: 30_000 }

function tailsOf(engine: Engine) {
  const tails = createTailService({ engine, clock: systemClock, telemetry: new Telemetry(), logger: silentLogger })
  const open = async (from: string, credit = 1_000) => {
    const log = new TailLog()
    log.credit.records = credit
    const tail = await tails.open({
      caller,
      sources: { kind: 'topics', topics: [{ topic: 'orders' }] },
      from: parsePosition(from),
      onGap: 'earliest',
      overflow: 'pause',
      batchRecords: 500,
      batchWaitMs: 0,
      form: textForm(),
      reader: log,
    })
    return { log, tail }
  }
  return { tails, open }
}

async function append(engine: Engine, partition: number, ...texts: string[]): Promise<void> {
  const topic = engine.findTopic('orders')
  assert.ok(topic !== undefined)
  const parts = texts.map((value) => partsOf({ value, timestamp: Date.now() }))
  const sealed = sealBatch(parts, { compression: 'none', producerId: -1n, producerEpoch: 0, baseSequence: -1 })
  await engine.append(topic, partition, [sealed], 'all')
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1))
}

test('a tail follows the engine through growth, removed records and the deletion of its topic', TIMEOUT, async (t) => {
  const engine = await openLocalEngine(engineOptions(temporaryDirectory(t)))
  const { tails, open } = tailsOf(engine)
  await engine.createTopic({ name: 'orders', partitionCount: 1 })
  await append(engine, 0, 'a', 'b')
  const { log } = await open('earliest')
  const slow = await open('earliest', 1)
  await until(() => log.records.length === 2 && slow.log.records.length === 1)
  const topic = await engine.growTopic('orders', 3)
  await append(engine, 2, 'c')
  await append(engine, 0, 'd')
  await until(() => log.records.length === 4)
  assert.deepEqual(log.records.slice(2).toSorted(), ['orders/0@2=d', 'orders/2@0=c'])
  await engine.deleteRecords(topic, 0, 2)
  slow.log.credit.records = 10
  slow.tail.wake()
  await until(() => slow.log.records.length === 3)
  assert.deepEqual(slow.log.gaps, [{ topic: 'orders', partition: 0, from: 1, to: 2, reason: 'removed' }])
  assert.deepEqual(slow.log.records.toSorted(), ['orders/0@0=a', 'orders/0@2=d', 'orders/2@0=c'])
  await engine.deleteTopic('orders')
  await until(() => log.events.at(-1) === 'end topic_deleted' && slow.log.events.at(-1) === 'end topic_deleted')
  await tails.close()
  await engine.close()
})

test('a cursor goes on after a restart', TIMEOUT, async (t) => {
  const dataDir = temporaryDirectory(t)
  const first = await openLocalEngine(engineOptions(dataDir))
  await first.createTopic({ name: 'orders', partitionCount: 2 })
  await append(first, 0, 'a')
  const before = tailsOf(first)
  const { log, tail } = await before.open('earliest')
  await until(() => log.records.length === 1)
  const { cursor } = tail
  await append(first, 1, 'b')
  await before.tails.close()
  await first.close()
  const second = await openLocalEngine(engineOptions(dataDir))
  const after = tailsOf(second)
  const resumed = await after.open(`cursor:${cursor}`)
  await until(() => resumed.log.records.length === 1)
  await append(second, 0, 'c')
  await until(() => resumed.log.records.length === 2)
  assert.deepEqual(resumed.log.records, ['orders/1@0=b', 'orders/0@1=c'])
  await after.tails.close()
  await second.close()
})
