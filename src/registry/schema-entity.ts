// A version of a subject, as it is stored and shown, and what makes two schemas the same.

import { createHash } from 'node:crypto'
import type { SchemaType } from '../kernel/schema-words.ts'

export interface SchemaReference {
  readonly name: string
  readonly subject: string
  /** -1: the latest, until it is stored. */
  readonly version: number
}

export interface SchemaMetadata {
  readonly tags?: Readonly<Record<string, readonly string[]>>
  readonly properties?: Readonly<Record<string, string>>
  readonly sensitive?: readonly string[]
}

export interface SchemaRule {
  readonly name?: string
  readonly doc?: string
  readonly kind?: string
  readonly mode?: string
  readonly type?: string
  readonly tags?: readonly string[]
  readonly params?: Readonly<Record<string, string>>
  readonly expr?: string
  readonly onSuccess?: string
  readonly onFailure?: string
  readonly disabled?: boolean
}

export const RULE_LISTS = ['migrationRules', 'domainRules', 'encodingRules'] as const

export interface SchemaRuleSet {
  readonly migrationRules?: readonly SchemaRule[]
  readonly domainRules?: readonly SchemaRule[]
  readonly encodingRules?: readonly SchemaRule[]
  readonly enableAt?: string
}

/** Tags of one place: a record or object (`.com.acme.Order`), or a field of one (`.com.acme.Order.total`). */
export interface EntityTags {
  readonly path: string
  readonly isField: boolean
  readonly tags: readonly string[]
}

export interface TagChanges {
  readonly tagsToAdd: readonly EntityTags[]
  readonly tagsToRemove: readonly EntityTags[]
}

/** What is hashed, and the type. */
export interface SchemaContent {
  readonly schemaType: SchemaType
  readonly schema: string
  readonly references: readonly SchemaReference[]
  readonly metadata: SchemaMetadata | undefined
  readonly ruleSet: SchemaRuleSet | undefined
}

export interface StoredSchema extends SchemaContent {
  /** With its context. */
  readonly subject: string
  readonly version: number
  readonly id: number
  readonly guid: string
  readonly deleted: boolean
  /** When it was made, ms; undefined where the log does not say. */
  readonly ts: number | undefined
}

/** The same for the same text, references, metadata and rules, whatever the subject. In the form of a UUID. */
export function guidOf({ schema, references, metadata, ruleSet }: Omit<SchemaContent, 'schemaType'>): string {
  const hash = createHash('md5')
  hash.update(schema)
  for (const { name, subject, version } of references) {
    const number = Buffer.alloc(4)
    number.writeInt32BE(version)
    hash.update(name).update(subject).update(number)
  }
  if (metadata !== undefined) hashMetadata(hash, metadata)
  if (ruleSet !== undefined) hashRules(hash, ruleSet)
  const hex = hash.digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

type Hash = ReturnType<typeof createHash>

const PRESENT = Buffer.from([1])

function hashMetadata(hash: Hash, { tags = {}, properties = {}, sensitive = [] }: SchemaMetadata): void {
  hash.update(PRESENT)
  for (const [key, values] of sorted(tags)) {
    hash.update(key)
    for (const value of values.toSorted()) hash.update(value)
  }
  for (const [key, value] of sorted(properties)) hash.update(key).update(value)
  for (const name of sensitive.toSorted()) hash.update(name)
}

function hashRules(hash: Hash, ruleSet: SchemaRuleSet): void {
  hash.update(PRESENT)
  for (const list of RULE_LISTS) for (const rule of ruleSet[list] ?? []) hashRule(hash, rule)
  if (ruleSet.enableAt !== undefined) hash.update(ruleSet.enableAt)
}

function hashRule(hash: Hash, rule: SchemaRule): void {
  const { name, doc, kind = 'TRANSFORM', mode = 'WRITEREAD', type, tags = [], params = {} } = rule
  const parameters = sorted(params).flat()
  const texts = [
    name,
    doc,
    kind,
    mode,
    type,
    ...tags.toSorted(),
    ...parameters,
    rule.expr,
    rule.onSuccess,
    rule.onFailure,
  ]
  for (const text of texts) if (text !== undefined) hash.update(text)
  if (rule.disabled === true) hash.update(PRESENT)
}

function sorted<Value>(map: Readonly<Record<string, Value>>): [string, Value][] {
  return Object.entries(map).sort(([left], [right]) => (left < right ? -1 : 1))
}

export function isSameReferences(left: readonly SchemaReference[], right: readonly SchemaReference[]): boolean {
  if (left.length !== right.length) return false
  return left.every((one, at) => {
    const other = right[at] as SchemaReference
    return one.name === other.name && one.subject === other.subject && one.version === other.version
  })
}
