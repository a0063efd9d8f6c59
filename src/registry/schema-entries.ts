// The records of the topic _schemas, byte for byte as Confluent's Schema Registry writes them: compaction goes by a key's
// bytes, so that one member in another place would make a second entry that never goes. Read are the forms of all versions
// and of Karapace; a record that nobody understands is passed over.

import { TailraceError } from '../kernel/errors.ts'
import type { SchemaType } from '../kernel/schema-words.ts'
import { SCHEMA_TYPES } from '../kernel/schema-words.ts'
import type { SchemaContent, StoredSchema } from './schema-entity.ts'
import { guidOf } from './schema-entity.ts'
import type { Json } from './schema-shapes.ts'
import { INT32_MAX, isObject, parseMetadata, parseReferences, parseRuleSet } from './schema-shapes.ts'
import { canonicalSubject } from './subject.ts'

export const SETTING_NAMES = [
  'alias',
  'aliasForDeks',
  'normalize',
  'validateFields',
  'validateNewSchemas',
  'validateRules',
  'compatibilityLevel',
  'compatibilityPolicy',
  'compatibilityGroup',
  'defaultMetadata',
  'overrideMetadata',
  'defaultRuleSet',
  'overrideRuleSet',
] as const

export const METADATA_SETTINGS = ['defaultMetadata', 'overrideMetadata'] as const
export const RULE_SET_SETTINGS = ['defaultRuleSet', 'overrideRuleSet'] as const

export const MODES = ['READWRITE', 'READONLY', 'READONLY_OVERRIDE', 'IMPORT', 'FORWARD'] as const

export type SchemaMode = (typeof MODES)[number]

/** What was set for a subject, a context or all: values by the names of SETTING_NAMES, and others that are kept. */
export type SchemaSettings = Readonly<Record<string, unknown>>

export type EntryKey =
  | { readonly kind: 'SCHEMA'; readonly subject: string; readonly version: number }
  /** '' for all. */
  | { readonly kind: 'CONFIG' | 'MODE'; readonly scope: string }
  | { readonly kind: 'DELETE_SUBJECT' | 'CLEAR_SUBJECT'; readonly subject: string }
  | { readonly kind: 'CONTEXT'; readonly context: string }
  | { readonly kind: 'NOOP' }

export interface Entry {
  readonly key: string
  /** null removes. */
  readonly value: string | null
  /** When it was made, ms, where that is not now. */
  readonly timestamp?: number | undefined
}

/** Who wrote a record, where several nodes may: the number of its claim to be the one, and a name that no other has. */
export interface Author {
  readonly claim: number
  readonly name: string
}

/** Where a record's author stands, as text; Confluent's nodes leave it alone. */
export const AUTHOR_HEADER = 'tailrace-writer'

export function authorText({ claim, name }: Author): string {
  return `${claim} ${name}`
}

/** undefined: it is none. */
export function parseAuthor(text: string): Author | undefined {
  const [, claim = '', name = ''] = /^(\d{1,15}) ([\w-]{1,64})$/.exec(text) ?? []
  return name === '' ? undefined : { claim: Number(claim), name }
}

const SCHEMA_MAGIC = 1
const MAGIC = 0

export function keyText(key: EntryKey): string {
  switch (key.kind) {
    case 'SCHEMA':
      return JSON.stringify({ keytype: key.kind, subject: key.subject, version: key.version, magic: SCHEMA_MAGIC })
    case 'CONFIG':
    case 'MODE':
      return JSON.stringify({ keytype: key.kind, ...(key.scope === '' ? {} : { subject: key.scope }), magic: MAGIC })
    case 'DELETE_SUBJECT':
    case 'CLEAR_SUBJECT':
      return JSON.stringify({ keytype: key.kind, subject: key.subject, magic: MAGIC })
    case 'CONTEXT':
      return JSON.stringify({ keytype: key.kind, tenant: 'default', context: key.context, magic: MAGIC })
    case 'NOOP':
      return JSON.stringify({ keytype: key.kind, magic: MAGIC })
  }
}

/** undefined: nothing that is understood here. */
export function parseKey(text: string): EntryKey | undefined {
  const json = objectOf(text)
  if (json === undefined) return undefined
  const { keytype, subject, version, context } = json
  switch (keytype) {
    case 'SCHEMA':
      if (typeof subject !== 'string' || !isInt32(version)) return undefined
      return { kind: keytype, subject: canonicalSubject(subject), version }
    case 'CONFIG':
    case 'MODE':
      return { kind: keytype, scope: typeof subject === 'string' ? canonicalSubject(subject) : '' }
    case 'DELETE_SUBJECT':
    case 'CLEAR_SUBJECT':
      return typeof subject === 'string' ? { kind: keytype, subject: canonicalSubject(subject) } : undefined
    case 'CONTEXT':
      return typeof context === 'string' ? { kind: keytype, context } : undefined
    case 'NOOP':
      return { kind: keytype }
    default:
      return undefined
  }
}

