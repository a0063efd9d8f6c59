// A cleaned segment takes the place of closed ones, as file operations that may end between any two of them. The cleaned
// file is whole and synced as `<base>.log.cleaned`; its renaming to `<base>-<last>.log.swap` is the decision: in front of
// it the replaced segments (bases from base to last) stand, behind it they go, and a start brings it to its end. What must
// hold: each step is durable with the folder before the next begins; a rename has happened or not, as a journalling file
// system has it. The name says what is replaced because the file does not: its last records may be gone.

import { join } from 'node:path'
import { DELETED_SUFFIX } from './deleted-files.ts'
import { parseNumberedName, segmentPath } from './log-segment.ts'
import type { SegmentDisk } from './segment-file.ts'

export interface Swap {
  readonly directory: string
  /** Of the first replaced segment, and of the new one. */
  readonly base: number
  /** Base offset of the last replaced segment. */
  readonly last: number
}

const CLEANED = '.cleaned'
/** A small file that was not brought to its end. */
const ASIDE = '.new'
/** What `dump-log --repair` was writing anew when it ended. */
const REPAIR = '.repair'
const SWAP = /^(\d{20})-(\d{20})\.log\.swap$/

export function swapPath({ directory, base, last }: Swap): string {
  const digits = (offset: number) => String(offset).padStart(20, '0')
  return join(directory, `${digits(base)}-${digits(last)}.log.swap`)
}

/**
 * Puts the replaced files aside, the first one too, whose name the new one takes. Notes where they are, also of those that
 * are there when it fails; asked again it goes on.
 */
export async function putReplacedAside(disk: SegmentDisk, swap: Swap, aside: string[]): Promise<void> {
  for (const path of replacedPaths(swap, await disk.list(swap.directory))) {
    await disk.rename(path, path + DELETED_SUFFIX)
    aside.push(path + DELETED_SUFFIX)
  }
  await disk.syncDirectory(swap.directory)
}

/** Last to first. */
function replacedPaths({ directory, base, last }: Swap, names: readonly string[]): string[] {
  const bases = names.flatMap((name) => {
    const parsed = parseNumberedName(name)
    return parsed?.kind === 'log' && parsed.offset >= base && parsed.offset <= last ? [parsed.offset] : []
  })
  return bases.sort((a, b) => b - a).map((offset) => segmentPath(directory, offset))
}

/**
 * What a start does with a partition's folder: decided swaps are brought to their end, all that was given up or put aside
 * goes. Answers the names that are there then.
 */
export async function tidyFolder(disk: SegmentDisk, directory: string, names: readonly string[]): Promise<string[]> {
  const swaps = names.flatMap((name) => parseSwapName(directory, name) ?? [])
  const rest = names.filter(isLeftOver)
  if (names.length === 0) return []
  // the process may have ended before a decision or a deletion was durable, and nothing need be left that tells of it: what
  // hangs on it goes now, or is told to readers
  await disk.syncDirectory(directory)
  if (swaps.length === 0 && rest.length === 0) return [...names]
  for (const swap of swaps) {
    for (const path of replacedPaths(swap, names)) await disk.remove(path)
    await disk.syncDirectory(directory)
    await disk.rename(swapPath(swap), segmentPath(directory, swap.base))
    await disk.syncDirectory(directory)
  }
  for (const name of rest) await disk.remove(join(directory, name))
  return disk.list(directory)
}

function parseSwapName(directory: string, name: string): Swap | undefined {
  const match = SWAP.exec(name)
  return match === null ? undefined : { directory, base: Number(match[1]), last: Number(match[2]) }
}

export function isCleanedName(name: string): boolean {
  return isNumberedBefore(name, CLEANED)
}

function isLeftOver(name: string): boolean {
  return [CLEANED, DELETED_SUFFIX, ASIDE, REPAIR].some((ending) => isNumberedBefore(name, ending))
}

function isNumberedBefore(name: string, ending: string): boolean {
  return name.endsWith(ending) && parseNumberedName(name.slice(0, -ending.length)) !== undefined
}
