// Whether a reader with one Avro schema can read what was written with another: the specification's schema resolution, as Java's
// SchemaCompatibility works it out, with everything that keeps it from reading, depth first in the order of the reader's
// fields. Logical types mean nothing here.

import { COMPATIBILITY_STEPS_MAX } from '../../kernel/limits.ts'
import { tooExpensive } from '../invalid-schema.ts'
import type { ReaderWriter } from '../schema-format.ts'
import type { AvroEnum, AvroField, AvroNamed, AvroRecord, AvroType } from './avro-type.ts'
import { fullNameOf, isNamed } from './avro-type.ts'

type Fault =
  | 'NAME_MISMATCH'
  | 'FIXED_SIZE_MISMATCH'
  | 'MISSING_ENUM_SYMBOLS'
  | 'READER_FIELD_MISSING_DEFAULT_VALUE'
  | 'TYPE_MISMATCH'
  | 'MISSING_UNION_BRANCH'

export interface AvroIncompatibility {
  readonly fault: Fault
  /** In the reader's schema, like a JSON pointer. */
  readonly path: string
  readonly info: string
}

/** Which of the writer's primitives a reader's can be promoted from. */
const PROMOTED_FROM: Readonly<Record<string, readonly string[]>> = {
  long: ['int'],
  float: ['int', 'long'],
  double: ['int', 'long', 'float'],
  bytes: ['string'],
  string: ['bytes'],
}

/** Whether one can read the other has no answer, which is an incompatibility, too. */
export class NotComparable extends Error {}

/** NotComparable; invalid_schema: it would take too many steps. */
export function avroIncompatibilities(reader: AvroType, writer: AvroType): readonly AvroIncompatibility[] {
  return new Comparison().compare(reader, writer, [])
}

export function renderAvroIncompatibility({ fault, path, info }: AvroIncompatibility, words: ReaderWriter): string {
  return `{errorType:'${fault}', description:'${descriptionOf(fault, path, info, words)}', additionalInfo:'${info}'}`
}

function descriptionOf(fault: Fault, path: string, info: string, { reader, writer }: ReaderWriter): string {
  switch (fault) {
    case 'NAME_MISMATCH':
      return `The name of the schema has changed (path '${path}')`
    case 'FIXED_SIZE_MISMATCH':
      return `The size of FIXED type field at path '${path}' in the ${reader} schema does not match with the ${writer} schema`
    case 'MISSING_ENUM_SYMBOLS':
      return `The ${reader} schema is missing enum symbols '${info}' at path '${path}' in the ${writer} schema`
    case 'READER_FIELD_MISSING_DEFAULT_VALUE':
      return `The field '${info}' at path '${path}' in the ${reader} schema has no default value and is missing in the ${writer} schema`
    case 'TYPE_MISMATCH':
      return `The type (path '${path}') of a field in the ${reader} schema does not match with the ${writer} schema`
    case 'MISSING_UNION_BRANCH':
      return `The ${reader} schema is missing a type inside a union field at path '${path}' in the ${writer} schema`
  }
}

type Path = readonly string[]

const NOTHING: readonly AvroIncompatibility[] = []

class Comparison {
  /** Of pairs that were compared; of one that is being compared, that nothing keeps it. */
  readonly #known = new Map<AvroType, Map<AvroType, readonly AvroIncompatibility[]>>()
  #steps = 0

  compare(reader: AvroType, writer: AvroType, path: Path): readonly AvroIncompatibility[] {
    const ofReader = this.#known.get(reader) ?? new Map<AvroType, readonly AvroIncompatibility[]>()
    this.#known.set(reader, ofReader)
    const known = ofReader.get(writer)
    if (known !== undefined) return known
    if (++this.#steps > COMPATIBILITY_STEPS_MAX) throw tooExpensive()
    ofReader.set(writer, NOTHING)
    const found = this.#compareNew(reader, writer, path)
    ofReader.set(writer, found)
    return found
  }

  #compareNew(reader: AvroType, writer: AvroType, path: Path): readonly AvroIncompatibility[] {
    // within a union, paths begin anew
    if (writer.kind === 'union') {
      if (reader.kind !== 'union') return writer.branches.flatMap((branch) => this.compare(reader, branch, []))
      return writer.branches.flatMap((branch, at) =>
        this.compare(reader, branch, []).length === 0 ? NOTHING : missingBranch(branch, [...path, String(at)]),
      )
    }
    if (reader.kind === 'union') {
      const isReadable = reader.branches.some((branch) => this.compare(branch, writer, []).length === 0)
      return isReadable ? NOTHING : missingBranch(writer, path)
    }
    if (reader.kind !== writer.kind) {
      if (PROMOTED_FROM[reader.kind]?.includes(writer.kind)) return NOTHING
      const info = `reader type: ${reader.kind.toUpperCase()} not compatible with writer type: ${writer.kind.toUpperCase()}`
      return [fault('TYPE_MISMATCH', path, info)]
    }
    if (reader.kind === 'array' && writer.kind === 'array')
      return this.compare(reader.items, writer.items, [...path, 'items'])
    if (reader.kind === 'map' && writer.kind === 'map')
      return this.compare(reader.values, writer.values, [...path, 'values'])
    return isNamed(reader) ? this.#compareNamed(reader, writer as AvroNamed, path) : NOTHING
  }

