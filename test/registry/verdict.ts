// A line of a table of verdicts: what a reader's schema can read of what was written with another, and by which rule.

export interface Verdict<Schema> {
  readonly rule: string
  readonly reader: Schema
  readonly writer: Schema
  /** Kind and path of each thing that keeps it from reading. */
  readonly faults: Faults
}

type Faults = readonly (readonly [kind: string, path: string])[]

export function verdict<Schema>(rule: string, reader: Schema, writer: Schema, ...faults: Faults): Verdict<Schema> {
  return { rule, reader, writer, faults }
}
