// How the process's file descriptors are shared out: connections, segment files and the rest must not take them from each
// other, because who finds none can neither be answered nor be written. Node raises its own soft limit to the hard one.

import { readFileSync } from 'node:fs'
import { OPEN_SEGMENT_FILES_IN_USE_MAX, OWN_DESCRIPTORS } from '../kernel/limits.ts'

export interface DescriptorShares {
  readonly segmentFiles: number
  readonly connections: number
}

const OPEN_FILES = /^Max open files\s+(\d+)/m

/** Where no limit can be read it is taken to be ample. */
export function processDescriptorLimit(): number {
  try {
    const [, soft] = OPEN_FILES.exec(readFileSync('/proc/self/limits', 'latin1')) ?? []
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft)
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

export function shareDescriptors(limit: number): DescriptorShares {
  const left = limit - Math.min(OWN_DESCRIPTORS, Math.ceil(limit / 2))
  const segmentFiles = Math.max(1, Math.min(OPEN_SEGMENT_FILES_IN_USE_MAX, Math.floor(left / 2)))
  return { segmentFiles, connections: Math.max(1, left - segmentFiles) }
}
