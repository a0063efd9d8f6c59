// What was promised of one partition, as far as anybody outside could know it: what was sent and how it was answered, what
// was read, which bounds were told. Everything that the log shows is held against it. Three classes of records: those that
// must be there, those that may be there (nobody was told, or retention or compaction may have taken them), and those that
// must not.

import assert from 'node:assert/strict'
import type { TopicConfig } from '../../src/engine/topic-config.ts'

export interface SentRecord {
  /** Unique in the history. */
  readonly id: string
  readonly key: string | null
  readonly value: string | null
  readonly timestamp: number
}

/**
 * maybe: nobody was told, or was told that nobody knows. lost: it was not there after a start, but a power cut may bring it
 * back as long as nothing was synced behind it. refused: it was reported as not stored. written: acks=1, a power cut may
 * take it. visible: it was read, or lies below an end that was told, or acks=all: it stays.
 */
type Fate = 'maybe' | 'lost' | 'refused' | 'written' | 'visible'

export interface SentBatch {
  readonly records: readonly SentRecord[]
  readonly sizeBytes: number
  readonly sentMs: number
  fate: Fate
  /** -1: not known. */
  baseOffset: number
}

export interface FoundRecord extends SentRecord {
  readonly offset: number
}

/** What may have taken records since the last look. */
export interface Takers {
  readonly nowMs: number
  /** All that were in force meanwhile, or may have been. */
  readonly configs: readonly TopicConfig[]
  /** The last segment's base: behind it nothing is compacted. */
  readonly activeBase: number
}

/** What was known when a read began. */
export interface ReadBegun {
  readonly startSeen: number
  readonly endSeen: number
  readonly tick: number
}

/** Sent in one step to one partition, at most. */
const BATCHES_OF_A_GROUP_MAX = 40

interface Place {
  readonly batch: SentBatch
  readonly record: SentRecord
  readonly delta: number
}

export class PartitionPromises {
  readonly #batches: SentBatch[] = []
  readonly #places = new Map<string, Place>()
  /** Which record an offset names, for ever. */
  readonly #idAt = new Map<number, string>()
  readonly #offsetOf = new Map<string, number>()
  /** Visible and not known to be gone. */
  readonly #live = new Map<number, Place>()
  /** When it was found to be gone. */
  readonly #goneAt = new Map<number, number>()
  #tick = 0
  #startSeen = 0
  #endSeen = 0
  /** By delete-records, answered or not. */
  #startAsked = 0
  #wasCompacted = false
  /** Since the last start. */
  #repeatedBytes = 0
  /** Gone for the sake of a newer one of its key that nobody has seen yet: it must turn up. */
  #overtaken: { readonly key: string; readonly offset: number }[] = []

  get liveCount(): number {
    return this.#live.size
  }

  get endSeen(): number {
    return this.#endSeen
  }

  // --- what is asked and answered ---

  sent(records: readonly SentRecord[], sizeBytes: number, sentMs: number): SentBatch {
    const batch: SentBatch = { records, sizeBytes, sentMs, fate: 'maybe', baseOffset: -1 }
    this.#batches.push(batch)
    for (const [delta, record] of records.entries()) this.#places.set(record.id, { batch, record, delta })
    return batch
  }

