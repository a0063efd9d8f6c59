// A8 F2: index.db, which answers where in a segment file an offset or a time lies. It is rebuildable: files are the
// truth, deleting it loses nothing, and what it says was durable before it was written, in the files or in the commit journal.
// Entries are sparse (index.interval.bytes) and are held back in memory until they go out in one transaction. Main thread
// only.

import type Database from 'better-sqlite3'
import { SqliteError } from 'better-sqlite3'
import { INDEX_PENDING_ENTRIES_MAX, INDEX_ROWS_PER_TURN_MAX } from '../kernel/limits.ts'
import type { EntryRow, IndexStatements, LogRow, RecoveryPoint, SegmentRow } from './index-schema.ts'
import { prepareIndex, recoveryPointOfRow, segmentOfRow } from './index-schema.ts'
import type { Segment } from './log-segment.ts'
import type { ProducerEntry } from './producer-state.ts'
import { parseProducerRow, renderProducerRow } from './producer-state.ts'

/** A batch that begins at a position, and the largest timestamp of all records before it in its segment (-1: none). */
export interface IndexEntry {
  readonly offset: number
  readonly position: number
  readonly priorMaxTimestamp: number
}

/** What index.db knows of one partition. */
export interface IndexedLog {
  /** NO_LOG: nothing is known of it yet. */
  readonly logId: number
  readonly segments: Segment[]
  readonly recoveryPoint: RecoveryPoint | undefined
  /** Of the cleaning after which the rows of segments were written; they hold only while meta.db says the same. */
  readonly cleaningGeneration: number
  /** In front of it everything was cleaned once. Lost or old, it costs work alone. */
  readonly firstDirtyOffset: number
}

/** What names the entries of one file: a segment that was cleaned has the base, but not the positions, of an older one. */
type IndexedFile = Pick<Segment, 'baseOffset' | 'generation'>

/** A cleaned segment in the place of closed ones. */
export interface Replacement {
  readonly replaced: readonly Segment[]
  readonly segment: Segment
  /** The last segment: it is durable as far as it goes. */
  readonly active: Segment
}

export const NO_LOG = -1

/** A cleaning generation that no log has. */
const NOT_SCANNED = -1

/** Names in the table `state`: a log that is gone, of which rows may be left. */
const DROPPED = 'dropped_log_'

/** Changes of one partition that wait for the next transaction. */
interface Pending {
  readonly logId: number
  readonly entries: Map<number, { readonly file: IndexedFile; readonly held: IndexEntry[] }>
  readonly segments: Map<number, Segment>
  readonly producers: Map<bigint, ProducerEntry>
  readonly forgottenProducers: Set<bigint>
  recoveryPoint: RecoveryPoint | undefined
  /** Segments whose base is below it are gone. */
  droppedBelow: number
}

const LEFT_FILE = /^[^/]+\/\d{20}\.log\.deleted$/

export class LogIndex {
  readonly #db: Database.Database
  readonly #statements: IndexStatements
  readonly #pending = new Map<number, Pending>()
  /** Logs whose rows of segments missed a replacement. */
  readonly #behind = new Set<number>()
  #pendingEntries = 0
  #rowsBetweenFlushes = 0
  #lastLogId: number | undefined
  /** The last flush failed. */
  #isFailing = false

  readonly #onFailedRead: (error: unknown) => void

  /** Takes over a database that createIndexSchema has laid out. */
  constructor(db: Database.Database, onFailedRead: (error: unknown) => void = () => {}) {
    this.#db = db
    this.#onFailedRead = onFailedRead
    this.#statements = prepareIndex(db)
  }

  /** The start (its number) whose stop left nothing to scan; undefined: none did. An older copy names an older start. */
  cleanStop(): number | undefined {
    const row = this.#db.prepare("SELECT value FROM state WHERE name = 'clean_stop'").get() as
      | { value: string }
      | undefined
    return row && Number(row.value)
  }

