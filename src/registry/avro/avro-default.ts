// Defaults of record fields: whether one fits its type. As in Java's implementation, a union's default may be of any branch, and a
// text stands for an enum's symbol or a fixed value whatever it says.

import type { JsonNode } from '../../kernel/json-tree.ts'
import { invalid } from '../invalid-schema.ts'
import type { AvroType } from './avro-type.ts'

const INTEGER = /^-?\d+$/

/** What was found of types and values, each pair once: branches within branches would otherwise take for ever. */
type Known = Map<AvroType, Map<JsonNode, boolean>>

export function isDefaultOf(type: AvroType, given: JsonNode, known: Known = new Map()): boolean {
  if (type.kind !== 'record') return isDefaultNew(type, given, known)
  const ofType = known.get(type) ?? new Map<JsonNode, boolean>()
  known.set(type, ofType)
  const found = ofType.get(given) ?? isDefaultNew(type, given, known)
  ofType.set(given, found)
  return found
}

function isDefaultNew(type: AvroType, given: JsonNode, known: Known): boolean {
  switch (type.kind) {
    case 'null':
    case 'boolean':
      return given.kind === type.kind
    case 'string':
    case 'bytes':
    case 'enum':
    case 'fixed':
      return given.kind === 'string'
    case 'int':
      return isWithin(given, 31n)
    case 'long':
      return isWithin(given, 63n)
    case 'float':
    case 'double':
      return given.kind === 'number' || (given.kind === 'string' && NOT_FINITE.has(given.value))
    case 'array':
      return given.kind === 'array' && given.items.every((item) => isDefaultOf(type.items, item, known))
    case 'map':
      return (
        given.kind === 'object' && [...given.members.values()].every((value) => isDefaultOf(type.values, value, known))
      )
    case 'union':
      return type.branches.some((branch) => isDefaultOf(branch, given, known))
    case 'record':
      return (
        given.kind === 'object' &&
        type.fields.every((field) => {
          const value = given.members.get(field.name)
          return value === undefined ? field.default !== undefined : isDefaultOf(field.type, value, known)
        })
      )
  }
}

function isWithin(given: JsonNode, bits: bigint): boolean {
  if (given.kind !== 'number' || !INTEGER.test(given.source) || given.source.length > 20) return false
  const value = BigInt(given.source)
  return value >= -(2n ** bits) && value < 2n ** bits
}

const NOT_FINITE: ReadonlySet<string> = new Set(['NaN', 'Infinity', '-Infinity'])
const NUMBER = /^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?[dDfF]?\s*$/

/** A text that stands for a floating-point number, as that number. invalid_schema for one that does not. */
export function numericDefault(type: AvroType, given: JsonNode): JsonNode {
  if ((type.kind !== 'float' && type.kind !== 'double') || given.kind !== 'string') return given
  if (NOT_FINITE.has(given.value)) return given
  if (NUMBER.test(given.value)) {
    const value = Number.parseFloat(given.value)
    if (Number.isFinite(value)) return { kind: 'number', source: withFraction(String(value)) }
    return { kind: 'string', value: value > 0 ? 'Infinity' : '-Infinity' }
  }
  throw invalid(`For input string: "${given.value.slice(0, 100)}"; the default of a ${type.kind} is a number`)
}

/** So that it is printed as a floating-point number. */
function withFraction(digits: string): string {
  return /[.e]/.test(digits) ? digits : `${digits}.0`
}
