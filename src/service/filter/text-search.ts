// A regular expression of RE2 that is looked for in texts of any length. A client sends it: what it may cost is told
// before each search. RE2JS alone would keep 8 MiB of its automaton's states for as long as a tail lives; a set of one
// expression does the same work, and its memory has a bound.

import { RE2Set } from 're2js'
import { EXPRESSION_PATTERN_BYTES_MAX } from '../../kernel/limits.ts'
import { compilePattern } from './client-pattern.ts'

export class TextSearch {
  readonly #set = new RE2Set(RE2Set.UNANCHORED, 0, EXPRESSION_PATTERN_BYTES_MAX)
  readonly #size: number

  /** invalid_request, with what is wrong with the pattern. */
  constructor(pattern: string) {
    this.#size = compilePattern(pattern, { isForText: true }).programSize()
    this.#set.add(pattern)
    this.#set.compile()
  }

  /** Steps of some 20 ns that a search takes at most, but for making the states of an automaton that does not fit. */
  costs(text: string): number {
    return 10 + Math.ceil((text.length * (10 + this.#size)) / 2)
  }

  isIn(text: string): boolean {
    return this.#set.match(text).length > 0
  }
}