export function schemaValue(schema: Omit<StoredSchema, 'ts' | 'guid'>): string {
  const { subject, version, id, schemaType, references, metadata, ruleSet } = schema
  return JSON.stringify({
    subject,
    version,
    id,
    schemaType,
    ...(references.length === 0 ? {} : { references }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(ruleSet === undefined ? {} : { ruleSet }),
    schema: schema.schema,
    deleted: schema.deleted,
  })
}

/** The same value, deleted; what nobody knows of it stays. */
export function deletedValue(value: string): string {
  return JSON.stringify({ ...objectOf(value), deleted: true })
}

/** undefined: it is no schema's. `subject` and `version` are the key's. */
export function parseSchemaValue(text: string, subject: string, version: number, ts: number): StoredSchema | undefined {
  const json = objectOf(text)
  const { id, schema, schemaType, deleted } = json ?? {}
  if (json === undefined || !isInt32(id) || id < 0 || typeof schema !== 'string') return undefined
  const type = schemaType ?? 'AVRO'
  const content = isSchemaType(type) ? contentOf(json, type, schema) : undefined
  if (content === undefined) return undefined
  return {
    ...content,
    subject,
    version,
    id,
    guid: guidOf(content),
    deleted: deleted === true,
    ts: ts < 0 ? undefined : ts,
  }
}

/** Of a value that may be no schema's; undefined: it has none. */
export function parseSchemaId(text: string): number | undefined {
  const id = objectOf(text)?.['id']
  return isInt32(id) && id >= 0 ? id : undefined
}

/** undefined: what it carries along is nothing that could be sent to anybody. */
function contentOf(json: Json, schemaType: SchemaType, schema: string): SchemaContent | undefined {
  try {
    return {
      schemaType,
      schema,
      references: parseReferences(json['references']),
      metadata: parseMetadata(json['metadata'], 'metadata'),
      ruleSet: parseRuleSet(json['ruleSet'], 'ruleSet'),
    }
  } catch (error) {
    if (error instanceof TailraceError) return undefined
    throw error
  }
}

export function settingsValue(scope: string, settings: SchemaSettings): string {
  const known = SETTING_NAMES.flatMap((name) => (settings[name] === undefined ? [] : [[name, settings[name]]]))
  const others = Object.entries(settings).filter(([name]) => !(SETTING_NAMES as readonly string[]).includes(name))
  return JSON.stringify({ ...(scope === '' ? {} : { subject: scope }), ...Object.fromEntries([...known, ...others]) })
}

export function parseSettingsValue(text: string): SchemaSettings | undefined {
  const json = objectOf(text)
  if (json === undefined) return undefined
  const { subject: _subject, ...settings } = json
  try {
    for (const name of METADATA_SETTINGS) parseMetadata(settings[name], name)
    for (const name of RULE_SET_SETTINGS) parseRuleSet(settings[name], name)
  } catch (error) {
    if (error instanceof TailraceError) return undefined
    throw error
  }
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null))
}

export function modeValue(scope: string, mode: SchemaMode): string {
  return JSON.stringify({ ...(scope === '' ? {} : { subject: scope }), mode })
}

export function parseModeValue(text: string): SchemaMode | undefined {
  const mode = objectOf(text)?.['mode']
  return MODES.find((one) => one === mode)
}

export function deleteSubjectValue(subject: string, version: number): string {
  return JSON.stringify({ subject, version })
}

/** Up to which version they are deleted. */
export function parseDeleteSubjectValue(text: string): number | undefined {
  const version = objectOf(text)?.['version']
  return isInt32(version) ? version : undefined
}

export function clearSubjectValue(subject: string): string {
  return JSON.stringify({ subject })
}

export function contextValue(context: string): string {
  return JSON.stringify({ tenant: 'default', context })
}

export function isSchemaType(value: unknown): value is SchemaType {
  return SCHEMA_TYPES.some((type) => type === value)
}

function isInt32(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= INT32_MAX
}

function objectOf(text: string): Json | undefined {
  try {
    const json: unknown = JSON.parse(text)
    return isObject(json) ? json : undefined
  } catch {
    return undefined
  }
}
