// Whether a pattern of a JSON Schema is found in a text, in time that grows with the text: patterns come from anybody. One
// that the linear engine does not know (it looks around, or back) is tried for a moment and then taken not to be found. One
// that no engine here knows (Java's own syntax) is taken to be found: what it asks for is not checked.

import { Script } from 'node:vm'
import { RE2JS } from 're2js'
import { PATTERN_MATCH_MS_MAX, PATTERNS_COMPILED_MAX } from '../../kernel/limits.ts'

const compiled = new Map<string, RE2JS | undefined>()

export function matchesPattern(pattern: string, text: string): boolean {
  const linear = compile(pattern)
  return linear === undefined ? matchesForAMoment(pattern, text) : linear.matcher(text).find()
}

/** No engine here knows it. */
export function isUnknownPattern(pattern: string): boolean {
  return compile(pattern) === undefined && ecmaFlags(pattern) === undefined
}

/** The linear engine knows it. */
export function isLinearPattern(pattern: string): boolean {
  return compile(pattern) !== undefined
}

/** Why no engine takes it for a regular expression; undefined: ours do, or it may be one of another engine. */
export function patternFault(pattern: string): string | undefined {
  if (isLinearPattern(pattern)) return undefined
  const fault = faultInEcma(pattern)
  return fault === undefined || faultInEcma(withoutExtensions(pattern)) === undefined ? undefined : fault
}

/** Without what Java's and Perl's know beyond ECMA-262: quotations, escapes, groups of other kinds, possessive quantifiers. */
function withoutExtensions(pattern: string): string {
  return pattern
    .replace(/\\Q.*?(?:\\E|$)|\\./gs, '\\w')
    .replaceAll('(?', '(')
    .replace(/([*+?}])\+/g, '$1')
}

function faultInEcma(pattern: string): string | undefined {
  try {
    new RegExp(pattern)
    return undefined
  } catch (error) {
    const { message } = error as Error
    return message.slice(message.lastIndexOf(': ') + 2)
  }
}

function compile(pattern: string): RE2JS | undefined {
  if (compiled.has(pattern)) return compiled.get(pattern)
  let found: RE2JS | undefined
  try {
    found = knowsEscapes(LINEAR_ESCAPES, pattern) ? RE2JS.compile(RE2JS.translateRegExp(pattern)) : undefined
  } catch {
    found = undefined
  }
  compiled.set(pattern, found)
  if (compiled.size > PATTERNS_COMPILED_MAX) {
    const [oldest] = compiled.keys()
    compiled.delete(oldest as string)
  }
  return found
}

/** Letters whose escapes mean something to ECMA-262, and to the linear engine; both take others for the letters themselves. */
const ECMA_ESCAPES = new Set('dDsSwWbBnrtvfcxukpP')
const LINEAR_ESCAPES = new Set([...ECMA_ESCAPES, ...'AzaCQE'])

function knowsEscapes(known: ReadonlySet<string>, pattern: string): boolean {
  const escapes = pattern.match(/\\[\s\S]/g) ?? []
  return escapes.every(([, escaped = '']) => known.has(escaped) || !/[a-zA-Z]/.test(escaped))
}

/** The flags with which it is what ECMA-262 calls a pattern; undefined: it is none. */
function ecmaFlags(pattern: string): string | undefined {
  if (!knowsEscapes(ECMA_ESCAPES, pattern)) return undefined
  const flags = /\\[pP]\{/.test(pattern) ? 'u' : ''
  try {
    new RegExp(pattern, flags)
    return flags
  } catch {
    return undefined
  }
}

const TRIAL = new Script('new RegExp(pattern, flags).test(text)')

function matchesForAMoment(pattern: string, text: string): boolean {
  const flags = ecmaFlags(pattern)
  if (flags === undefined) return true
  try {
    return TRIAL.runInNewContext({ pattern, flags, text }, { timeout: PATTERN_MATCH_MS_MAX }) === true
  } catch {
    return false
  }
}
