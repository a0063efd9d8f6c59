// Topics by a regular expression that the whole name must match. A client sends it, so it is one of RE2: matched in a time
// that grows with the pattern and the name and nothing else. Even so a long one over ten thousand topics takes seconds:
// others have their turn in between. Internal topics are never meant.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { RE2JS } from 're2js'
import type { Engine } from '../engine/engine.ts'
import { isInternalTopic } from '../engine/topic-name.ts'
import type { Clock } from '../kernel/clock.ts'
import { TailraceError } from '../kernel/errors.ts'
import {
  PATTERN_CHARS_MAX,
  PATTERN_MATCHING_MS_PER_TURN_MAX,
  PATTERN_PROGRAM_MAX,
  PATTERNS_KEPT_MAX,
} from '../kernel/limits.ts'
import { compareText } from './assignor.ts'
import type { PatternSubscription, Subscription } from './group-member.ts'

const NONE: ReadonlySet<string> = new Set()

export class TopicPattern {
  /** What it was last found to match, in the order of the names, and among which topics: one set for all patterns. */
  topics: readonly string[] = []
  among: ReadonlySet<string> = NONE
  readonly #expression: RE2JS
  readonly #passesOver: string | undefined

  /** invalid_request. */
  constructor({ pattern, passesOver }: PatternSubscription) {
    this.#expression = compilePattern(pattern)
    this.#passesOver = passesOver
  }

  matches(name: string): boolean {
    if (isInternalTopic(name) || (this.#passesOver !== undefined && name.endsWith(this.#passesOver))) return false
    return this.#expression.testExact(name)
  }
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
  pattern(subscription: PatternSubscription): TopicPattern {
    const key = `${subscription.passesOver ?? ''}/${subscription.pattern}`
    const pattern = this.#patterns.get(key) ?? new TopicPattern(subscription)
    this.#patterns.delete(key)
    this.#patterns.set(key, pattern)
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
      if (pattern.matches(name)) topics.push(name)
      if (this.#clock.monotonic() - turnBegan < PATTERN_MATCHING_MS_PER_TURN_MAX) continue
      await nextTurn()
      turnBegan = this.#clock.monotonic()
    }
    pattern.topics = topics.sort(compareText)
    pattern.among = among
    return topics
  }

  #present(): ReadonlySet<string> {
    this.#names ??= new Set(this.#engine.listTopics().map(({ name }) => name))
    return this.#names
  }
}

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

/** The topics that subscriptions mean together: those they name, and those that patterns match by now. */
export class TopicWishes {
  readonly #named: readonly string[]
  readonly #patterns: readonly TopicPattern[]
  #topics: readonly string[]

  /** invalid_request: a pattern that is none. */
  constructor(subscriptions: readonly Subscription[], matcher: TopicMatcher) {
    this.#named = [...new Set(subscriptions.flatMap((one) => ('topics' in one ? one.topics : [])))]
    this.#patterns = subscriptions.flatMap((one) => ('pattern' in one ? [matcher.pattern(one)] : []))
    this.#topics = this.#named
  }

  get isPattern(): boolean {
    return this.#patterns.length > 0
  }

  get topics(): readonly string[] {
    return this.#topics
  }

  /** Returns whether they are others than before. */
  async follow(matcher: TopicMatcher): Promise<boolean> {
    if (!this.isPattern) return false
    const before = this.#topics
    const lists = [this.#named]
    for (const pattern of this.#patterns) lists.push(await matcher.match(pattern))
    const [only, ...more] = lists.filter((list) => list.length > 0)
    // members with the same pattern share what it matches
    this.#topics = more.length === 0 ? (only ?? []) : [...new Set(lists.flat())]
    return this.#topics.length !== before.length || this.#topics.some((name, at) => name !== before[at])
  }
}
