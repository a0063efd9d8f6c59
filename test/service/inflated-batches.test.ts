// Many readers of batches of which each inflates to 90 MB, over a real engine: what they hold together is bounded.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { BATCH_INFLATED_BYTES_MAX, INFLATED_BYTES_HELD_MAX, INFLATION_WAIT_MS_MAX } from '../../src/kernel/limits.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { sealBatch } from '../../src/record/record-batch.ts'
import { createConsumeService } from '../../src/service/read/consume.ts'
import { toParts } from '../record/records.ts'
import { engineOptions, temporaryDirectory } from '../support/engine-options.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { caller } from './produce-fixture.ts'

const RECORDS = 90
const VALUE = JSON.stringify('x'.repeat(1_000_000))
const INFLATED_BYTES = RECORDS * VALUE.length
/** The last one may ask for the largest there is, before it is known to be smaller. */
const HELD_AT_ONCE = 1 + Math.floor((INFLATED_BYTES_HELD_MAX - BATCH_INFLATED_BYTES_MAX) / INFLATED_BYTES)

async function open(t: TestContext, compression: 'gzip' | 'zstd') {
  const clock = new FakeClock()
  const telemetry = new Telemetry()
  const engine = await openLocalEngine(engineOptions(temporaryDirectory(t), { clock, telemetry }))
  t.after(() => engine.close())
  const topic = await engine.createTopic({ name: 't' })
  const records = Array.from({ length: RECORDS }, () => ({ timestamp: 1, key: null, value: VALUE, headers: [] }))
  await engine.append(topic, 0, [sealBatch(toParts(records), { compression })], 'all')
  const consume = createConsumeService({ engine, clock, telemetry })
  const readPage = async () => {
    let records = 0
    const sink = { begin() {}, write: () => records++ }
    const position = { kind: 'offset', offset: 40 } as const
    await consume.read(caller, { topic: 't', position, limit: 10, maxBytes: 1_000, waitMs: 0 }, sink)
    return records
  }
  const openExport = () => consume.export(caller, { topic: 't', from: { kind: 'earliest' } })
  return { clock, readPage, openExport }
}

test('pages of large batches wait for each other, and all come', async (t) => {
  const { readPage } = await open(t, 'gzip')
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  const watch = setInterval(() => {
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }, 1)
  const pages = await Promise.all(Array.from({ length: 4 }, readPage))
  clearInterval(watch)
  assert.deepEqual(new Set(pages), new Set([1]))
  t.diagnostic(`${Math.round(most / 1e6)} MB at most`)
  assert.ok(most <= 2 * INFLATED_BYTES_HELD_MAX, `${most} bytes`)
})

test('exports whose clients take nothing hold a bounded number of batches, and no page waits for them', async (t) => {
  const { clock, readPage, openExport } = await open(t, 'zstd')
  const exports = await Promise.all(Array.from({ length: HELD_AT_ONCE + 2 }, openExport))
  const begun = exports.map((lines) => lines.next())
  const outcomes: string[] = []
  for (const first of begun) first.then(({ value }) => outcomes.push(value.includes('$error') ? 'refused' : 'begun'))
  while (outcomes.length < HELD_AT_ONCE) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.equal(await readPage(), 1)
  clock.advance(INFLATION_WAIT_MS_MAX)
  await Promise.all(begun)
  assert.deepEqual(outcomes.toSorted(), [...Array(HELD_AT_ONCE).fill('begun'), 'refused', 'refused'])
  for (const one of exports) await one.return(undefined)

  const whole = await openExport()
  let bytes = 0
  let largest = 0
  for await (const chunk of whole) {
    bytes += chunk.length
    largest = Math.max(largest, chunk.length)
  }
  assert.ok(bytes > INFLATED_BYTES, `${bytes} bytes`)
  assert.ok(largest < 3 * VALUE.length, `a chunk of ${largest} bytes`)
})
