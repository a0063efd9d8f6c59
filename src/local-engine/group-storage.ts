// The coordinator's store: what of consumer groups must outlive the server, in meta.db. Changes are stored in the order of
// the calls; while one commit is under way all that come are gathered for the next, so that thousands of commits of
// offsets a second share a few hundred syncs.

import type Database from 'better-sqlite3'
import type { GroupStore, OffsetPlace, SavedGroup, SavedGroups, SavedOffset } from '../coordinator/group-store.ts'
import type { Clock } from '../kernel/clock.ts'
import type { MetaChange } from './meta-schema.ts'
import type { MetaCommits } from './meta-writer.ts'

interface Gathered {
  readonly changes: MetaChange[]
  readonly stored: Promise<void>
}

export class GroupStorage implements GroupStore {
  /** As the start has found it. */
  readonly saved: SavedGroups
  readonly #writer: MetaCommits
  #underWay: Promise<void> = Promise.resolve()
  #gathered: Gathered | undefined

  /** Reads what there is out of meta.db, before the writer has anything to do. */
  constructor(db: Database.Database, { clock, writer }: { readonly clock: Clock; readonly writer: MetaCommits }) {
    this.#writer = writer
    // whoever was in it when the server ended is not any more
    db.prepare('UPDATE groups SET empty_since_ms = ? WHERE empty_since_ms IS NULL').run(clock.now())
    const groups = db.prepare('SELECT * FROM groups').all() as GroupRow[]
    const offsets = db.prepare('SELECT * FROM committed_offsets').all() as OffsetRow[]
    this.saved = { groups: groups.map(savedGroup), offsets: offsets.map(savedOffset) }
  }

  saveGroup({ groupId, protocolType, generation, emptySinceMs }: SavedGroup): Promise<void> {
    return this.#store([{ statement: 'putGroup', values: [groupId, protocolType, generation, emptySinceMs ?? null] }])
  }

  saveOffsets(groupId: string, offsets: readonly SavedOffset[]): Promise<void> {
    return this.#store(
      offsets.map(({ topicId, partition, offset, leaderEpoch, metadata, committedMs }) => {
        const values = [groupId, partition, offset, leaderEpoch, metadata, committedMs, topicId]
        return { statement: 'putCommittedOffset', values }
      }),
    )
  }

  deleteOffsets(groupId: string, places: readonly OffsetPlace[]): Promise<void> {
    return this.#store(
      places.map(({ topicId, partition }) => ({
        statement: 'dropCommittedOffset',
        values: [groupId, topicId, partition],
      })),
    )
  }

  deleteGroup(groupId: string): Promise<void> {
    return this.#store([
      { statement: 'dropCommittedOffsetsOfGroup', values: [groupId] },
      { statement: 'dropGroup', values: [groupId] },
    ])
  }

  #store(changes: readonly MetaChange[]): Promise<void> {
    this.#gathered ??= this.#gather()
    for (const change of changes) this.#gathered.changes.push(change)
    return this.#gathered.stored
  }

  #gather(): Gathered {
    const changes: MetaChange[] = []
    const stored = this.#underWay.then(() => {
      this.#gathered = undefined
      return this.#writer.commit(changes)
    })
    this.#underWay = stored.catch(() => {})
    return { changes, stored }
  }
}

interface GroupRow {
  readonly group_id: string
  readonly protocol_type: string
  readonly generation: number
  readonly empty_since_ms: number | null
}

interface OffsetRow {
  readonly group_id: string
  readonly topic_id: string
  readonly partition: number
  readonly offset: number
  readonly leader_epoch: number
  readonly metadata: string
  readonly committed_ms: number
}

/** A bit that flipped must not become an offset, or a generation that was used. */
function savedGroup(row: GroupRow): SavedGroup {
  const { group_id: groupId, protocol_type: protocolType, generation, empty_since_ms: emptySinceMs } = row
  checkNumbers(groupId, [generation])
  return { groupId, protocolType, generation, emptySinceMs: emptySinceMs ?? undefined }
}

function savedOffset(row: OffsetRow): SavedOffset & { readonly groupId: string } {
  const { group_id: groupId, topic_id: topicId, partition, offset, metadata, leader_epoch: leaderEpoch } = row
  checkNumbers(groupId, [partition, offset])
  return { groupId, topicId, partition, offset, metadata, leaderEpoch, committedMs: row.committed_ms }
}

function checkNumbers(groupId: string, numbers: readonly unknown[]): void {
  for (const number of numbers) {
    if (Number.isSafeInteger(number) && (number as number) >= 0) continue
    throw new Error(`group ${groupId} has the number ${number}`)
  }
}
