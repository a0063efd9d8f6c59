// What one partition remembers of idempotent producers: the epoch and the last batches of each, so that a repeated batch
// is known again. Two kinds of ids (DESIGN 4.3): with bit 62 set the batch's baseSequence is the number of a request, of
// which not every one touches this partition, so numbers may leap; without it Kafka's rule holds: baseSequence counts
// records of this partition and must follow on. Pure state, fed in offset order by
// log-appender.ts and log-recovery.ts.

import { crc32c } from '../kernel/crc32c.ts'
import { TailraceError } from '../kernel/errors.ts'
import { PRODUCER_BATCHES_REMEMBERED } from '../kernel/limits.ts'
import type { BatchHeader } from '../record/record-batch.ts'

export interface RememberedBatch {
  readonly baseSequence: number
  readonly baseOffset: number
  readonly recordCount: number
  readonly timestamp: number
}

export interface ProducerEntry {
  readonly producerId: bigint
  readonly epoch: number
  /** Oldest first, at most PRODUCER_BATCHES_REMEMBERED. */
  readonly batches: readonly RememberedBatch[]
  /** Wall clock of the last append, ms: what producer.id.expiration.ms counts from. */
  readonly lastSeenMs: number
}

const REQUEST_NUMBERED_BIT = 1n << 62n
const SEQUENCE_SPACE = 2 ** 31

function isRequestNumbered(producerId: bigint): boolean {
  return producerId > 0n && (producerId & REQUEST_NUMBERED_BIT) !== 0n
}

/** What becomes of a batch: 'append', or the earlier batch that it repeats; 'forgotten' repeats one no longer remembered. */
export type ProducerVerdict = 'append' | 'forgotten' | RememberedBatch

/** Whether a batch of this producer may be appended now. Throws invalid_producer_epoch, out_of_order_sequence_number. */
export function judgeBatch(entry: ProducerEntry | undefined, header: BatchHeader): ProducerVerdict {
  if (entry === undefined) return 'append'
  const { producerEpoch, baseSequence } = header
  if (producerEpoch < entry.epoch) {
    throw new TailraceError(
      'invalid_producer_epoch',
      `producer epoch ${producerEpoch} is older than ${entry.epoch}, which is in use`,
      { epoch: entry.epoch },
    )
  }
  if (producerEpoch > entry.epoch) {
    if (baseSequence !== 0 && !isRequestNumbered(header.producerId)) throw outOfOrder(baseSequence, 0)
    return 'append'
  }
  return isRequestNumbered(header.producerId) ? judgeRequest(entry, header) : judgeRecords(entry, header)
}

function judgeRequest(entry: ProducerEntry, header: BatchHeader): ProducerVerdict {
  const repeated = entry.batches.find((batch) => batch.baseSequence === header.baseSequence)
  if (repeated !== undefined) return repeated
  const oldest = entry.batches[0]
  const full = entry.batches.length >= PRODUCER_BATCHES_REMEMBERED
  return full && oldest !== undefined && header.baseSequence < oldest.baseSequence ? 'forgotten' : 'append'
}

function judgeRecords(entry: ProducerEntry, header: BatchHeader): ProducerVerdict {
  const last = entry.batches.at(-1)
  if (last === undefined) return 'append'
  const repeated = entry.batches.find(
    (batch) => batch.baseSequence === header.baseSequence && batch.recordCount === header.recordCount,
  )
  if (repeated !== undefined) return repeated
  const expected = (last.baseSequence + last.recordCount) % SEQUENCE_SPACE
  if (header.baseSequence !== expected) throw outOfOrder(header.baseSequence, expected)
  return 'append'
}

function outOfOrder(found: number, expected: number): TailraceError {
  return new TailraceError('out_of_order_sequence_number', `sequence number ${found} came where ${expected} was due`, {
    expected,
  })
}

/** The entry after a batch was appended. Batches stay ordered by sequence, so that a late repeat finds its place. */
export function withBatch(entry: ProducerEntry | undefined, header: BatchHeader, nowMs: number): ProducerEntry {
  const batch = {
    baseSequence: header.baseSequence,
    baseOffset: header.baseOffset,
    recordCount: header.lastOffsetDelta + 1,
    timestamp: header.maxTimestamp,
  }
  const earlier = entry !== undefined && entry.epoch === header.producerEpoch ? entry.batches : []
  const batches = [...earlier, batch]
  if (isRequestNumbered(header.producerId)) batches.sort((a, b) => a.baseSequence - b.baseSequence)
  return {
    producerId: header.producerId,
    epoch: header.producerEpoch,
    batches: batches.slice(-PRODUCER_BATCHES_REMEMBERED),
    lastSeenMs: nowMs,
  }
}

function renderProducerEntry(entry: ProducerEntry): string {
  const batches = entry.batches.map((batch) => [
    batch.baseSequence,
    batch.baseOffset,
    batch.recordCount,
    batch.timestamp,
  ])
  return JSON.stringify({ epoch: entry.epoch, seen: entry.lastSeenMs, batches })
}

function parseProducerEntry(producerId: bigint, text: string): ProducerEntry {
  const { epoch, seen, batches } = JSON.parse(text) as { epoch: number; seen: number; batches: number[][] }
  return {
    producerId,
    epoch,
    lastSeenMs: seen,
    batches: batches.map((batch) => ({
      baseSequence: batch[0] as number,
      baseOffset: batch[1] as number,
      recordCount: batch[2] as number,
      timestamp: batch[3] as number,
    })),
  }
}

/** A row of index.db: the entry behind its checksum. */
export function renderProducerRow(entry: ProducerEntry): string {
  const text = renderProducerEntry(entry)
  return `${checksum(`${entry.producerId} ${text}`)} ${text}`
}

/** undefined: it is not as it was written. */
export function parseProducerRow(producerId: bigint, row: string): ProducerEntry | undefined {
  const blank = row.indexOf(' ')
  const text = row.slice(blank + 1)
  if (row.slice(0, blank) !== String(checksum(`${producerId} ${text}`))) return undefined
  return parseProducerEntry(producerId, text)
}

/**
 * A snapshot file: one JSON line with a version, then one line a producer; ends with a line that counts them and has the
 * checksum of all before it.
 */
export function renderSnapshot(entries: Iterable<ProducerEntry>): Buffer {
  const lines = ['{"producer_snapshot":2}']
  for (const entry of entries) lines.push(`${entry.producerId} ${renderProducerEntry(entry)}`)
  const count = lines.length - 1
  return Buffer.from(`${lines.join('\n')}\n${endOfSnapshot(lines, count)}\n`)
}

function endOfSnapshot(lines: readonly string[], producers: number): string {
  return JSON.stringify({ producers, crc32c: checksum(lines.join('\n')) })
}

function checksum(text: string): number {
  const bytes = Buffer.from(text)
  return crc32c(bytes, 0, bytes.length)
}

/** undefined: not a whole snapshot of this version; the log is scanned in its place. */
export function parseSnapshot(bytes: Buffer): ProducerEntry[] | undefined {
  const lines = bytes.toString('utf8').split('\n')
  if (lines[0] !== '{"producer_snapshot":2}' || lines.at(-1) !== '') return undefined
  const entries = lines.slice(1, -2)
  if (lines.at(-2) !== endOfSnapshot(lines.slice(0, -2), entries.length)) return undefined
  return entries.map((line) => {
    const blank = line.indexOf(' ')
    return parseProducerEntry(BigInt(line.slice(0, blank)), line.slice(blank + 1))
  })
}
