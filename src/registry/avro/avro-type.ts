// Avro schemas as data: what the specification names, and everything else that stood beside it, in its order.

import type { JsonNode } from '../../kernel/json-tree.ts'

export type AvroType = AvroPrimitive | AvroRecord | AvroEnum | AvroFixed | AvroArray | AvroMap | AvroUnion
export type AvroNamed = AvroRecord | AvroEnum | AvroFixed

export type PrimitiveName = 'null' | 'boolean' | 'int' | 'long' | 'float' | 'double' | 'bytes' | 'string'

/** Members that the specification does not name, logicalType and its parameters among them. */
export type AvroProperties = ReadonlyMap<string, JsonNode>

export interface AvroName {
  readonly short: string
  /** '' for none. */
  readonly namespace: string
}

export interface AvroPrimitive {
  readonly kind: PrimitiveName
  readonly properties: AvroProperties
}

interface Named {
  readonly name: AvroName
  readonly doc: string | undefined
  readonly aliases: readonly AvroName[]
  readonly properties: AvroProperties
  /** Another schema's, that this one refers to. */
  readonly isReferenced: boolean
}

export interface AvroRecord extends Named {
  readonly kind: 'record'
  readonly isError: boolean
  readonly fields: readonly AvroField[]
}

export interface AvroEnum extends Named {
  readonly kind: 'enum'
  readonly symbols: readonly string[]
  readonly defaultSymbol: string | undefined
}

export interface AvroFixed extends Named {
  readonly kind: 'fixed'
  readonly size: number
}

export interface AvroArray {
  readonly kind: 'array'
  readonly items: AvroType
  readonly properties: AvroProperties
}

export interface AvroMap {
  readonly kind: 'map'
  readonly values: AvroType
  readonly properties: AvroProperties
}

export interface AvroUnion {
  readonly kind: 'union'
  readonly branches: readonly AvroType[]
}

export interface AvroField {
  readonly name: string
  readonly type: AvroType
  readonly doc: string | undefined
  /** undefined: it has none. */
  readonly default: JsonNode | undefined
  readonly order: 'ascending' | 'descending' | 'ignore'
  readonly aliases: readonly string[]
  readonly properties: AvroProperties
}

const PRIMITIVES: ReadonlySet<string> = new Set([
  'null',
  'boolean',
  'int',
  'long',
  'float',
  'double',
  'bytes',
  'string',
])

export function isPrimitiveName(name: string): name is PrimitiveName {
  return PRIMITIVES.has(name)
}

export function isNamed(type: AvroType): type is AvroNamed {
  return type.kind === 'record' || type.kind === 'enum' || type.kind === 'fixed'
}

export function fullNameOf({ short, namespace }: AvroName): string {
  return namespace === '' ? short : `${namespace}.${short}`
}

/** What stands for the type in a union and in Avro's JSON: a full name, or the kind. */
export function branchNameOf(type: AvroType): string {
  return isNamed(type) ? fullNameOf(type.name) : type.kind
}
