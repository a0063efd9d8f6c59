// The coordinator's store in memory, in place of meta.db: what was saved is durable when its promise resolves, a few
// microtasks later, in the order of the calls. Can be told to fail, and can be read as the next start would.

import type {
  GroupStore,
  OffsetPlace,
  SavedGroup,
  SavedGroups,
  SavedOffset,
} from '../../src/coordinator/group-store.ts'

type SavedOffsets = Map<string, SavedOffset>

export class MemoryGroupStore implements GroupStore {
  /** Called before each change is stored; what it throws is the failure, and nothing is stored. May take its time. */
  before: (what: 'group' | 'offsets' | 'deletion') => Promise<void> | void = () => {}
  readonly #groups = new Map<string, SavedGroup>()
  readonly #offsets = new Map<string, SavedOffsets>()
  #last: Promise<unknown> = Promise.resolve()

  constructor({ groups, offsets }: SavedGroups = { groups: [], offsets: [] }) {
    for (const group of groups) this.#groups.set(group.groupId, group)
    for (const { groupId, ...offset } of offsets) this.#of(groupId).set(keyOf(offset), offset)
  }

  get saved(): SavedGroups {
    const offsets = [...this.#offsets].flatMap(([groupId, rows]) =>
      [...rows.values()].map((row) => ({ groupId, ...row })),
    )
    return { groups: [...this.#groups.values()], offsets }
  }

  saveGroup(group: SavedGroup): Promise<void> {
    return this.#store('group', () => this.#groups.set(group.groupId, group))
  }

  saveOffsets(groupId: string, offsets: readonly SavedOffset[]): Promise<void> {
    return this.#store('offsets', () => {
      for (const offset of offsets) this.#of(groupId).set(keyOf(offset), offset)
    })
  }

  deleteOffsets(groupId: string, places: readonly OffsetPlace[]): Promise<void> {
    return this.#store('deletion', () => {
      for (const place of places) this.#of(groupId).delete(keyOf(place))
    })
  }

  deleteGroup(groupId: string): Promise<void> {
    return this.#store('deletion', () => {
      this.#groups.delete(groupId)
      this.#offsets.delete(groupId)
    })
  }

  /** meta.db drops them with the topic. */
  dropTopic(topicId: string): void {
    for (const rows of this.#offsets.values()) {
      for (const [key, row] of rows) if (row.topicId === topicId) rows.delete(key)
    }
  }

  #of(groupId: string): SavedOffsets {
    const rows = this.#offsets.get(groupId) ?? new Map<string, SavedOffset>()
    this.#offsets.set(groupId, rows)
    return rows
  }

  #store(what: 'group' | 'offsets' | 'deletion', change: () => void): Promise<void> {
    const stored = this.#last.then(async () => {
      await this.before(what)
      change()
    })
    this.#last = stored.catch(() => {})
    return stored
  }
}

function keyOf({ topicId, partition }: OffsetPlace): string {
  return `${topicId}-${partition}`
}
