// Which of a group's committed offsets have expired, as Kafka has it (KIP-211): all that were not committed for
// offsets.retention.minutes, counted from when the group became empty, where anybody ever was in it; and while it is
// stable, those of topics that none of its members reads. A plain function of state and now.

import type { GroupState } from '../engine/group-protocol.ts'
import type { SavedOffset } from './group-store.ts'

export interface ExpiryFacts {
  readonly state: GroupState
  /** Wall clock, ms. */
  readonly emptySinceMs: number
  /** Whether a member reads the topic, or may do so. */
  isRead(topicId: string): boolean
}

export function expiredOffsets(
  offsets: Iterable<SavedOffset>,
  { state, emptySinceMs, isRead }: ExpiryFacts,
  expireBeforeMs: number,
): SavedOffset[] {
  if (state !== 'Empty' && state !== 'Stable') return []
  if (state === 'Empty' && emptySinceMs > expireBeforeMs) return []
  const old = [...offsets].filter(({ committedMs }) => committedMs <= expireBeforeMs)
  return state === 'Empty' ? old : old.filter(({ topicId }) => !isRead(topicId))
}
