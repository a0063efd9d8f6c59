// Which records of a read are wanted: by the bytes of the key and of headers, and by an expression. A filter saves the way
// to the reader, it is no access rule.

import type { RecordReader } from '../../record/batch-reader.ts'
import { RecordExpression } from './record-expression.ts'
import type { RecordExpressions } from './record-expressions.ts'

export interface RecordFilters {
  /** The key's bytes; an empty key is not the same as none. */
  readonly key?: Uint8Array | undefined
  /** Each must be among the record's headers. */
  readonly headers?: readonly { readonly name: string; readonly value: Uint8Array }[] | undefined
  /** In CEL; record-expression.ts says which names it knows. */
  readonly expression?: string | undefined
}

export class RecordFilter {
  /** The same for filters that let the same records through. */
  readonly id: string
  /** The expression had no result for the last record: it counts as not wanted. */
  isInError = false
  /** Why, of the last record that had none. */
  lastError: string | undefined
  /** What the last record took; record-expression.ts counts it. */
  steps = 0
  readonly #key: Uint8Array | undefined
  readonly #headers: readonly { readonly name: string; readonly value: Uint8Array }[]
  readonly #expression: RecordExpression | undefined

  /** invalid_filter, with the place. */
  constructor({ key, headers = [], expression }: RecordFilters, expressions?: RecordExpressions) {
    this.#key = key
    this.#headers = headers
    if (expression !== undefined) this.#expression = expressions?.of(expression) ?? new RecordExpression(expression)
    this.id = JSON.stringify([hexOf(key), headers.map(({ name, value }) => [name, hexOf(value)]), expression])
  }

  /** undefined when everything is wanted. invalid_filter. */
  static of(filters: RecordFilters | undefined, expressions?: RecordExpressions): RecordFilter | undefined {
    if (filters === undefined) return undefined
    const { key, headers = [], expression } = filters
    const isForAll = key === undefined && headers.length === 0 && expression === undefined
    return isForAll ? undefined : new RecordFilter(filters, expressions)
  }

  /** The reader stands on the record. */
  matches(record: RecordReader, topic: string, partition: number): boolean {
    this.steps = 0
    this.isInError = false
    const key = this.#key
    if (key !== undefined && !isRange(record, record.keyStart, record.keyEnd, key)) return false
    if (this.#headers.length > 0 && !this.#hasHeaders(record)) return false
    return this.#expression === undefined || this.#isTrue(this.#expression, record, topic, partition)
  }

  #isTrue(expression: RecordExpression, record: RecordReader, topic: string, partition: number): boolean {
    const result = expression.evaluate(record, topic, partition)
    this.steps = expression.steps
    if (typeof result === 'boolean') return result
    this.isInError = true
    this.lastError = result.message
    return false
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
