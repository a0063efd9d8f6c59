// A regular expression that a client sends: one of RE2, so that it is matched in a time that grows with the pattern and the
// text and nothing else; and small, since compiling it takes its time, too.

import { RE2JS } from 're2js'
import { TailraceError } from '../../kernel/errors.ts'
import { PATTERN_CHARS_MAX, PATTERN_PROGRAM_MAX } from '../../kernel/limits.ts'

/** invalid_request, with what is wrong with it. `isForText`: what it is to match may lie beyond ASCII. */
export function compilePattern(text: string, { isForText = false } = {}): RE2JS {
  if (text.length > PATTERN_CHARS_MAX) throw refused(`has ${text.length} characters, ${PATTERN_CHARS_MAX} are allowed`)
  // what lies beyond ASCII is in no topic's name, and to compile a range of it takes some 20 ms where case is ignored
  const isPlain = isForText && !/\[|\(\?/.test(text)
  const [beyond] = (isPlain ? /\\[pPx0-7Q]/ : /[^ -~]|\\[pPx0-7Q]/u).exec(text) ?? []
  if (beyond !== undefined) {
    const more = isForText ? ', and other text where there is neither [ nor (?' : ''
    throw refused(`has '${beyond}': printable ASCII is allowed${more}, without \\p, \\x, \\Q and octal numbers`)
  }
  const written = charsWrittenOut(text)
  // beyond any number it is none
  if (!(written <= PATTERN_CHARS_MAX)) {
    throw refused(`has ${written} characters when its counts are written out, ${PATTERN_CHARS_MAX} are allowed`)
  }
  let expression: RE2JS
  try {
    expression = RE2JS.compile(text)
  } catch (error) {
    throw refused(`is not one of RE2 (${error instanceof Error ? error.message : String(error)})`, error)
  }
  const size = expression.programSize()
  if (size <= PATTERN_PROGRAM_MAX) return expression
  throw refused(
    `stands for ${size} steps, ${PATTERN_PROGRAM_MAX} are allowed: make it shorter, or its counts in {} smaller`,
  )
}

const TOKEN = /\\.|\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]|\{(?<from>\d+)(?:,(?<to>\d*))?\}|./g

/** A class or an escape is one, and `x{3}` is xxx: about what compiling makes of it, a thousand times as much in the worst case. */
function charsWrittenOut(text: string): number {
  const outer: number[] = []
  let chars = 0
  let last = 0
  for (const { 0: token, groups } of text.matchAll(TOKEN)) {
    const { from, to } = groups ?? {}
    if (from !== undefined) {
      const times = Math.max(1, Number(from), Number(to || 0))
      chars += last * (times - 1)
      last *= times
    } else if (token === '(') {
      outer.push(chars + 1)
      chars = 0
    } else if (token === ')') {
      last = chars + 1
      chars = last + (outer.pop() ?? 0)
    } else {
      last = 1
      chars++
    }
  }
  return chars + outer.reduce((sum, each) => sum + each, 0)
}

function refused(fault: string, cause?: unknown): TailraceError {
  return new TailraceError('invalid_request', `the regular expression ${fault}`, {}, { cause })
}
