// Where a pass of compaction runs: the port, and the way of the disk doubles of tests, in this thread. cleaner-thread.ts is
// the way of a real disk. A pass may be given up at any point: what it has written under names of its own the caller takes
// away (log-compactor.ts), or the next start.

import { TailraceError } from '../kernel/errors.ts'
import type { IndexEntry } from './log-index.ts'
import type { CleanedGroup, CleanRequest, CleanResult } from './segment-cleaner.ts'
import { cleanSegments } from './segment-cleaner.ts'
import type { SegmentDisk } from './segment-file.ts'

/** As the cleaner gives it; its entries may be many, and are taken a few at a time. */
export interface ReplacingGroup extends Omit<CleanedGroup, 'entries'> {
  readonly entries: Iterable<IndexEntry>
}

export interface Cleaner {
  /** One pass at a time. Rejects soon after the signal, with shutting_down. */
  clean(
    request: CleanRequest,
    onGroup: (group: ReplacingGroup) => Promise<void>,
    signal: AbortSignal,
  ): Promise<CleanResult>
  close(): Promise<void>
}

export function inThisThread(disk: SegmentDisk): Cleaner {
  return {
    clean: (request, onGroup, signal) =>
      cleanSegments(disk, request, (group) => (signal.aborted ? Promise.reject(stopped()) : onGroup(group))),
    close: async () => undefined,
  }
}

export function stopped(): TailraceError {
  return new TailraceError('shutting_down', 'the pass of compaction was given up')
}
