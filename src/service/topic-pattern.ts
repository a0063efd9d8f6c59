// Topics by a regular expression that the whole name must match. A client sends it, so it is one of RE2: matched in a time
// that grows with the pattern and the name and nothing else. Even so a long one over ten thousand topics takes seconds:
// others have their turn in between. Internal topics are never meant.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { RE2JS } from 're2js'
import type { Engine } from '../engine/engine.ts'
import type { Clock } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import {
  PATTERN_CHARS_MAX,
  PATTERN_MATCHING_MS_PER_TURN_MAX,
  PATTERN_PROGRAM_MAX,
  PATTERNS_KEPT_MAX,
} from '../kernel/limits.ts'
import { compareText } from './assignor.ts'
import type { Subscription } from './group-member.ts'

const NONE: ReadonlySet<string> = new Set()

interface TopicPattern {
  readonly expression: RE2JS
  /** What it was last found to match, in the order of the names, and among which topics: one set for all patterns. */
  topics: readonly string[]
  among: ReadonlySet<string>
}

/** Tells what patterns match at present, looking only at topics that came since the last time. */
export class TopicMatcher {
  readonly #engine: Engine
  readonly #clock: Clock
  /** The last ones that were asked for: the members of a group have the same one. */
  readonly #patterns = new Map<string, TopicPattern>()
  #names: ReadonlySet<string> | undefined

  constructor(engine: Engine, clock: Clock) {
    this.#engine = engine
    this.#clock = clock
  }

  topicsChanged(): void {
    this.#names = undefined
  }

  /** invalid_request. */
  pattern(text: string): TopicPattern {
    const pattern = this.#patterns.get(text) ?? { expression: compilePattern(text), topics: [], among: NONE }
    this.#patterns.delete(text)
    this.#patterns.set(text, pattern)
    const [oldest] = this.#patterns.keys()
    if (oldest !== undefined && this.#patterns.size > PATTERNS_KEPT_MAX) this.#patterns.delete(oldest)
    return pattern
  }

  async match(pattern: TopicPattern): Promise<readonly string[]> {
    const among = this.#present()
    const last = pattern.among
    if (among === last) return pattern.topics
    const topics = pattern.topics.filter((name) => among.has(name))
    let turnBegan = this.#clock.monotonic()
    for (const name of among) {
      if (last.has(name)) continue
      if (pattern.expression.testExact(name)) topics.push(name)
      if (this.#clock.monotonic() - turnBegan < PATTERN_MATCHING_MS_PER_TURN_MAX) continue
      await nextTurn()
      turnBegan = this.#clock.monotonic()
    }
    pattern.topics = topics.sort(compareText)
    pattern.among = among
    return topics
  }

  #present(): ReadonlySet<string> {
    this.#names ??= new Set(
      this.#engine
        .listTopics()
        .filter(({ internal }) => !internal)
        .map(({ name }) => name),
    )
    return this.#names
  }
}

/** invalid_request, with what is wrong with it. */
export function compilePattern(text: string): RE2JS {
  if (text.length > PATTERN_CHARS_MAX) throw refused(`has ${text.length} characters, ${PATTERN_CHARS_MAX} are allowed`)
  let expression: RE2JS
  try {
    expression = RE2JS.compile(text)
  } catch (error) {
    throw refused(`is not one of RE2 (${error instanceof Error ? error.message : String(error)})`, error)
  }
  const size = expression.programSize()
  if (size <= PATTERN_PROGRAM_MAX) return expression
  throw refused(`stands for ${size} steps, ${PATTERN_PROGRAM_MAX} are allowed: use smaller counts in {}`)
}

function refused(fault: string, cause?: unknown): TailraceError {
  return new TailraceError('invalid_request', `the regular expression for topics ${fault}`, {}, { cause })
}

/** The topics that a subscription means: those it names, or those that a pattern matches by now. */
export class TopicWishes {
  readonly #pattern: TopicPattern | undefined
  #topics: readonly string[]

  /** invalid_request: a pattern that is none. */
  constructor(subscription: Subscription, matcher: TopicMatcher) {
    const isPattern = 'pattern' in subscription
    this.#pattern = isPattern ? matcher.pattern(subscription.pattern) : undefined
    this.#topics = isPattern ? [] : [...new Set(subscription.topics)]
  }

  get isPattern(): boolean {
    return this.#pattern !== undefined
  }

  get topics(): readonly string[] {
    return this.#topics
  }

  /** Returns whether they are others than before. */
  async follow(matcher: TopicMatcher): Promise<boolean> {
    if (this.#pattern === undefined) return false
    const before = this.#topics
    this.#topics = await matcher.match(this.#pattern)
    return this.#topics.length !== before.length || this.#topics.some((name, at) => name !== before[at])
  }
}
