// The schema registry above the engine's contract: what is known is what its topic says (schema-state.ts); what is asked
// for is checked against that, written, and answered when it is known. Writers take turns: ids have no holes, and the same
// schema never gets two.

import type { Engine } from '../engine/engine.ts'
import type { Clock } from '../kernel/clock.ts'
import type { TailraceError } from '../kernel/errors.ts'
import type { Logger } from '../kernel/logger.ts'
import { SerialQueue } from '../kernel/serial-queue.ts'
import { registryFailure, schemaNotFound, subjectNotFound, versionNotFound } from './registry-failure.ts'
import { compatibilityFaults, faultsWith } from './schema-compatibility.ts'
import type { SchemaContent, SchemaMetadata, SchemaReference, SchemaRuleSet, StoredSchema } from './schema-entity.ts'
import { guidOf, isSameReferences } from './schema-entity.ts'
import type { Entry, SchemaSettings } from './schema-entries.ts'
import {
  clearSubjectValue,
  contextValue,
  deleteSubjectValue,
  keyText,
  modeValue,
  schemaValue,
  settingsValue,
} from './schema-entries.ts'
import type { ParsedSchema, SchemaType } from './schema-format.ts'
import { SchemaLog } from './schema-log.ts'
import {
  checkRules,
  isSameMetadata,
  mergeMetadata,
  mergeRuleSets,
  VERSION_PROPERTY,
  withVersion,
} from './schema-merge.ts'
import type { SchemaFormats } from './schema-parser.ts'
import { SchemaParser } from './schema-parser.ts'
import type { SchemaMode } from './schema-scopes.ts'
import { effectiveMode, effectiveSettings, levelOf, scopeOf } from './schema-scopes.ts'
import type { Version } from './schema-state.ts'
import { SchemaState } from './schema-state.ts'
import {
  canonicalSubject,
  checkScope,
  checkSubject,
  DEFAULT_CONTEXT,
  GLOBAL_SCOPE,
  parseSubject,
  printSubject,
} from './subject.ts'

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
}

export interface RegisterOptions {
  readonly normalize?: boolean
  /** Compatible or not. */
  readonly force?: boolean
}

export interface LookupOptions {
  readonly normalize?: boolean
  /** Among those that were deleted, too. */
  readonly deleted?: boolean
}

export interface Registered {
  readonly schema: StoredSchema
  /** It is not what was asked for to the letter: the registry filled something in. */
  readonly isFilledIn: boolean
}

export type VersionName = number | 'latest'

export interface CompatibilityAnswer {
  readonly isCompatible: boolean
  readonly messages: readonly string[]
}

export interface SchemaRegistryOptions {
  readonly engine: Engine
  readonly clock: Clock
  readonly logger: Logger
  readonly formats: SchemaFormats
}

export class SchemaRegistry {
  #state = new SchemaState()
  #parser: SchemaParser
  readonly #log: SchemaLog
  readonly #writes = new SerialQueue()
  #revision = 0

