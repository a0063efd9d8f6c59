// What one request stores in one partition, from the plan to the reply: made by produce-plan.ts, stored through
// produce-gate.ts, which notes in it what became of it and tells its owner.

import type { TailraceError } from '../../kernel/errors.ts'
import { asTailraceError } from '../../kernel/errors.ts'
import type { RecordParts } from '../../record/record.ts'
import type { SealedBatch } from '../../record/record-batch.ts'

/** Whoever waits for its parts: told once for each. */
export interface PartOwner {
  partSettled(part: ProducePart): void
}

/** What one request stores in one partition, and what became of it. */
export class ProducePart {
  readonly owner: PartOwner
  readonly partition: number
  readonly records: readonly RecordParts[]
  /** What they take as a batch of their own, at most; exactly, once `sealed`. */
  sizeBytes: number
  /** Made early, as it is stored, where the bound alone did not show that the batch fits; never joined with others then. */
  sealed: SealedBatch | undefined = undefined
  /** The first record's; -1: not stored, or not known. The others follow without a gap. */
  baseOffset = -1
  /** -1: the records keep their own. */
  logAppendTimeMs = -1
  duplicate = false
  /** The partition was known to hold it before this attempt, whatever becomes of the attempt. */
  held = false
  error: TailraceError | undefined = undefined

  constructor(owner: PartOwner, partition: number, records: readonly RecordParts[], sizeBytes: number) {
    this.owner = owner
    this.partition = partition
    this.records = records
    this.sizeBytes = sizeBytes
  }
}

export function failPart(part: ProducePart, error: unknown): void {
  part.error = asTailraceError(error)
  part.baseOffset = -1
  part.duplicate = false
  part.owner.partSettled(part)
}

/** The same records for an owner who has been answered: with acks 'none' nobody asks what became of them. */
export function unheard(part: ProducePart): ProducePart {
  const copy = new ProducePart(NOBODY, part.partition, part.records, part.sizeBytes)
  copy.sealed = part.sealed
  return copy
}

const NOBODY: PartOwner = { partSettled() {} }
