// One record as the parts that a batch is sealed of, each in bytes of its own.

import type { RecordHeader, RecordParts } from '../../src/record/record.ts'

export interface RecordValues {
  readonly key?: Uint8Array | string | null | undefined
  readonly value?: Uint8Array | string | null | undefined
  readonly timestamp?: number | undefined
  readonly headers?: readonly RecordHeader[] | undefined
}

export function partsOf({ key = null, value = null, timestamp = 0, headers = [] }: RecordValues): RecordParts {
  const keyBytes = Buffer.from(key ?? '')
  const valueBytes = Buffer.from(value ?? '')
  return {
    key: keyBytes,
    keyStart: key === null ? -1 : 0,
    keyEnd: key === null ? -1 : keyBytes.length,
    value: valueBytes,
    valueStart: value === null ? -1 : 0,
    valueEnd: value === null ? -1 : valueBytes.length,
    headers,
    timestamp,
  }
}
