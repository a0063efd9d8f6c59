// Whether checking a small value by a JSON Schema may take long: parts that refer to each other can multiply.

import type { JsonNode } from '../kernel/json-tree.ts'
import { JSON_SCHEMA_CHEAP_PARTS } from '../kernel/limits.ts'
import type { JsonSchemaDocuments, Place } from '../registry/json-schema/json-schema-documents.ts'
import { textIn, within } from '../registry/json-schema/json-schema-documents.ts'
import type { PartKind } from '../registry/json-schema/json-schema-parts.ts'
import { kindWithin } from '../registry/json-schema/json-schema-parts.ts'
import { isLinearPattern } from '../registry/json-schema/pattern-match.ts'

/** With every reference written out it has few parts: none refers to itself, and its patterns are matched in linear time. */
export function isCheapToCheck(documents: JsonSchemaDocuments): boolean {
  let parts = 0
  const count = (place: Place, kind: PartKind): boolean => {
    const { node } = place
    if (++parts > JSON_SCHEMA_CHEAP_PARTS) return false
    if (node.kind === 'array') return node.items.every((item) => count(within(item, place), kindWithin(kind, '')))
    if (node.kind !== 'object') return true
    if (kind === 'schema' && !(arePatternsCheap(node) && areReferencesCheap(node, place))) return false
    for (const [name, value] of node.members) {
      const isDefinitions = kind === 'schema' && DEFINITIONS.has(name)
      if (!isDefinitions && !count(within(value, place), kindWithin(kind, name))) return false
    }
    return true
  }
  const areReferencesCheap = (node: JsonNode, place: Place): boolean =>
    REFERENCES.every((name) => {
      const reference = textIn(node, name)
      const target = reference === undefined ? undefined : documents.find(reference, place)
      return target === undefined || count(target, 'schema')
    })
  const arePatternsCheap = (node: JsonNode & { kind: 'object' }): boolean => {
    const named = node.members.get('patternProperties')
    const patterns = [textIn(node, 'pattern'), ...(named?.kind === 'object' ? named.members.keys() : [])]
    return patterns.every((pattern) => {
      parts += pattern?.length ?? 0
      return pattern === undefined || isLinearPattern(pattern)
    })
  }
  try {
    return count(documents.root, 'schema')
  } catch {
    // a reference that leads nowhere
    return false
  }
}

const REFERENCES = ['$ref', '$dynamicRef', '$recursiveRef'] as const
/** Their parts cost something only where something refers to them. */
const DEFINITIONS = new Set(['definitions', '$defs'])
