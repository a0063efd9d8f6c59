// What a new JSON Schema must be: a schema by the rules of its draft, whose local references lead somewhere, within bounds.

import type { Ajv } from 'ajv'
import type { JsonNode, JsonObject } from '../../kernel/json-tree.ts'
import { plainOf } from '../../kernel/json-tree.ts'
import { JSON_SCHEMA_PATTERN_CHARS_MAX, JSON_SCHEMA_PROPERTIES_MAX } from '../../kernel/limits.ts'
import { invalid } from '../invalid-schema.ts'
import type { Draft, JsonSchemaDocuments, Place } from './json-schema-documents.ts'
import { textIn, within } from './json-schema-documents.ts'
import { faultOf } from './json-schema-fault.ts'
import { newAjv } from './json-schema-library.ts'
import type { PartKind } from './json-schema-parts.ts'
import { kindWithin } from './json-schema-parts.ts'
import { patternFault } from './pattern-match.ts'

const OPTIONS = { strict: false, logger: false, validateFormats: false, inlineRefs: false } as const

const META_SCHEMAS: Readonly<Record<Draft, string>> = {
  4: 'http://json-schema.org/draft-04/schema',
  6: 'http://json-schema.org/draft-06/schema',
  7: 'http://json-schema.org/draft-07/schema',
  2019: 'https://json-schema.org/draft/2019-09/schema',
  2020: 'https://json-schema.org/draft/2020-12/schema',
}

const validators = new Map<Draft, Ajv>()

function validatorOf(draft: Draft): Ajv {
  const known = validators.get(draft)
  if (known !== undefined) return known
  const made = newAjv(draft, OPTIONS)
  validators.set(draft, made)
  return made
}

/** invalid_schema. */
export function checkJsonSchema(documents: JsonSchemaDocuments): void {
  const { root } = documents
  checkByMetaSchema(root.node, root.document.draft)
  checkParts(documents, root, 'schema')
}

function checkByMetaSchema(node: JsonNode, draft: Draft): void {
  const validate = validatorOf(draft).getSchema(META_SCHEMAS[draft])
  if (validate === undefined || validate(plainOf(node)) === true) return
  throw invalid(faultOf(validate.errors))
}

function checkParts(documents: JsonSchemaDocuments, place: Place, kind: PartKind): void {
  const { node } = place
  if (kind === 'data') return
  if (node.kind === 'array') {
    for (const item of node.items) checkParts(documents, within(item, place), kindWithin(kind, ''))
  }
  if (node.kind !== 'object') return
  if (kind === 'schema') checkSchema(documents, place, node)
  for (const [name, value] of node.members) checkParts(documents, within(value, place), kindWithin(kind, name))
}

function checkSchema(documents: JsonSchemaDocuments, place: Place, node: JsonObject): void {
  const reference = textIn(node, '$ref')
  if (reference !== undefined) documents.find(reference, place)
  const pattern = textIn(node, 'pattern')
  if (pattern !== undefined) checkPattern(pattern)
  for (const [name, value] of node.members) {
    if (kindWithin('schema', name) === 'named' && value.kind === 'object') checkNames(name, [...value.members.keys()])
  }
}

function checkNames(member: string, names: readonly string[]): void {
  if (names.length > JSON_SCHEMA_PROPERTIES_MAX) {
    throw invalid(`${member} has ${names.length} members, at most ${JSON_SCHEMA_PROPERTIES_MAX} are allowed`)
  }
  if (member === 'patternProperties') for (const name of names) checkPattern(name)
}

function checkPattern(pattern: string): void {
  if (pattern.length > JSON_SCHEMA_PATTERN_CHARS_MAX) {
    throw invalid(`a pattern has ${pattern.length} characters, at most ${JSON_SCHEMA_PATTERN_CHARS_MAX} are allowed`)
  }
  const fault = patternFault(pattern)
  if (fault !== undefined) throw invalid(`the pattern ${JSON.stringify(pattern)} is no regular expression: ${fault}`)
}
