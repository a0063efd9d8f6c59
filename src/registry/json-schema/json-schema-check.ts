// What a new JSON Schema must be: a schema by the rules of its draft, whose local references lead somewhere, within bounds.

import type { Ajv } from 'ajv'
import { TailraceError } from '../../kernel/errors.ts'
import type { JsonNode } from '../../kernel/json-tree.ts'
import { plainOf } from '../../kernel/json-tree.ts'
import { JSON_SCHEMA_PATTERN_CHARS_MAX, JSON_SCHEMA_PROPERTIES_MAX } from '../../kernel/limits.ts'
import type { Draft, JsonSchemaDocuments, Place } from './json-schema-documents.ts'
import { textIn, within } from './json-schema-documents.ts'
import { faultOf } from './json-schema-fault.ts'
import { newAjv } from './json-schema-library.ts'
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
  checkParts(documents, root, true)
}

function checkByMetaSchema(node: JsonNode, draft: Draft): void {
  const validate = validatorOf(draft).getSchema(META_SCHEMAS[draft])
  if (validate === undefined || validate(plainOf(node)) === true) return
  throw invalid(faultOf(validate.errors))
}

function checkParts(documents: JsonSchemaDocuments, place: Place, isSchema: boolean): void {
  const { node } = place
  if (node.kind === 'array') {
    for (const item of node.items) checkParts(documents, within(item, place), isSchema)
  }
  if (node.kind !== 'object' || !isSchema) return
  const reference = textIn(node, '$ref')
  if (reference !== undefined) documents.find(reference, place)
  const pattern = textIn(node, 'pattern')
  if (pattern !== undefined) checkPattern(pattern)
  for (const [name, value] of node.members) {
    const isMap = NAMED.has(name) && value.kind === 'object'
    if (isMap) checkNamed(documents, place, name, value)
    else if (!DATA.has(name)) checkParts(documents, within(value, place), true)
  }
}

/** Members whose own members are named by the schema's author. */
const NAMED = new Set(['properties', 'patternProperties', 'definitions', '$defs', 'dependentSchemas', 'dependencies'])
const DATA = new Set(['const', 'default', 'enum', 'examples', 'required', 'type'])

function checkNamed(documents: JsonSchemaDocuments, place: Place, name: string, map: JsonNode): void {
  if (map.kind !== 'object') return
  if (map.members.size > JSON_SCHEMA_PROPERTIES_MAX) {
    throw invalid(`${name} has ${map.members.size} members, at most ${JSON_SCHEMA_PROPERTIES_MAX} are allowed`)
  }
  for (const [key, value] of map.members) {
    if (name === 'patternProperties') checkPattern(key)
    checkParts(documents, within(value, place), true)
  }
}

function checkPattern(pattern: string): void {
  if (pattern.length > JSON_SCHEMA_PATTERN_CHARS_MAX) {
    throw invalid(`a pattern has ${pattern.length} characters, at most ${JSON_SCHEMA_PATTERN_CHARS_MAX} are allowed`)
  }
  const fault = patternFault(pattern)
  if (fault !== undefined) throw invalid(`the pattern ${JSON.stringify(pattern)} is no regular expression: ${fault}`)
}

function invalid(message: string): TailraceError {
  return new TailraceError('invalid_schema', message)
}
