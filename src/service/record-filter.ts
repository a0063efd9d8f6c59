// Which records of a read are wanted: by the bytes of the key and of headers. A filter saves the way to the reader, it is
// no access rule.

import type { RecordReader } from '../record/batch-reader.ts'

export interface RecordFilters {
  /** The key's bytes; an empty key is not the same as none. */
  readonly key?: Uint8Array | undefined
  /** Each must be among the record's headers. */
  readonly headers?: readonly { readonly name: string; readonly value: Uint8Array }[] | undefined
}

export class RecordFilter {
  /** The same for filters that let the same records through. */
  readonly id: string
  readonly #key: Uint8Array | undefined
  readonly #headers: readonly { readonly name: string; readonly value: Uint8Array }[]

  constructor({ key, headers = [] }: RecordFilters) {
    this.#key = key
    this.#headers = headers
    this.id = JSON.stringify([hexOf(key), headers.map(({ name, value }) => [name, hexOf(value)])])
  }

  /** undefined when everything is wanted. */
  static of(filters: RecordFilters | undefined): RecordFilter | undefined {
    const hasAny = filters !== undefined && (filters.key !== undefined || (filters.headers ?? []).length > 0)
    return hasAny ? new RecordFilter(filters) : undefined
  }

  matches(record: RecordReader): boolean {
    const key = this.#key
    if (key !== undefined && !isRange(record, record.keyStart, record.keyEnd, key)) return false
    return this.#headers.length === 0 || this.#hasHeaders(record)
  }

  #hasHeaders(record: RecordReader): boolean {
    if (record.headerCount === 0) return false
    const present = record.headers()
    return this.#headers.every((wanted) =>
      present.some(
        ({ name, value }) => name === wanted.name && value !== null && Buffer.compare(value, wanted.value) === 0,
      ),
    )
  }
}

function hexOf(bytes: Uint8Array | undefined): string | null {
  return bytes === undefined ? null : Buffer.from(bytes).toString('hex')
}

function isRange({ bytes }: RecordReader, start: number, end: number, wanted: Uint8Array): boolean {
  return start >= 0 && end - start === wanted.length && bytes.compare(wanted, 0, wanted.length, start, end) === 0
}
