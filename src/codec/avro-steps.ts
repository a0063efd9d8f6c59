// What both ways through a value of Avro have in common: a schema is compiled to steps, each named type once, as a type may
// hold itself. What runs for every value is each way's own: shared functions see two kinds of state, and both get slower.

import type { AvroNamed, AvroType } from '../registry/avro/avro-type.ts'
import { isNamed } from '../registry/avro/avro-type.ts'

/** Reads or writes one value, at the place where `state` is. */
export type AvroStep<State> = (state: State) => void

export abstract class AvroCompiler<State> {
  readonly #named = new Map<AvroNamed, { step: AvroStep<State> }>()

  compile(type: AvroType): AvroStep<State> {
    if (!isNamed(type)) return this.compileNew(type)
    const known = this.#named.get(type)
    // it may be the one that is being compiled
    if (known !== undefined) return (state) => known.step(state)
    const entry: { step: AvroStep<State> } = { step: () => undefined }
    this.#named.set(type, entry)
    entry.step = this.compileNew(type)
    return entry.step
  }

  protected abstract compileNew(type: AvroType): AvroStep<State>
}
