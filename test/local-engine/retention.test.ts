// Retention by the clock, on the real files: what a check takes, also when the clock itself steps.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import type { Engine, Topic } from '../../src/engine/engine.ts'
import type { Logger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { sealBatch } from '../../src/record/record-batch.ts'
import { toParts } from '../record/records.ts'
import { CheckClock } from '../support/check-clock.ts'
import { engineOptions, temporaryDirectory } from '../support/engine-options.ts'
import type { FakeClock } from '../support/fake-clock.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
const CHECK_MS = 5 * MINUTE_MS

async function open(t: TestContext, dataDir = temporaryDirectory(t), clock = new CheckClock(CHECK_MS)) {
  const telemetry = new Telemetry()
  const warnings: string[] = []
  const logger: Logger = { info() {}, error() {}, warn: (_facts, message) => warnings.push(message) }
  const engine = await openLocalEngine(
    engineOptions(dataDir, { clock, telemetry, logger, retentionCheckIntervalMs: CHECK_MS }),
  )
  t.after(() => engine.close())
  return { dataDir, clock, telemetry, warnings, engine }
}

/** A segment each, dated now. */
async function append(engine: Engine, topic: Topic, clock: FakeClock, partition = 0): Promise<void> {
  const value = 'x'.repeat(60_000)
  const records = toParts([{ timestamp: clock.now(), key: null, value, headers: [] }])
  await engine.append(topic, partition, [sealBatch(records, { compression: 'none' })], 'all')
}

function createTopic(engine: Engine, configs: Record<string, string> = {}): Promise<Topic> {
  const small = { 'segment.bytes': '65536', 'retention.ms': String(DAY_MS) }
  return engine.createTopic({ name: 'orders', partitionCount: 2, configs: { ...small, ...configs } })
}

async function startOf(engine: Engine, topic: Topic, partition = 0): Promise<number> {
  return (await engine.describePartitions(topic))[partition]?.startOffset ?? -1
}

test('a check takes what is expired by then, of the segment that is written too', async (t) => {
  const { clock, engine } = await open(t)
  const topic = await createTopic(engine)
  for (let hour = 0; hour < 4; hour++) {
    await append(engine, topic, clock)
    await clock.pass(HOUR_MS)
  }
  await clock.pass(CHECK_MS)
  assert.equal(await startOf(engine, topic), 0)
  await clock.pass(DAY_MS - 4 * HOUR_MS)
  assert.equal(await startOf(engine, topic), 1)
  await clock.pass(DAY_MS)
  assert.equal(await startOf(engine, topic), 4)
  assert.equal(await startOf(engine, topic, 1), 0)
})

test('after a clean stop partitions are looked at though nobody asks for them', async (t) => {
  const { dataDir, clock, engine } = await open(t)
  const topic = await createTopic(engine)
  for (const partition of [0, 1]) await append(engine, topic, clock, partition)
  await engine.close()
  clock.advance(2 * DAY_MS)
  const again = await open(t, dataDir, clock)
  await clock.pass(CHECK_MS)
  assert.equal(again.telemetry.segmentsDeleted, 2)
  assert.deepEqual([await startOf(again.engine, topic), await startOf(again.engine, topic, 1)], [1, 1])
})

test('when the clock steps by a day only that goes which is older than its now minus retention.ms', async (t) => {
  const { clock, engine, telemetry, warnings } = await open(t)
  const topic = await createTopic(engine, { 'retention.ms': String(2 * DAY_MS) })
  const written: number[] = []
  const write = async () => {
    written.push(clock.now())
    await append(engine, topic, clock)
  }
  const expired = () => written.findIndex((timestamp) => timestamp >= clock.now() - 2 * DAY_MS)
  await write()
  await clock.pass(30 * HOUR_MS)
  await write()
  await clock.pass(CHECK_MS)
  assert.equal(await startOf(engine, topic), 0)

  clock.step(DAY_MS)
  await write()
  await clock.pass(CHECK_MS)
  assert.deepEqual([expired(), await startOf(engine, topic)], [1, 1])
  assert.deepEqual([telemetry.clockSteps, warnings.length], [1, 1])
  assert.match(warnings[0] ?? '', /the clock has stepped forwards by 86400 s/)

  clock.step(-2 * DAY_MS)
  await write()
  await clock.pass(CHECK_MS)
  assert.equal(await startOf(engine, topic), 1, 'what is dated ahead of the clock stays')
  assert.equal(telemetry.clockSteps, 2)
  assert.match(warnings[1] ?? '', /backwards by 172800 s/)

  await clock.pass(5 * DAY_MS)
  assert.equal(await startOf(engine, topic), 4)
})

test('a step of the clock forgets no producer that may repeat its request', async (t) => {
  const { clock, engine } = await open(t)
  const topic = await createTopic(engine, { 'retention.ms': '-1' })
  const send = (sequence: number) =>
    engine.withProducerId('meter-7', async (producerId) => {
      const records = toParts([{ timestamp: 1, key: null, value: 'x'.repeat(60_000), headers: [] }])
      const numbers = { producerId, producerEpoch: 0, baseSequence: sequence }
      const [appended] = await engine.append(topic, 0, [sealBatch(records, { compression: 'none', ...numbers })], 'all')
      return [appended?.baseOffset, appended?.duplicate]
    })
  assert.deepEqual(await send(0), [0, false])
  for (const stepMs of [3 * DAY_MS, -9 * DAY_MS]) {
    clock.step(stepMs)
    // checks of producers' expiry pass, and a roll
    await clock.pass(HOUR_MS)
    await append(engine, topic, clock)
    assert.deepEqual(await send(0), [0, true])
  }
})

test('closing ends a check that is under way, and comes back soon', async (t) => {
  const { dataDir, clock, engine } = await open(t)
  const topic = await createTopic(engine)
  for (let at = 0; at < 30; at++) await append(engine, topic, clock)
  clock.advance(2 * DAY_MS)
  await new Promise((resolve) => setTimeout(resolve, 1))
  await engine.close()
  const again = await open(t, dataDir, clock)
  await clock.pass(CHECK_MS)
  assert.equal(await startOf(again.engine, topic), 30)
})
