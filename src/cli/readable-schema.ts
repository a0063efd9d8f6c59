// Schemas as people read them: one field a line. Registries keep JSON in one line, and .proto files as they print them.

import type { SchemaText } from '../client/schema-client.ts'
import type { JsonNode } from '../kernel/json-tree.ts'
import { parseJsonTree, printJsonTree } from '../kernel/json-tree.ts'

const LINE_CHARS = 100

/** Numbers and the order of members stay as they are. */
export function readableSchema({ schema, schemaType }: SchemaText): string {
  if (schemaType === 'PROTOBUF') return schema
  let node: JsonNode
  try {
    node = parseJsonTree(schema)
  } catch {
    // what another registry has kept may be anything: shown as it is
    return schema
  }
  return render(node, '')
}

/** Where no object is inside and it is short, a value has one line: adding a field then changes no other line. */
function render(node: JsonNode, indent: string): string {
  if (node.kind !== 'object' && node.kind !== 'array') return printJsonTree(node)
  const inner = `${indent}  `
  const parts =
    node.kind === 'array'
      ? node.items.map((item) => render(item, inner))
      : [...node.members].map(([name, member]) => `${JSON.stringify(name)}: ${render(member, inner)}`)
  const [open, close] = node.kind === 'array' ? ['[', ']'] : ['{', '}']
  const line = `${open}${parts.join(', ')}${close}`
  const isFlat = !line.includes('\n') && indent.length + line.length <= LINE_CHARS && !childrenOf(node).some(hasObject)
  return isFlat ? line : `${open}\n${parts.map((part) => inner + part).join(',\n')}\n${indent}${close}`
}

function hasObject(node: JsonNode): boolean {
  return node.kind === 'object' || childrenOf(node).some(hasObject)
}

function childrenOf(node: JsonNode): readonly JsonNode[] {
  if (node.kind === 'array') return node.items
  return node.kind === 'object' ? [...node.members.values()] : []
}
