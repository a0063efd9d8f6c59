// Topics by a regular expression that the whole name must match. A client sends it, so it is one of RE2: matched in a time
// that grows with the pattern and the name and nothing else. Even so a long one over ten thousand topics takes seconds:
// others have their turn in between. Internal topics are never meant.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { RE2JS } from 're2js'
import type { Engine } from '../../engine/engine.ts'
import { isInternalTopic } from '../../engine/topic-name.ts'
import type { Clock } from '../../kernel/clock.ts'
import { PATTERN_MATCHING_MS_PER_TURN_MAX, PATTERNS_KEPT_MAX } from '../../kernel/limits.ts'
import { compilePattern } from '../filter/client-pattern.ts'
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
