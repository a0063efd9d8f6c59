// All that the registry knows, made of the records of its topic in their order and of nothing else: whoever applies the
// same records knows the same. Where several nodes may write, each claims to be the one first, by a record with a higher
// number than any before; from there on what was written under another claim is passed over, wherever it lies.

import type { StoredSchema } from './schema-entity.ts'
import { isSameReferences } from './schema-entity.ts'
import type { Author, EntryKey, SchemaMode, SchemaSettings } from './schema-entries.ts'
import {
  parseDeleteSubjectValue,
  parseKey,
  parseModeValue,
  parseSchemaId,
  parseSchemaValue,
  parseSettingsValue,
} from './schema-entries.ts'
import { INT32_MAX } from './schema-shapes.ts'
import { canonicalSubject, DEFAULT_CONTEXT, inContext, parseSubject } from './subject.ts'

export interface Version {
  readonly schema: StoredSchema
  /** As they stand in the topic: keys of one entry may be written in several ways. */
  readonly keyTexts: ReadonlySet<string>
  readonly valueText: string
}

interface AppliedRecord {
  readonly keyJson: string
  readonly valueJson: string | null
  readonly timestamp: number
  /** By a node that had claimed to be the one that writes. */
  readonly isAuthored: boolean
}

interface Ids {
  /** The highest that was ever seen. */
  maxId: number
  /** Those that have an id, by subject and version. */
  readonly byId: Map<number, Map<string, StoredSchema>>
  /** Seen, and of none that is here: deleted for good, or of a record that is not understood. */
  readonly spent: Set<number>
  readonly idsByGuid: Map<string, Set<number>>
}

export class SchemaState {
  /** By subject, rising by version. */
  readonly #subjects = new Map<string, Map<number, Version>>()
  readonly #ids = new Map<string, Ids>()
  readonly #settings = new Map<string, Written<SchemaSettings>>()
  readonly #modes = new Map<string, Written<SchemaMode>>()
  /** Ids of records that are not understood, by subject and version: theirs are taken all the same. */
  readonly #unread = new Map<string, Map<number, number>>()
  readonly #contexts = new Set<string>()
  /** By the subject and version that they refer to. */
  readonly #referrers = new Map<string, Set<string>>()
  readonly #displaced = new Set<string>()
  #author: Author | undefined

  /** What stands in the topic at an offset. False: it is passed over. */
  apply(keyJson: string, valueJson: string | null, timestamp: number, author?: Author): boolean {
    const key = parseKey(keyJson)
    const isClaim = key?.kind === 'NOOP'
    if (author !== undefined && !this.#admits(author, isClaim)) {
      if (!isClaim) this.#displaced.add(keyJson)
      return false
    }
    const isTaken = this.#apply(key, { keyJson, valueJson, timestamp, isAuthored: author !== undefined })
    if (isTaken) this.#displaced.delete(keyJson)
    return isTaken
  }

  /** Of the claim that holds; undefined: there was none. */
  get author(): Author | undefined {
    return this.#author
  }

  /** Keys under which something that was passed over stands last: compaction would keep that, and not what is known. */
  get displaced(): Iterable<string> {
    return this.#displaced
  }

