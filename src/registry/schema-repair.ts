// What was passed over stands last under its key, and compaction keeps what is last: so that a topic says the same whether
// or not it was compacted, what is known is written once more behind it. Pure on what is known.

import { isInScope } from './schema-changes.ts'
import type { Entry } from './schema-entries.ts'
import { contextValue, deletedValue, modeValue, parseKey, settingsValue } from './schema-entries.ts'
import { tombstones } from './schema-registration.ts'
import type { SchemaState, Version } from './schema-state.ts'

/** For a key as it stands in the topic: the batches to be written, one after the other; the last one says that it is done. */
export function repairOf(state: SchemaState, keyJson: string): readonly (readonly Entry[])[] {
  const key = parseKey(keyJson)
  const set = (value: string | null) => [[{ key: keyJson, value }]]
  switch (key?.kind) {
    case 'SCHEMA':
      return [versionAgain(state.version(key.subject, key.version), keyJson)]
    case 'CONFIG': {
      const settings = state.settings(key.scope)
      return set(settings === undefined ? null : settingsValue(key.scope, settings))
    }
    case 'MODE': {
      const mode = state.mode(key.scope)
      return set(mode === undefined ? null : modeValue(key.scope, mode))
    }
    // its versions say themselves whether they are deleted: written again, it would delete what came behind the first one
    case 'DELETE_SUBJECT':
    case 'CLEAR_SUBJECT':
      return [...versionsIn(state, key.subject).map((version) => versionAgain(version)), ...set(null)]
    case 'CONTEXT':
      return set(state.isContextWritten(key.context) ? contextValue(key.context) : null)
    default:
      return []
  }
}

/** Of a subject, a context (without a name) or all (''). */
function versionsIn(state: SchemaState, scope: string): readonly Version[] {
  return [...state.subjects]
    .filter((subject) => isInScope(scope, subject))
    .flatMap((subject) => state.versions(subject))
}

/** Its place is cleared first: to who reads a topic of which only the other is left, the id would be that one's. */
function versionAgain(version: Version | undefined, keyJson?: string): readonly Entry[] {
  const cleared = keyJson === undefined ? [] : [{ key: keyJson, value: null }]
  if (version === undefined) return cleared
  const { keyTexts, valueText, schema } = version
  const value = schema.deleted ? deletedValue(valueText) : valueText
  return [...cleared, ...tombstones(version), ...[...keyTexts].map((key) => ({ key, value, timestamp: schema.ts }))]
}
