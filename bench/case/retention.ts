// A topic is produced to at full speed for a minute, its retention.bytes and segment.bytes small against what comes in. Its
// folders are looked at all the time, and two readers go along: one keeps up, one lags behind and loses its records. The
// case fails when a partition's files take more than retention.bytes and one segment, and at any error other than the
// honest gap.

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { BenchCase, BenchRow } from '../bench-case.ts'
import type { BenchContext, RunningServer } from '../bench-context.ts'
import * as figures from '../figures.ts'
import { postRequest, produceBodies } from '../records.ts'
import { createTopic, describeTopic } from '../tailrace-api.ts'

const TOPIC = 'bench'
const PARTITIONS = 2
const RECORDS_PER_REQUEST = 1_000
const CONNECTIONS = 8
const MIB = 1024 * 1024
const BODIES = 64
const LOOK_EVERY_MS = 2
const LAG_MS = 100

export const retentionCase: BenchCase = {
  name: 'retention',
  about: 'produce for a minute to a topic that keeps little, with readers',
  run: runRetention,
}

interface Sizes {
  readonly retentionBytes: number
  readonly segmentBytes: number
  readonly durationMs: number
  /** Instead of as many as fit into the time. */
  readonly requestCount?: number
}

const LONG: Sizes = { retentionBytes: 200 * MIB, segmentBytes: 16 * MIB, durationMs: 60_000 }
/** Four times what is kept, however long that takes. */
const QUICK: Sizes = { retentionBytes: 4 * MIB, segmentBytes: MIB / 4, durationMs: 60_000, requestCount: 300 }

async function runRetention(context: BenchContext): Promise<readonly BenchRow[]> {
  const sizes = context.options.quick ? QUICK : LONG
  const dataDir = context.makeDir('retention')
  const server = await context.startTailrace(dataDir)
  await createTopic(server, TOPIC, PARTITIONS, {
    'retention.bytes': String(sizes.retentionBytes),
    'segment.bytes': String(sizes.segmentBytes),
    'file.delete.delay.ms': '0',
  })
  const running = new AbortController()
  const beside = [
    watchFolders(dataDir, running.signal),
    readAlong(server, running.signal, () => Promise.resolve()),
    readAlong(server, running.signal, (next) => untilLost(server, next, running.signal)),
  ] as const
  const load = await Promise.race([
    context.load(server, {
      connections: CONNECTIONS,
      requests: produceRequests(sizes.requestCount ?? BODIES),
      once: sizes.requestCount !== undefined,
      status: 200,
      warmUpMs: 0,
      durationMs: sizes.durationMs,
    }),
    // whatever goes wrong beside it ends it
    Promise.all(beside).then(() => Promise.reject(new Error('nothing was produced'))),
  ])
  running.abort()
  const [largestBytes, follower, lagger] = await Promise.all(beside)
  const { partitions } = await describeTopic(server, TOPIC)
  const storedBytes = partitions.reduce((sum, { size_bytes }) => sum + size_bytes, 0)
  const deletedRecords = partitions.reduce((sum, { start_offset }) => sum + start_offset, 0)
  check(sizes, { largestBytes, storedBytes, deletedRecords, lagger })
  return [
    {
      work: `produce for ${figures.count(load.windowMs / 1_000)} s, ${PARTITIONS} partitions that keep ${sizes.retentionBytes / MIB} MiB each in segments of ${sizes.segmentBytes / MIB} MiB`,
      tailrace: `${figures.count((load.replyCount * RECORDS_PER_REQUEST * 1_000) / load.windowMs)}/s, at most ${(largestBytes / MIB).toFixed(2)} MiB`,
      latency: `${load.p50Ms.toFixed(2)} / ${load.p99Ms.toFixed(2)} ms`,
      goal: `<= ${(sizes.retentionBytes + sizes.segmentBytes) / MIB} MiB`,
      goalMet: true,
      measured: { load, largestBytes, storedBytes, deletedRecords, follower, lagger },
    },
  ]
}

