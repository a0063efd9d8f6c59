// Bodies of requests to the Schema Registry API. Members that nobody knows are passed over.

import { isUtf8 } from 'node:buffer'
import type { FastifyRequest } from 'fastify'
import { SCHEMA_REFERENCES_MAX } from '../../kernel/limits.ts'
import { registryFailure } from '../../registry/registry-failure.ts'
import type { SchemaMode, SchemaSettings } from '../../registry/schema-entries.ts'
import { isSchemaType, MODES, SETTING_NAMES } from '../../registry/schema-entries.ts'
import type { SchemaRequest } from '../../registry/schema-finder.ts'
import type { SchemaType } from '../../registry/schema-format.ts'
import type { CompatibilityLevel } from '../../registry/schema-scopes.ts'
import { COMPATIBILITY_LEVELS } from '../../registry/schema-scopes.ts'
import type { Json } from '../../registry/schema-shapes.ts'
import {
  integerIn,
  isObject,
  listIn,
  parseMetadata,
  parseReferences,
  parseRuleSet,
  textIn,
  textsIn,
  wrongKind,
} from '../../registry/schema-shapes.ts'
import type { EntityTags, SchemaChanges } from '../../registry/schema-tags.ts'
import type { HttpFloor } from '../http-floor.ts'
import { SCHEMA_BODY_BYTES_MAX } from '../schema-forwarder.ts'
import { checkRequestType } from './negotiation.ts'

const POLICIES = ['STRICT', 'LENIENT', 'LOGICAL']

export async function bodyOf(floor: HttpFloor, request: FastifyRequest): Promise<Json> {
  checkRequestType(request.headers['content-type'])
  const bytes = await floor.bodies.read(request.raw, SCHEMA_BODY_BYTES_MAX)
  if (bytes.length === 0) throw registryFailure(422, 'the request has no body')
  if (!isUtf8(bytes)) throw registryFailure(400, 'the request body is not UTF-8 text')
  let json: unknown
  try {
    json = JSON.parse(bytes.toString())
  } catch (error) {
    throw registryFailure(400, `the request body is not JSON: ${(error as Error).message}`)
  }
  if (!isObject(json)) throw registryFailure(400, 'the request body must be a JSON object')
  return json
}

/** 400, 42201. */
export function parseSchemaRequest(body: Json): SchemaRequest {
  const references = parseReferences(body['references'])
  if (references.length > SCHEMA_REFERENCES_MAX) {
    throw registryFailure(42201, `a schema has at most ${SCHEMA_REFERENCES_MAX} references`)
  }
  return {
    schemaType: schemaTypeIn(body),
    schema: textIn(body, 'schema') ?? '',
    references,
    metadata: parseMetadata(body['metadata'], 'metadata'),
    ruleSet: parseRuleSet(body['ruleSet'], 'ruleSet'),
    version: integerIn(body, 'version') ?? 0,
    id: integerIn(body, 'id') ?? -1,
  }
}

function schemaTypeIn(body: Json): SchemaType {
  const schemaType = textIn(body, 'schemaType') ?? 'AVRO'
  if (!isSchemaType(schemaType)) throw registryFailure(42201, `Invalid schema type ${schemaType.slice(0, 100)}`)
  return schemaType
}

/** 400. */
export function parseTagRequest(body: Json): SchemaChanges {
  return {
    version: integerIn(body, 'newVersion') ?? 0,
    tagsToAdd: (listIn(body, 'tagsToAdd') ?? []).map(tagsOf),
    tagsToRemove: (listIn(body, 'tagsToRemove') ?? []).map(tagsOf),
    metadata: parseMetadata(body['metadata'], 'metadata'),
    ruleSet: parseRuleSet(body['ruleSet'], 'ruleSet'),
    rulesToMerge: parseRuleSet(body['rulesToMerge'], 'rulesToMerge'),
    rulesToRemove: textsIn(body['rulesToRemove'], 'rulesToRemove') ?? [],
  }
}

function tagsOf(value: unknown): EntityTags {
  const json = isObject(value) ? value : undefined
  const entity = json?.['schemaEntity']
  if (json === undefined || !isObject(entity)) throw wrongKind('tags', 'objects with schemaEntity and tags')
  const entityType = textIn(entity, 'entityType')?.toLowerCase()
  if (entityType !== 'sr_record' && entityType !== 'sr_field') throw wrongKind('entityType', 'sr_record or sr_field')
  return {
    path: textIn(entity, 'entityPath') ?? '',
    isField: entityType === 'sr_field',
    tags: textsIn(json['tags'], 'tags') ?? [],
  }
}

/** What PUT /config changes: a member that is not there stays, null unsets. 42203. */
export function parseSettings(body: Json): SchemaSettings {
  const level = body['compatibility'] === undefined ? body['compatibilityLevel'] : body['compatibility']
  const given: Json = level === undefined ? body : { ...body, compatibilityLevel: level }
  const named = SETTING_NAMES.filter((name) => Object.hasOwn(given, name))
  return Object.fromEntries(named.map((name) => [name, given[name] === null ? null : settingOf(name, given)]))
}

function settingOf(name: string, body: Json): unknown {
  const value = body[name]
  if (name === 'compatibilityLevel') return levelNamed(value)
  if (name.endsWith('Metadata')) return parseMetadata(value, name)
  if (name.endsWith('RuleSet')) return parseRuleSet(value, name)
  const isFlag = name === 'normalize' || name.startsWith('validate')
  if (typeof value !== (isFlag ? 'boolean' : 'string')) throw wrongKind(name, isFlag ? 'true or false' : 'a text')
  return name === 'compatibilityPolicy' ? policyNamed(String(value)) : value
}

function policyNamed(text: string): string {
  const policy = POLICIES.find((one) => one === text.toUpperCase())
  if (policy === undefined) throw wrongKind('compatibilityPolicy', `one of ${POLICIES.join(', ')}`)
  return policy
}

function levelNamed(value: unknown): CompatibilityLevel {
  const level = COMPATIBILITY_LEVELS.find((one) => typeof value === 'string' && one === value.toUpperCase())
  if (level !== undefined) return level
  throw registryFailure(
    42203,
    'Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive',
  )
}

/** null: to be unset. 42204. */
export function parseMode(body: Json): SchemaMode | null {
  const value = body['mode']
  if (value === null) return null
  const mode = MODES.find((one) => typeof value === 'string' && one === value.toUpperCase())
  if (mode !== undefined) return mode
  throw registryFailure(42204, 'Invalid mode. Valid values are READWRITE, READONLY, IMPORT and FORWARD.')
}
