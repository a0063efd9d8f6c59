// What registering a schema comes to: nothing where the subject has it already, else the records that make it a version.
// Pure on what is known; the caller writes them, one registration after the other.

import { emptySchema, registryFailure } from './registry-failure.ts'
import type { PreviousSchema } from './schema-compatibility.ts'
import { compatibilityFaults, reservedFaults } from './schema-compatibility.ts'
import type { SchemaContent, StoredSchema, TagChanges } from './schema-entity.ts'
import { guidOf } from './schema-entity.ts'
import type { Entry, SchemaSettings } from './schema-entries.ts'
import { contextValue, keyText, schemaValue } from './schema-entries.ts'
import type { SchemaFinder, SchemaRequest, VersionName } from './schema-finder.ts'
import { asAsked, asNew } from './schema-finder.ts'
import type { ParsedSchema } from './schema-format.ts'
import { filledIn, fillsIn, VERSION_PROPERTY, withVersion } from './schema-merge.ts'
import { checkMode, printContext } from './schema-mode.ts'
import type { Reading, SchemaParser } from './schema-parser.ts'
import { effectiveMode, effectiveSettings, levelOf } from './schema-scopes.ts'
import { INT32_MAX } from './schema-shapes.ts'
import type { SchemaState, Version } from './schema-state.ts'
import { propagated, retagged } from './schema-tags.ts'
import { canonicalSubject, parseSubject } from './subject.ts'

export interface RegisterOptions {
  readonly normalize?: boolean
  /** Compatible or not. */
  readonly force?: boolean
}

/** What is known, and what can be asked of it. */
export interface Known {
  readonly state: SchemaState
  readonly parser: SchemaParser
  readonly finder: SchemaFinder
}

export interface Registration {
  /** The subject has it as it is; or that is what it has when `entries` are written. */
  readonly version: number
  readonly entries: readonly Entry[]
  /** It is not what was asked for to the letter: the registry filled something in. */
  readonly isFilledIn: boolean
}

/** 42201, 42205, 42209, 40901. */
export function planRegistration(
  known: Known,
  subject: string,
  request: SchemaRequest,
  options: RegisterOptions,
): Registration {
  const { state, finder } = known
  const settings = effectiveSettings(state, subject)
  const isImport = isImporting(known, subject, request)
  const live = finder.live(subject)
  const isNormalized = !isImport && (options.normalize === true || settings['normalize'] === true)
  const isTagged = request.tags !== undefined || request.isTaggedAsBefore === true
  const there = isTagged ? undefined : findThere(known, subject, request, settings, isNormalized)
  if (there !== undefined) return { version: there.version, entries: [], isFilledIn: false }

  checkMode(state, subject, (request.id ?? -1) >= 0 ? 'import' : 'register')
  const latest = live.at(-1)?.schema
  const reading = isImport ? asAsked() : asNew(isValidated(settings))
  const inherited = inheriting(request, latest)
  const asked = isTagged ? tagged(known, subject, inherited, latest, reading) : inherited
  const own = finder.read(subject, asked, isNormalized, reading)
  const version = nextVersion(state.lastVersion(subject), request, isImport)
  const content = isImport ? own.content : numbered(filledIn(own.content, settings, latest), request, version)
  const isFilledIn = asked !== request || content.metadata !== request.metadata || content.ruleSet !== request.ruleSet
  const same = isImport || (request.version ?? 0) > 0 ? undefined : finder.findSame({ ...own, content }, live)
  if (same !== undefined) return { version: same.version, entries: [], isFilledIn }

  if (!isImport) checkFollows(known, subject, content, own.parsed(), options.force === true)
  const id = isImport ? importedId(state, subject, content, request.id ?? 0) : idFor(state, subject, content)
  const replaced = state.versions(subject).filter(({ schema: old }) => {
    return old.deleted && old.id === id && old.version !== version && state.referrers(subject, old.version).length === 0
  })
  const entries = [
    ...replaced.flatMap(tombstones),
    ...newContext(state, subject),
    {
      key: keyText({ kind: 'SCHEMA', subject, version }),
      value: schemaValue({ ...content, subject, version, id, deleted: false }),
    },
  ]
  return { version, entries, isFilledIn }
}

/** In every form in which its key was written. */
export function tombstones({ keyTexts }: Version): Entry[] {
  return [...keyTexts].map((key) => ({ key, value: null }))
}

/** What keeps a schema from following one version, or all that the level asks for. 42201. */
export function testedFaults(
  known: Known,
  subject: string,
  version: VersionName | 'all',
  request: SchemaRequest,
  isNormalized: boolean,
): readonly string[] {
  const name = canonicalSubject(subject)
  const reading = asNew(isValidated(effectiveSettings(known.state, name)))
  const { content, parsed } = known.finder.read(name, request, isNormalized, reading)
  const schema = parsed()
  const rules = rulesOf(known, name)
  const previous = previousOf(known, name, content)
  const reserved = rules.validateFields ? reservedBy(known, name, content, schema) : []
  if (version === 'all') return [...reserved, ...compatibilityFaults(schema, previous, rules)]
  const one = version === 'latest' ? previous[0] : previous.find((each) => each.version === version)
  return one === undefined ? reserved : [...reserved, ...compatibilityFaults(schema, [one], rules)]
}

function reservedBy({ finder }: Known, subject: string, content: SchemaContent, schema: ParsedSchema) {
  return reservedFaults(schema, content.metadata, finder.live(subject).at(-1)?.schema.metadata)
}

function isImporting({ state }: Known, subject: string, { id = -1 }: SchemaRequest): boolean {
  const mode = effectiveMode(state, subject)
  return (mode === 'IMPORT' || mode === 'FORWARD') && id >= 0
}

