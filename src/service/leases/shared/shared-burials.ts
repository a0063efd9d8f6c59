// Brings the records that a shared group has given up to their dead-letter topic: of a partition one group of records at a
// time, and what fails again and again, always later, until it is done. Meanwhile the group's polls are told.

import type { Clock } from '../../../kernel/clock.ts'
import { asTailraceError, TailraceError } from '../../../kernel/errors.ts'
import { DEAD_LETTER_RETRY_MS, DEAD_LETTER_RETRY_MS_MAX, DEAD_LETTERS_AT_ONCE_MAX } from '../../../kernel/limits.ts'
import type { Logger } from '../../../kernel/logger.ts'
import type { QueueHost } from '../poll-queue.ts'
import type { DeadLetter, DeadLetters } from './dead-letters.ts'
import { deadLetterTopicOf, searchOf } from './dead-letters.ts'
import type { HeldRecord, SharedSlot } from './shared-slot.ts'
import type { SharedStore } from './shared-store.ts'

export interface SharedBurialsOptions {
  readonly host: Pick<QueueHost<SharedSlot>, 'groupId' | 'troubled'>
  readonly store: Pick<SharedStore, 'write'>
  readonly deadLetters: Pick<DeadLetters, 'openGrave' | 'bury'>
  /** The window may begin further on now. */
  readonly onBuried: (slot: SharedSlot) => void
  readonly clock: Clock
  readonly logger: Logger
}

export class SharedBurials {
  readonly #options: SharedBurialsOptions

  constructor(options: SharedBurialsOptions) {
    this.#options = options
  }

  /** In the background what is condemned. */
  start(slot: SharedSlot): void {
    void this.bury(slot)
  }

  /** Resolves when all that is condemned by now is buried, or that has failed: then it is tried again. */
  bury(slot: SharedSlot): Promise<void> {
    if (slot.burying !== undefined) return slot.burying
    if (slot.retry !== undefined || !hasCondemned(slot)) return Promise.resolve()
    slot.burying = this.#buryAll(slot)
    return slot.burying
  }

  async #buryAll(slot: SharedSlot): Promise<void> {
    try {
      while (hasCondemned(slot)) await this.#buryNext(slot)
      if (slot.failedBurials > 0) this.#options.host.troubled(slot, undefined)
      slot.failedBurials = 0
    } catch (error) {
      this.#failed(slot, asTailraceError(error))
    } finally {
      // in one turn with the last look: what is condemned from now on begins anew
      slot.burying = undefined
    }
    this.#options.onBuried(slot)
  }

  async #buryNext(slot: SharedSlot): Promise<void> {
    const { host, store, deadLetters } = this.#options
    const condemned = slot.window.condemned(DEAD_LETTERS_AT_ONCE_MAX)
    slot.grave ??= await deadLetters.openGrave(slot.topic, slot.partition)
    // with the grave: whoever finds them after a crash has to know where to look
    slot.changedTo = Number.POSITIVE_INFINITY
    await store.write(slot)
    try {
      await deadLetters.bury(host.groupId, slot, condemned.map(letterOf), slot.grave, slot.graveSearch)
    } catch (error) {
      slot.graveSearch ??= searchOf(slot.grave)
      if (asTailraceError(error).code === 'topic_recreated') forgetGrave(slot)
      throw error
    }
    if (slot.isLost) return
    for (const record of condemned) slot.settle(record, 'done')
    slot.graveSearch ??= searchOf(slot.grave)
    await store.write(slot)
    forgetGrave(slot)
  }

  #failed(slot: SharedSlot, error: TailraceError): void {
    if (slot.isLost) return
    const { host, clock, logger } = this.#options
    const { topic, partition } = slot
    const facts = { group: host.groupId, topic: topic.name, partition, error: String(error) }
    logger.warn(facts, 'records cannot be put into their dead-letter topic: it is tried again')
    host.troubled(slot, troubleOf(slot, error))
    const waitMs = Math.min(DEAD_LETTER_RETRY_MS * 2 ** slot.failedBurials, DEAD_LETTER_RETRY_MS_MAX)
    slot.failedBurials++
    slot.retry = clock.after(waitMs, () => {
      slot.retry = undefined
      this.start(slot)
    })
  }
}

function forgetGrave(slot: SharedSlot): void {
  slot.grave = undefined
  slot.graveSearch = undefined
}

function hasCondemned({ isLost, window }: SharedSlot): boolean {
  return !isLost && window.condemned(1).length > 0
}

function letterOf({ offset, attempts, state }: HeldRecord): DeadLetter {
  return { offset, attempts, reason: state === 'rejected' ? 'rejected' : 'max_attempts' }
}

function troubleOf({ topic }: SharedSlot, cause: TailraceError): TailraceError {
  // it is tried again all the same: somebody may change the topic
  const until = cause.retriable ? 'it is tried again' : 'they wait until that is mended'
  return new TailraceError(
    cause.code,
    `records that were given up cannot be put into topic ${deadLetterTopicOf(topic.name)} (${until}): ${cause.message}`,
    cause.details,
    { cause },
  )
}