  /** Of equal claims the first one holds; who lost it writes nothing under it, so that what is written shows whose it was. */
  #admits(author: Author, isClaim: boolean): boolean {
    const held = this.#author?.claim ?? -1
    if (author.claim < held || (isClaim && author.claim === held)) return false
    this.#author = author
    return true
  }

  #apply(key: EntryKey | undefined, record: AppliedRecord): boolean {
    const { keyJson, valueJson } = record
    switch (key?.kind) {
      case 'SCHEMA':
        return this.#applySchema(key.subject, key.version, record)
      case 'CONFIG':
        return set(this.#settings, key.scope, keyJson, valueJson, parseSettingsValue)
      case 'MODE':
        return set(this.#modes, key.scope, keyJson, valueJson, parseModeValue)
      case 'DELETE_SUBJECT':
        return valueJson === null || this.#deleteUpTo(key.subject, parseDeleteSubjectValue(valueJson))
      case 'CLEAR_SUBJECT':
        if (valueJson !== null) this.#clearDeleted(key.subject)
        return true
      case 'CONTEXT':
        if (valueJson === null) this.#contexts.delete(key.context)
        else this.#contexts.add(key.context)
        return true
      default:
        return key !== undefined
    }
  }

  /** Of a subject, the lowest first; the deleted ones, too. */
  versions(subject: string): readonly Version[] {
    const versions = [...(this.#subjects.get(subject)?.values() ?? [])]
    return versions.sort((left, right) => left.schema.version - right.schema.version)
  }

  version(subject: string, version: number): Version | undefined {
    return this.#subjects.get(subject)?.get(version)
  }

  /** The highest number that a subject has given, deleted ones and those of records that are not understood too; 0: none. */
  lastVersion(subject: string): number {
    const given = [...(this.#subjects.get(subject)?.keys() ?? []), ...(this.#unread.get(subject)?.keys() ?? [])]
    return given.reduce((highest, version) => Math.max(highest, version), 0)
  }

  /** All that have versions, deleted ones too. */
  get subjects(): Iterable<string> {
    return this.#subjects.keys()
  }

  /** The default first, then those that are known by registrations, in the order of their names. */
  get contexts(): readonly string[] {
    return [DEFAULT_CONTEXT, ...[...this.#contexts].filter((name) => name !== DEFAULT_CONTEXT).sort()]
  }

  isKnownContext(context: string): boolean {
    return context === DEFAULT_CONTEXT || this.#contexts.has(context)
  }

  isContextWritten(context: string): boolean {
    return this.#contexts.has(context)
  }

  settings(scope: string): SchemaSettings | undefined {
    return lastOf(this.#settings.get(scope))
  }

  mode(scope: string): SchemaMode | undefined {
    return lastOf(this.#modes.get(scope))
  }

  /** The keys under which something is set for a scope, as they stand in the topic. */
  keyTexts(kind: 'CONFIG' | 'MODE', scope: string): Iterable<string> {
    return (kind === 'CONFIG' ? this.#settings : this.#modes).get(scope)?.keys() ?? []
  }

  scopesWithSettings(): Iterable<string> {
    return this.#settings.keys()
  }

  scopesWithModes(): Iterable<string> {
    return this.#modes.keys()
  }

  /** Those that have the id in a context, in no order. */
  withId(context: string, id: number): Iterable<StoredSchema> {
    return this.#ids.get(context)?.byId.get(id)?.values() ?? []
  }

  hasId(context: string, id: number): boolean {
    return this.#ids.get(context)?.byId.has(id) === true
  }

  maxId(context: string): number {
    return this.#ids.get(context)?.maxId ?? 0
  }

  /**
   * For what has none yet: behind all that were seen or, where an import has taken the last that four bytes hold, behind
   * the highest that leaves room. undefined: all are taken.
   */
  nextId(context: string): number | undefined {
    const ids = this.#ids.get(context)
    if (ids === undefined || ids.maxId < INT32_MAX) return this.maxId(context) + 1
    let free = INT32_MAX
    while (ids.byId.has(free) || ids.spent.has(free)) free--
    let highest = 0
    for (const seen of [ids.byId.keys(), ids.spent]) {
      for (const id of seen) if (id < free) highest = Math.max(highest, id)
    }
    return free > 0 ? highest + 1 : undefined
  }

  /** A record that is not understood has it. */
  isUnreadId(context: string, id: number): boolean {
    for (const [subject, versions] of this.#unread) {
      if (parseSubject(subject).context !== context) continue
      for (const unread of versions.values()) if (unread === id) return true
    }
    return false
  }

  /** The ids under which contexts have a content. */
  idsOfGuid(guid: string): readonly { readonly context: string; readonly id: number }[] {
    const found: { context: string; id: number }[] = []
    for (const [context, { idsByGuid }] of this.#ids) {
      for (const id of idsByGuid.get(guid) ?? []) found.push({ context, id })
    }
    return found.sort((left, right) => {
      return left.context === right.context ? left.id - right.id : left.context < right.context ? -1 : 1
    })
  }

  idOfGuid(context: string, guid: string): number | undefined {
    const [id] = this.#ids.get(context)?.idsByGuid.get(guid) ?? []
    return id
  }

  /** Those that refer to a version, deleted ones too. */
  referrers(subject: string, version: number): readonly StoredSchema[] {
    const places = this.#referrers.get(placeOf(subject, version)) ?? []
    return [...places].flatMap((place) => {
      const [name, number] = JSON.parse(place) as [string, number]
      return this.version(name, number)?.schema ?? []
    })
  }

  #applySchema(subject: string, version: number, record: AppliedRecord): boolean {
    const { keyJson, valueJson, timestamp, isAuthored } = record
    const before = this.version(subject, version)
    this.#unread.get(subject)?.delete(version)
    if (valueJson === null) {
      if (before !== undefined) this.#remove(before)
      return true
    }
    const schema = parseSchemaValue(valueJson, subject, version, timestamp)
    if (schema === undefined) {
      const id = parseSchemaId(valueJson)
      if (id !== undefined) this.#leaveUnread(subject, version, id)
      return false
    }
    // an id is of one text for ever: clients have it in what they wrote
    const others = this.#othersWithId(schema)
    if (others.length > 0 && !isAuthored) return false
    // who writes knows all that counts: what is there is left of something that did not
    for (const other of others) this.#remove(other)
    const left = this.version(subject, version)
    if (left !== undefined) this.#remove(left)
    this.#add({
      schema,
      valueText: valueJson,
      keyTexts: new Set([...(before?.keyTexts ?? []), keyJson]),
    })
    return true
  }

  #leaveUnread(subject: string, version: number, id: number): void {
    const ids = this.#idsOf(subject)
    ids.maxId = Math.max(ids.maxId, id)
    if (!ids.byId.has(id)) ids.spent.add(id)
    this.#unread.set(subject, (this.#unread.get(subject) ?? new Map<number, number>()).set(version, id))
  }

  #idsOf(subject: string): Ids {
    const { context } = parseSubject(subject)
    const known = this.#ids.get(context)
    if (known !== undefined) return known
    const ids: Ids = { maxId: 0, byId: new Map(), spent: new Set(), idsByGuid: new Map() }
    this.#ids.set(context, ids)
    return ids
  }

  #othersWithId({ subject, id, schema, references }: StoredSchema): readonly Version[] {
    const others = [...this.withId(parseSubject(subject).context, id)].filter((other) => {
      return other.schema !== schema || !isSameReferences(other.references, references)
    })
    return others.flatMap((other) => this.version(other.subject, other.version) ?? [])
  }

  #add(version: Version): void {
    const { schema } = version
    const versions = this.#subjects.get(schema.subject) ?? new Map<number, Version>()
    this.#subjects.set(schema.subject, versions.set(schema.version, version))
    const ids = this.#idsOf(schema.subject)
    ids.maxId = Math.max(ids.maxId, schema.id)
    const place = placeOf(schema.subject, schema.version)
    const sharing = ids.byId.get(schema.id) ?? new Map<string, StoredSchema>()
    ids.byId.set(schema.id, sharing.set(place, schema))
    ids.spent.delete(schema.id)
    ids.idsByGuid.set(schema.guid, (ids.idsByGuid.get(schema.guid) ?? new Set()).add(schema.id))
    for (const target of targetsOf(schema)) {
      this.#referrers.set(target, (this.#referrers.get(target) ?? new Set()).add(place))
    }
  }

  #remove({ schema }: Version): void {
    const { subject, version, id, guid } = schema
    const versions = this.#subjects.get(subject)
    versions?.delete(version)
    if (versions?.size === 0) this.#subjects.delete(subject)
    const ids = this.#idsOf(subject)
    const place = placeOf(subject, version)
    const sharing = ids.byId.get(id)
    sharing?.delete(place)
    if (sharing?.size === 0) {
      ids.byId.delete(id)
      ids.spent.add(id)
    }
    if (![...(sharing?.values() ?? [])].some((other) => other.guid === guid)) {
      const ofGuid = ids.idsByGuid.get(guid)
      ofGuid?.delete(id)
      if (ofGuid?.size === 0) ids.idsByGuid.delete(guid)
    }
    for (const target of targetsOf(schema)) {
      const places = this.#referrers.get(target)
      places?.delete(place)
      if (places?.size === 0) this.#referrers.delete(target)
    }
  }

  /** Of the versions that are here by now. */
  #deleteUpTo(subject: string, last: number | undefined): boolean {
    if (last === undefined) return false
    for (const version of this.versions(subject)) {
      if (version.schema.version > last || version.schema.deleted) continue
      this.#remove(version)
      this.#add({ ...version, schema: { ...version.schema, deleted: true } })
    }
    return true
  }

  /** Of a subject, a context (without a name) or all (''). */
  #clearDeleted(scope: string): void {
    const { context, name } = parseSubject(scope)
    for (const subject of [...this.#subjects.keys()]) {
      const isMeant = name === '' ? parseSubject(subject).context === context : subject === scope
      if (!isMeant) continue
      for (const version of this.versions(subject)) if (version.schema.deleted) this.#remove(version)
    }
  }
}

