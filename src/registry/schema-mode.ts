// What the mode of a subject lets be done to it, in the words of Confluent's.

import { registryFailure } from './registry-failure.ts'
import { effectiveMode } from './schema-scopes.ts'
import type { SchemaState } from './schema-state.ts'
import { DEFAULT_CONTEXT, parseSubject } from './subject.ts'

/** 42205. 'import': with an id of the client's; 'change': what is there already, or its settings. */
export function checkMode(state: SchemaState, subject: string, what: 'register' | 'import' | 'change'): void {
  const mode = effectiveMode(state, subject)
  const { context, name } = parseSubject(subject)
  const where = `Subject ${name} in context ${printContext(context)}`
  if (mode === 'READONLY' || mode === 'READONLY_OVERRIDE') {
    throw registryFailure(42205, `${where} is in read-only mode`)
  }
  const isImporting = mode === 'IMPORT' || mode === 'FORWARD'
  if (what === 'import' && !isImporting) throw registryFailure(42205, `${where} is not in import mode`)
  if (what === 'register' && isImporting) throw registryFailure(42205, `${where} is not in read-write mode`)
}

/** The default context has no name in messages. */
export function printContext(context: string): string {
  return context === DEFAULT_CONTEXT ? '' : `:${context}:`
}
