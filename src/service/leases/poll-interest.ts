// The topics that the polls of one group ask for: the group's member subscribes to all of them, and each poll gets its own.

import { TailraceError } from '../../kernel/errors.ts'
import { POLL_SUBSCRIPTIONS_MAX } from '../../kernel/limits.ts'
import type { Subscription } from '../groups/group-member.ts'
import { TopicPattern } from '../groups/topic-pattern.ts'

/** Topics that polls ask for, in the same words. */
export class Interest {
  readonly subscription: Subscription
  /** Polls that are here with it; of these, those that wait for partitions. */
  polls = 0
  waiting = 0
  lastUsedMs = 0
  readonly #pattern: TopicPattern | undefined
  /** By topic. */
  readonly #matched = new Map<string, boolean>()

  constructor(subscription: Subscription) {
    this.subscription = subscription
    if ('topics' in subscription) for (const topic of subscription.topics) this.#matched.set(topic, true)
    else this.#pattern = new TopicPattern(subscription)
  }

  /** Of topics that the group owns only. */
  matches(topic: string): boolean {
    let known = this.#matched.get(topic)
    if (known === undefined) {
      known = this.#pattern?.matches(topic) ?? false
      this.#matched.set(topic, known)
    }
    return known
  }
}

export class Interests {
  readonly #byKey = new Map<string, Interest>()

  get isEmpty(): boolean {
    return this.#byKey.size === 0
  }

  /** All that polls ask for. */
  get subscriptions(): readonly Subscription[] {
    return [...this.#byKey.values()].map(({ subscription }) => subscription)
  }

  /** For one more poll; where nobody has asked so before it is subscribed to, and what refuses that is thrown. */
  enter(wanted: Subscription, subscribe: (all: readonly Subscription[]) => void): Interest {
    const key = JSON.stringify(wanted)
    let interest = this.#byKey.get(key)
    if (interest === undefined) {
      if (this.#byKey.size >= POLL_SUBSCRIPTIONS_MAX) throw tooManySubscriptions()
      interest = new Interest(wanted)
      this.#byKey.set(key, interest)
      subscribe(this.subscriptions)
    }
    interest.polls++
    return interest
  }

  /** Forgets those that nobody has polled with, or held anything of, since then. Returns whether there was one. */
  drop(sinceMs: number): boolean {
    const before = this.#byKey.size
    for (const [key, { polls, lastUsedMs }] of this.#byKey) {
      if (polls === 0 && lastUsedMs <= sinceMs) this.#byKey.delete(key)
    }
    return this.#byKey.size < before
  }

  [Symbol.iterator](): IterableIterator<Interest> {
    return this.#byKey.values()
  }
}

function tooManySubscriptions(): TailraceError {
  return new TailraceError(
    'overloaded',
    `polls of this group name topics in ${POLL_SUBSCRIPTIONS_MAX} ways, which is as many as there may be at once: let its workers name them alike`,
  )
}
