// A JSON Schema as the library takes it for what it means: without what stands beside references up to draft 7, without
// patterns that no engine here knows, and with a property called __proto__ where the library looks for it.

import type { JsonNode } from '../kernel/json-tree.ts'
import type { PartKind } from '../registry/json-schema/json-schema-parts.ts'
import { kindWithin, unknownPatternsOf } from '../registry/json-schema/json-schema-parts.ts'
import { isUnknownPattern } from '../registry/json-schema/pattern-match.ts'

type Members = ReadonlyMap<string, JsonNode>

const ANYTHING: JsonNode = { kind: 'boolean', value: true }

/** What counts beside a reference that stands alone: what others refer to. */
const BESIDE_REFERENCES = new Set(['$ref', 'definitions', '$defs'])

/** What a value is refused for because something in them fits. */
const NEGATING = ['not', 'if', 'oneOf']

export function adaptedSchema(schema: JsonNode, hasLoneReferences: boolean): JsonNode {
  const adapted = (node: JsonNode, kind: PartKind): JsonNode => {
    if (kind === 'data') return node
    if (node.kind === 'array') {
      return { kind: 'array', items: node.items.map((item) => adapted(item, kindWithin(kind, ''))) }
    }
    if (node.kind !== 'object') return node
    const members = kind === 'schema' ? adaptedMembers(node.members, hasLoneReferences) : node.members
    const parts = [...members].map(([name, value]) => [name, adapted(value, kindWithin(kind, name))] as const)
    return { kind: 'object', members: new Map(parts) }
  }
  return adapted(schema, 'schema')
}

function adaptedMembers(members: Members, hasLoneReferences: boolean): Members {
  if (hasLoneReferences && members.get('$ref')?.kind === 'string')
    return new Map([...members].filter(([name]) => BESIDE_REFERENCES.has(name)))
  return withPrototypeProperty(withoutUnknownPatterns(members))
}

/** What they ask for is not checked, nor what is asked where something in which they stand fits. */
function withoutUnknownPatterns(members: Members): Members {
  const pattern = members.get('pattern')
  const named = members.get('patternProperties')
  const unknown = [
    ...(pattern?.kind === 'string' && isUnknownPattern(pattern.value) ? ['pattern'] : []),
    ...NEGATING.filter((name) => members.has(name) && unknownPatternsOf(members.get(name) as JsonNode).length > 0),
  ]
  const names = named?.kind === 'object' ? [...named.members.keys()].filter(isUnknownPattern) : []
  if (unknown.length === 0 && names.length === 0) return members
  const known = new Map(members)
  for (const name of unknown) known.delete(name)
  if (named?.kind === 'object') {
    const free = names.map((name) => [name, ANYTHING] as const)
    known.set('patternProperties', { kind: 'object', members: new Map([...named.members, ...free]) })
  }
  return known
}

const PROTOTYPE = '__proto__'
const PROTOTYPE_PATTERN = '^(?:__proto__)$'

/** The library passes over a property of this name, but for patterns it is one like any other. */
function withPrototypeProperty(members: Members): Members {
  const properties = members.get('properties')
  const schema = properties?.kind === 'object' ? properties.members.get(PROTOTYPE) : undefined
  if (schema === undefined) return members
  const patterns = members.get('patternProperties')
  const others = patterns?.kind === 'object' ? [...patterns.members] : []
  const all = new Map([...others, [PROTOTYPE_PATTERN, schema]])
  return new Map([...members, ['patternProperties', { kind: 'object', members: all }]])
}
