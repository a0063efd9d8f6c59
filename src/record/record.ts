// The words for records that every higher floor shares: what goes into a batch and how its parts are named without
// being copied. No I/O, no encoding: record-batch.ts builds, batch-reader.ts walks.

/** A header's value may be null; order and duplicates are kept. Names are UTF-8 text. */
export interface RecordHeader {
  readonly name: string
  readonly value: Uint8Array | null
}

export const NO_HEADERS: readonly RecordHeader[] = []

/**
 * One record to be stored. Key and value are ranges [start, end) of byte arrays, usually of the request's body, so that
 * nothing is copied before the batch is built. A start of -1 means null (no key; a tombstone).
 */
export interface RecordParts {
  readonly key: Uint8Array
  readonly keyStart: number
  readonly keyEnd: number
  readonly value: Uint8Array
  readonly valueStart: number
  readonly valueEnd: number
  readonly headers: readonly RecordHeader[]
  /** ms since the epoch. */
  readonly timestamp: number
}