function produceRequests(count: number): Buffer[] {
  const work = { recordsPerRequest: RECORDS_PER_REQUEST, keyed: false, partitionCount: PARTITIONS }
  const bodies = produceBodies(work, BODIES).map((body) => postRequest(`/v1/topics/${TOPIC}/records?acks=all`, body))
  return Array.from({ length: count }, (_, index) => bodies[index % BODIES]!)
}

function check(
  { retentionBytes, segmentBytes }: Sizes,
  seen: { largestBytes: number; storedBytes: number; deletedRecords: number; lagger: Reading },
): void {
  const bytesMax = retentionBytes + segmentBytes
  if (seen.largestBytes > bytesMax) {
    throw new Error(`a partition's files took ${seen.largestBytes} bytes, ${seen.largestBytes - bytesMax} too many`)
  }
  if (seen.deletedRecords === 0 || seen.lagger.gaps === 0)
    throw new Error('too little was produced: nothing was deleted')
  if (seen.storedBytes < PARTITIONS * (retentionBytes - segmentBytes)) {
    throw new Error(`more was deleted than has to be: ${seen.storedBytes} bytes are left`)
  }
}

/** The most bytes that the segments of one partition took, those that are about to be unlinked included. */
async function watchFolders(dataDir: string, signal: AbortSignal): Promise<number> {
  let largestBytes = 0
  while (!signal.aborted) {
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      largestBytes = Math.max(largestBytes, segmentBytesIn(join(dataDir, 'topics', `${TOPIC}-${partition}`)))
    }
    await delay(LOOK_EVERY_MS)
  }
  return largestBytes
}

/** The newest first: so no file is counted that was gone when the one that grows was looked at. */
function segmentBytesIn(folder: string): number {
  try {
    const names = readdirSync(folder).filter((name) => name.includes('.log'))
    names.sort().reverse()
    return names.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
    throw error
  }
}

interface Reading {
  readonly records: number
  /** Times that records were gone before they were read. */
  readonly gaps: number
}

interface Page {
  readonly records: readonly { readonly partition: number; readonly offset: number }[]
  readonly gaps?: readonly { readonly partition: number; readonly from: number; readonly to: number }[]
  readonly cursor: string
}

/** A reader that lags goes on when records are gone that it has not read. */
async function untilLost(server: RunningServer, next: readonly number[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await delay(LAG_MS)
    const { partitions } = await describeTopic(server, TOPIC)
    if (partitions.some(({ start_offset }, partition) => start_offset > next[partition]!)) return
  }
}

/** Reads page after page; every record has to follow on the one before it, or on a gap that was told. */
async function readAlong(
  server: RunningServer,
  signal: AbortSignal,
  pause: (next: readonly number[]) => Promise<void>,
): Promise<Reading> {
  const next = new Array<number>(PARTITIONS).fill(0)
  let records = 0
  let gaps = 0
  for (let position = 'from=earliest'; ; ) {
    const url = `${server.url}/v1/topics/${TOPIC}/records?${position}&limit=1000&wait_ms=100&on_gap=earliest`
    const response = await fetch(url)
    const text = await response.text()
    if (response.status !== 200) throw new Error(`a reader got ${response.status}: ${text.slice(0, 500)}`)
    const page = JSON.parse(text) as Page
    for (const { partition, from, to } of page.gaps ?? []) {
      if (from !== next[partition] || to <= from)
        throw new Error(`a gap from ${from} to ${to} after ${next[partition]}`)
      next[partition] = to
      gaps += 1
    }
    for (const { partition, offset } of page.records) {
      if (offset !== next[partition]) throw new Error(`offset ${offset} came where ${next[partition]} was due`)
      next[partition] = offset + 1
    }
    records += page.records.length
    position = `cursor=${page.cursor}`
    if (signal.aborted) return { records, gaps }
    await pause(next)
  }
}
