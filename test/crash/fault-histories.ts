// Many histories one after the other, and the look at what they went through: histories in which nothing of a kind ever
// happened prove nothing about it.

import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runFaultHistory } from './fault-history.ts'

/** In any thousand histories each of these happens. */
const EXERCISED = [
  'acks all',
  'acks leader',
  'create EMFILE',
  'create ENOSPC',
  'index.db full',
  'journal entries',
  'journal replays',
  'journals written anew',
  'kills',
  'meta.db failed',
  'meta.db full',
  'named requests',
  'names forgotten',
  'offsets committed',
  'open EMFILE',
  'passes of compaction',
  'power cuts',
  'read EIO',
  'records compacted away',
  'records deleted',
  'rename EIO',
  'rename ENOSPC',
  'repeats known again',
  'segments deleted',
  'starts cut',
  'starts failed',
  'stops',
  'sync EIO',
  'sync-folder EIO',
  'sync-folder EMFILE',
  'topics altered',
  'topics created',
  'topics deleted',
  'topics grown',
  'truncate EIO',
  'write EIO',
  'write ENOSPC',
  'write-partly EIO',
  'write-partly ENOSPC',
  'writes forgotten',
  'writes torn',
  'writes torn by sectors',
] as const

const HISTORIES_THAT_SHOW_ALL = 1_000

export interface HistoriesOptions {
  readonly seed: number
  readonly count: number
  /** Of each: what is rare comes to pass in long ones. */
  readonly steps: number
  readonly onHistory?: (done: number, statistics: ReadonlyMap<string, number>) => void
}

/** Throws with the seed of the history that broke a promise. Answers how often what happened. */
export async function runFaultHistories({
  seed,
  count,
  steps,
  onHistory,
}: HistoriesOptions): Promise<Map<string, number>> {
  const statistics = new Map<string, number>()
  // for the directory's lock alone, which a slow disk would make most of the time; all else is in memory
  const dataDir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'tailrace-faults-'))
  try {
    for (let at = 0; at < count; at++) {
      await runFaultHistory(seed + at, steps, dataDir, statistics).catch((error) => {
        throw new Error(`history ${seed + at} broke a promise: ${error.message}`, { cause: error })
      })
      onHistory?.(at + 1, statistics)
    }
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
  if (count >= HISTORIES_THAT_SHOW_ALL) {
    const missing = EXERCISED.filter((what) => (statistics.get(what) ?? 0) === 0)
    assert.deepEqual(missing, [], `${count} histories went through none of these`)
  }
  return statistics
}

export function renderStatistics(statistics: ReadonlyMap<string, number>): string {
  return [...statistics]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([what, count]) => `${what} ${count}`)
    .join(', ')
}
