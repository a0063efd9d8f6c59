// What deleting, configuring and switching modes comes to: the records to be written, and what is answered when they are
// applied. Pure on what is known; the caller writes them, one change after the other.

import { registryFailure, subjectNotFound } from './registry-failure.ts'
import type { StoredSchema } from './schema-entity.ts'
import type { Entry, SchemaMode, SchemaSettings } from './schema-entries.ts'
import {
  clearSubjectValue,
  deletedValue,
  deleteSubjectValue,
  keyText,
  modeValue,
  settingsValue,
} from './schema-entries.ts'
import type { VersionName } from './schema-finder.ts'
import { checkMode } from './schema-mode.ts'
import type { Known } from './schema-registration.ts'
import { tombstones } from './schema-registration.ts'
import { scopeOf } from './schema-scopes.ts'
import type { SchemaState, Version } from './schema-state.ts'
import { DEFAULT_CONTEXT, GLOBAL_SCOPE, parseSubject } from './subject.ts'

export interface Change<Answer> {
  readonly entries: readonly Entry[]
  readonly answer: Answer
}

/** Answers with the versions that were there. 40401, 40404, 40405, 42205, 42206. */
export function subjectDeletion({ state }: Known, subject: string, permanent: boolean): Change<readonly number[]> {
  const all = state.versions(subject)
  const live = all.filter(({ schema }) => !schema.deleted)
  if (all.length === 0) throw subjectNotFound(subject)
  if (permanent && live.length > 0) {
    throw registryFailure(40405, `Subject '${subject}' was not deleted first before being permanently deleted`)
  }
  if (!permanent && live.length === 0) {
    throw registryFailure(40404, `Subject '${subject}' was soft deleted.Set permanent=true to delete permanently`)
  }
  checkMode(state, subject, 'change')
  const meant = permanent ? all : live
  for (const { schema } of meant) checkUnreferenced(state, schema, permanent, subject)
  const answer = meant.map(({ schema }) => schema.version)
  if (permanent) return { answer, entries: [...all.flatMap(tombstones), ...settingsGone(state, subject)] }
  const value = deleteSubjectValue(subject, answer.at(-1) as number)
  return { answer, entries: [{ key: keyText({ kind: 'DELETE_SUBJECT', subject }), value }] }
}

/** Answers with the number. 40401, 40402, 40406, 40407, 42205, 42206. */
export function versionDeletion(
  { state, finder }: Known,
  subject: string,
  name: VersionName,
  permanent: boolean,
): Change<number> {
  const found = finder.ownVersion(subject, name)
  const { version, deleted } = found.schema
  const named = `Subject '${subject}' Version ${version}`
  if (deleted && !permanent) {
    throw registryFailure(40406, `${named} was soft deleted.Set permanent=true to delete permanently`)
  }
  if (!deleted && permanent) {
    throw registryFailure(40407, `${named} was not deleted first before being permanently deleted`)
  }
  checkMode(state, subject, 'change')
  checkUnreferenced(state, found.schema, permanent, undefined)
  if (!permanent) return { answer: version, entries: deletedOf(found) }
  const isLast = state.versions(subject).length === 1
  return { answer: version, entries: [...tombstones(found), ...(isLast ? settingsGone(state, subject) : [])] }
}

/** A name with undefined stays, with null is unset. Answers with what is set then. 42205. */
export function settingsChange({ state }: Known, subject: string, changes: SchemaSettings): Change<SchemaSettings> {
  const scope = scopeOf(subject)
  checkMode(state, subject, 'change')
  const merged = Object.entries({ ...state.settings(scope), ...changes })
  const answer = Object.fromEntries(merged.filter(([, value]) => value !== null && value !== undefined))
  return { answer, entries: [{ key: keyText({ kind: 'CONFIG', scope }), value: settingsValue(scope, answer) }] }
}

/** Answers with what was set; undefined: nothing was. 42205. */
export function settingsDeletion({ state }: Known, subject: string): Change<SchemaSettings | undefined> {
  const scope = scopeOf(subject)
  checkMode(state, subject, 'change')
  return { answer: state.settings(scope), entries: unset(state, 'CONFIG', scope) }
}

