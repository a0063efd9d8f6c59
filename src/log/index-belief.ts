// Whether what index.db says of a partition may be believed. SQLite keeps no checksums of its pages: a bit that flipped in
// a row is not seen by it. What the rows say twice must be the same, every file must have its row, segments must follow on
// each other, and where they leave a hole (compaction does) the file in front of it must end where its row says. What is
// not believed is scanned.

import type { Logger } from '../kernel/logger.ts'
import { findEndOffset } from './batch-range.ts'
import type { IndexedLog, LogIndex } from './log-index.ts'
import type { Segment } from './log-segment.ts'
import { parseNumberedName, segmentPath } from './log-segment.ts'
import type { OpenFiles } from './open-files.ts'
import type { ProducerEntry } from './producer-state.ts'

export interface BeliefOptions {
  readonly name: string
  readonly directory: string
  readonly files: OpenFiles
  readonly index: LogIndex
  readonly logger: Logger
}

/** Whether every segment file of a folder has its row: a roll whose segment is empty as yet has none. */
export function knowsEveryFile({ segments }: IndexedLog, names: readonly string[]): boolean {
  const rows = new Set(segments.map(({ baseOffset }) => baseOffset))
  return names.every((name) => {
    const file = parseNumberedName(name)
    return file?.kind !== 'log' || rows.has(file.offset)
  })
}

/** To be asked when the folder, which has these names, is tidy. Answers the producers; undefined: nothing may be believed. */
export async function believedProducers(
  options: BeliefOptions,
  indexed: IndexedLog,
  names: readonly string[],
): Promise<ProducerEntry[] | undefined> {
  const { name, logger, index } = options
  let doubt = contradiction(indexed) ?? (await doubtOfSegments(options, indexed, names))
  try {
    if (doubt === undefined) return index.producers(indexed.logId)
  } catch (error) {
    doubt = (error as Error).message
  }
  logger.warn({ partition: name }, `index.db is wrong about ${name} (${doubt}): its files are scanned`)
  return undefined
}

function contradiction({ segments, recoveryPoint }: IndexedLog): string | undefined {
  const last = segments.find(({ baseOffset }) => baseOffset === recoveryPoint?.segmentBase)
  if (last?.sizeBytes !== recoveryPoint?.position || last?.endOffset !== recoveryPoint?.offset) {
    return 'its recovery point is not the end of a segment'
  }
  const bad = segments.find(({ baseOffset, endOffset, sizeBytes }, at) => {
    const next = segments[at + 1]?.baseOffset ?? endOffset
    return sizeBytes < 0 || endOffset < baseOffset || endOffset > next
  })
  return bad && `segment ${bad.baseOffset} ends at ${bad.endOffset}`
}

async function doubtOfSegments(
  options: BeliefOptions,
  { logId, segments, recoveryPoint }: IndexedLog,
  names: readonly string[],
): Promise<string | undefined> {
  const rows = new Set(segments.map(({ baseOffset }) => baseOffset))
  for (const name of names) {
    const file = parseNumberedName(name)
    // one behind the recovery point may be newer than what was written here last
    if (file?.kind !== 'log' || file.offset > (recoveryPoint?.segmentBase ?? 0) || rows.has(file.offset)) continue
    return `it knows no segment ${file.offset}`
  }
  for (const [at, segment] of segments.entries()) {
    const next = segments[at + 1]
    if (next === undefined || segment.endOffset === next.baseOffset || segment.sizeBytes === 0) continue
    if (!(await endsWhereItSays(options, logId, segment)))
      return `segment ${segment.baseOffset} does not end as it says`
  }
  return undefined
}

async function endsWhereItSays(
  { directory, files, index }: BeliefOptions,
  logId: number,
  segment: Segment,
): Promise<boolean> {
  const { baseOffset, endOffset, sizeBytes: end } = segment
  const entry = index.floorOfOffset(logId, segment, endOffset - 1)
  const place = { position: entry?.position ?? 0, due: entry?.offset ?? baseOffset, isDueExact: entry !== undefined }
  const path = segmentPath(directory, baseOffset)
  try {
    return (
      (await files.use(path, false, (file) => findEndOffset(file, { path, ...place, end, endOffset }))) === endOffset
    )
  } catch (error) {
    // a segment whose file is gone left by retention: its row had not followed yet
    const { code } = error as { code?: unknown }
    if (code === 'corrupt_message') return false
    if (code === 'ENOENT') return true
    throw error
  }
}
