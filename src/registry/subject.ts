// Names of subjects and the contexts that they are in:
//
//   orders-value          in the default context
//   :.dev:orders-value    in the context .dev
//   :.dev:                the context itself, where its settings are
//   :*:orders             in all contexts, where lists take a prefix

import { SUBJECT_CHARS_MAX } from '../kernel/limits.ts'
import { registryFailure } from './registry-failure.ts'

export const DEFAULT_CONTEXT = '.'
/** Whose settings are everybody's that have none. */
export const GLOBAL_SCOPE = ':.__GLOBAL:'
const ALL_CONTEXTS = ':*:'

export interface Subject {
  /** With its leading dot. */
  readonly context: string
  /** '' for the context itself. */
  readonly name: string
}

export function parseSubject(text: string): Subject {
  if (!text.startsWith(':.')) return { context: DEFAULT_CONTEXT, name: text }
  const end = text.indexOf(':', 1)
  if (end < 0) return { context: text.slice(1), name: '' }
  return { context: text.slice(1, end), name: text.slice(end + 1) }
}

/** As it is stored and printed. */
export function printSubject({ context, name }: Subject): string {
  return context === DEFAULT_CONTEXT ? name : `:${context}:${name}`
}

/** One form of a name that has several. */
export function canonicalSubject(text: string): string {
  return printSubject(parseSubject(text))
}

/** The same name in a context, unless it says where it is. */
export function inContext(context: string, text: string): string {
  return text.startsWith(':.') ? text : printSubject({ context, name: text })
}

/** undefined: in any context. */
export function prefixOf(text: string): { readonly context: string | undefined; readonly prefix: string } {
  if (text.startsWith(ALL_CONTEXTS)) return { context: undefined, prefix: text.slice(ALL_CONTEXTS.length) }
  if (text === '') return { context: undefined, prefix: '' }
  const { context, name } = parseSubject(text)
  return { context, prefix: name }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const CONTROL = /[\x00-\x1f\x7f]/

/** Of a subject that is to be written to. */
export function checkSubject(text: string): void {
  const { context, name } = parseSubject(text)
  const isBad =
    name === '' ||
    name.trim() === '' ||
    name === '__GLOBAL' ||
    name === '__EMPTY' ||
    context === '.__GLOBAL' ||
    CONTROL.test(text) ||
    text.length > SUBJECT_CHARS_MAX
  if (isBad) throw registryFailure(42208, `The specified subject '${text.slice(0, SUBJECT_CHARS_MAX)}' is not a valid.`)
}

/** Of a subject or a context whose settings are to be written. */
export function checkScope(text: string): void {
  if (text === GLOBAL_SCOPE) return
  const { name } = parseSubject(text)
  if (name !== '' || !text.startsWith(':.')) checkSubject(text)
}