  answered(batch: SentBatch, baseOffset: number, acks: 'all' | 'leader'): void {
    if (batch.baseOffset >= 0)
      assert.equal(baseOffset, batch.baseOffset, 'a batch has one offset, and so has its repeat')
    this.#place(batch, baseOffset)
    if (acks === 'all') {
      this.#show(batch)
      for (const other of this.#batches) if (other.fate === 'lost') other.fate = 'refused'
    } else if (batch.fate !== 'visible') batch.fate = 'written'
  }

  /** Reported as not stored. */
  refused(batch: SentBatch): void {
    if (batch.fate === 'maybe') batch.fate = 'refused'
  }

  /** A refused batch, or one that nobody knows of, is sent once more. */
  repeated(batch: SentBatch): void {
    if (batch.fate !== 'visible') batch.fate = 'maybe'
    this.#repeatedBytes += batch.sizeBytes
  }

  askedToDelete(before: number): void {
    this.#startAsked = Math.max(this.#startAsked, before)
  }

  deleted(start: number): void {
    this.#raiseStart(start)
  }

  afterPowerCut(): void {
    for (const batch of this.#batches) {
      if (batch.fate !== 'written') continue
      batch.fate = 'maybe'
      batch.baseOffset = -1
    }
  }

  /** Everything was synced. */
  afterStop(): void {
    for (const batch of this.#batches) if (batch.fate === 'written') this.#show(batch)
  }

  // --- what is read ---

  beginRead(): ReadBegun {
    return { startSeen: this.#startSeen, endSeen: this.#endSeen, tick: this.#tick }
  }

  readBounds(start: number, end: number, begun: ReadBegun, takers: Takers): void {
    this.#wasCompacted ||= takers.configs.some(({ cleanupPolicy }) => cleanupPolicy.compact)
    assert.ok(end >= begun.endSeen, `the end went back from ${begun.endSeen} to ${end}`)
    assert.ok(start >= begun.startSeen, `the start went back from ${begun.startSeen} to ${start}`)
    assert.ok(start <= end, `the start ${start} is behind the end ${end}`)
    if (end > this.#endSeen) {
      this.#endSeen = end
      for (const batch of this.#batches) {
        if (batch.fate === 'written' && batch.baseOffset + batch.records.length <= end) this.#show(batch)
      }
    }
    if (start <= this.#startSeen) return
    const allowed = this.#startAllowed(takers)
    assert.ok(start <= allowed, `records before ${start} are gone, but only those before ${allowed} were due`)
    this.#raiseStart(start)
  }

  /** All records that a reader got from one offset to another. */
  readRecords(from: number, next: number, found: readonly FoundRecord[], begun: ReadBegun, takers: Takers): void {
    const offsets = new Set<number>()
    let last = from - 1
    for (const record of found) {
      assert.ok(record.offset > last, `offset ${record.offset} came behind ${last}`)
      last = record.offset
      offsets.add(record.offset)
      this.#readRecord(record, begun)
    }
    if (!this.#wasCompacted) assert.equal(found.length, next - from, `records from ${from} to ${next} without a gap`)
    for (const offset of [...this.#live.keys()]) {
      if (offset < from || offset >= next || offsets.has(offset)) continue
      // a reader that began before the record was synced
      if (offset >= begun.endSeen && offset > last) continue
      this.#lose(offset, takers)
    }
  }

  /** After a start: nothing is under way, and all of the log was read. */
  readAll(start: number, found: readonly FoundRecord[]): void {
    this.#checkOvertaken(start)
    this.#repeatedBytes = 0
    const there = new Set(found.map(({ id }) => id))
    for (const batch of this.#batches) {
      const count = batch.records.filter(({ id }) => there.has(id)).length
      if (batch.fate === 'written') {
        assert.ok(
          count > 0 || this.#wasCompacted || batch.baseOffset < start,
          `acknowledged with acks=1 at ${batch.baseOffset}, and gone after a kill`,
        )
        this.#show(batch)
      }
      if (count > 0 && !this.#wasCompacted && batch.baseOffset >= start) {
        assert.equal(count, batch.records.length, 'a batch is there as a whole or not at all')
      }
      if (batch.fate === 'maybe') batch.fate = 'lost'
    }
  }

  #readRecord(found: FoundRecord, begun: ReadBegun): void {
    const { offset, id } = found
    const place = this.#places.get(id)
    assert.ok(place !== undefined, `record ${id} at ${offset} was never sent to this partition`)
    const { key, value, timestamp } = place.record
    assert.deepEqual([found.key, found.value, found.timestamp], [key, value, timestamp], `record ${id} as it was sent`)
    assert.notEqual(
      place.batch.fate,
      'refused',
      `record ${id} at ${offset} was refused, or lost before another was synced`,
    )
    const goneAt = this.#goneAt.get(offset)
    assert.ok(goneAt === undefined || goneAt > begun.tick, `offset ${offset} was gone and is there again`)
    this.#place(place.batch, offset - place.delta)
    if (place.batch.fate !== 'visible') this.#show(place.batch)
  }

  #place(batch: SentBatch, baseOffset: number): void {
    if (batch.baseOffset === baseOffset) return
    assert.equal(batch.baseOffset, -1, `a batch at ${batch.baseOffset} is at ${baseOffset} as well`)
    batch.baseOffset = baseOffset
  }

  /** Somebody may have read it. */
  #show(batch: SentBatch): void {
    batch.fate = 'visible'
    for (const [delta, record] of batch.records.entries()) {
      const offset = batch.baseOffset + delta
      const known = this.#idAt.get(offset)
      assert.ok(known === undefined || known === record.id, `offset ${offset} names ${record.id}, and named ${known}`)
      const other = this.#offsetOf.get(record.id)
      assert.ok(other === undefined || other === offset, `${record.id} is stored twice, at ${other} and ${offset}`)
      if (known !== undefined) continue
      this.#idAt.set(offset, record.id)
      this.#offsetOf.set(record.id, offset)
      if (offset >= this.#startSeen) this.#live.set(offset, { batch, record, delta })
      else this.#goneAt.set(offset, ++this.#tick)
    }
  }

  // --- what may be gone ---

  #raiseStart(start: number): void {
    if (start <= this.#startSeen) return
    this.#startSeen = start
    for (const offset of [...this.#live.keys()]) if (offset < start) this.#gone(offset)
  }

  #gone(offset: number): void {
    this.#live.delete(offset)
    this.#goneAt.set(offset, ++this.#tick)
  }

  #lose(offset: number, takers: Takers): void {
    const why = this.#whyItStays(offset, takers)
    assert.equal(why, undefined, `the record at ${offset} is gone: ${why}`)
    const { key } = (this.#live.get(offset) as Place).record
    if (key !== null) this.#overtaken.push({ key, offset })
    this.#gone(offset)
  }

  /** Up to where retention may have deleted: Kafka's rules, over records in place of segments, so never stricter. */
  #startAllowed(takers: Takers): number {
    const { nowMs, configs } = takers
    let allowed = this.#startAsked
    const deleting = configs.filter(({ cleanupPolicy }) => cleanupPolicy.delete)
    const oldest = nowMs - Math.min(Number.POSITIVE_INFINITY, ...deleting.map(({ retentionMs }) => retentionMs))
    let allExpired = true
    const offsets = [...this.#live.keys()].sort((a, b) => a - b)
    for (const offset of offsets) {
      const { record } = this.#live.get(offset) as Place
      const isDue = offset < this.#startAsked || record.timestamp < oldest
      if (!isDue && this.#whyItStays(offset, takers) !== undefined) {
        allExpired = false
        // a segment of which no reader finds a record goes by their times all the same
        if (this.#hiddenBefore(offset).some(({ timestamp }) => timestamp < oldest)) allowed = Math.max(allowed, offset)
        break
      }
      allowed = Math.max(allowed, offset + 1)
    }
    if (allExpired && deleting.length > 0) allowed = Math.max(allowed, this.#endSeen)
    const bytesMin = Math.min(Number.POSITIVE_INFINITY, ...deleting.map(({ retentionBytes }) => retentionBytes))
    return Math.max(allowed, this.#startBySize(offsets, bytesMin))
  }

  /** The last offset from which on there are still so many bytes; what was not read yet may be anywhere. */
  #startBySize(offsets: readonly number[], bytesMin: number): number {
    // room is made for a group before it is written, and then it may be a repeat or fail
    let bytes = this.#repeatedBytes
    for (const [at, { fate, sizeBytes }] of this.#batches.entries()) {
      const mayHaveFailed = fate === 'refused' && at >= this.#batches.length - BATCHES_OF_A_GROUP_MAX
      if (mayHaveFailed || (fate !== 'visible' && fate !== 'refused')) bytes += sizeBytes
    }
    let last: SentBatch | undefined
    for (let at = offsets.length - 1; at >= 0 && bytes < bytesMin; at--) {
      const { batch } = this.#live.get(offsets[at] as number) as Place
      if (batch !== last) bytes += batch.sizeBytes
      last = batch
    }
    if (bytes < bytesMin) return 0
    return last?.baseOffset ?? this.#endSeen
  }

  /** Records that may be there, and nobody has seen. */
  #unseen(): SentRecord[] {
    return this.#batches
      .filter(({ fate }) => fate !== 'visible' && fate !== 'refused')
      .flatMap(({ records }) => records)
  }

  /** What lies in front of an offset, or may: nobody has seen it yet, or all but its batch's header may be compacted away. */
  #hiddenBefore(offset: number): SentRecord[] {
    if (!this.#wasCompacted) return this.#unseen()
    const seen = [...this.#idAt].filter(([at]) => at >= this.#startSeen && at < offset)
    return [...this.#unseen(), ...seen.map(([, id]) => (this.#places.get(id) as Place).record)]
  }

  #unseenOf(key: string): SentRecord[] {
    return this.#unseen().filter((record) => record.key === key)
  }

  #checkOvertaken(start: number): void {
    for (const { key, offset } of this.#overtaken) {
      const ofKey = [...this.#offsetOf].filter(([id]) => this.#places.get(id)?.record.key === key)
      const isSeen = ofKey.some(([, later]) => later > offset)
      // a tombstone goes by its time, and may never have been seen
      const isTombstone = ofKey.some(([id, at]) => at === offset && this.#places.get(id)?.record.value === null)
      const isDeleted = isTombstone || this.#unseenOf(key).some(({ value }) => value === null)
      assert.ok(isSeen || isDeleted || offset < start, `the record at ${offset}, the newest of key ${key}, was taken`)
    }
    this.#overtaken = []
  }

  /** undefined: compaction may have taken it. */
  #whyItStays(offset: number, { nowMs, configs, activeBase }: Takers): string | undefined {
    const compacting = configs.filter(({ cleanupPolicy }) => cleanupPolicy.compact)
    if (compacting.length === 0) return 'the topic is not compacted'
    if (offset >= activeBase) return `it is in the last segment (${activeBase})`
    const { record, batch } = this.#live.get(offset) as Place
    const lag = Math.min(...compacting.map(({ minCompactionLagMs }) => minCompactionLagMs))
    const isYoung = ({ timestamp }: SentRecord) => lag > 0 && timestamp > nowMs - lag
    if (isYoung(record)) return 'it is younger than min.compaction.lag.ms'
    if (record.key === null) return undefined
    const deleteRetentionMs = Math.min(...compacting.map((config) => config.deleteRetentionMs))
    if (record.value === null && nowMs >= batch.sentMs + deleteRetentionMs) return undefined
    for (const [later, id] of this.#idAt) {
      if (later <= offset || later >= activeBase) continue
      const newer = this.#places.get(id) as Place
      if (newer.record.key === record.key && !isYoung(newer.record)) return undefined
    }
    if (this.#unseenOf(record.key).length > 0) return undefined
    return `it is the newest of key ${record.key}`
  }
}
