// Topics by a regular expression that the whole name must match. A client sends it, so it is one of RE2: matched in a time
// that grows with the pattern and the name and nothing else. Even so a long one over ten thousand topics takes seconds:
// others have their turn in between. Internal topics are never meant.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { RE2JS } from 're2js'
import type { Engine } from '../engine/engine.ts'
import type { Clock } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import { PATTERN_CHARS_MAX, PATTERN_MATCHING_MS_PER_TURN_MAX, PATTERN_PROGRAM_MAX } from '../kernel/limits.ts'
import { compareText } from './assignor.ts'
import type { Subscription } from './group-member.ts'

/** invalid_request, with what is wrong with it. */
export function compilePattern(text: string): RE2JS {
  if (text.length > PATTERN_CHARS_MAX) throw refused(`has ${text.length} characters, ${PATTERN_CHARS_MAX} are allowed`)
  let pattern: RE2JS
  try {
    pattern = RE2JS.compile(text)
  } catch (error) {
    throw refused(`is not one of RE2 (${error instanceof Error ? error.message : String(error)})`, error)
  }
  const size = pattern.programSize()
  if (size <= PATTERN_PROGRAM_MAX) return pattern
  throw refused(`stands for ${size} steps, ${PATTERN_PROGRAM_MAX} are allowed: use smaller counts in {}`)
}

function refused(fault: string, cause?: unknown): TailraceError {
  return new TailraceError('invalid_request', `the regular expression for topics ${fault}`, {}, { cause })
}

/** What a pattern was last found to match, and of which topics. */
interface PatternMatch {
  /** Of all that there were: one set for everybody, as long as no topic comes or goes. */
  readonly among: ReadonlySet<string>
  /** In the order of their names. */
  readonly topics: readonly string[]
}

const NONE: ReadonlySet<string> = new Set()
const NOTHING_MATCHED: PatternMatch = { among: NONE, topics: [] }

/** Tells what patterns match at present, looking only at topics that came since the last time. */
export class TopicMatcher {
  readonly #engine: Engine
  readonly #clock: Clock
  #names: ReadonlySet<string> | undefined

  constructor(engine: Engine, clock: Clock) {
    this.#engine = engine
    this.#clock = clock
  }

  topicsChanged(): void {
    this.#names = undefined
  }

  /** Gives the same object back where nothing has changed. */
  async match(pattern: RE2JS, last: PatternMatch): Promise<PatternMatch> {
    const among = this.#present()
    if (among === last.among) return last
    const topics = last.topics.filter((name) => among.has(name))
    let turnBegan = this.#clock.monotonic()
    for (const name of among) {
      if (last.among.has(name)) continue
      if (pattern.testExact(name)) topics.push(name)
      if (this.#clock.monotonic() - turnBegan < PATTERN_MATCHING_MS_PER_TURN_MAX) continue
      await nextTurn()
      turnBegan = this.#clock.monotonic()
    }
    return { among, topics: topics.sort(compareText) }
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

/** The topics that a subscription means: those it names, or those that a pattern matches by now. */
export class TopicWishes {
  readonly #pattern: RE2JS | undefined
  #match: PatternMatch

  /** invalid_request: a pattern that is none. */
  constructor(subscription: Subscription) {
    const isPattern = 'pattern' in subscription
    this.#pattern = isPattern ? compilePattern(subscription.pattern) : undefined
    this.#match = isPattern ? NOTHING_MATCHED : { among: NONE, topics: [...new Set(subscription.topics)] }
  }

  get isPattern(): boolean {
    return this.#pattern !== undefined
  }

  get topics(): readonly string[] {
    return this.#match.topics
  }

  /** Returns whether they are others than before. */
  async follow(matcher: TopicMatcher): Promise<boolean> {
    if (this.#pattern === undefined) return false
    const before = this.topics
    this.#match = await matcher.match(this.#pattern, this.#match)
    return this.topics.length !== before.length || this.topics.some((name, at) => name !== before[at])
  }
}