function isValidated(settings: SchemaSettings): boolean {
  return settings['validateNewSchemas'] !== false
}

/** The live version that is what is asked for: it may be registered again in any mode. */
function findThere(
  { finder }: Known,
  subject: string,
  request: SchemaRequest,
  settings: SchemaSettings,
  isNormalized: boolean,
): StoredSchema | undefined {
  if (fillsIn(settings) || request.schema.trim() === '') return undefined
  const live = finder.live(subject)
  if (live.length === 0) return undefined
  const { id = -1, version = 0 } = request
  const asked = finder.read(subject, request, isNormalized, asAsked())
  const found = finder.findSame(asked, live) ?? finder.findInheriting(subject, asked, live)
  const isMeant = found !== undefined && (id < 0 || id === found.id) && (version <= 0 || version === found.version)
  if (!isMeant) return undefined
  asked.keep()
  return found
}

/** Text, type and references of the latest version, where none is given. 42201. */
function inheriting(request: SchemaRequest, latest: StoredSchema | undefined): SchemaRequest {
  if (request.schema.trim() !== '') return request
  if (latest === undefined) throw emptySchema(request.beside)
  const { schemaType, schema, references } = latest
  return { ...request, schemaType, schema, references }
}

/** With the tags that are asked for, in the text as it is stored. 42201. */
function tagged(
  { finder }: Known,
  subject: string,
  request: SchemaRequest,
  latest: StoredSchema | undefined,
  reading: Reading,
): SchemaRequest {
  const { schemaType, schema } = finder.read(subject, request, false, reading).content
  const text = { schemaType, schema }
  const before = request.isTaggedAsBefore === true && latest !== undefined ? propagated(text, latest) : schema
  return { ...request, schema: retagged({ schemaType, schema: before }, request.tags ?? NO_TAGS) }
}

const NO_TAGS: TagChanges = { tagsToAdd: [], tagsToRemove: [] }

function nextVersion(last: number, { version = 0 }: SchemaRequest, isImport: boolean): number {
  const next = last + 1
  if (isImport && version > 0) return version
  if (next > INT32_MAX || (version > 0 && version !== next)) {
    throw registryFailure(42201, 'Version is not one more than previous version')
  }
  return next
}

/** Its metadata name the version, where that was asked for or they do already. */
function numbered(content: SchemaContent, { version: asked = 0 }: SchemaRequest, version: number): SchemaContent {
  const isNumbered = asked !== 0 || content.metadata?.properties?.[VERSION_PROPERTY] !== undefined
  return isNumbered ? { ...content, metadata: withVersion(content.metadata, version) } : content
}

/** What stands for the same content in its context, else the next one. */
function idFor(state: SchemaState, subject: string, content: SchemaContent): number {
  const { context } = parseSubject(subject)
  const id = state.idOfGuid(context, guidOf(content)) ?? state.nextId(context)
  if (id !== undefined) return id
  throw registryFailure(42205, `No ids are left in context ${printContext(context)}`)
}

function importedId(state: SchemaState, subject: string, content: SchemaContent, id: number): number {
  const { context } = parseSubject(subject)
  const guid = guidOf(content)
  const isOfOther = [...state.withId(context, id)].some((other) => other.guid !== guid)
  if (!isOfOther && !state.isUnreadId(context, id)) return id
  throw registryFailure(
    42205,
    `Overwrite new schema with id ${id} in context ${printContext(context)} is not permitted.`,
  )
}

function newContext(state: SchemaState, subject: string): readonly Entry[] {
  const { context } = parseSubject(subject)
  if (state.isKnownContext(context)) return []
  return [{ key: keyText({ kind: 'CONTEXT', context }), value: contextValue(context) }]
}

/** 42201, 40901. */
function checkFollows(
  known: Known,
  subject: string,
  content: SchemaContent,
  schema: ParsedSchema,
  isForced: boolean,
): void {
  const rules = rulesOf(known, subject)
  if (rules.validateFields) checkFieldNames(schema)
  if (isForced) return
  const reserved = rules.validateFields ? reservedBy(known, subject, content, schema) : []
  const faults = [...reserved, ...compatibilityFaults(schema, previousOf(known, subject, content), rules)]
  if (faults.length === 0) return
  throw registryFailure(
    40901,
    `Schema being registered is incompatible with an earlier schema for subject "${subject}", details: [${faults.join(', ')}]`,
  )
}

function checkFieldNames({ type, fieldNames }: ParsedSchema): void {
  if (type !== 'JSON' || !fieldNames.some((name) => name.startsWith('$$'))) return
  throw registryFailure(42201, 'Invalid schema of type JSON, details: Field names cannot start with $$ prefix')
}

function rulesOf({ state }: Known, subject: string) {
  const settings = effectiveSettings(state, subject)
  return {
    level: levelOf(settings),
    policy: settings['compatibilityPolicy'] === 'LENIENT' ? ('LENIENT' as const) : ('STRICT' as const),
    validateFields: settings['validateFields'] === true,
  }
}

/** Live ones, the newest first; of a compatibility group only those that have the same value of its property. */
function previousOf({ state, finder }: Known, subject: string, { metadata }: SchemaContent): readonly PreviousSchema[] {
  const group = effectiveSettings(state, subject)['compatibilityGroup']
  const isInGroup = ({ schema }: Version) =>
    typeof group !== 'string' || schema.metadata?.properties?.[group] === metadata?.properties?.[group]
  return finder
    .live(subject)
    .filter(isInGroup)
    .map(({ schema }) => ({ version: schema.version, parse: () => finder.parsed(schema) }))
    .reverse()
}
