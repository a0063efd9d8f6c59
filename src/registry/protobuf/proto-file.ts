// A .proto file as data: what it says, in the order in which it says it, without comments.

export interface ProtoFile {
  /** As it is written; undefined where nothing is, which means proto2. */
  readonly syntax: 'proto2' | 'proto3' | undefined
  readonly edition: string | undefined
  /** '' for none. */
  readonly packageName: string
  readonly imports: readonly ProtoImport[]
  readonly options: readonly ProtoOption[]
  readonly messages: readonly ProtoMessage[]
  readonly enums: readonly ProtoEnum[]
  readonly extends: readonly ProtoExtend[]
  readonly services: readonly ProtoService[]
}

export interface ProtoImport {
  readonly path: string
  readonly kind: 'plain' | 'public' | 'weak'
}

export interface ProtoMessage {
  readonly name: string
  /** All of them, those of its oneofs and its groups too, as they come. */
  readonly fields: readonly ProtoField[]
  readonly oneofs: readonly ProtoOneof[]
  readonly reserved: readonly ProtoReserved[]
  readonly extensions: readonly ProtoExtensions[]
  readonly extends: readonly ProtoExtend[]
  readonly messages: readonly ProtoMessage[]
  readonly enums: readonly ProtoEnum[]
  readonly options: readonly ProtoOption[]
}

export type ProtoLabel = 'optional' | 'required' | 'repeated'

export interface ProtoField {
  readonly label: ProtoLabel | undefined
  /** As it is written: a scalar's name, or a name to be found. Of a group, its message's name; of a map, of its values. */
  readonly type: string
  /** Of a map; undefined otherwise. */
  readonly mapKey: string | undefined
  readonly name: string
  readonly number: number
  readonly options: readonly ProtoOption[]
  /** The name of the oneof that it stands in. */
  readonly oneof: string | undefined
  /** What a group defines. */
  readonly group: ProtoMessage | undefined
}

export interface ProtoOneof {
  readonly name: string
  readonly options: readonly ProtoOption[]
}

/** Both ends included. */
export interface ProtoRange {
  readonly from: number
  readonly to: number | 'max'
}

export interface ProtoReserved {
  readonly ranges: readonly ProtoRange[]
  readonly names: readonly string[]
}

export interface ProtoExtensions {
  readonly ranges: readonly ProtoRange[]
  readonly options: readonly ProtoOption[]
}

export interface ProtoEnum {
  readonly name: string
  readonly values: readonly ProtoEnumValue[]
  readonly reserved: readonly ProtoReserved[]
  readonly options: readonly ProtoOption[]
}

export interface ProtoEnumValue {
  readonly name: string
  readonly number: number
  readonly options: readonly ProtoOption[]
}

export interface ProtoExtend {
  readonly type: string
  readonly fields: readonly ProtoField[]
}

export interface ProtoService {
  readonly name: string
  readonly options: readonly ProtoOption[]
  readonly methods: readonly ProtoMethod[]
}

export interface ProtoMethod {
  readonly name: string
  readonly request: string
  readonly isRequestStream: boolean
  readonly response: string
  readonly isResponseStream: boolean
  readonly options: readonly ProtoOption[]
}

export interface ProtoOption {
  /** As it is written: `deprecated`, `(my.opt)`, `(my.opt).part`. */
  readonly name: string
  readonly value: ProtoValue
}

export type ProtoValue =
  /** A number or a name (true, inf and an enum's value among them), as it is written. */
  | { readonly kind: 'word'; readonly text: string }
  /** The bytes that it stands for. */
  | { readonly kind: 'string'; readonly bytes: Buffer }
  | { readonly kind: 'list'; readonly items: readonly ProtoValue[] }
  /** A name may come several times. */
  | { readonly kind: 'aggregate'; readonly members: readonly ProtoOption[] }

export const SCALAR_TYPES: ReadonlySet<string> = new Set([
  'double',
  'float',
  'int32',
  'int64',
  'uint32',
  'uint64',
  'sint32',
  'sint64',
  'fixed32',
  'fixed64',
  'sfixed32',
  'sfixed64',
  'bool',
  'string',
  'bytes',
])

/** What a map's keys may be. */
export const MAP_KEY_TYPES: ReadonlySet<string> = new Set(
  [...SCALAR_TYPES].filter((type) => type !== 'double' && type !== 'float' && type !== 'bytes'),
)

export const FIELD_NUMBER_MAX = 2 ** 29 - 1

/** The message that a map's entries are: `CamelCase(name) + Entry`. */
export function mapEntryName(fieldName: string): string {
  return `${fieldName
    .split('_')
    .map((part) => part.slice(0, 1).toUpperCase() + part.slice(1))
    .join('')}Entry`
}

/** protoc's rule: underscores go, and the letter behind one is a capital. */
export function jsonNameOf(fieldName: string): string {
  return fieldName.replace(/_+([a-zA-Z0-9])?/g, (_match, letter: string | undefined) => letter?.toUpperCase() ?? '')
}

export function optionOf(options: readonly ProtoOption[], name: string): ProtoValue | undefined {
  return options.findLast((option) => option.name === name)?.value
}

export function isTrue(value: ProtoValue | undefined): boolean {
  return value?.kind === 'word' && value.text === 'true'
}