/** null unsets. 42204; 42205: schemas are there already, and are to be imported; 42206. */
export function modeChange({ state }: Known, subject: string, mode: SchemaMode | null, force: boolean): Change<void> {
  const scope = scopeOf(subject)
  if (mode === null) return { answer: undefined, entries: unset(state, 'MODE', scope) }
  if (mode === 'FORWARD' && scope !== GLOBAL_SCOPE) {
    throw registryFailure(42204, 'Forward mode only supported on global level')
  }
  const cleared = mode === 'IMPORT' && state.mode(scope) !== 'IMPORT' ? clearedFor(state, scope, force) : []
  const entry = { key: keyText({ kind: 'MODE', scope }), value: modeValue(scope, mode) }
  return { answer: undefined, entries: [...cleared, entry] }
}

/** Answers with what was set for it; undefined: nothing was. `recursive`: for those below it, too. */
export function modeDeletion({ state }: Known, subject: string, recursive: boolean): Change<SchemaMode | undefined> {
  const scope = scopeOf(subject)
  const below = [...state.scopesWithModes()].filter((one) => recursive && isBelow(scope, one))
  return { answer: state.mode(scope), entries: [scope, ...below].flatMap((one) => unset(state, 'MODE', one)) }
}

/** 42211: it has versions, deleted ones count. */
export function contextDeletion({ state }: Known, context: string): Change<void> {
  for (const subject of state.subjects) {
    if (parseSubject(subject).context !== context) continue
    throw registryFailure(42211, `The specified context '${context}' is not empty.`)
  }
  const isKnown = context !== DEFAULT_CONTEXT && state.isKnownContext(context)
  return { answer: undefined, entries: isKnown ? [{ key: keyText({ kind: 'CONTEXT', context }), value: null }] : [] }
}

/** 42206. `subject`: its own versions do not count. */
function checkUnreferenced(
  state: SchemaState,
  schema: StoredSchema,
  permanent: boolean,
  subject: string | undefined,
): void {
  const referrers = state.referrers(schema.subject, schema.version)
  const others = referrers.filter((one) => one.subject !== subject && (permanent || !one.deleted))
  if (others.length === 0) return
  const place = `{magic=1,keytype=SCHEMA,subject=${schema.subject},version=${schema.version}}`
  const shown = others.slice(0, REFERRERS_SHOWN_MAX).map((one) => {
    return `${one.subject} version ${one.version}${one.deleted ? ' (deleted, but not permanently)' : ''}`
  })
  const more = others.length > shown.length ? `, and ${others.length - shown.length} more` : ''
  throw registryFailure(
    42206,
    `One or more references exist to the schema ${place}. It is referred to by ${shown.join(', ')}${more}.`,
  )
}

const REFERRERS_SHOWN_MAX = 5

/** What goes so that a scope can be imported to. 42205: versions that are not deleted are there. */
function clearedFor(state: SchemaState, scope: string, force: boolean): readonly Entry[] {
  const meant = [...state.subjects].filter((subject) => isInScope(scope, subject))
  const versions = meant.flatMap((subject) => state.versions(subject))
  const deleted = versions.filter(({ schema }) => schema.deleted)
  if (deleted.length < versions.length && !force) {
    throw registryFailure(42205, 'Cannot import since found existing subjects')
  }
  for (const { schema } of deleted) checkUnreferenced(state, schema, true, schema.subject)
  if (deleted.length === 0) return []
  const clear = { key: keyText({ kind: 'CLEAR_SUBJECT', subject: scope }), value: clearSubjectValue(scope) }
  return [...deleted.flatMap(tombstones), clear]
}

/** It was made when it was made, whenever it is deleted. */
function deletedOf({ keyTexts, valueText, schema }: Version): readonly Entry[] {
  const value = deletedValue(valueText)
  return [...keyTexts].map((key) => ({ key, value, timestamp: schema.ts }))
}

function settingsGone(state: SchemaState, subject: string): readonly Entry[] {
  return [...unset(state, 'CONFIG', subject), ...unset(state, 'MODE', subject)]
}

function unset(state: SchemaState, kind: 'CONFIG' | 'MODE', scope: string): readonly Entry[] {
  return [...state.keyTexts(kind, scope)].map((key) => ({ key, value: null }))
}

export function isInScope(scope: string, subject: string): boolean {
  if (scope === GLOBAL_SCOPE) return true
  const { context, name } = parseSubject(scope)
  return name === '' ? parseSubject(subject).context === context : subject === scope
}

function isBelow(scope: string, other: string): boolean {
  return other !== scope && other !== GLOBAL_SCOPE && isInScope(scope, other)
}
