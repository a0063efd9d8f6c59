// What is asked of the registry without changing it: versions by their numbers, schemas by their ids and by what they say.
// Pure on what is known (schema-state.ts).

import { createHash } from 'node:crypto'
import type { TailraceError } from '../kernel/errors.ts'
import { SUBJECTS_COMPARED_MAX } from '../kernel/limits.ts'
import { nearestName } from '../kernel/nearest-name.ts'
import type { SchemaType } from '../kernel/schema-words.ts'
import { emptySchema, schemaNotFound, subjectNotFound, versionNotFound } from './registry-failure.ts'
import type {
  SchemaContent,
  SchemaMetadata,
  SchemaReference,
  SchemaRuleSet,
  StoredSchema,
  TagChanges,
} from './schema-entity.ts'
import { guidOf, isSameReferences } from './schema-entity.ts'
import type { ParsedSchema } from './schema-format.ts'
import { filledIn, fillsIn, isSameMetadata } from './schema-merge.ts'
import type { Reading, SchemaParser } from './schema-parser.ts'
import { effectiveSettings } from './schema-scopes.ts'
import type { SchemaState, Version } from './schema-state.ts'
import { canonicalSubject, DEFAULT_CONTEXT, parseSubject, printSubject } from './subject.ts'
import { WorkClock } from './work-clock.ts'

export interface SchemaRequest {
  readonly schemaType: SchemaType
  /** '': that of the latest version. */
  readonly schema: string
  readonly references: readonly SchemaReference[]
  readonly metadata?: SchemaMetadata | undefined
  readonly ruleSet?: SchemaRuleSet | undefined
  /** 0: the next; -1: the next, and its metadata name it. */
  readonly version?: number | undefined
  /** -1: a new one. Only where schemas are imported. */
  readonly id?: number | undefined
  /** What the body has that names no schema at all: told where one is needed. */
  readonly beside?: readonly string[] | undefined
  /** Of parts of its text. */
  readonly tags?: TagChanges | undefined
  /** With the tags that the latest version has. */
  readonly isTaggedAsBefore?: boolean | undefined
}

export interface LookupOptions {
  readonly normalize?: boolean
  /** Among those that were deleted, too. */
  readonly deleted?: boolean
}

export type VersionName = number | 'latest'

/** A schema as a request has it, read on its clock. */
export interface AskedSchema {
  /** As it would be stored. */
  readonly content: SchemaContent
  /** Of that. 42201. */
  parsed(): ParsedSchema
  /** The same for all that mean the same: a digest. 42201. */
  meaning(): string
  /** It will be asked for again. */
  keep(): void
}

/** What a request asks for is not new as long as it changes nothing. */
export function asAsked(): Reading {
  return { strictness: 'stored', withDeleted: true, clock: new WorkClock('the schema is') }
}

/** What is to be a version. `isValidated`: as the format asks of new schemas. */
export function asNew(isValidated: boolean): Reading {
  return { strictness: isValidated ? 'new' : 'stored', withDeleted: false, clock: new WorkClock('the schema is') }
}

export class SchemaFinder {
  readonly #state: SchemaState
  readonly #parser: SchemaParser
  /** To parse a thousand versions for each registration would take too long. */
  readonly #meanings = new WeakMap<StoredSchema, string>()

  constructor(state: SchemaState, parser: SchemaParser) {
    this.#state = state
    this.#parser = parser
  }

  /** Of a stored schema. 42201: what it refers to is gone. */
  parsed(schema: StoredSchema): ParsedSchema {
    return this.#parser.parse(schema, schema.subject)
  }

  live(subject: string): readonly Version[] {
    return this.#state.versions(subject).filter(({ schema }) => !schema.deleted)
  }

