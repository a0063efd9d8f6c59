// JSON Schema as a schema format of the registry.

import type { JsonNode } from '../../kernel/json-tree.ts'
import { printJsonTree } from '../../kernel/json-tree.ts'
import { invalid, jsonOfSchema } from '../invalid-schema.ts'
import type {
  CompatibilityPolicy,
  ParsedSchema,
  ReaderWriter,
  ReferencedSchema,
  SchemaFormat,
} from '../schema-format.ts'
import { SchemaBuilder } from './json-schema-builder.ts'
import { checkJsonSchema } from './json-schema-check.ts'
import { jsonDifferences } from './json-schema-comparison.ts'
import { isJsonIncompatible, renderJsonDifference } from './json-schema-differences.ts'
import { JsonSchemaDocuments, textIn } from './json-schema-documents.ts'
import { unknownPatternsOf } from './json-schema-parts.ts'
import type { SchemaNode } from './json-schema-tree.ts'

export const jsonSchemaFormat: SchemaFormat = {
  type: 'JSON',
  forms: [],
  parse(text, references, strictness) {
    const schema = new JsonSchema(jsonOfSchema(text), references)
    if (strictness === 'new') checkJsonSchema(schema.documents)
    return schema
  },
}

export class JsonSchema implements ParsedSchema {
  readonly type = 'JSON'
  readonly root: JsonNode
  readonly canonical: string
  readonly #references: readonly ReferencedSchema[]
  #documents: JsonSchemaDocuments | undefined
  #tree: SchemaNode | undefined

  constructor(root: JsonNode, references: readonly ReferencedSchema[]) {
    if (root.kind !== 'object' && root.kind !== 'boolean') {
      throw invalid(`${printJsonTree(root).slice(0, 100)}: expected an object or boolean at the root`)
    }
    this.root = root
    this.canonical = printJsonTree(root, { number: decimalText })
    this.#references = references
  }

  get documents(): JsonSchemaDocuments {
    this.#documents ??= new JsonSchemaDocuments(this.root, this.referenced)
    return this.#documents
  }

  /** What it refers to, by the names that it has there. */
  get referenced(): readonly { readonly name: string; readonly root: JsonNode }[] {
    return this.#references.map(({ name, text }) => ({ name, root: jsonOfSchema(text) }))
  }

  get normalized(): string {
    return printJsonTree(this.root, { number: decimalText, sorted: true })
  }

  get recordName(): string | undefined {
    return textIn(this.root, 'title')
  }

  get fieldNames(): readonly string[] {
    const properties = this.root.kind === 'object' ? this.root.members.get('properties') : undefined
    return properties?.kind === 'object' ? [...properties.members.keys()] : []
  }

  formatted(): string {
    return this.canonical
  }

  /** Unlike Avro's, another order of members makes another schema. */
  get meaning(): string {
    return this.canonical
  }

  get unchecked(): readonly string[] {
    return unknownPatternsOf(this.root)
  }

  incompatibilities(
    writer: ParsedSchema,
    words: ReaderWriter,
    policy: CompatibilityPolicy = 'STRICT',
  ): readonly string[] {
    return jsonDifferences((writer as JsonSchema).tree, this.tree, policy)
      .filter(({ kind }) => isJsonIncompatible(kind, policy))
      .map((difference) => renderJsonDifference(difference, words))
  }

  get tree(): SchemaNode {
    this.#tree ??= new SchemaBuilder(this.documents).build(this.documents.root)
    return this.#tree
  }
}

/** As Java's BigDecimal prints what it has read. */
function decimalText(source: string): string {
  const [mantissa = '', power] = source.split(/[eE]/)
  if (power === undefined) return source
  const [whole = '', fraction = ''] = mantissa.replace('-', '').split('.')
  const digits = `${whole}${fraction}`.replace(/^0+(?=\d)/, '')
  const sign = mantissa.startsWith('-') ? '-' : ''
  const scale = fraction.length - Number(power)
  const exponent = digits.length - 1 - scale
  if (scale >= 0 && exponent >= -6) {
    if (scale === 0) return sign + digits
    const padded = digits.padStart(scale + 1, '0')
    return `${sign}${padded.slice(0, -scale)}.${padded.slice(-scale)}`
  }
  const point = digits.length === 1 ? '' : `.${digits.slice(1)}`
  return `${sign}${digits[0]}${point}E${exponent < 0 ? '' : '+'}${exponent}`
}
