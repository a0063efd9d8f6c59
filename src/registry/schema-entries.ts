// The records of the topic _schemas, byte for byte as Confluent's Schema Registry writes them: compaction goes by a key's
// bytes, so that one member in another place would make a second entry that never goes. Read are the forms of all versions
// and of Karapace; a record that nobody understands is passed over.

import type { SchemaMetadata, SchemaReference, SchemaRuleSet, StoredSchema } from './schema-entity.ts'
import { guidOf } from './schema-entity.ts'
import type { SchemaType } from './schema-format.ts'

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
}

type Json = Readonly<Record<string, unknown>>

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
      if (typeof subject !== 'string' || typeof version !== 'number') return undefined
      return { kind: keytype, subject, version }
    case 'CONFIG':
    case 'MODE':
      return { kind: keytype, scope: typeof subject === 'string' ? subject : '' }
    case 'DELETE_SUBJECT':
    case 'CLEAR_SUBJECT':
      return typeof subject === 'string' ? { kind: keytype, subject } : undefined
    case 'CONTEXT':
      return typeof context === 'string' ? { kind: keytype, context } : undefined
    case 'NOOP':
      return { kind: keytype }
    default:
      return undefined
  }
}

/** `kept`: the value that is written anew, whose other members stay. */
export function schemaValue(schema: Omit<StoredSchema, 'ts' | 'guid'>, kept?: string): string {
  const { subject, version, id, schemaType, references, metadata, ruleSet } = schema
  const own = {
    subject,
    version,
    id,
    ...(schemaType === 'AVRO' && kept !== undefined && !Object.hasOwn(objectOf(kept) ?? {}, 'schemaType')
      ? {}
      : { schemaType }),
    ...(references.length === 0 ? {} : { references }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(ruleSet === undefined ? {} : { ruleSet }),
    schema: schema.schema,
    deleted: schema.deleted,
  }
  const others = Object.entries((kept === undefined ? undefined : objectOf(kept)) ?? {}).filter(
    ([name]) => !Object.hasOwn(own, name),
  )
  return JSON.stringify({ ...own, ...Object.fromEntries(others) })
}

/** undefined: it is no schema's. `subject` and `version` are the key's. */
export function parseSchemaValue(text: string, subject: string, version: number, ts: number): StoredSchema | undefined {
  const json = objectOf(text)
  const { id, schema, schemaType = 'AVRO', references, metadata, ruleSet, deleted } = json ?? {}
  if (typeof id !== 'number' || !Number.isSafeInteger(id) || typeof schema !== 'string' || !isSchemaType(schemaType)) {
    return undefined
  }
  const content = {
    schemaType,
    schema,
    references: Array.isArray(references) ? references.filter(isReference) : [],
    metadata: isObject(metadata) ? (metadata as SchemaMetadata) : undefined,
    ruleSet: isObject(ruleSet) ? (ruleSet as SchemaRuleSet) : undefined,
  }
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

export function settingsValue(scope: string, settings: SchemaSettings): string {
  const known = SETTING_NAMES.flatMap((name) => (settings[name] === undefined ? [] : [[name, settings[name]]]))
  const others = Object.entries(settings).filter(([name]) => !(SETTING_NAMES as readonly string[]).includes(name))
  return JSON.stringify({ ...(scope === '' ? {} : { subject: scope }), ...Object.fromEntries([...known, ...others]) })
}

export function parseSettingsValue(text: string): SchemaSettings | undefined {
  const json = objectOf(text)
  if (json === undefined) return undefined
  const { subject: _subject, ...settings } = json
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null))
}

export function modeValue(scope: string, mode: string): string {
  return JSON.stringify({ ...(scope === '' ? {} : { subject: scope }), mode })
}

export function parseModeValue(text: string): string | undefined {
  const mode = objectOf(text)?.['mode']
  return typeof mode === 'string' ? mode : undefined
}

export function deleteSubjectValue(subject: string, version: number): string {
  return JSON.stringify({ subject, version })
}

/** Up to which version they are deleted. */
export function parseDeleteSubjectValue(text: string): number | undefined {
  const version = objectOf(text)?.['version']
  return typeof version === 'number' ? version : undefined
}

export function clearSubjectValue(subject: string): string {
  return JSON.stringify({ subject })
}

export function contextValue(context: string): string {
  return JSON.stringify({ tenant: 'default', context })
}

export function isSchemaType(value: unknown): value is SchemaType {
  return value === 'AVRO' || value === 'JSON' || value === 'PROTOBUF'
}

function isReference(value: unknown): value is SchemaReference {
  const { name, subject, version } = (isObject(value) ? value : {}) as Partial<SchemaReference>
  return typeof name === 'string' && typeof subject === 'string' && typeof version === 'number'
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function objectOf(text: string): Json | undefined {
  try {
    const json: unknown = JSON.parse(text)
    return isObject(json) ? json : undefined
  } catch {
    return undefined
  }
}
