// Whether a reader with one Protobuf schema can read what was written with another: fields are the same by their numbers,
// messages and enums by their names. `original` is the writer's, `update` the reader's.

import { COMPATIBILITY_STEPS_MAX } from '../../kernel/limits.ts'
import { tooExpensive } from '../invalid-schema.ts'
import type { ReaderWriter } from '../schema-format.ts'
import type { ProtoEnum, ProtoField, ProtoMessage } from './proto-file.ts'
import { SCALAR_TYPES } from './proto-file.ts'
import type { ProtoScope, ProtoSymbol } from './proto-scope.ts'

export type ProtoDifferenceKind = keyof typeof VERDICTS

export interface ProtoDifference {
  readonly kind: ProtoDifferenceKind
  readonly path: string
}

/** Whether the reader can read all the same. */
const VERDICTS = {
  PACKAGE_CHANGED: false,
  MESSAGE_ADDED: true,
  MESSAGE_REMOVED: false,
  MESSAGE_MOVED: true,
  ENUM_ADDED: true,
  ENUM_REMOVED: true,
  ENUM_CONST_ADDED: true,
  ENUM_CONST_CHANGED: true,
  ENUM_CONST_REMOVED: true,
  FIELD_ADDED: true,
  FIELD_REMOVED: true,
  FIELD_NAME_CHANGED: true,
  FIELD_KIND_CHANGED: false,
  FIELD_SCALAR_KIND_CHANGED: false,
  FIELD_NAMED_TYPE_CHANGED: false,
  FIELD_NUMERIC_LABEL_CHANGED: false,
  FIELD_STRING_OR_BYTES_LABEL_CHANGED: true,
  REQUIRED_FIELD_ADDED: false,
  REQUIRED_FIELD_REMOVED: false,
  ONEOF_ADDED: true,
  ONEOF_REMOVED: true,
  ONEOF_FIELD_ADDED: true,
  ONEOF_FIELD_REMOVED: false,
  ONEOF_FIELD_MOVED_TO_TOP_LEVEL: true,
  MULTIPLE_FIELDS_MOVED_TO_ONEOF: false,
  FIELD_MOVED_TO_EXISTING_ONEOF: false,
} as const

export function isIncompatible({ kind }: ProtoDifference): boolean {
  return !VERDICTS[kind]
}

export function renderProtoDifference({ kind, path }: ProtoDifference, words: ReaderWriter): string {
  return `{errorType:"${kind}", description:"${descriptionOf(kind, path, words)}"}`
}

function descriptionOf(kind: ProtoDifferenceKind, path: string, { reader, writer }: ReaderWriter): string {
  switch (kind) {
    case 'PACKAGE_CHANGED':
      return `The package at '${path}' in the ${reader} schema does not match the package in the ${writer} schema`
    case 'MESSAGE_REMOVED':
      return `The ${reader} schema is missing a MESSAGE type at path '${path}' in the ${writer} schema`
    case 'FIELD_KIND_CHANGED':
      return `The type of a field at path '${path}' in the ${reader} schema does not match the ${writer} schema`
    case 'FIELD_SCALAR_KIND_CHANGED':
      return `The kind of a SCALAR field at path '${path}' in the ${reader} schema does not match its kind in the ${writer} schema`
    case 'FIELD_NAMED_TYPE_CHANGED':
      return `The type of a MESSAGE field at path '${path}' in the ${reader} schema does not match its type in the ${writer} schema`
    case 'FIELD_NUMERIC_LABEL_CHANGED':
      return `The label for a NUMERIC field at path '${path}' in the ${reader} schema does not match its label in the ${writer} schema`
    case 'REQUIRED_FIELD_ADDED':
      return `A required field  at path '${path}' in the ${reader} schema is missing in the ${writer} schema`
    case 'REQUIRED_FIELD_REMOVED':
      return `The ${reader} schema is missing a required field at path: '${path}' in the ${writer} schema`
    case 'ONEOF_FIELD_REMOVED':
      return `The ${reader} schema is missing a oneof field at path '${path}' in the ${writer} schema`
    case 'MULTIPLE_FIELDS_MOVED_TO_ONEOF':
      return `Multiple fields in the oneof at path '${path}' in the ${reader} schema are outside a oneof in the ${writer} schema`
    case 'FIELD_MOVED_TO_EXISTING_ONEOF':
      return `A field in the oneof at path '${path}' in the ${reader} schema is outside an existing oneof in the ${writer} schema`
    default:
      return `path '${path}' differs between the ${reader} and the ${writer} schema`
  }
}

