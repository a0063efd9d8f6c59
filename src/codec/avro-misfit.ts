// Why a JSON value is not of an Avro schema, and where. The place is put together on the way out, from the inside, so that a
// value that is right costs nothing.

import { SchemaDataError } from './schema-data-error.ts'

/** Of a place that is longer, what is nearest to the fault is told. */
const PLACE_CHARS_MAX = 400

/** `Order.lines[1].tags["x"] must be a string, not 5`, once it is settled. */
export class AvroMisfit extends SchemaDataError {
  readonly #reason: string
  #root: string
  #path = ''

  /** A reason that does not begin with must or has stands by itself. `root`: the record that it is about. */
  constructor(reason: string, root = '') {
    super(reason)
    this.#reason = reason
    this.#root = root
  }

  /** It was found inside of this part, of a record where one is named. */
  within(part: string, root = ''): this {
    this.#root = root
    if (this.#path.length < PLACE_CHARS_MAX) this.#path = part + this.#path
    else if (!this.#path.startsWith('…')) this.#path = `…${this.#path}`
    return this
  }

  /** With its place in its text. */
  settled(): this {
    const place = `${this.#root}${this.#path}`
    const isVerb = /^(?:must|has) /.test(this.#reason)
    if (place !== '') this.message = `${place}${isVerb ? '' : ':'} ${this.#reason}`
    return this
  }
}

/** Whatever was thrown inside of a part, to be thrown on. */
export function placed(error: unknown, part: string, root?: string): unknown {
  return error instanceof AvroMisfit ? error.within(part, root) : error
}