  /** 40401, 40402. For a name without a context, in the others where the default one has none. */
  version(subject: string, name: VersionName, deleted: boolean): StoredSchema {
    for (const place of [canonicalSubject(subject), ...this.#inOtherContexts(subject)]) {
      const found = this.#versionIn(place, name, deleted)
      if (found !== undefined) return found
    }
    throw this.#noVersion(subject, name, deleted)
  }

  /** 40401, 40402. Of this very subject, deleted or not. */
  ownVersion(subject: string, name: VersionName): Version {
    const found = this.#versionIn(subject, name, true)
    const version = found && this.#state.version(subject, found.version)
    if (version === undefined) throw this.#noVersion(subject, name, true)
    return version
  }

  /** Those that a subject has, the lowest first. 40401. */
  versions(subject: string, { deleted = false, deletedOnly = false } = {}): readonly StoredSchema[] {
    const all = this.#state.versions(canonicalSubject(subject)).map(({ schema }) => schema)
    const meant = all.filter((schema) => (deletedOnly ? schema.deleted : deleted || !schema.deleted))
    if (meant.length === 0) throw subjectNotFound(subject)
    return meant
  }

  byId(id: number, subject: string | undefined): StoredSchema | undefined {
    const { context, name } = parseSubject(subject ?? '')
    const own = [...this.#state.withId(context, id)]
    if (name === '') return own[0]
    const named = own.find((one) => one.subject === canonicalSubject(subject ?? ''))
    if (named !== undefined) return named
    for (const other of this.#inOtherContexts(subject ?? '')) {
      for (const one of this.#state.withId(parseSubject(other).context, id)) if (one.subject === other) return one
    }
    return own[0] ?? [...this.#state.withId(DEFAULT_CONTEXT, id)][0]
  }

  /** Who finds a schema by its id alone, as readers of records do, finds this one: its text, and all that it refers to. */
  isFoundById(schema: StoredSchema): boolean {
    if (parseSubject(schema.subject).context === DEFAULT_CONTEXT) return true
    for (const found of this.#state.withId(DEFAULT_CONTEXT, schema.id)) {
      const isSame = found.guid === schema.guid && found.schemaType === schema.schemaType
      if (isSame && this.#referredBy(found) === this.#referredBy(schema)) return true
    }
    return false
  }

  /** The subject whose name is like this one. */
  nearestSubject(subject: string): string | undefined {
    return nearestName(subject, this.#someSubjects())
  }

  *#someSubjects(): Iterable<string> {
    let count = 0
    for (const subject of this.#state.subjects) {
      if (count++ === SUBJECTS_COMPARED_MAX) return
      if (this.live(subject).length > 0) yield subject
    }
  }

  #referredBy(schema: StoredSchema): string {
    if (schema.references.length === 0) return ''
    return JSON.stringify(this.#parser.referred(schema).map(({ name, guid }) => [name, guid]))
  }

  /** 40403. */
  sharing(id: number, subject: string | undefined): readonly StoredSchema[] {
    const { context, name } = parseSubject(subject ?? '')
    const found = [...this.#state.withId(context, id)]
    if (found.length === 0) throw schemaNotFound()
    return name === '' ? found : found.filter((one) => one.subject === canonicalSubject(subject ?? ''))
  }

  /** What a schema calls its record; undefined where it has no name. 42201, 42209. */
  recordName({ schemaType, schema, references }: SchemaRequest): string | undefined {
    return this.#parser.read({ schemaType, schema, references }, '', asAsked()).parsed.recordName
  }

  /** 40403. */
  byGuid(guid: string): StoredSchema {
    for (const { context, id } of this.#state.idsOfGuid(guid)) {
      for (const one of this.#state.withId(context, id)) if (one.guid === guid) return one
    }
    throw schemaNotFound(guid)
  }

  /** 40401, 40403, 42201. */
  lookup(subject: string, request: SchemaRequest, { normalize, deleted }: LookupOptions): StoredSchema {
    const isNormalized = normalize === true || effectiveSettings(this.#state, subject)['normalize'] === true
    const reading = asAsked()
    for (const place of [canonicalSubject(subject), ...this.#inOtherContexts(subject)]) {
      const versions = this.#state.versions(place).filter(({ schema }) => deleted === true || !schema.deleted)
      if (versions.length === 0) continue
      const asked = this.read(place, request, isNormalized, reading)
      const found = this.findSame(asked, versions) ?? this.findInheriting(place, asked, versions)
      if (found === undefined) continue
      asked.keep()
      return found
    }
    const isKnown = this.#hasAny(subject, deleted === true)
    throw isKnown ? schemaNotFound() : subjectNotFound(subject)
  }

  /** The ids of those that refer to it, rising. 40401, 40402. */
  referencedBy(subject: string, version: VersionName, deleted: boolean): readonly number[] {
    const schema = this.version(subject, version, true)
    const referrers = this.#state.referrers(schema.subject, schema.version)
    const ids = referrers.filter((one) => deleted || !one.deleted).map(({ id }) => id)
    return [...new Set(ids)].sort((left, right) => left - right)
  }

  /** 42201, 42209. */
  read(subject: string, request: SchemaRequest, isNormalized: boolean, reading: Reading): AskedSchema {
    const { context } = parseSubject(subject)
    const references = request.references.map((reference) => {
      if (reference.version !== -1) return reference
      return { ...reference, version: this.#parser.find(reference, context)?.schema.version ?? -1 }
    })
    const { schemaType, schema, metadata, ruleSet } = request
    if (schema.trim() === '') throw emptySchema(request.beside)
    const { parsed: first, keep } = this.#parser.read({ schemaType, schema, references }, subject, reading)
    const run = <T>(work: () => T): T => (reading.clock === undefined ? work() : reading.clock.run(work))
    const content = {
      schemaType,
      schema: isNormalized ? run(() => first.normalized) : first.canonical,
      references: isNormalized ? sortedReferences(references) : references,
      metadata,
      ruleSet,
    }
    // what will be stored must be readable
    let again = content.schema === schema ? first : undefined
    const parsed = () => {
      again ??= this.#parser.read(content, subject, reading).parsed
      return again
    }
    const meaning = () => {
      const meant = isNormalized ? parsed() : first
      return run(() => digestOf(meant))
    }
    return { content, parsed, meaning, keep }
  }

  /** The newest that is the same, to the letter or in what it says. */
  findSame({ content, meaning }: AskedSchema, versions: readonly Version[]): StoredSchema | undefined {
    const guid = guidOf(content)
    const newest = versions.toReversed()
    const same = newest.find(({ schema }) => schema.guid === guid && schema.schemaType === content.schemaType)
    if (same !== undefined) return same.schema
    const alike = newest.filter(({ schema }) => isAlike(content, schema))
    if (alike.length === 0) return undefined
    const asked = meaning()
    return alike.find(({ schema }) => this.#meaningOf(schema) === asked)?.schema
  }

  /** Without metadata of its own, with those of the latest and of the settings. */
  findInheriting(subject: string, asked: AskedSchema, versions: readonly Version[]): StoredSchema | undefined {
    const latest = versions.at(-1)?.schema
    const settings = effectiveSettings(this.#state, subject)
    if (latest?.metadata === undefined && latest?.ruleSet === undefined && !fillsIn(settings)) return undefined
    return this.findSame({ ...asked, content: filledIn(asked.content, settings, latest) }, versions)
  }

  /** Of what cannot be read any more: nothing that anything else means. */
  #meaningOf(stored: StoredSchema): string {
    const known = this.#meanings.get(stored)
    if (known !== undefined) return known
    let meaning = ''
    try {
      meaning = digestOf(this.parsed(stored))
    } catch {
      // it stays readable as a text
    }
    this.#meanings.set(stored, meaning)
    return meaning
  }

  #versionIn(subject: string, name: VersionName, deleted: boolean): StoredSchema | undefined {
    if (name === 'latest') return this.live(subject).at(-1)?.schema
    const schema = this.#state.version(subject, name)?.schema
    return schema === undefined || (schema.deleted && !deleted) ? undefined : schema
  }

  #noVersion(subject: string, name: VersionName, deleted: boolean): TailraceError {
    if (!this.#hasAny(subject, deleted)) return subjectNotFound(subject)
    return versionNotFound(name === 'latest' ? -1 : name)
  }

  #hasAny(subject: string, deleted: boolean): boolean {
    return this.#state.versions(canonicalSubject(subject)).some(({ schema }) => deleted || !schema.deleted)
  }

  /** The same name in every other context, for one that names none. */
  #inOtherContexts(subject: string): readonly string[] {
    if (subject.startsWith(':.') || subject === '') return []
    return this.#state.contexts
      .filter((context) => context !== DEFAULT_CONTEXT)
      .map((context) => printSubject({ context, name: subject }))
  }
}

/** But for their texts; references may be written out in one. */
function isAlike(content: SchemaContent, stored: StoredSchema): boolean {
  if (stored.schemaType !== content.schemaType) return false
  if (!isSameMetadata(content.metadata, stored.metadata)) return false
  if (JSON.stringify(content.ruleSet ?? null) !== JSON.stringify(stored.ruleSet ?? null)) return false
  const isInlined = content.references.length === 0 && stored.references.length > 0
  return isInlined || isSameReferences(content.references, stored.references)
}

function digestOf({ meaning }: ParsedSchema): string {
  return createHash('md5').update(meaning).digest('base64')
}

function sortedReferences(references: readonly SchemaReference[]): readonly SchemaReference[] {
  const byText = new Map(references.map((one) => [JSON.stringify([one.name, one.subject, one.version]), one]))
  return [...byText.values()].sort((left, right) => {
    if (left.name !== right.name) return left.name < right.name ? -1 : 1
    if (left.subject !== right.subject) return left.subject < right.subject ? -1 : 1
    return left.version - right.version
  })
}
