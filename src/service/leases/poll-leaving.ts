// Partitions of a group's polls that are to go to another member: they stay until nothing of them is with a worker, which
// others of the group rely on, or until the rebalance can wait no longer.

import type { Clock } from '../../kernel/clock.ts'
import { POLL_GIVE_UP_MS_MAX } from '../../kernel/limits.ts'
import type { PartitionSlot, PollQueue } from './poll-queue.ts'

export class LeavingSlots<Slot extends PartitionSlot> {
  readonly #clock: Clock
  readonly #queue: Pick<PollQueue<Slot>, 'isLeased'>
  readonly #held = new Set<Slot>()
  #goOn: () => void = () => {}

  constructor(clock: Clock, queue: Pick<PollQueue<Slot>, 'isLeased'>) {
    this.#clock = clock
    this.#queue = queue
  }

  /** Nothing of these is with a worker any more; or it is no use, or too late, to wait for that. One at a time. */
  async released(slots: readonly Slot[], lost: AbortSignal): Promise<void> {
    for (const slot of slots) if (this.#queue.isLeased(slot)) this.#held.add(slot)
    if (this.#held.size === 0 || lost.aborted) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#goOn = resolve
    const timer = this.#clock.after(POLL_GIVE_UP_MS_MAX, resolve)
    lost.addEventListener('abort', () => resolve(), { once: true })
    await promise
    timer.cancel()
    this.#held.clear()
  }

  /** Of one of them something may have come back. */
  changed(slot: Slot): void {
    if (!this.#held.has(slot)) return
    if (!slot.isLost && this.#queue.isLeased(slot)) return
    this.#held.delete(slot)
    if (this.#held.size === 0) this.#goOn()
  }
}
