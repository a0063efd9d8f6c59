// Passes of compaction in a thread of their own: what comes of one that is given up, or whose thread ends under it.

import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import type { Cleaner, ReplacingGroup } from '../../src/log/cleaner.ts'
import { CleanerThread } from '../../src/log/cleaner-thread.ts'
import { emptySegment, segmentPath } from '../../src/log/log-segment.ts'
import type { CleanRequest } from '../../src/log/segment-cleaner.ts'
import type { SealedBatch } from '../../src/record/record-batch.ts'
import { sealBatch, stampBatch } from '../../src/record/record-batch.ts'
import { toParts } from '../record/records.ts'
import { temporaryDirectory } from '../support/engine-options.ts'
import { FakeClock } from '../support/fake-clock.ts'

const RECORDS = 1_000

/** Two segments: of the first's records all but the last have newer ones in the second. */
function requestIn(directory: string): CleanRequest {
  mkdirSync(directory, { recursive: true })
  const segments = [0, RECORDS].map((base) => {
    const records = Array.from({ length: RECORDS }, (_, at) => {
      const key = base === 0 && at === RECORDS - 1 ? 'only here' : `k${at % 10}`
      return { timestamp: 1, key, value: `${base + at}`, headers: [] }
    })
    const batches: SealedBatch[] = []
    for (let at = 0; at < RECORDS; at += 10) {
      const batch = sealBatch(toParts(records.slice(at, at + 10)), { compression: 'none' })
      stampBatch(batch, base + at, 1)
      batches.push(batch)
    }
    const bytes = Buffer.concat(batches.map((batch) => batch.bytes))
    writeFileSync(segmentPath(directory, base), bytes)
    return { ...emptySegment(base), sizeBytes: bytes.length, endOffset: base + RECORDS }
  })
  return {
    directory,
    segments,
    logStartOffset: 0,
    firstDirtyOffset: 0,
    cleanableEnd: 2 * RECORDS,
    segmentBytes: 1,
    indexIntervalBytes: 500,
    deleteRetentionMs: 0,
    nowMs: 0,
    producerLastOffsets: [],
    mapBytesMax: 1_000_000,
  }
}

function open(t: TestContext) {
  const clock = new FakeClock()
  const cleaner: Cleaner = new CleanerThread(clock)
  t.after(() => cleaner.close())
  return { clock, cleaner, request: requestIn(temporaryDirectory(t)) }
}

const { signal: never } = new AbortController()

/** A pass that comes to its end, and how many groups it handed over. */
async function cleans(cleaner: Cleaner, request: CleanRequest): Promise<ReplacingGroup[]> {
  const groups: ReplacingGroup[] = []
  const result = await cleaner.clean(request, async (group) => void groups.push(group), never)
  assert.equal(result.recordsKept, 11)
  assert.equal(result.cleanedTo, 2 * RECORDS)
  return groups
}

test('a pass hands its groups over with their entries, one at a time', async (t) => {
  const { cleaner, request } = open(t)
  let open_ = 0
  const sizes: number[] = []
  await cleaner.clean(
    request,
    async ({ replaced, segment, entries }) => {
      assert.equal(++open_, 1)
      await new Promise((resolve) => setTimeout(resolve, 5))
      open_--
      assert.deepEqual(replaced, [segment.baseOffset])
      for (const entry of entries) assert.ok(entry.position > 0 && entry.position < segment.sizeBytes)
      sizes.push(segment.sizeBytes)
    },
    never,
  )
  assert.equal(sizes.length, 2)
})

test('the error of who takes a group is the error of the pass, and the next one works', async (t) => {
  const { cleaner, request } = open(t)
  const refusal = new Error('not now')
  await assert.rejects(
    cleaner.clean(request, () => Promise.reject(refusal), never),
    (error) => error === refusal,
  )
  await cleans(cleaner, request)
})

test('an error of the disk or of a batch comes as it is', async (t) => {
  const { cleaner, request } = open(t)
  const elsewhere = { ...request, directory: `${request.directory}-absent` }
  await assert.rejects(
    cleaner.clean(elsewhere, async () => undefined, never),
    { code: 'ENOENT' },
  )
  writeFileSync(segmentPath(request.directory, 0), Buffer.alloc((request.segments[0]?.sizeBytes ?? 0) + 1))
  await assert.rejects(
    cleaner.clean(request, async () => undefined, never),
    ({ code, message }) => code === 'corrupt_message' && /position 0/.test(message),
  )
})

test('a pass that is given up ends soon, wherever it is', async (t) => {
  const { cleaner, request } = open(t)
  const stop = new AbortController()
  const waiting = cleaner.clean(request, () => new Promise(() => stop.abort()), stop.signal)
  await assert.rejects(waiting, { code: 'shutting_down' })
  await assert.rejects(
    cleaner.clean(request, async () => undefined, stop.signal),
    { code: 'shutting_down' },
  )
  await cleans(cleaner, request)
})

test('a thread that ends under a pass fails it, and the next pass has a new one', async (t) => {
  const { cleaner, request } = open(t)
  const failing = cleaner.clean(request, () => new Promise(() => void cleaner.close()), never)
  await assert.rejects(failing, { code: 'kafka_storage_error', message: /has ended/ })
  await cleans(cleaner, request)
})

test('a thread that has nothing to do ends after a while', async (t) => {
  const { cleaner, clock, request } = open(t)
  await cleans(cleaner, request)
  clock.advance(59_000)
  await cleans(cleaner, request)
  clock.advance(59_000)
  assert.equal(maintenanceThreads(), 1)
  clock.advance(2_000)
  for (let left = 500; left > 0 && maintenanceThreads() > 0; left--) await new Promise((done) => setTimeout(done, 10))
  assert.equal(maintenanceThreads(), 0)
  await cleans(cleaner, request)
})

function maintenanceThreads(): number {
  const names = readdirSync('/proc/self/task').map((id) => readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim())
  return names.filter((name) => name === 'maintenance').length
}