  constructor(options: SchemaRegistryOptions) {
    this.#parser = new SchemaParser(options.formats, this.#state)
    this.#log = new SchemaLog({
      ...options,
      apply: (key, value, timestamp) => {
        this.#revision++
        return this.#state.apply(key, value, timestamp)
      },
      forget: () => {
        this.#revision++
        this.#state = new SchemaState()
        this.#parser = new SchemaParser(options.formats, this.#state)
      },
    })
  }

  /** Why it cannot answer at present; undefined: it can. */
  get failure(): TailraceError | undefined {
    return this.#log.failure
  }

  /** Another one whenever something may have changed. */
  get revision(): number {
    return this.#revision
  }

  /** What is known now, to be read; only while there is no failure. */
  get state(): SchemaState {
    return this.#state
  }

  /** Resolves when what is in its topic by now is known. Throws what keeps it from being. */
  async ready(): Promise<void> {
    await this.#log.caughtUp()
    if (this.#log.failure !== undefined) throw this.#log.failure
  }

  close(): void {
    this.#log.close()
  }

  /** Of a stored schema. 42201: what it refers to is gone. */
  parsed(schema: StoredSchema): ParsedSchema {
    return this.#parser.parse(schema, schema.subject, 'stored')
  }

  /** Its subject stands for another one: the other one's name. */
  aliased(subject: string): string {
    const alias = this.#state.settings(scopeOf(subject))?.['alias']
    if (typeof alias !== 'string' || alias === '') return canonicalSubject(subject)
    const { context } = parseSubject(subject)
    return alias.startsWith(':.') ? alias : printSubject({ context, name: alias })
  }

  /** 40401, 40402. */
  version(subject: string, name: VersionName, deleted = false): StoredSchema {
    const found = this.#findVersion(canonicalSubject(subject), name, deleted)
    if (found !== undefined) return found
    for (const other of this.#inOtherContexts(subject)) {
      const elsewhere = this.#findVersion(other, name, deleted)
      if (elsewhere !== undefined) return elsewhere
    }
    const known = this.#state.versions(canonicalSubject(subject))
    const isKnown = known.some(({ schema }) => deleted || !schema.deleted)
    if (!isKnown) throw subjectNotFound(subject)
    throw versionNotFound(name === 'latest' ? -1 : name)
  }

  /** Those that a subject has, the lowest first. 40401. */
  versions(subject: string, { deleted = false, deletedOnly = false } = {}): readonly number[] {
    const all = this.#state.versions(canonicalSubject(subject))
    const meant = all.filter(({ schema }) => (deletedOnly ? schema.deleted : deleted || !schema.deleted))
    if (meant.length === 0) throw subjectNotFound(subject)
    return meant.map(({ schema }) => schema.version)
  }

  /**
   * By an id, in the context of a subject where one is named: there, else anywhere else, else in the default context.
   * 40403.
   */
  byId(id: number, subject?: string): StoredSchema {
    const found = this.#findId(id, subject)
    if (found === undefined) throw schemaNotFound(id)
    return found
  }

  /** As byId; undefined for none. */
  findById(id: number, subject?: string): StoredSchema | undefined {
    return this.#findId(id, subject)
  }

  /** Every version that has the id, in the context of a subject where one is named. 40403 where nothing has. */
  sharing(id: number, subject?: string): readonly StoredSchema[] {
    const found = [...this.#state.withId(subject === undefined ? DEFAULT_CONTEXT : parseSubject(subject).context, id)]
    if (found.length === 0) throw schemaNotFound()
    const isOf = (one: StoredSchema) =>
      subject === undefined || parseSubject(subject).name === '' || one.subject === canonicalSubject(subject)
    return found.filter(isOf)
  }

  byGuid(guid: string): StoredSchema {
    for (const { context, id } of this.#state.idsOfGuid(guid)) {
      for (const one of this.#state.withId(context, id)) if (one.guid === guid) return one
    }
    throw schemaNotFound(guid)
  }

  /** The version of a subject that has this schema, the newest first. 40401, 40403, 42201. */
  lookup(
    subject: string,
    request: SchemaRequest,
    { normalize = false, deleted = false }: LookupOptions = {},
  ): StoredSchema {
    const isNormalized = normalize || this.settings(subject)['normalize'] === true
    const places = [canonicalSubject(subject), ...this.#inOtherContexts(subject)]
    for (const place of places) {
      const versions = this.#state.versions(place).filter(({ schema }) => deleted || !schema.deleted)
      if (versions.length === 0) continue
      const content = this.#contentOf(place, request, isNormalized, 'stored')
      const found = this.#findSame(content, versions) ?? this.#findInheriting(place, content, versions)
      if (found !== undefined) return found
    }
    const isKnown = this.#state.versions(canonicalSubject(subject)).some(({ schema }) => deleted || !schema.deleted)
    throw isKnown ? schemaNotFound() : subjectNotFound(subject)
  }

  /** 42201, 42205, 42208, 42209, 42210, 40901; what keeps the topic from being written. */
  register(subject: string, request: SchemaRequest, options: RegisterOptions = {}): Promise<Registered> {
    checkRules(request.ruleSet)
    checkSubject(subject)
    return this.#write(() => this.#register(canonicalSubject(subject), request, options))
  }

  /** Gives the versions that were there. 40401, 40404, 40405, 42205, 42206. */
  deleteSubject(subject: string, permanent: boolean): Promise<readonly number[]> {
    const name = canonicalSubject(subject)
    return this.#write(async () => {
      const all = this.#state.versions(name)
      const live = all.filter(({ schema }) => !schema.deleted)
      if (all.length === 0) throw subjectNotFound(subject)
      if (permanent && live.length > 0) {
        throw registryFailure(40405, `Subject '${subject}' was not deleted first before being permanently deleted`)
      }
      if (!permanent && live.length === 0) {
        throw registryFailure(40404, `Subject '${subject}' was soft deleted.Set permanent=true to delete permanently`)
      }
      this.#checkMode(name, 'change')
      const meant = permanent ? all : live
      for (const { schema } of meant) this.#checkUnreferenced(schema, permanent, name)
      const versions = meant.map(({ schema }) => schema.version)
      const last = versions.at(-1) as number
      const entries = permanent
        ? [...all.flatMap(tombstones), ...this.#settingsGone(name)]
        : [{ key: keyText({ kind: 'DELETE_SUBJECT', subject: name }), value: deleteSubjectValue(name, last) }]
      await this.#log.append(entries)
      return versions
    })
  }

  /** Gives the number. 40401, 40402, 40406, 40407, 42205, 42206. */
  deleteVersion(subject: string, version: VersionName, permanent: boolean): Promise<number> {
    const name = canonicalSubject(subject)
    return this.#write(async () => {
      const all = this.#state.versions(name)
      const schema = this.version(name, version, true)
      const found = this.#state.version(name, schema.version)
      if (found === undefined) throw subjectNotFound(subject)
      if (schema.deleted && !permanent) {
        throw registryFailure(
          40406,
          `Subject '${subject}' Version ${schema.version} was soft deleted.Set permanent=true to delete permanently`,
        )
      }
      if (!schema.deleted && permanent) {
        throw registryFailure(
          40407,
          `Subject '${subject}' Version ${schema.version} was not deleted first before being permanently deleted`,
        )
      }
      this.#checkMode(name, 'change')
      this.#checkUnreferenced(schema, permanent, undefined)
      const isLast = all.length === 1
      const entries = permanent
        ? [...tombstones(found), ...(isLast ? this.#settingsGone(name) : [])]
        : rewritten(found, { ...schema, deleted: true })
      await this.#log.append(entries)
      return schema.version
    })
  }

  /** The ids of those that refer to it, rising. 40401, 40402. */
  referencedBy(subject: string, version: VersionName, deleted = false): readonly number[] {
    const schema = this.version(subject, version, true)
    const referrers = this.#state.referrers(schema.subject, schema.version)
    const ids = referrers.filter((one) => deleted || !one.deleted).map(({ id }) => id)
    return [...new Set(ids)].sort((left, right) => left - right)
  }

  /** With one version, or with all that the level asks for. 40402, 42201. */
  testCompatibility(
    subject: string,
    version: VersionName | 'all',
    request: SchemaRequest,
    normalize = false,
  ): CompatibilityAnswer {
    const name = canonicalSubject(subject)
    const live = this.#state.versions(name).filter(({ schema }) => !schema.deleted)
    if (typeof version === 'number' && this.#findVersion(name, version, false) === undefined)
      throw versionNotFound(version)
    const content = this.#contentOf(name, request, normalize || this.settings(name)['normalize'] === true, 'new')
    const schema = this.#parser.parse(content, name, 'new')
    const rules = this.#rulesOf(name)
    const inGroup = this.#sameGroup(name, content, live)
    const asPrevious = inGroup.map((one) => this.#previous(one)).reverse()
    if (version === 'all') return answer(compatibilityFaults(schema, asPrevious, rules))
    const one = version === 'latest' ? asPrevious[0] : asPrevious.find((previous) => previous.version === version)
    return answer(one === undefined ? [] : faultsWith(schema, one, rules))
  }

  /** In force for it. */
  settings(subject: string): SchemaSettings {
    return effectiveSettings(this.#state, subject)
  }

  mode(subject: string): SchemaMode {
    return effectiveMode(this.#state, subject)
  }

  /** Of a subject, a context or ('') all: a name with undefined stays, with null is unset. Gives what is set then. */
  changeSettings(subject: string, changes: SchemaSettings): Promise<SchemaSettings> {
    if (subject !== '') checkScope(subject)
    const scope = scopeOf(subject)
    return this.#write(async () => {
      this.#checkMode(subject, 'change')
      const merged = { ...this.#state.settings(scope), ...changes }
      const settings = Object.fromEntries(
        Object.entries(merged).filter(([, value]) => value !== null && value !== undefined),
      )
      await this.#log.append([{ key: keyText({ kind: 'CONFIG', scope }), value: settingsValue(scope, settings) }])
      return settings
    })
  }

  /** Gives what was set; undefined: nothing was. */
  deleteSettings(subject: string): Promise<SchemaSettings | undefined> {
    const scope = scopeOf(subject)
    return this.#write(async () => {
      const before = this.#state.settings(scope)
      this.#checkMode(subject, 'change')
      if (before !== undefined) await this.#log.append([{ key: keyText({ kind: 'CONFIG', scope }), value: null }])
      return before
    })
  }

  /** null unsets. 42205: schemas are there already, and are to be imported. 42206. */
  changeMode(subject: string, mode: SchemaMode | null, force: boolean): Promise<void> {
    if (subject !== '') checkScope(subject)
    const scope = scopeOf(subject)
    return this.#write(async () => {
      if (mode === 'FORWARD' && scope !== GLOBAL_SCOPE)
        throw registryFailure(42204, 'Forward mode only supported on global level')
      const cleared = mode === 'IMPORT' && this.#state.mode(scope) !== 'IMPORT' ? this.#clearedFor(scope, force) : []
      const value = mode === null ? null : modeValue(scope, mode)
      await this.#log.append([...cleared, { key: keyText({ kind: 'MODE', scope }), value }])
    })
  }

  /** Gives what was set for it; undefined: nothing was. `recursive`: those below it, too. */
  deleteMode(subject: string, recursive: boolean): Promise<string | undefined> {
    const scope = scopeOf(subject)
    return this.#write(async () => {
      const before = this.#state.mode(scope)
      const scopes = [...this.#state.scopesWithModes()].filter(
        (one) => one === scope || (recursive && isBelow(scope, one)),
      )
      if (scopes.length > 0) {
        await this.#log.append(scopes.map((one) => ({ key: keyText({ kind: 'MODE', scope: one }), value: null })))
      }
      return before
    })
  }

  /** 42211: it has versions, deleted ones count. */
  deleteContext(context: string): Promise<void> {
    return this.#write(async () => {
      for (const subject of this.#state.subjects) {
        if (parseSubject(subject).context !== context) continue
        throw registryFailure(42211, `The specified context '${context}' is not empty.`)
      }
      if (context !== DEFAULT_CONTEXT && this.#state.isKnownContext(context)) {
        await this.#log.append([{ key: keyText({ kind: 'CONTEXT', context }), value: null }])
      }
    })
  }

  /** One at a time, each on what the last one left. */
  #write<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#writes.run(async () => {
      await this.ready()
      return await work()
    })
  }

  async #register(subject: string, request: SchemaRequest, options: RegisterOptions): Promise<Registered> {
    const settings = this.settings(subject)
    const mode = this.mode(subject)
    const isImport = (mode === 'IMPORT' || mode === 'FORWARD') && (request.id ?? -1) >= 0
    const all = this.#state.versions(subject)
    const live = all.filter(({ schema }) => !schema.deleted)
    const isNormalized = !isImport && (options.normalize === true || settings['normalize'] === true)
    if (!fillsIn(settings) && request.schema.trim() !== '') {
      const asked = this.#contentOf(subject, request, isNormalized, 'stored')
      const known = (request.version ?? 0) <= 0 && !isImport ? this.#findSame(asked, live) : undefined
      if (known !== undefined) return { schema: known, isFilledIn: false }
    }
    this.#checkMode(subject, (request.id ?? -1) >= 0 ? 'import' : 'register')
    const latest = live.at(-1)?.schema
    const filled = inheriting(request, latest)
    const content = this.#contentOf(subject, filled, isNormalized, isImport ? 'stored' : 'new')
    const version = this.#nextVersion(all, request, isImport)
    const merged = isImport ? content : this.#merged(content, request, settings, latest, version)
    const isFilledIn = merged.metadata !== request.metadata || merged.ruleSet !== request.ruleSet || filled !== request
    const known = isImport ? undefined : this.#findSame(merged, live)
    if (known !== undefined) return { schema: known, isFilledIn }
    const parsed = this.#parser.parse(merged, subject, isImport ? 'stored' : 'new')
    if (!isImport && options.force !== true) this.#checkCompatible(subject, merged, parsed, live)
    const schema = { ...merged, subject, version, id: this.#idFor(subject, merged, request, isImport), deleted: false }
    const replaced = all.filter(
      ({ schema: old }) => old.deleted && old.id === schema.id && old.version !== version && this.#isUnreferenced(old),
    )
    await this.#log.append([
      ...replaced.flatMap(tombstones),
      ...this.#newContext(subject),
      { key: keyText({ kind: 'SCHEMA', subject, version }), value: schemaValue(schema) },
    ])
    return { schema: this.version(subject, version), isFilledIn }
  }

  #nextVersion(all: readonly Version[], { version = 0 }: SchemaRequest, isImport: boolean): number {
    const next = (all.at(-1)?.schema.version ?? 0) + 1
    if (isImport && version > 0) return version
    if (version > 0 && version !== next) throw registryFailure(42201, 'Version is not one more than previous version')
    return next
  }

  #merged(
    content: SchemaContent,
    request: SchemaRequest,
    settings: SchemaSettings,
    latest: StoredSchema | undefined,
    version: number,
  ): SchemaContent {
    const metadataOf = (name: string) => settings[name] as SchemaMetadata | undefined
    const rulesOf = (name: string) => settings[name] as SchemaRuleSet | undefined
    const metadata = mergeMetadata(
      metadataOf('defaultMetadata'),
      content.metadata ?? latest?.metadata,
      metadataOf('overrideMetadata'),
    )
    const ruleSet = mergeRuleSets(
      rulesOf('defaultRuleSet'),
      content.ruleSet ?? latest?.ruleSet,
      rulesOf('overrideRuleSet'),
    )
    const isNumbered = (request.version ?? 0) !== 0 || metadata?.properties?.[VERSION_PROPERTY] !== undefined
    return { ...content, metadata: isNumbered ? withVersion(metadata, version) : metadata, ruleSet }
  }

  /** What stands for the same content in its context, else the next one. */
  #idFor(subject: string, content: SchemaContent, { id: asked = -1 }: SchemaRequest, isImport: boolean): number {
    const { context } = parseSubject(subject)
    if (isImport) {
      const guid = guidOf(content)
      for (const other of this.#state.withId(context, asked)) {
        if (other.guid === guid) continue
        throw registryFailure(
          42205,
          `Overwrite new schema with id ${asked} in context ${printContext(context)} is not permitted.`,
        )
      }
      return asked
    }
    return this.#state.idOfGuid(context, guidOf(content)) ?? this.#state.maxId(context) + 1
  }

  #newContext(subject: string): readonly Entry[] {
    const { context } = parseSubject(subject)
    if (this.#state.isKnownContext(context)) return []
    return [{ key: keyText({ kind: 'CONTEXT', context }), value: contextValue(context) }]
  }

  /** 40901. */
  #checkCompatible(subject: string, content: SchemaContent, schema: ParsedSchema, live: readonly Version[]): void {
    const previous = this.#sameGroup(subject, content, live).map((one) => this.#previous(one))
    const faults = compatibilityFaults(schema, previous.reverse(), this.#rulesOf(subject))
    if (faults.length === 0) return
    throw registryFailure(
      40901,
      `Schema being registered is incompatible with an earlier schema for subject "${subject}", details: [${faults.join(', ')}]`,
    )
  }

  #rulesOf(subject: string) {
    const settings = this.settings(subject)
    return {
      level: levelOf(settings),
      policy: settings['compatibilityPolicy'] === 'LENIENT' ? ('LENIENT' as const) : ('STRICT' as const),
      validateFields: settings['validateFields'] === true,
    }
  }

  /** Of a compatibility group only those are compared that have the same value of its property. */
  #sameGroup(subject: string, { metadata }: SchemaContent, versions: readonly Version[]): readonly Version[] {
    const group = this.settings(subject)['compatibilityGroup']
    if (typeof group !== 'string') return versions
    return versions.filter(({ schema }) => schema.metadata?.properties?.[group] === metadata?.properties?.[group])
  }

  #previous({ schema }: Version) {
    return { version: schema.version, parse: () => this.parsed(schema) }
  }

  /** As it would be stored. */
  #contentOf(
    subject: string,
    request: SchemaRequest,
    isNormalized: boolean,
    strictness: 'new' | 'stored',
  ): SchemaContent {
    const { context } = parseSubject(subject)
    const references = request.references.map((reference) => {
      if (reference.version !== -1) return reference
      return { ...reference, version: this.#parser.find(reference, context)?.schema.version ?? -1 }
    })
    const { schemaType, schema, metadata, ruleSet } = request
    if (schema.trim() === '') throw registryFailure(42201, 'Empty schema')
    const parsed = this.#parser.parse({ schemaType, schema, references }, subject, strictness)
    return {
      schemaType,
      schema: isNormalized ? parsed.normalized : parsed.canonical,
      references: isNormalized ? sortedReferences(references) : references,
      metadata,
      ruleSet,
    }
  }

  /** The newest that is the same, to the letter or in what it says. */
  #findSame(content: SchemaContent, versions: readonly Version[]): StoredSchema | undefined {
    const guid = guidOf(content)
    const newest = versions.toReversed()
    const same = newest.find(({ schema }) => schema.guid === guid && schema.schemaType === content.schemaType)
    return (same ?? newest.find(({ schema }) => this.#meansSame(content, schema)))?.schema
  }

  #meansSame(content: SchemaContent, stored: StoredSchema): boolean {
    if (stored.schemaType !== content.schemaType) return false
    if (!isSameMetadata(content.metadata, stored.metadata)) return false
    if (JSON.stringify(content.ruleSet ?? null) !== JSON.stringify(stored.ruleSet ?? null)) return false
    const isInlined = content.references.length === 0 && stored.references.length > 0
    if (!isInlined && !isSameReferences(content.references, stored.references)) return false
    try {
      return this.#parser.parse(content, stored.subject, 'stored').isSameAs(this.parsed(stored))
    } catch {
      // what is stored and cannot be read any more is nobody's equal
      return false
    }
  }

  /** Without metadata of its own, with those of the latest. */
  #findInheriting(subject: string, content: SchemaContent, versions: readonly Version[]): StoredSchema | undefined {
    if (content.metadata !== undefined) return undefined
    const latest = versions.at(-1)?.schema
    const settings = this.settings(subject)
    if (latest?.metadata === undefined && latest?.ruleSet === undefined && !fillsIn(settings)) return undefined
    const asked = { ...content, version: 0 }
    return this.#findSame(this.#merged(content, asked, settings, latest, 0), versions)
  }

  /** 42205. */
  #checkMode(subject: string, what: 'register' | 'import' | 'change'): void {
    const mode = this.mode(subject)
    const { context, name } = parseSubject(subject)
    const where = `Subject ${name} in context ${printContext(context)}`
    if (mode === 'READONLY' || mode === 'READONLY_OVERRIDE')
      throw registryFailure(42205, `${where} is in read-only mode`)
    const isImporting = mode === 'IMPORT' || mode === 'FORWARD'
    if (what === 'import' && !isImporting) throw registryFailure(42205, `${where} is not in import mode`)
    if (what === 'register' && isImporting) throw registryFailure(42205, `${where} is not in read-write mode`)
  }

  /** 42206. `subject`: its own versions do not count. */
  #checkUnreferenced(schema: StoredSchema, permanent: boolean, subject: string | undefined): void {
    const referrers = this.#state.referrers(schema.subject, schema.version)
    if (!referrers.some((one) => one.subject !== subject && (permanent || !one.deleted))) return
    const place = `{magic=1,keytype=SCHEMA,subject=${schema.subject},version=${schema.version}}`
    throw registryFailure(42206, `One or more references exist to the schema ${place}.`)
  }

  #isUnreferenced({ subject, version }: StoredSchema): boolean {
    return this.#state.referrers(subject, version).length === 0
  }

  /** What goes so that a scope can be imported to. 42205: versions that are not deleted are there. */
  #clearedFor(scope: string, force: boolean): readonly Entry[] {
    const meant = [...this.#state.subjects].filter((subject) => isInScope(scope, subject))
    const versions = meant.flatMap((subject) => this.#state.versions(subject))
    const isEmpty = versions.every(({ schema }) => schema.deleted)
    if (!isEmpty && !force) throw registryFailure(42205, 'Cannot import since found existing subjects')
    const deleted = versions.filter(({ schema }) => schema.deleted)
    for (const { schema } of deleted) this.#checkUnreferenced(schema, true, schema.subject)
    if (deleted.length === 0) return []
    const clear = { key: keyText({ kind: 'CLEAR_SUBJECT', subject: scope }), value: clearSubjectValue(scope) }
    return [...deleted.flatMap(tombstones), clear]
  }

  #settingsGone(subject: string): readonly Entry[] {
    return [
      ...(this.#state.settings(subject) === undefined
        ? []
        : [{ key: keyText({ kind: 'CONFIG', scope: subject }), value: null }]),
      ...(this.#state.mode(subject) === undefined
        ? []
        : [{ key: keyText({ kind: 'MODE', scope: subject }), value: null }]),
    ]
  }

  #findVersion(subject: string, name: VersionName, deleted: boolean): StoredSchema | undefined {
    if (name === 'latest') return this.#state.versions(subject).findLast(({ schema }) => !schema.deleted)?.schema
    const schema = this.#state.version(subject, name)?.schema
    return schema === undefined || (schema.deleted && !deleted) ? undefined : schema
  }

  #findId(id: number, subject: string | undefined): StoredSchema | undefined {
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

  /** The same name in every other context, for one that names none. */
  #inOtherContexts(subject: string): readonly string[] {
    if (subject.startsWith(':.') || subject === '') return []
    return this.#state.contexts
      .filter((context) => context !== DEFAULT_CONTEXT)
      .map((context) => printSubject({ context, name: subject }))
  }
}

