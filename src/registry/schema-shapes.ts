// The objects that schemas carry along, read from JSON: metadata and rules. null counts as absent, members that nobody knows
// are passed over.

import type { TailraceError } from '../kernel/errors.ts'
import { registryFailure } from './registry-failure.ts'
import type { SchemaMetadata, SchemaReference, SchemaRule, SchemaRuleSet } from './schema-entity.ts'
import { RULE_LISTS } from './schema-entity.ts'

export type Json = Readonly<Record<string, unknown>>

/** What a version number or an id is at most. */
export const INT32_MAX = 2 ** 31 - 1

const SHOWN_CHARS = 300

/** 400. */
export function parseMetadata(value: unknown, what: string): SchemaMetadata | undefined {
  const json = objectIn(value, what)
  if (json === undefined) return undefined
  return defined({
    tags: mapIn(json, 'tags', (texts) => textsIn(texts, 'tags') ?? []),
    properties: mapIn(json, 'properties', (text) => {
      if (typeof text !== 'string') throw wrongKind('properties', 'an object of texts')
      return text
    }),
    sensitive: textsIn(json['sensitive'], 'sensitive'),
  })
}

/** 400. */
export function parseRuleSet(value: unknown, what: string): SchemaRuleSet | undefined {
  const json = objectIn(value, what)
  if (json === undefined) return undefined
  const lists = RULE_LISTS.map((list) => [list, listIn(json, list)?.map(parseRule)])
  return defined({ ...Object.fromEntries(lists), enableAt: textIn(json, 'enableAt') })
}

function parseRule(value: unknown): SchemaRule {
  const json = objectIn(value, 'a rule') ?? {}
  const { disabled } = json
  return defined({
    name: textIn(json, 'name'),
    doc: textIn(json, 'doc'),
    kind: textIn(json, 'kind'),
    mode: textIn(json, 'mode'),
    type: textIn(json, 'type'),
    tags: textsIn(json['tags'], 'tags'),
    params: mapIn(json, 'params', (param) => {
      if (typeof param === 'object') throw wrongKind('params', 'an object of texts')
      return String(param)
    }),
    expr: textIn(json, 'expr'),
    onSuccess: textIn(json, 'onSuccess'),
    onFailure: textIn(json, 'onFailure'),
    disabled: typeof disabled === 'boolean' ? disabled : undefined,
  })
}

/** 400; 42201: one of the three that a reference needs is missing. */
export function parseReferences(value: unknown): readonly SchemaReference[] {
  return (listOf(value, 'references') ?? []).map((item) => {
    const json = objectIn(item, 'a reference') ?? {}
    const name = textIn(json, 'name')
    const subject = textIn(json, 'subject')
    const version = integerIn(json, 'version')
    if (name !== undefined && subject !== undefined && version !== undefined) return { name, subject, version }
    const given = Object.entries({ name, subject, version })
    const shown = given.map(([member, found]) => `${member}=${found ?? null}`).join(', ')
    const missing = given.flatMap(([member, found]) => (found === undefined ? [member] : []))
    throw registryFailure(
      42201,
      `Invalid reference: {${shown.slice(0, SHOWN_CHARS)}}; name, subject and version are needed, missing: ${missing.join(', ')}`,
    )
  })
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function textIn(json: Json, name: string): string | undefined {
  const value = json[name] ?? undefined
  if (value !== undefined && typeof value !== 'string') throw wrongKind(name, 'a text')
  return value
}

/** Digits in quotes are a number, too. */
export function integerIn(json: Json, name: string): number | undefined {
  const value = json[name] ?? undefined
  if (value === undefined) return undefined
  const number = typeof value === 'string' && /^-?\d{1,10}$/.test(value) ? Number(value) : value
  if (typeof number === 'number' && Number.isInteger(number) && Math.abs(number) <= INT32_MAX) return number
  throw wrongKind(name, 'an integer of 32 bits')
}

export function listIn(json: Json, name: string): readonly unknown[] | undefined {
  return listOf(json[name], name)
}

export function textsIn(value: unknown, what: string): readonly string[] | undefined {
  const texts = listOf(value, what)
  if (texts === undefined || texts.every((item): item is string => typeof item === 'string')) return texts
  throw wrongKind(what, 'a list of texts')
}

function listOf(value: unknown, what: string): readonly unknown[] | undefined {
  if (value === undefined || value === null) return undefined
  if (!Array.isArray(value)) throw wrongKind(what, 'a list')
  return value
}

function objectIn(value: unknown, what: string): Json | undefined {
  if (value === undefined || value === null) return undefined
  if (!isObject(value)) throw wrongKind(what, 'an object')
  return value
}

function mapIn<Value>(
  json: Json,
  name: string,
  of: (value: unknown) => Value,
): Readonly<Record<string, Value>> | undefined {
  const map = objectIn(json[name], name)
  return map && Object.fromEntries(Object.entries(map).map(([key, value]) => [key, of(value)]))
}

/** Without what is not there. */
function defined<Shape extends object>(shape: Shape): { [Name in keyof Shape]: Exclude<Shape[Name], undefined> } {
  return Object.fromEntries(Object.entries(shape).filter(([, value]) => value !== undefined)) as never
}

export function wrongKind(what: string, wanted: string): TailraceError {
  return registryFailure(400, `${what} must be ${wanted}`)
}
