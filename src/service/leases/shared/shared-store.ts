// How what a shared group knows of a partition becomes durable: its window in the state topic, how far it is done as the
// group's committed offset. One write of a partition is under way at a time; what comes meanwhile joins the next. What is
// remembered goes when there is nothing in it that the committed offset does not say, soon after or when the partition goes.

import type { Clock, Timer } from '../../../kernel/clock.ts'
import { TailraceError } from '../../../kernel/errors.ts'
import { SHARED_STATE_IDLE_MS } from '../../../kernel/limits.ts'
import type { StateTopic } from '../../groups/state-topic.ts'
import type { QueueHost } from '../poll-queue.ts'
import type { SharedSlot } from './shared-slot.ts'
import { commitOf, keyOf, saveSlot } from './shared-slot.ts'

export interface SharedStoreOptions {
  readonly host: Pick<QueueHost<SharedSlot>, 'groupId' | 'member'>
  readonly state: StateTopic
  readonly clock: Clock
}

export class SharedStore {
  readonly #options: SharedStoreOptions
  /** When last looked at something was remembered of them that may be forgotten, or had changed. */
  readonly #due = new Set<SharedSlot>()
  #timer: Timer | undefined

  constructor(options: SharedStoreOptions) {
    this.#options = options
  }

  /** Resolves when everything of the partition that was changed or proposed by now is durable. Joins a write that is to come. */
  write(slot: SharedSlot): Promise<void> {
    slot.nextWrite ??= (slot.writing ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => {
        const written = this.#writeNow(slot)
        slot.writing = written
        slot.nextWrite = undefined
        return written
      })
    return slot.nextWrite
  }

  /** What nobody waits for. Not at once: a partition in use would be forgotten and remembered in turn. */
  writeLater(slot: SharedSlot): void {
    if (slot.isLost || !hasToWrite(slot)) return
    this.#due.add(slot)
    this.#timer ??= this.#options.clock.after(SHARED_STATE_IDLE_MS, () => {
      this.#timer = undefined
      // one in use since then is here again when it has ended
      for (const one of this.#due) if (hasToWrite(one)) this.write(one).catch(() => undefined)
      this.#due.clear()
    })
  }

  /** It is lost, and nothing is under way for it. */
  async leave(slot: SharedSlot): Promise<void> {
    this.#due.delete(slot)
    // else its next owner forgets it
    if (slot.isForgettable) await this.#forget(slot).catch(() => undefined)
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  async #writeNow(slot: SharedSlot): Promise<void> {
    if (slot.isLost) throw lost(slot)
    const { host, state } = this.#options
    const start = slot.window.proposedStart()
    const { changedTo } = slot
    slot.changedTo = 0
    try {
      // what lies below the committed offset need not be remembered; else the offset follows later
      if (changedTo > start) {
        slot.isRemembered = true
        await state.put(keyOf(host.groupId, slot), saveSlot(slot))
      } else if (start > slot.committed) {
        const [result] = await host.member.commit([commitOf(slot, start)])
        if (result?.error !== undefined) throw result.error
        slot.committed = start
        this.writeLater(slot)
      } else if (slot.isForgettable) await this.#forget(slot)
    } catch (error) {
      slot.changedTo = Math.max(slot.changedTo, changedTo)
      throw error
    }
  }

  async #forget(slot: SharedSlot): Promise<void> {
    await this.#options.state.put(keyOf(this.#options.host.groupId, slot), null)
    slot.isRemembered = false
  }
}

function hasToWrite({ isForgettable, isChanged }: SharedSlot): boolean {
  return isForgettable || isChanged
}

function lost({ topic, partition }: SharedSlot): TailraceError {
  return new TailraceError('illegal_generation', `partition ${partition} of topic ${topic.name} is another member's`)
}
