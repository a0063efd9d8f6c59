// The topics that the polls of one group ask for: the group's member subscribes to all of them, and each poll gets its own.

import type { RE2JS } from 're2js'
import { TailraceError } from '../kernel/errors.ts'
import { POLL_SUBSCRIPTIONS_MAX } from '../kernel/limits.ts'
import type { Subscription } from './group-member.ts'
import { compilePattern } from './topic-pattern.ts'

/** Topics that polls ask for, in the same words. */
export class Interest {
  readonly topics: readonly string[] | undefined
  readonly pattern: string | undefined
  /** Polls that are here with it; of these, those that wait for partitions. */
  polls = 0
  waiting = 0
  lastUsedMs = 0
  readonly #compiled: RE2JS | undefined
  /** By topic. */
  readonly #matched = new Map<string, boolean>()

  constructor(subscription: Subscription) {
    this.topics = 'topics' in subscription ? subscription.topics : undefined
    this.pattern = 'pattern' in subscription ? subscription.pattern : undefined
    this.#compiled = this.pattern === undefined ? undefined : compilePattern(this.pattern)
    for (const topic of this.topics ?? []) this.#matched.set(topic, true)
  }

  /** Of topics that the group owns only. */
  matches(topic: string): boolean {
    let known = this.#matched.get(topic)
    if (known === undefined) {
      known = this.#compiled?.testExact(topic) ?? false
      this.#matched.set(topic, known)
    }
    return known
  }
}

export class Interests {
  readonly #byKey = new Map<string, Interest>()

  /** To all that polls ask for. */
  get subscription(): Subscription {
    const all = [...this.#byKey.values()]
    const topics = [...new Set(all.flatMap((interest) => interest.topics ?? []))].sort()
    const patterns = all.flatMap(({ pattern }) => (pattern === undefined ? [] : [`(?:${pattern})`]))
    if (patterns.length === 0) return { topics }
    return { pattern: [...patterns, ...topics.map(quoted)].join('|') }
  }

  /** For one more poll; where nobody has asked so before it is subscribed to, and what refuses that is thrown. */
  enter(wanted: Subscription, subscribe: (all: Subscription) => void): Interest {
    const key = JSON.stringify(wanted)
    let interest = this.#byKey.get(key)
    if (interest === undefined) {
      if (this.#byKey.size >= POLL_SUBSCRIPTIONS_MAX) throw tooManySubscriptions()
      interest = new Interest(wanted)
      this.#byKey.set(key, interest)
      try {
        subscribe(this.subscription)
      } catch (error) {
        this.#byKey.delete(key)
        throw error
      }
    }
    interest.polls++
    return interest
  }

  /** Whether there was one. */
  drop(isStale: (interest: Interest) => boolean): boolean {
    const before = this.#byKey.size
    for (const [key, interest] of this.#byKey) if (isStale(interest)) this.#byKey.delete(key)
    return this.#byKey.size < before
  }
}

function tooManySubscriptions(): TailraceError {
  return new TailraceError(
    'overloaded',
    `polls of this group name topics in ${POLL_SUBSCRIPTIONS_MAX} ways, which is as many as there may be at once: let its workers name them alike`,
  )
}

/** Of the characters that a topic's name may have, the dot alone means something in a pattern. */
function quoted(topic: string): string {
  return topic.replaceAll('.', '\\.')
}
