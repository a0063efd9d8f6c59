// What the system counts about itself, as plain numbers: a hot path adds to a field and nothing more. The HTTP floor
// shows them at /metrics. One object is made by app and handed down.

/** A histogram with fixed upper bounds; the last bucket is everything above. */
export class Distribution {
  readonly bounds: readonly number[]
  readonly counts: number[]
  sum = 0
  count = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = new Array<number>(bounds.length + 1).fill(0)
  }

  observe(value: number): void {
    let bucket = 0
    while (bucket < this.bounds.length && value > (this.bounds[bucket] as number)) bucket++
    this.counts[bucket] = (this.counts[bucket] as number) + 1
    this.sum += value
    this.count++
  }
}

const SYNC_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2]
const SHARED_COUNTS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096]

/** What compaction has done since the start, and what it found at its last check. */
class CompactionTelemetry {
  passes = 0
  /** Passes that failed and are tried again, or are not because of a corrupt batch. */
  failures = 0
  recordsRead = 0
  recordsKept = 0
  bytesRead = 0
  bytesWritten = 0
  seconds = 0
  uncleanablePartitions = 0
  maxDirtyRatio = 0
  /** The longest time by which max.compaction.lag.ms is passed. */
  maxOverdueMs = 0
  /** By the monotonic clock, ms; undefined: there was none. */
  lastCheckMs: number | undefined
}

/** What has happened to consumer groups since the start. */
class GroupTelemetry {
  rebalances = 0
  /** Members that were taken out because they were silent, or did not take part in a rebalance. */
  expiredMembers = 0
  committedOffsets = 0
  expiredOffsets = 0
}

/** Live tails. */
class TailTelemetry {
  open = 0
  /** Chunks that were read and encoded; chunks that were given, to one tail each time. */
  chunksMade = 0
  chunksGiven = 0
  fetches = 0
  recordsGiven = 0
  bytesGiven = 0
  recordsDropped = 0
}

export class Telemetry {
  produceRequests = 0
  recordsIn = 0
  bytesIn = 0
  fetchRequests = 0
  recordsOut = 0
  bytesOut = 0
  /** Produce requests that were answered as duplicates of a named producer's earlier attempt. */
  duplicates = 0
  /** Requests that shared one batch. */
  readonly gatheredRequests = new Distribution(SHARED_COUNTS)
  /** Batches that shared one fdatasync. */
  readonly syncedBatches = new Distribution(SHARED_COUNTS)
  /** Syncs that several partitions shared. */
  journalEntries = 0
  readonly syncSeconds = new Distribution(SYNC_SECONDS)
  /** Partitions taken offline by a failed write or sync, or by corruption, since the start. */
  partitionsFailed = 0
  /** Met by readers and by compaction, each counted once. */
  badBatches = 0
  /** By retention, and below the log start offset. */
  segmentsDeleted = 0
  segmentBytesDeleted = 0
  /** Times that the wall clock went another way than the monotonic one. */
  clockSteps = 0
  waitingFetches = 0
  readonly compaction = new CompactionTelemetry()
  readonly groups = new GroupTelemetry()
  readonly tails = new TailTelemetry()
}
