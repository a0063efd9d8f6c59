// Filling a page: fetching for it until it has enough or its time is over. And the page of partitions of any topics, each
// from an offset of its own, which is what a group's consumers read: whoever asks keeps the positions, and a partition that
// cannot be read is told beside what the others gave.

import type { FetchedPartition } from '../../engine/engine.ts'
import type { Gap, PartitionBounds, PartitionState, RecordSink } from './page.ts'
import { Page } from './page.ts'
import type { TopicOffset } from './partition-offset.ts'
import type { ReadEstimates } from './read-estimates.ts'
import type { ConsumeParts } from './read-start.ts'
import { releaseFetched } from './record-walk.ts'

export interface PageFill {
  /** Reads of the same kind share it: what their records take is guessed from the earlier ones. */
  readonly estimateKey: string
  /** How long to wait for enough; the page comes sooner, without it, when `signal` says so or the engine closes. */
  readonly waitMs: number
  /** Enough are both; 1 and 0 if left out. */
  readonly minRecords?: number | undefined
  /** Stored bytes of records. */
  readonly minBytes?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface PartitionsRequest extends PageFill {
  readonly offsets: readonly TopicOffset[]
  /** Which of them is first: of the page before, its `turn`. */
  readonly turn?: number | undefined
  /** Records at most; 1 to PAGE_RECORDS_MAX. */
  readonly limit: number
  /** Stored bytes of records at most; the first record always comes. */
  readonly maxBytes: number
  /** Where records were removed before they were read: go on at the log start and tell, or leave it as the partition's fault. */
  readonly onGap?: 'tell' | 'error' | undefined
}

export interface PartitionsRead {
  readonly recordCount: number
  /** In the order asked for. `fault`: why it was not read on; offset_out_of_range too, where that is not passed as a gap. */
  readonly partitions: readonly PartitionBounds[]
  /** What was gone below a log start and has been passed. */
  readonly gaps: readonly Gap[]
  readonly turn: number
  /** Nothing was left below the end offsets when the page was made. */
  readonly caughtUp: boolean
}

/** Comes at once, without records, when no partition that can be read is among them. Throws nothing of one partition. */
export async function readPartitions(
  parts: ConsumeParts,
  estimates: ReadEstimates,
  request: PartitionsRequest,
  sink: RecordSink,
): Promise<PartitionsRead> {
  const { offsets, turn = 0, limit, maxBytes, onGap = 'tell' } = request
  const page = new Page({
    offsets,
    turn,
    limit,
    maxBytes,
    filter: undefined,
    onGap,
    isEachAlone: true,
    sink,
    inflations: parts.inflations,
  })
  if (offsets.length > 0) await fillPage(parts, estimates, page, request)
  const { recordCount, partitions, gaps, isCaughtUp: caughtUp } = page
  return { recordCount, partitions, gaps, turn: page.turn, caughtUp }
}

export async function fillPage(
  { engine, clock, telemetry }: ConsumeParts,
  estimates: ReadEstimates,
  page: Page,
  { estimateKey, waitMs, minRecords = 1, minBytes = 0, signal }: PageFill,
): Promise<void> {
  const deadline = waitMs === 0 ? Number.NEGATIVE_INFINITY : clock.monotonic() + waitMs
  const hasEnough = () => page.recordCount >= minRecords && page.recordBytes >= minBytes
  while (!page.isFull && !page.isStuck) {
    const wanted = page.wanted()
    const isWaiting = waitMs > 0 && !hasEnough()
    const fetched = await engine.fetch(page.positions(wanted), {
      minBytes: 1,
      ...page.fetchSize(wanted.length, estimates.of(estimateKey)),
      maxWaitMs: isWaiting ? Math.max(0, deadline - clock.monotonic()) : 0,
      isolation: 'read_committed',
      signal,
    })
    const hasMoved = await takeAndRelease(page, wanted, fetched)
    estimates.observe(estimateKey, page.seen)
    if (hasMoved && !page.isCaughtUp) continue
    // A wait that brought nothing is over: its time, its client or the server is.
    if (!hasMoved || hasEnough() || clock.monotonic() >= deadline) break
  }
  telemetry.fetchRequests++
  telemetry.recordsOut += page.recordCount
  telemetry.bytesOut += page.recordBytes
}

async function takeAndRelease(
  page: Page,
  wanted: readonly PartitionState[],
  fetched: readonly FetchedPartition[],
): Promise<boolean> {
  try {
    return await page.take(wanted, fetched)
  } finally {
    releaseFetched(fetched)
  }
}
