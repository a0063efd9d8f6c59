// What the members of a JSON Schema hold: schemas, schemas by names that their author chose (a property may be called default,
// and is a schema like any other), or values. Every walk through a schema goes by it.

import type { JsonNode } from '../../kernel/json-tree.ts'
import { isUnknownPattern } from './pattern-match.ts'

/** 'schema': one, or a list of them; 'named': an object whose members are schemas; 'data': no schema, whatever stands in it. */
export type PartKind = 'schema' | 'named' | 'data'

const NAMED = new Set(['properties', 'patternProperties', 'definitions', '$defs', 'dependentSchemas', 'dependencies'])
const DATA = new Set(['const', 'default', 'enum', 'examples', 'required', 'type'])

/** What a member of a part holds; '' for an item of a list. */
export function kindWithin(kind: PartKind, member: string): PartKind {
  if (kind !== 'schema') return kind === 'named' ? 'schema' : 'data'
  if (NAMED.has(member)) return 'named'
  return DATA.has(member) ? 'data' : 'schema'
}

/** Patterns in a schema, or in a list of some, that no engine here knows. */
export function unknownPatternsOf(schema: JsonNode): readonly string[] {
  const found = new Set<string>()
  const look = (node: JsonNode, kind: PartKind): void => {
    if (kind === 'data') return
    if (node.kind === 'array') for (const item of node.items) look(item, kindWithin(kind, ''))
    if (node.kind !== 'object') return
    const { members } = node
    const pattern = members.get('pattern')
    const named = members.get('patternProperties')
    const patterns = [
      ...(pattern?.kind === 'string' ? [pattern.value] : []),
      ...(named?.kind === 'object' ? named.members.keys() : []),
    ]
    if (kind === 'schema') for (const one of patterns) if (isUnknownPattern(one)) found.add(one)
    for (const [name, value] of members) look(value, kindWithin(kind, name))
  }
  look(schema, 'schema')
  return [...found]
}