  #compareNamed(reader: AvroNamed, writer: AvroNamed, path: Path): readonly AvroIncompatibility[] {
    const found: AvroIncompatibility[] = []
    if (!hasNameOf(reader, writer)) {
      found.push(fault('NAME_MISMATCH', [...path, 'name'], `expected: ${fullNameOf(writer.name)}`))
    }
    if (reader.kind === 'record' && writer.kind === 'record')
      return [...found, ...this.#compareFields(reader, writer, path)]
    if (reader.kind === 'enum' && writer.kind === 'enum') return [...found, ...missingSymbols(reader, writer, path)]
    if (reader.kind === 'fixed' && writer.kind === 'fixed' && reader.size !== writer.size) {
      found.push(fault('FIXED_SIZE_MISMATCH', [...path, 'size'], `expected: ${writer.size}, found: ${reader.size}`))
    }
    return found
  }

  #compareFields(reader: AvroRecord, writer: AvroRecord, path: Path): readonly AvroIncompatibility[] {
    const written = new Map(writer.fields.map((field) => [field.name, field]))
    return reader.fields.flatMap((field, at) => {
      const place = [...path, 'fields', String(at)]
      const found = findWritten(field, written, writer)
      if (found !== undefined) return this.compare(field.type, found.type, [...place, 'type'])
      if (field.default !== undefined) return NOTHING
      // as Java has it: such an enum is compared with the record
      if (field.type.kind === 'enum' && field.type.defaultSymbol !== undefined) {
        return this.compare(field.type, writer, [...place, 'type'])
      }
      return [fault('READER_FIELD_MISSING_DEFAULT_VALUE', place, field.name)]
    })
  }
}

function findWritten(
  field: AvroField,
  written: ReadonlyMap<string, AvroField>,
  writer: AvroRecord,
): AvroField | undefined {
  const names = [field.name, ...field.aliases.filter((alias) => alias !== field.name)]
  const found = names.flatMap((name) => written.get(name) ?? [])
  if (found.length > 1) {
    throw new NotComparable(
      `Reader record field ${field.name} matches multiple fields in writer record schema ${fullNameOf(writer.name)}`,
    )
  }
  return found[0]
}

/** The unqualified names are equal, or the writer's full name is an alias. */
function hasNameOf(reader: AvroNamed, writer: AvroNamed): boolean {
  if (reader.name.short === writer.name.short) return true
  const full = fullNameOf(writer.name)
  return reader.aliases.some((alias) => fullNameOf(alias) === full)
}

function missingSymbols(reader: AvroEnum, writer: AvroEnum, path: Path): readonly AvroIncompatibility[] {
  const own = new Set(reader.symbols)
  const missing = writer.symbols.filter((symbol) => !own.has(symbol)).sort()
  if (missing.length === 0 || reader.defaultSymbol !== undefined) return NOTHING
  return [fault('MISSING_ENUM_SYMBOLS', [...path, 'symbols'], `[${missing.join(', ')}]`)]
}

function missingBranch(writer: AvroType, path: Path): readonly AvroIncompatibility[] {
  return [fault('MISSING_UNION_BRANCH', path, `reader union lacking writer type: ${writer.kind.toUpperCase()}`)]
}

function fault(kind: Fault, path: Path, info: string): AvroIncompatibility {
  const steps = path.map((step) => step.replaceAll('~', '~0').replaceAll('/', '~1'))
  return { fault: kind, path: `/${steps.join('/')}`, info }
}
