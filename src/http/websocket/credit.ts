// What a client has asked for and was not given yet, in records and in bytes of frames. Credits sum up, to a most; -1 is
// without end, and so is what the first credit does not name.

import { TailraceError } from '../../kernel/errors.ts'
import {
  WS_CREDIT_BYTES_DEFAULT,
  WS_CREDIT_BYTES_MAX,
  WS_CREDIT_RECORDS_DEFAULT,
  WS_CREDIT_RECORDS_MAX,
} from '../../kernel/limits.ts'

/** As frames name it. */
export interface CreditGrant {
  readonly records?: number | undefined
  readonly bytes?: number | undefined
}

const DEFAULT: CreditGrant = { records: WS_CREDIT_RECORDS_DEFAULT, bytes: WS_CREDIT_BYTES_DEFAULT }

export class Credit {
  #records: number
  #bytes: number

  /** invalid_request */
  constructor(first: CreditGrant = DEFAULT) {
    this.#records = sum('records', 0, first.records ?? -1, WS_CREDIT_RECORDS_MAX)
    this.#bytes = sum('bytes', 0, first.bytes ?? -1, WS_CREDIT_BYTES_MAX)
  }

  get records(): number {
    return this.#records
  }

  get bytes(): number {
    return this.#bytes
  }

  /** invalid_request, and nothing is added. */
  add({ records = 0, bytes = 0 }: CreditGrant): void {
    const allRecords = sum('records', this.#records, records, WS_CREDIT_RECORDS_MAX)
    this.#bytes = sum('bytes', this.#bytes, bytes, WS_CREDIT_BYTES_MAX)
    this.#records = allRecords
  }

  /** A chunk may be larger than what was left, where its first record is. */
  spend(records: number, bytes: number): void {
    this.#records -= records
    this.#bytes -= bytes
  }

  /** As frames tell it: what is without end is -1. */
  shown(): { readonly records: number; readonly bytes: number } {
    return { records: shown(this.#records), bytes: shown(this.#bytes) }
  }
}

function sum(unit: 'records' | 'bytes', before: number, more: number, max: number): number {
  if (more === -1) return Number.POSITIVE_INFINITY
  const all = before + more
  if (all <= max || before === Number.POSITIVE_INFINITY) return all
  throw new TailraceError('invalid_request', `${all} ${unit} of credit are more than the ${max} that may be open`, {
    unit,
    open: before,
    granted: more,
    max,
  })
}

function shown(amount: number): number {
  return amount === Number.POSITIVE_INFINITY ? -1 : Math.max(0, amount)
}
