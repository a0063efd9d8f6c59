// Bodies of requests to the Schema Registry API. Members that nobody knows are passed over.

import { isUtf8 } from 'node:buffer'
import type { FastifyRequest } from 'fastify'
import { SCHEMA_REFERENCES_MAX, SCHEMA_TEXT_CHARS_MAX } from '../../kernel/limits.ts'
import { registryFailure } from '../../registry/registry-failure.ts'
import type { SchemaMetadata, SchemaReference, SchemaRule, SchemaRuleSet } from '../../registry/schema-entity.ts'
import { RULE_LISTS } from '../../registry/schema-entity.ts'
import type { SchemaSettings } from '../../registry/schema-entries.ts'
import { isSchemaType, SETTING_NAMES } from '../../registry/schema-entries.ts'
import type { SchemaRequest } from '../../registry/schema-registry.ts'
import type { CompatibilityLevel, SchemaMode } from '../../registry/schema-scopes.ts'
import { COMPATIBILITY_LEVELS, MODES } from '../../registry/schema-scopes.ts'
import type { HttpFloor } from '../http-floor.ts'
import { checkRequestType } from './negotiation.ts'

type Json = Readonly<Record<string, unknown>>

/** Twice the text, which may be all escapes. */
const BODY_BYTES_MAX = 2 * SCHEMA_TEXT_CHARS_MAX

export async function bodyOf(floor: HttpFloor, request: FastifyRequest): Promise<Json> {
  checkRequestType(request.headers['content-type'])
  const bytes = await floor.bodies.read(request.raw, BODY_BYTES_MAX)
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

export function parseSchemaRequest(body: Json): SchemaRequest {
  const { schemaType = 'AVRO' } = body
  if (schemaType !== null && !isSchemaType(schemaType)) {
    throw registryFailure(42201, `Invalid schema type ${String(schemaType).slice(0, 100)}`)
  }
  return {
    schemaType: schemaType ?? 'AVRO',
    schema: textIn(body, 'schema') ?? '',
    references: referencesIn(body),
    metadata: metadataIn(body, 'metadata') ?? undefined,
    ruleSet: ruleSetIn(body, 'ruleSet') ?? undefined,
    version: integerIn(body, 'version') ?? 0,
    id: integerIn(body, 'id') ?? -1,
  }
}

function referencesIn(body: Json): readonly SchemaReference[] {
  const list = body['references'] ?? []
  if (!Array.isArray(list)) throw wrongKind('references', 'a list')
  if (list.length > SCHEMA_REFERENCES_MAX)
    throw registryFailure(42201, `a schema has at most ${SCHEMA_REFERENCES_MAX} references`)
  return list.map((item: unknown) => {
    if (!isObject(item)) throw wrongKind('references', 'a list of objects')
    const name = textIn(item, 'name')
    const subject = textIn(item, 'subject')
    const version = integerIn(item, 'version')
    if (name === undefined || subject === undefined || version === undefined) {
      throw registryFailure(
        42201,
        `Invalid reference: ${JSON.stringify(item).slice(0, 200)}; name, subject and version are needed`,
      )
    }
    return { name, subject, version }
  })
}

/** null: to be unset; undefined: nothing is said. */
function metadataIn(body: Json, member: string): SchemaMetadata | null | undefined {
  const json = body[member]
  if (json === undefined || json === null) return json
  if (!isObject(json)) throw wrongKind(member, 'an object')
  const tags = mapIn(json, 'tags', (value) => textsOf(value, 'tags'))
  const properties = mapIn(json, 'properties', (value) => {
    if (typeof value !== 'string') throw wrongKind('properties', 'an object of texts')
    return value
  })
  const sensitive =
    json['sensitive'] === undefined || json['sensitive'] === null ? undefined : textsOf(json['sensitive'], 'sensitive')
  return {
    ...(tags === undefined ? {} : { tags }),
    ...(properties === undefined ? {} : { properties }),
    ...(sensitive === undefined ? {} : { sensitive }),
  }
}

function ruleSetIn(body: Json, member: string): SchemaRuleSet | null | undefined {
  const json = body[member]
  if (json === undefined || json === null) return json
  if (!isObject(json)) throw wrongKind(member, 'an object')
  const lists = RULE_LISTS.flatMap((list) => {
    const rules = json[list]
    if (rules === undefined || rules === null) return []
    if (!Array.isArray(rules)) throw wrongKind(list, 'a list')
    return [[list, rules.map(ruleOf)]]
  })
  const enableAt = textIn(json, 'enableAt')
  return { ...Object.fromEntries(lists), ...(enableAt === undefined ? {} : { enableAt }) }
}

const RULE_TEXTS = ['name', 'doc', 'kind', 'mode', 'type', 'expr', 'onSuccess', 'onFailure'] as const

function ruleOf(json: unknown): SchemaRule {
  if (!isObject(json)) throw wrongKind('a rule', 'an object')
  const texts = RULE_TEXTS.flatMap((name) => {
    const text = textIn(json, name)
    return text === undefined ? [] : [[name, text]]
  })
  const tags = json['tags'] === undefined || json['tags'] === null ? undefined : textsOf(json['tags'], 'tags')
  const params = mapIn(json, 'params', (value) => String(value))
  return {
    ...Object.fromEntries(texts),
    ...(tags === undefined ? {} : { tags }),
    ...(params === undefined ? {} : { params }),
    ...(typeof json['disabled'] === 'boolean' ? { disabled: json['disabled'] } : {}),
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
  if (name.endsWith('Metadata')) return metadataIn(body, name)
  if (name.endsWith('RuleSet')) return ruleSetIn(body, name)
  const isFlag = name === 'normalize' || name.startsWith('validate')
  if (typeof value !== (isFlag ? 'boolean' : 'string')) throw wrongKind(name, isFlag ? 'true or false' : 'a text')
  return name === 'compatibilityPolicy' ? String(value).toUpperCase() : value
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

function textIn(json: Json, name: string): string | undefined {
  const value = json[name]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string') throw wrongKind(name, 'a text')
  return value
}

/** Digits in quotes are a number, too. */
function integerIn(json: Json, name: string): number | undefined {
  const value = json[name]
  if (value === undefined || value === null) return undefined
  const number = typeof value === 'string' && /^-?\d{1,10}$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isInteger(number) || Math.abs(number) > 2 ** 31 - 1)
    throw wrongKind(name, 'a whole number')
  return number
}

function mapIn<Value>(json: Json, name: string, of: (value: unknown) => Value): Record<string, Value> | undefined {
  const map = json[name]
  if (map === undefined || map === null) return undefined
  if (!isObject(map)) throw wrongKind(name, 'an object')
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, of(value)]))
}

function textsOf(value: unknown, name: string): readonly string[] {
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string'))
    throw wrongKind(name, 'a list of texts')
  return value
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function wrongKind(name: string, wanted: string) {
  return registryFailure(400, `${name} must be ${wanted}`)
}