/** The default context has no name in messages. */
function printContext(context: string): string {
  return context === DEFAULT_CONTEXT ? '' : `:${context}:`
}

function answer(messages: readonly string[]): CompatibilityAnswer {
  return { isCompatible: messages.length === 0, messages }
}

/** Text, type and references of the latest version, where none is given. 42201. */
function inheriting(request: SchemaRequest, latest: StoredSchema | undefined): SchemaRequest {
  if (request.schema.trim() !== '') return request
  if (latest === undefined) throw registryFailure(42201, 'Empty schema')
  const { schemaType, schema, references } = latest
  return { ...request, schemaType, schema, references }
}

/** They add to what is registered. */
function fillsIn(settings: SchemaSettings): boolean {
  return ['defaultMetadata', 'overrideMetadata', 'defaultRuleSet', 'overrideRuleSet'].some(
    (name) => settings[name] !== undefined,
  )
}

/** In every form in which its key was written. */
function tombstones({ keyTexts }: Version): Entry[] {
  return [...keyTexts].map((key) => ({ key, value: null }))
}

function rewritten({ keyTexts, valueText }: Version, schema: StoredSchema): Entry[] {
  const value = schemaValue(schema, valueText)
  return [...keyTexts].map((key) => ({ key, value }))
}

function sortedReferences(references: readonly SchemaReference[]): readonly SchemaReference[] {
  const byText = new Map(references.map((one) => [JSON.stringify([one.name, one.subject, one.version]), one]))
  return [...byText].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, one]) => one)
}

function isInScope(scope: string, subject: string): boolean {
  if (scope === '' || scope === GLOBAL_SCOPE)
    return scope === GLOBAL_SCOPE || parseSubject(subject).context === DEFAULT_CONTEXT
  const { context, name } = parseSubject(scope)
  return name === '' ? parseSubject(subject).context === context : subject === scope
}

function isBelow(scope: string, other: string): boolean {
  return other !== scope && other !== GLOBAL_SCOPE && isInScope(scope, other)
}
