// A1: the reply to a produce request, its result as JSON text. Written by hand, record by record, because a reply is made for
// each request of the hottest path: plain ASCII, whose length is its byte length.

import { CALENDAR_MS_MAX } from '../codec/iso-time.ts'
import type { TailraceError as Failure } from '../kernel/errors.ts'
import { TailraceError } from '../kernel/errors.ts'
import type { ProduceResult } from '../service/produce/produce-result.ts'

/** Renders times; remembers the last one, since the records of a moment share it. */
export class TimestampText {
  #ms = Number.NaN
  #text = ''

  /** A JSON string, or null for -1 and for what no calendar has. */
  render(ms: number): string {
    if (ms !== this.#ms) {
      this.#ms = ms
      this.#text = ms < 0 || ms > CALENDAR_MS_MAX ? 'null' : `"${new Date(ms).toISOString()}"`
    }
    return this.#text
  }
}

/** The body of a 200. */
export function renderProduced(result: ProduceResult, timestamps: TimestampText): string {
  let text = '{"records":['
  for (let index = 0; index < result.recordCount; index++) {
    if (index > 0) text += ','
    const offset = result.offset(index)
    text += `{"partition":${result.partition(index)},"offset":${offset < 0 ? 'null' : offset},"timestamp":${timestamps.render(result.timestamp(index))}}`
  }
  return result.duplicate ? `${text}],"duplicate":true}\n` : `${text}]}\n`
}

/** A failure of some partition, with what was stored in the others record by record. */
export function withResults(failure: Failure, result: ProduceResult, timestamps: TimestampText): Failure {
  const results = Array.from({ length: result.recordCount }, (_, index) => resultOf(result, index, timestamps))
  return new TailraceError(failure.code, failure.message, { ...failure.details, results }, { cause: failure })
}

function resultOf(result: ProduceResult, index: number, timestamps: TimestampText) {
  const error = result.error(index)
  const partition = result.partition(index)
  const place = { partition: partition < 0 ? null : partition, offset: null, timestamp: null }
  if (error !== undefined) return { ...place, code: error.code, detail: error.message }
  const offset = result.offset(index)
  const timestamp = JSON.parse(timestamps.render(result.timestamp(index)))
  return { ...place, offset: offset < 0 ? null : offset, timestamp }
}