export function protoDifferences(original: ProtoScope, update: ProtoScope): readonly ProtoDifference[] {
  return new Comparison(original, update).files()
}

type Side = { readonly scope: ProtoScope; readonly within: string }

class Comparison {
  readonly #original: ProtoScope
  readonly #update: ProtoScope
  readonly #found: ProtoDifference[] = []
  /** Pairs of messages of other files that were compared, or are being: by their full names. */
  readonly #comparedNames = new Map<string, boolean>()
  #steps = 0

  constructor(original: ProtoScope, update: ProtoScope) {
    this.#original = original
    this.#update = update
  }

  files(): readonly ProtoDifference[] {
    const original = this.#original.file
    const update = this.#update.file
    if (original.packageName !== update.packageName) this.#tell('PACKAGE_CHANGED', [])
    this.#types(
      original,
      update,
      { scope: this.#original, within: original.packageName },
      { scope: this.#update, within: update.packageName },
      [],
    )
    return this.#found
  }

  #tell(kind: ProtoDifferenceKind, path: readonly string[]): void {
    this.#found.push({ kind, path: `#/${path.join('/')}` })
  }

  #types(
    original: { readonly messages: readonly ProtoMessage[]; readonly enums: readonly ProtoEnum[] },
    update: { readonly messages: readonly ProtoMessage[]; readonly enums: readonly ProtoEnum[] },
    originalSide: Side,
    updateSide: Side,
    path: readonly string[],
  ): void {
    const originals = new Map(original.messages.map((message, at) => [message.name, { message, at }]))
    const updates = new Map(update.messages.map((message, at) => [message.name, { message, at }]))
    for (const name of new Set([...originals.keys(), ...updates.keys()])) {
      const before = originals.get(name)
      const after = updates.get(name)
      if (before === undefined) this.#tell('MESSAGE_ADDED', [...path, name])
      else if (after === undefined) this.#tell('MESSAGE_REMOVED', [...path, name])
      else {
        if (before.at !== after.at) this.#tell('MESSAGE_MOVED', [...path, name])
        this.#messages(before.message, after.message, inner(originalSide, name), inner(updateSide, name), [
          ...path,
          name,
        ])
      }
    }
    const originalEnums = new Map(original.enums.map((one) => [one.name, one]))
    const updateEnums = new Map(update.enums.map((one) => [one.name, one]))
    for (const name of new Set([...originalEnums.keys(), ...updateEnums.keys()])) {
      const before = originalEnums.get(name)
      const after = updateEnums.get(name)
      if (before === undefined) this.#tell('ENUM_ADDED', [...path, name])
      else if (after === undefined) this.#tell('ENUM_REMOVED', [...path, name])
      else this.#enums(before, after, [...path, name])
    }
  }

  #enums(original: ProtoEnum, update: ProtoEnum, path: readonly string[]): void {
    const before = new Map(original.values.map((value) => [value.number, value.name]))
    const after = new Map(update.values.map((value) => [value.number, value.name]))
    for (const number of new Set([...before.keys(), ...after.keys()])) {
      const place = [...path, String(number)]
      if (!before.has(number)) this.#tell('ENUM_CONST_ADDED', place)
      else if (!after.has(number)) this.#tell('ENUM_CONST_REMOVED', place)
      else if (before.get(number) !== after.get(number)) this.#tell('ENUM_CONST_CHANGED', place)
    }
  }

  #messages(
    original: ProtoMessage,
    update: ProtoMessage,
    originalSide: Side,
    updateSide: Side,
    path: readonly string[],
  ): void {
    this.#step()
    this.#types(original, update, originalSide, updateSide, path)
    const before = new Map(original.fields.map((field) => [field.number, field]))
    const after = new Map(update.fields.map((field) => [field.number, field]))
    this.#oneofs(original, update, { before, after }, path)
    for (const number of new Set([...before.keys(), ...after.keys()])) {
      const was = before.get(number)
      const is = after.get(number)
      const place = [...path, String(number)]
      if (was === undefined) {
        if (is?.oneof === undefined)
          this.#tell(is?.label === 'required' ? 'REQUIRED_FIELD_ADDED' : 'FIELD_ADDED', place)
      } else if (is === undefined) {
        if (was.oneof === undefined)
          this.#tell(was.label === 'required' ? 'REQUIRED_FIELD_REMOVED' : 'FIELD_REMOVED', place)
      } else {
        const where = is.oneof === undefined || was.oneof !== is.oneof ? place : [...path, is.oneof, String(number)]
        this.#fields(was, is, originalSide, updateSide, where)
      }
    }
  }

  #oneofs(original: ProtoMessage, update: ProtoMessage, fields: ByNumber, path: readonly string[]): void {
    const originals = new Set(original.oneofs.map(({ name }) => name))
    const updates = new Set(update.oneofs.map(({ name }) => name))
    for (const name of originals) {
      const isGone = !updates.has(name)
      if (isGone) this.#tell('ONEOF_REMOVED', [...path, name])
      this.#leftOneof(membersOf(original, name), name, isGone, fields.after, path)
    }
    for (const name of updates) {
      const isNew = !originals.has(name)
      if (isNew) this.#tell('ONEOF_ADDED', [...path, name])
      this.#joinedOneof(membersOf(update, name), name, isNew, fields.before, path)
    }
  }

  /** What became of the fields that the oneof had. */
  #leftOneof(
    own: readonly ProtoField[],
    name: string,
    isGone: boolean,
    after: ReadonlyMap<number, ProtoField>,
    path: readonly string[],
  ): void {
    // with all of its fields, it is no loss
    if (isGone && own.every(({ number }) => !after.has(number))) return
    for (const { number } of own) {
      const is = after.get(number)
      const place = [...path, name, String(number)]
      if (is === undefined) this.#tell('ONEOF_FIELD_REMOVED', place)
      else if (is.oneof === undefined) this.#tell('ONEOF_FIELD_MOVED_TO_TOP_LEVEL', place)
      else if (is.oneof !== name && !isGone) this.#tell('ONEOF_FIELD_REMOVED', place)
    }
  }

  /** Where the fields that the oneof has were before. */
  #joinedOneof(
    own: readonly ProtoField[],
    name: string,
    isNew: boolean,
    before: ReadonlyMap<number, ProtoField>,
    path: readonly string[],
  ): void {
    const known = own.flatMap(({ number }) => before.get(number) ?? [])
    const movedIn = known.filter(({ oneof }) => oneof === undefined)
    const origins = new Set(known.flatMap(({ oneof }) => oneof ?? []))
    if (movedIn.length > 1) this.#tell('MULTIPLE_FIELDS_MOVED_TO_ONEOF', [...path, name])
    else if (movedIn.length + origins.size > 1) this.#tell('FIELD_MOVED_TO_EXISTING_ONEOF', [...path, name])
    if (isNew) return
    for (const { number } of own) {
      if (!before.has(number)) this.#tell('ONEOF_FIELD_ADDED', [...path, name, String(number)])
    }
  }

  #fields(
    original: ProtoField,
    update: ProtoField,
    originalSide: Side,
    updateSide: Side,
    path: readonly string[],
  ): void {
    if (original.name !== update.name) this.#tell('FIELD_NAME_CHANGED', path)
    const before = fieldType(original, originalSide)
    const after = fieldType(update, updateSide)
    if (before.kind !== after.kind) {
      this.#tell('FIELD_KIND_CHANGED', path)
      return
    }
    if (before.kind === 'scalar' && after.kind === 'scalar') {
      if (before.group !== after.group) this.#tell('FIELD_SCALAR_KIND_CHANGED', path)
      this.#labels(original, update, after.group, path)
    } else if (before.kind === 'map' && after.kind === 'map') {
      this.#fields(partOf(original, 'key'), partOf(update, 'key'), originalSide, updateSide, path)
      this.#fields(partOf(original, 'value'), partOf(update, 'value'), originalSide, updateSide, path)
    } else if (before.kind === 'message' && after.kind === 'message' && !this.#isSameMessage(before, after)) {
      this.#tell('FIELD_NAMED_TYPE_CHANGED', path)
    }
  }

  /** Where both are written. */
  #labels(original: ProtoField, update: ProtoField, group: string, path: readonly string[]): void {
    if (original.label === undefined || update.label === undefined || original.label === update.label) return
    if (update.label === 'required') this.#tell('REQUIRED_FIELD_ADDED', path)
    else if (original.label === 'required') this.#tell('REQUIRED_FIELD_REMOVED', path)
    const isText = group === 'string'
    this.#tell(isText ? 'FIELD_STRING_OR_BYTES_LABEL_CHANGED' : 'FIELD_NUMERIC_LABEL_CHANGED', path)
  }

  #isSameMessage(before: MessageType, after: MessageType): boolean {
    const { symbol: original } = before
    const { symbol: update } = after
    if (original === undefined || update === undefined) return lastName(before.name) === lastName(after.name)
    if (original.localName !== update.localName) return false
    const isOwn = original.scope === this.#original && update.scope === this.#update
    // the file's own messages are compared where they stand
    if (isOwn || original.kind !== 'message' || update.kind !== 'message') return true
    if (original.message === update.message) return true
    const pair = `${original.fullName} ${update.fullName}`
    const known = this.#comparedNames.get(pair)
    if (known !== undefined) return known
    this.#comparedNames.set(pair, true)
    const start = this.#found.length
    this.#messages(
      original.message,
      update.message,
      { scope: original.scope, within: original.fullName },
      { scope: update.scope, within: update.fullName },
      [],
    )
    const isSame = !this.#found.splice(start).some(isIncompatible)
    this.#comparedNames.set(pair, isSame)
    return isSame
  }

  #step(): void {
    if (++this.#steps > COMPATIBILITY_STEPS_MAX / 100) throw tooExpensive()
  }
}