  /** Notes the files too that are nobody's any more and could not be removed so far. */
  markCleanStop(startNumber: number, leftFiles: readonly string[]): void {
    const put = this.#db.prepare('INSERT OR REPLACE INTO state (name, value) VALUES (?, ?)')
    this.#statements.writeAll(() => {
      put.run('left_files', leftFiles.join('\n'))
      put.run('clean_stop', String(startNumber))
    })
  }

  /** Of the last clean stop. They are to be removed: what a flipped bit has made of a name is none. */
  leftFiles(): readonly string[] {
    const value = this.#db.prepare("SELECT value FROM state WHERE name = 'left_files'").pluck().get()
    const names = typeof value === 'string' ? value.split('\n') : []
    return names.filter((name) => LEFT_FILE.test(name))
  }

  /** What is known of a partition. */
  findLog(topicId: string, partition: number): IndexedLog {
    const known = this.#statements.findLog.get(topicId, partition) as LogRow | undefined
    if (known === undefined) {
      return { logId: NO_LOG, segments: [], recoveryPoint: undefined, cleaningGeneration: 0, firstDirtyOffset: 0 }
    }
    const rows = this.#statements.segments.all(known.log_id) as SegmentRow[]
    return {
      logId: known.log_id,
      segments: rows.map(segmentOfRow),
      recoveryPoint: recoveryPointOfRow(known),
      cleaningGeneration: known.cleaning_generation,
      firstDirtyOffset: known.first_dirty_offset,
    }
  }

  addLog(topicId: string, partition: number): number {
    const logId = this.#nextLogId()
    this.#statements.addLog.run(logId, topicId, partition)
    return logId
  }

  /** Never one that any row has, of a log that was dropped either. */
  #nextLogId(): number {
    this.#lastLogId ??= this.#statements.lastLogId.get() as number
    this.#lastLogId++
    return this.#lastLogId
  }

  /** The log is unknown from now on; its rows, which may be a million, go by sweepDropped. */
  dropLog(topicId: string, partition: number): void {
    const known = this.#statements.findLog.get(topicId, partition) as LogRow | undefined
    if (known === undefined) return
    this.#forgetPending(known.log_id)
    this.#statements.writeAll(() => this.#dropRow(known.log_id))
  }

  /** Forgets what is known of a partition, before its files are scanned from the beginning; answers its new id. */
  resetLog(topicId: string, partition: number): number {
    const known = this.#statements.findLog.get(topicId, partition) as LogRow | undefined
    if (known !== undefined) this.#forgetPending(known.log_id)
    const logId = this.#nextLogId()
    this.#statements.writeAll(() => {
      if (known !== undefined) this.#dropRow(known.log_id)
      this.#statements.addLog.run(logId, topicId, partition)
      this.#statements.setGeneration.run(NOT_SCANNED, logId)
    })
    return logId
  }

  #dropRow(logId: number): void {
    this.#statements.dropLog.run(logId)
    this.#statements.noteDropped.run(`${DROPPED}${logId}`, String(logId))
  }

  /** Deletes rows of logs that were dropped, by this start or an earlier one, a bounded number; true: there are more. */
  sweepDropped(): boolean {
    const dropped = this.#statements.findDropped.get(`${DROPPED}*`) as { name: string; value: string } | undefined
    if (dropped === undefined) return false
    const logId = Number(dropped.value)
    let left = INDEX_ROWS_PER_TURN_MAX
    this.#statements.writeAll(() => {
      for (const sweep of this.#statements.sweepLog) left -= sweep.run({ logId, left }).changes
      if (left > 0) this.#statements.forgetDropped.run(dropped.name)
    })
    this.#rowsBetweenFlushes += INDEX_ROWS_PER_TURN_MAX - left
    return left === 0 || this.#statements.findDropped.get(`${DROPPED}*`) !== undefined
  }

  /** A log that was reset has been scanned to its end: what is known of it holds from now on. */
  noteScanned(logId: number, cleaningGeneration: number): void {
    this.flush()
    this.#statements.setGeneration.run(cleaningGeneration, logId)
  }

  /** Forgets what lies at or after an offset in a segment, and every later segment: before they are scanned again. */
  truncateLog(logId: number, segmentBase: number, offset: number): void {
    this.#forgetPending(logId)
    this.#db.transaction(() => {
      this.#db.prepare('DELETE FROM segments WHERE log_id = ? AND base_offset > ?').run(logId, segmentBase)
      this.#db.prepare('DELETE FROM entries WHERE log_id = ? AND segment_base > ?').run(logId, segmentBase)
      this.#db
        .prepare('DELETE FROM entries WHERE log_id = ? AND segment_base = ? AND offset >= ?')
        .run(logId, segmentBase, offset)
    })()
  }

  /** Never throws: an entry that finds no room is left out, and a search begins at the one before it. */
  addEntry(logId: number, file: IndexedFile, entry: IndexEntry): void {
    if (this.#pendingEntries >= INDEX_PENDING_ENTRIES_MAX && !this.#makeRoom()) return
    const { entries } = this.#pendingOf(logId)
    const known = entries.get(file.baseOffset)
    if (known === undefined) entries.set(file.baseOffset, { file, held: [entry] })
    else known.held.push(entry)
    this.#pendingEntries++
  }

  #makeRoom(): boolean {
    if (this.#isFailing) return false
    try {
      this.flush()
      return true
    } catch {
      // index-keeper.ts tries again by the clock, and says why
      return false
    }
  }

  /** Says how far a segment has grown durably; what is written is its state at the next flush. */
  noteSegment(logId: number, segment: Segment, recoveryPoint: RecoveryPoint): void {
    const pending = this.#pendingOf(logId)
    pending.segments.set(segment.baseOffset, segment)
    pending.recoveryPoint = recoveryPoint
  }

  /** Entries of a file that is not yet a segment, at once: the caller brings a bounded number. */
  putEntries(logId: number, file: IndexedFile, entries: readonly IndexEntry[]): void {
    this.#statements.writeAll(() => this.#writeEntries(logId, file, entries))
    this.#rowsBetweenFlushes += entries.length
  }

  /** Deletes at most so many entries of a file that is no segment any more; answers how many there were. */
  dropEntries(logId: number, { baseOffset, generation }: IndexedFile, countMax: number): number {
    const args = [logId, baseOffset, generation]
    const { changes } = this.#statements.dropEntries.run(...args, ...args, countMax)
    this.#rowsBetweenFlushes += changes
    return changes
  }

  /**
   * The rows of a log after a replacement, in one transaction with all that is held back and the generation that makes
   * them valid. After a failure the log's rows are not believed until it has been scanned; entries are never wrong.
   */
  replaceSegments(logId: number, { replaced, segment, active }: Replacement): void {
    this.noteSegment(logId, active, {
      segmentBase: active.baseOffset,
      position: active.sizeBytes,
      offset: active.endOffset,
    })
    const pending = this.#pendingOf(logId)
    for (const { baseOffset } of replaced) {
      this.#pendingEntries -= pending.entries.get(baseOffset)?.held.length ?? 0
      pending.entries.delete(baseOffset)
      pending.segments.delete(baseOffset)
    }
    const wasBehind = this.#behind.has(logId)
    this.#behind.add(logId)
    this.flush(() => {
      for (const { baseOffset } of replaced) this.#statements.dropSegment.run(logId, baseOffset)
      this.#putSegment(logId, segment)
      this.#statements.setGeneration.run(wasBehind ? NOT_SCANNED : segment.generation, logId)
    })
    if (!wasBehind) this.#behind.delete(logId)
  }

  /** A cleaning generation in which nothing was replaced: what holds under the one before it holds on. */
  passOver(logId: number, generation: number): void {
    this.#statements.passOver.run(generation, logId, generation - 1)
  }

  setFirstDirtyOffset(logId: number, offset: number): void {
    this.#statements.setFirstDirty.run(offset, logId)
  }

  /** Segments whose base is below an offset are gone: their rows go with the next flush, their entries by sweepEntries. */
  dropSegments(logId: number, belowOffset: number): void {
    const pending = this.#pendingOf(logId)
    pending.droppedBelow = belowOffset
    for (const [base, { held }] of pending.entries) {
      if (base >= belowOffset) continue
      this.#pendingEntries -= held.length
      pending.entries.delete(base)
    }
    for (const base of pending.segments.keys()) if (base < belowOffset) pending.segments.delete(base)
  }

  /**
   * Deletes entries of segments whose base is below an offset, a bounded number; true: there are more. What a crash leaves
   * of them is found by nobody, and goes with the next.
   */
  sweepEntries(logId: number, belowOffset: number): boolean {
    const next = this.#statements.sweepEnd.get(logId, belowOffset, INDEX_ROWS_PER_TURN_MAX) as EntryRow | undefined
    this.#statements.sweepEntries.run(logId, ...(next ?? [belowOffset, 0, 0]))
    return next !== undefined
  }

  noteProducer(logId: number, entry: ProducerEntry): void {
    const { producers, forgottenProducers } = this.#pendingOf(logId)
    producers.set(entry.producerId, entry)
    forgottenProducers.delete(entry.producerId)
  }

  forgetProducer(logId: number, producerId: bigint): void {
    const { producers, forgottenProducers } = this.#pendingOf(logId)
    producers.delete(producerId)
    forgottenProducers.add(producerId)
  }

  producers(logId: number): ProducerEntry[] {
    if (this.#pending.has(logId)) this.flush()
    const rows = this.#statements.producers.all(logId) as { producer_id: bigint; state: string }[]
    return rows.map((row) => {
      const entry = parseProducerRow(row.producer_id, row.state)
      if (entry === undefined) throw new SqliteError(`the state of producer ${row.producer_id}`, 'SQLITE_CORRUPT_INDEX')
      return entry
    })
  }

  /** What a row says was found to be wrong: SQLite itself has no checksums. */
  distrust(what: string): void {
    this.#onFailedRead(new SqliteError(what, 'SQLITE_CORRUPT_INDEX'))
  }

  /** The last entry at or before an offset; undefined: begin at the segment's first byte. Never fails: that way is only longer. */
  floorOfOffset(logId: number, { baseOffset, generation }: IndexedFile, offset: number): IndexEntry | undefined {
    const held = this.#pending.get(logId)?.entries.get(baseOffset)?.held
    const first = held?.[0]
    if (held !== undefined && first !== undefined && first.offset <= offset) {
      return held[lastWhere(held, (entry) => entry.offset <= offset)]
    }
    let row: EntryRow | undefined
    try {
      row = this.#statements.floor.get(logId, baseOffset, generation, offset) as EntryRow | undefined
    } catch (error) {
      this.#onFailedRead(error)
    }
    return row && { offset: row[0], position: row[1], priorMaxTimestamp: row[2] }
  }

  /**
   * The last entry before which all timestamps of the segment are below a time, so that the first record at or after
   * the time lies behind it. Prior maxima never fall, so offsets are halved; each step is one look-up.
   */
  floorOfTimestamp(logId: number, segment: Segment, timestamp: number): IndexEntry | undefined {
    let found: IndexEntry | undefined
    let low = segment.baseOffset
    let high = segment.endOffset - 1
    while (low <= high) {
      const middle = Math.floor((low + high) / 2)
      const entry = this.floorOfOffset(logId, segment, middle)
      if (entry === undefined || entry.offset < low) {
        low = middle + 1
      } else if (entry.priorMaxTimestamp < timestamp) {
        found = entry
        low = middle + 1
      } else {
        high = entry.offset - 1
      }
    }
    return found
  }

  /** Writes what is held back, in one transaction: entries, segments and producers together with the recovery point. Answers how many rows were written since the last one. */
  flush(more?: () => void): number {
    const rows = this.#pendingEntries + this.#pending.size + this.#rowsBetweenFlushes
    this.#rowsBetweenFlushes = 0
    if (this.#pending.size === 0 && more === undefined) return rows
    this.#isFailing = true
    this.#statements.writeAll(() => {
      for (const pending of this.#pending.values()) this.#write(pending)
      more?.()
    })
    this.#isFailing = false
    this.#pending.clear()
    this.#pendingEntries = 0
    return rows
  }

  close(): void {
    this.#db.close()
  }

  #write(pending: Pending): void {
    const { logId, recoveryPoint, droppedBelow } = pending
    if (droppedBelow > 0) this.#statements.dropSegments.run(logId, droppedBelow)
    for (const { file, held } of pending.entries.values()) this.#writeEntries(logId, file, held)
    for (const segment of pending.segments.values()) this.#putSegment(logId, segment)
    for (const entry of pending.producers.values()) {
      this.#statements.putProducer.run(logId, entry.producerId, renderProducerRow(entry))
    }
    for (const producerId of pending.forgottenProducers) this.#statements.dropProducer.run(logId, producerId)
    if (recoveryPoint !== undefined) {
      const { segmentBase, position, offset } = recoveryPoint
      this.#statements.setRecoveryPoint.run(segmentBase, position, offset, logId)
    }
  }

  #writeEntries(logId: number, { baseOffset, generation }: IndexedFile, entries: readonly IndexEntry[]): void {
    for (const { offset, position, priorMaxTimestamp } of entries) {
      this.#statements.addEntry.run(logId, baseOffset, generation, offset, position, priorMaxTimestamp)
    }
  }

  #putSegment(logId: number, segment: Segment): void {
    this.#statements.putSegment.run(
      logId,
      segment.baseOffset,
      segment.generation,
      segment.sizeBytes,
      segment.endOffset,
      segment.maxTimestamp,
      segment.firstTimestamp,
    )
  }

  #pendingOf(logId: number): Pending {
    let pending = this.#pending.get(logId)
    if (pending === undefined) {
      pending = {
        logId,
        entries: new Map(),
        segments: new Map(),
        producers: new Map(),
        forgottenProducers: new Set(),
        recoveryPoint: undefined,
        droppedBelow: 0,
      }
      this.#pending.set(logId, pending)
    }
    return pending
  }

  #forgetPending(logId: number): void {
    const pending = this.#pending.get(logId)
    if (pending === undefined) return
    for (const { held } of pending.entries.values()) this.#pendingEntries -= held.length
    this.#pending.delete(logId)
  }
}

/** The last place of an ascending list where the condition still holds; it holds for the first. */
function lastWhere(entries: readonly IndexEntry[], holds: (entry: IndexEntry) => boolean): number {
  let low = 0
  let high = entries.length - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if (holds(entries[middle] as IndexEntry)) low = middle
    else high = middle - 1
  }
  return low
}
