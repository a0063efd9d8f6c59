// A partition of a shared group: its window, what is under way for it, and how it is remembered in the state topic.

import { randomBytes } from 'node:crypto'
import type { Engine } from '../../../engine/engine.ts'
import type { CommittedOffset, OffsetToCommit } from '../../../engine/group-protocol.ts'
import type { Timer } from '../../../kernel/clock.ts'
import type { StateTopic, StateValue } from '../../groups/state-topic.ts'
import type { Lease } from '../lease-table.ts'
import { PartitionSlot } from '../poll-queue.ts'
import type { Grave, GraveSearch } from './dead-letters.ts'
import { searchOf } from './dead-letters.ts'
import type { Outcome, WindowRecord } from './shared-window.ts'
import { SharedWindow } from './shared-window.ts'

export type HeldRecord = WindowRecord<Lease<HeldRecords>>

/** What a lease has. */
export interface HeldRecords {
  /** The worker's name for itself. */
  readonly member: string
  /** Of the poll that took them. */
  readonly maxAttempts: number
  readonly slots: Map<SharedSlot, SlotRecords>
}

/** By offset: those that are leased still, and what was said of the others. */
export interface SlotRecords {
  readonly open: Map<number, HeldRecord>
  readonly settled: Map<number, Verdict>
}

/** unnamed: its worker has not tried it; given out again, and the delivery does not count. */
export type Verdict = 'accepted' | 'released' | 'rejected' | 'unnamed'

export class SharedSlot extends PartitionSlot {
  window = new SharedWindow<Lease<HeldRecords>>(0)
  /** Of what is remembered above the committed offset. */
  epoch = ''
  committed = 0
  /** The end offset at which there was no more to be had, although there seemed to be. */
  exhaustedAt = -1
  /** Up to here something changed that is not durable. */
  changedTo = 0
  writing: Promise<void> | undefined = undefined
  nextWrite: Promise<void> | undefined = undefined
  grave: Grave | undefined = undefined
  /** Nobody knows whether what is condemned lies there. */
  graveSearch: GraveSearch | undefined = undefined
  burying: Promise<void> | undefined = undefined
  retry: Timer | undefined = undefined
  /** One after the other. */
  failedBurials = 0
  /** The state topic has something of it. */
  isRemembered = false

  /** The committed offset says all there is. */
  get isForgettable(): boolean {
    return this.isRemembered && this.committed >= this.window.end
  }

  get isChanged(): boolean {
    return this.changedTo > 0
  }

  settle(record: HeldRecord, outcome: Outcome): void {
    this.window.settle(record, outcome)
    this.changed(record)
  }

  /** What it is, or how often it was delivered, is to be remembered with the next write. */
  changed({ offset }: HeldRecord): void {
    this.changedTo = Math.max(this.changedTo, offset + 1)
  }
}

/** As it is remembered. */
interface SavedWindow {
  readonly epoch: string
  readonly start: number
  readonly runs: readonly number[]
  readonly grave?: Grave
}

export function commitOf({ topic, partition, epoch }: SharedSlot, offset: number): OffsetToCommit {
  return { topic: topic.name, topicId: topic.id, partition, offset, metadata: epoch }
}

const EPOCH = 'shared:'

/** What is known above the committed offset, if it belongs to it; and the epoch that what will be known is of. */
export function loadSlot(
  slot: SharedSlot,
  offset: number,
  committed: CommittedOffset | undefined,
  value: StateValue | undefined,
): void {
  const saved = value as unknown as SavedWindow | undefined
  const epoch = committed?.metadata ?? ''
  const window =
    saved !== undefined && saved.epoch === epoch
      ? // of the same epoch: what it has left behind is done, committed or not
        SharedWindow.decode<Lease<HeldRecords>>(saved.start, saved.runs, Math.max(offset, saved.start))
      : undefined
  slot.committed = offset
  slot.isRemembered = saved !== undefined
  slot.window = window ?? new SharedWindow(offset)
  slot.epoch = epoch.startsWith(EPOCH) ? epoch : EPOCH + randomBytes(9).toString('base64url')
  slot.grave = slot.window.condemned(1).length === 0 ? undefined : saved?.grave
  slot.graveSearch = slot.grave && searchOf(slot.grave)
}

export function saveSlot({ epoch, window, grave }: SharedSlot): SavedWindow & StateValue {
  return { epoch, start: window.start, runs: window.encode(), ...(grave === undefined ? {} : { grave }) }
}

const KEY = 'shared/'

export function prefixOf(groupId: string): string {
  return `${KEY}${encodeURIComponent(groupId)}/`
}

export function keyOf(groupId: string, { topic, partition }: SharedSlot): string {
  return `${prefixOf(groupId)}${topic.id}/${partition}`
}

/** What is remembered of groups and topics that are not there any more. */
export async function forgetGone(engine: Engine, state: StateTopic): Promise<void> {
  // before: what is remembered from now on is of groups and topics that this has not seen
  const keys = await state.keys(KEY)
  const groups = new Set((await engine.groups.list()).map(({ groupId }) => groupId))
  const topicIds = new Set(engine.listTopics().map(({ id }) => id))
  const gone = keys.filter((key) => {
    const [, groupId = '', topicId = ''] = key.split('/')
    return !topicIds.has(topicId) || !groups.has(decodeURIComponent(groupId))
  })
  await forget(state, gone)
}

/** What is remembered of a group that was just deleted. */
export async function forgetGroup(state: StateTopic, groupId: string): Promise<void> {
  await forget(state, await state.keys(prefixOf(groupId)))
}

async function forget(state: StateTopic, keys: readonly string[]): Promise<void> {
  await Promise.all(keys.map((key) => state.put(key, null)))
}