interface ByNumber {
  readonly before: ReadonlyMap<number, ProtoField>
  readonly after: ReadonlyMap<number, ProtoField>
}

function membersOf({ fields }: ProtoMessage, name: string): readonly ProtoField[] {
  return fields.filter(({ oneof }) => oneof === name)
}

interface MessageType {
  readonly kind: 'message'
  readonly name: string
  readonly symbol: ProtoSymbol | undefined
}

type FieldType = { readonly kind: 'scalar'; readonly group: string } | { readonly kind: 'map' } | MessageType

/** Scalars that are written alike: those of a group can be read as one another. Enums are numbers. */
const SCALAR_GROUPS: Readonly<Record<string, string>> = {
  int32: 'varint',
  int64: 'varint',
  uint32: 'varint',
  uint64: 'varint',
  bool: 'varint',
  sint32: 'zigzag',
  sint64: 'zigzag',
  string: 'string',
  bytes: 'string',
  fixed32: 'fixed32',
  sfixed32: 'fixed32',
  fixed64: 'fixed64',
  sfixed64: 'fixed64',
  float: 'float',
  double: 'double',
}

function fieldType({ type, mapKey, group, label }: ProtoField, { scope, within }: Side): FieldType {
  if (mapKey !== undefined) return { kind: 'map' }
  if (SCALAR_TYPES.has(type)) return { kind: 'scalar', group: SCALAR_GROUPS[type] as string }
  const symbol = scope.resolve(type, within)
  if (symbol?.kind === 'enum') return { kind: 'scalar', group: 'varint' }
  const isEntry = symbol?.kind === 'message' && symbol.message.options.some(({ name }) => name === 'map_entry')
  if (isEntry && label === 'repeated' && group === undefined) return { kind: 'map' }
  return { kind: 'message', name: type, symbol }
}

function partOf(field: ProtoField, part: 'key' | 'value'): ProtoField {
  return {
    ...field,
    type: part === 'key' ? (field.mapKey as string) : field.type,
    mapKey: undefined,
    label: undefined,
    name: part,
  }
}

function inner({ scope, within }: Side, name: string): Side {
  return { scope, within: within === '' ? name : `${within}.${name}` }
}

function lastName(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}
