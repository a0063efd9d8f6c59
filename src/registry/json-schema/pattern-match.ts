// Whether a pattern of a JSON Schema is found in a text, in time that grows with the text: patterns come from anybody. One
// that the linear engine does not know (it looks around, or back) is tried for a moment and then taken not to be found.

import { Script } from 'node:vm'
import { RE2JS } from 're2js'
import { PATTERN_MATCH_MS_MAX, PATTERNS_COMPILED_MAX } from '../../kernel/limits.ts'

const compiled = new Map<string, RE2JS | undefined>()

export function matchesPattern(pattern: string, text: string): boolean {
  const linear = compile(pattern)
  return linear === undefined ? matchesForAMoment(pattern, text) : linear.matcher(text).find()
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
    found = RE2JS.compile(RE2JS.translateRegExp(pattern))
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

const TRIAL = new Script('new RegExp(pattern).test(text)')

function matchesForAMoment(pattern: string, text: string): boolean {
  try {
    return TRIAL.runInNewContext({ pattern, text }, { timeout: PATTERN_MATCH_MS_MAX }) === true
  } catch {
    return false
  }
}