function placeOf(subject: string, version: number): string {
  return JSON.stringify([subject, version])
}

/** What it refers to: in its own context, unless a reference says otherwise. */
function targetsOf({ subject, references }: StoredSchema): string[] {
  const { context } = parseSubject(subject)
  return references.map((reference) => placeOf(qualifiedReference(context, reference.subject), reference.version))
}

export function qualifiedReference(context: string, subject: string): string {
  return canonicalSubject(inContext(context, subject))
}

/** Values by the keys that stand for one scope in the topic, the last written last: that one counts. */
type Written<Value> = Map<string, Value>

function lastOf<Value>(written: Written<Value> | undefined): Value | undefined {
  return written && [...written.values()].at(-1)
}

function set<Value>(
  map: Map<string, Written<Value>>,
  scope: string,
  keyJson: string,
  json: string | null,
  parse: (json: string) => Value | undefined,
): boolean {
  const value = json === null ? undefined : parse(json)
  if (json !== null && value === undefined) return false
  const written: Written<Value> = map.get(scope) ?? new Map()
  // what another form of the key says is in the topic still: whoever reads that after compaction knows nothing else
  written.delete(keyJson)
  if (value !== undefined) written.set(keyJson, value)
  if (written.size === 0) map.delete(scope)
  else map.set(scope, written)
  return true
}
