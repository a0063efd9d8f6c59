// Whether a schema may follow those that its subject has, as its level of compatibility asks, and in which words it may not.

import { asTailraceError } from '../kernel/errors.ts'
import { OLD_SCHEMA_SHOWN_CHARS } from '../kernel/limits.ts'
import type { CompatibilityLevel } from '../kernel/schema-words.ts'
import { REMOTE_REFERENCE, registryFailure } from './registry-failure.ts'
import type { SchemaMetadata } from './schema-entity.ts'
import type { CompatibilityPolicy, ParsedSchema, ReaderWriter } from './schema-format.ts'
import { WorkClock } from './work-clock.ts'

export interface PreviousSchema {
  readonly version: number
  parse(): ParsedSchema
}

export interface CompatibilityRules {
  readonly level: CompatibilityLevel
  readonly policy: CompatibilityPolicy
  readonly validateFields: boolean
}

/** `previous`: the newest first. What keeps it from following them; empty: nothing. 42201: they cannot be compared, or not in time. */
export function compatibilityFaults(
  schema: ParsedSchema,
  previous: readonly PreviousSchema[],
  rules: CompatibilityRules,
): readonly string[] {
  const { level } = rules
  if (level === 'NONE') return []
  const asked = level.endsWith('_TRANSITIVE') ? previous : previous.slice(0, 1)
  if (asked.length === 0) return []
  return new WorkClock('compatibility check').run(() => {
    for (const one of asked) {
      const faults = faultsWith(schema, one, rules)
      if (faults.length > 0) return faults
    }
    return []
  })
}

function faultsWith(schema: ParsedSchema, previous: PreviousSchema, rules: CompatibilityRules): readonly string[] {
  try {
    return faultsBetween(schema, previous, rules)
  } catch (error) {
    // another registry has fetched what it refers to
    if (!asTailraceError(error).message.includes(REMOTE_REFERENCE)) throw error
    return ['A previous schema version contains an unsupported external reference', rulesTail(rules)]
  }
}

function faultsBetween(schema: ParsedSchema, previous: PreviousSchema, rules: CompatibilityRules): readonly string[] {
  const { level, policy } = rules
  const old = previous.parse()
  if (old.type !== schema.type) return ['Incompatible because of different schema type']
  const isForward = level.startsWith('FORWARD') || level.startsWith('FULL')
  const isBackward = level.startsWith('BACKWARD') || level.startsWith('FULL')
  const forward = isForward ? faultsOf(old, schema, { reader: 'old', writer: 'new' }, policy) : []
  const backward = isBackward ? faultsOf(schema, old, { reader: 'new', writer: 'old' }, policy) : []
  if (forward.length === 0 && backward.length === 0) return []
  const told = isBackward ? backward : forward
  return [
    ...forward,
    ...backward,
    ...(told.length === 0 ? [] : [`{oldSchemaVersion: ${previous.version}}`, oldSchema(old.canonical)]),
    rulesTail(rules),
  ]
}

function rulesTail({ level, validateFields }: CompatibilityRules): string {
  return `{validateFields: '${validateFields}', compatibility: '${level}'}`
}

/** 42201: they cannot be compared, or not in so many steps. */
function faultsOf(
  reader: ParsedSchema,
  writer: ParsedSchema,
  words: ReaderWriter,
  policy: CompatibilityRules['policy'],
): readonly string[] {
  try {
    return reader.incompatibilities(writer, words, policy)
  } catch (error) {
    const { code, message } = asTailraceError(error)
    throw code === 'invalid_schema' ? registryFailure(42201, message) : error
  }
}

const RESERVED_PROPERTY = 'confluent:reserved'

/** Names that a schema's metadata keep for others than its fields. `old`: of the version before. */
export function reservedFaults(
  { fieldNames }: ParsedSchema,
  metadata: SchemaMetadata | undefined,
  old: SchemaMetadata | undefined,
): readonly string[] {
  const reserved = reservedIn(metadata)
  const taken = reserved.filter((name) => fieldNames.includes(name))
  const dropped = reservedIn(old).filter((name) => !reserved.includes(name))
  return [
    ...taken.map((name) => `The new schema has field that conflicts with the reserved field ${name}.`),
    ...dropped.map(
      (name) =>
        `The new schema has reserved field ${name} removed from its metadata which is present in the old schema's metadata.`,
    ),
  ]
}

function reservedIn(metadata: SchemaMetadata | undefined): readonly string[] {
  const names = metadata?.properties?.[RESERVED_PROPERTY]?.split(',') ?? []
  return names.map((name) => name.trim()).filter((name) => name !== '')
}

function oldSchema(text: string): string {
  if (text.length <= OLD_SCHEMA_SHOWN_CHARS) return `{oldSchema: '${text}'}`
  return `{oldSchema: <truncated> '${text.slice(0, OLD_SCHEMA_SHOWN_CHARS)}...'}`
}
