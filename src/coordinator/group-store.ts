// What the coordinator needs of a disk: a port. Whoever keeps it (local-engine/group-storage.ts) stores in the order of the
// calls, its promises settle in that order, and one that resolved is durable. disk_full, overloaded: nothing of it is stored; kafka_storage_error: it may be.

export interface SavedGroup {
  readonly groupId: string
  /** '' while offsets were committed from outside only. */
  readonly protocolType: string
  readonly generation: number
  /** Wall clock, ms; undefined: it had members. */
  readonly emptySinceMs: number | undefined
}

/** By the topic's UUID: one that is made again under the same name inherits nothing. */
export interface OffsetPlace {
  readonly topicId: string
  readonly partition: number
}

export interface SavedOffset extends OffsetPlace {
  readonly offset: number
  readonly leaderEpoch: number
  readonly metadata: string
  /** Wall clock, ms. */
  readonly committedMs: number
}

/** All that was stored, as a start finds it. */
export interface SavedGroups {
  readonly groups: Iterable<SavedGroup>
  readonly offsets: Iterable<SavedOffset & { readonly groupId: string }>
}

export interface GroupStore {
  saveGroup(group: SavedGroup): Promise<void>
  /** Of a topic that is deleted meanwhile nothing is kept. */
  saveOffsets(groupId: string, offsets: readonly SavedOffset[]): Promise<void>
  deleteOffsets(groupId: string, places: readonly OffsetPlace[]): Promise<void>
  /** With its offsets. */
  deleteGroup(groupId: string): Promise<void>
}
