// Settings and modes as they are in force for a subject: its own, else those of its context (in the default context: of
// all), else the global ones, else the registry's. The first that is set is taken whole.

import type { CompatibilityLevel } from '../kernel/schema-words.ts'
import { COMPATIBILITY_LEVELS } from '../kernel/schema-words.ts'
import type { SchemaMode, SchemaSettings } from './schema-entries.ts'
import type { SchemaState } from './schema-state.ts'
import { DEFAULT_CONTEXT, GLOBAL_SCOPE, parseSubject, printSubject } from './subject.ts'

export const DEFAULT_LEVEL: CompatibilityLevel = 'BACKWARD'
export const DEFAULT_MODE: SchemaMode = 'READWRITE'

/** What a subject's own settings leave to those above them; all else is not inherited. */
const INHERITED = [
  'normalize',
  'validateFields',
  'validateNewSchemas',
  'validateRules',
  'compatibilityPolicy',
  'compatibilityGroup',
] as const

/** The key of what is set for a subject, a context or all. */
export function scopeOf(text: string): string {
  const { context, name } = parseSubject(text)
  if (name !== '') return printSubject({ context, name })
  return context === DEFAULT_CONTEXT ? '' : `:${context}:`
}

/** From the subject up. */
function scopesAbove(text: string): readonly string[] {
  const { context } = parseSubject(text)
  const ofContext = context === DEFAULT_CONTEXT ? '' : `:${context}:`
  return [...new Set([scopeOf(text), ofContext, GLOBAL_SCOPE])]
}

export function effectiveSettings(state: SchemaState, text: string): SchemaSettings {
  const [own = '', ...above] = scopesAbove(text)
  const settings = state.settings(own)
  if (settings === undefined) return firstOf(above, (scope) => state.settings(scope)) ?? {}
  const next = above[0] === undefined ? undefined : state.settings(above[0])
  const inherited = INHERITED.flatMap((name) => {
    return settings[name] === undefined && next?.[name] !== undefined ? [[name, next[name]]] : []
  })
  return { ...settings, ...Object.fromEntries(inherited) }
}

export function levelOf(settings: SchemaSettings): CompatibilityLevel {
  const level = String(settings['compatibilityLevel'] ?? '').toUpperCase()
  return COMPATIBILITY_LEVELS.find((one) => one === level) ?? DEFAULT_LEVEL
}

export function effectiveMode(state: SchemaState, text: string): SchemaMode {
  return firstOf(scopesAbove(text), (scope) => state.mode(scope)) ?? DEFAULT_MODE
}

function firstOf<Item, Found>(items: readonly Item[], find: (item: Item) => Found | undefined): Found | undefined {
  for (const item of items) {
    const found = find(item)
    if (found !== undefined) return found
  }
  return undefined
}
