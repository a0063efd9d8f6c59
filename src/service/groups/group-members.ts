// The members of groups that live in this server: one listener for rebalances and one for topics, whoever there is, and
// one timer for those whose clients have fallen silent.

import type { Engine } from '../../engine/engine.ts'
import type { Clock, Timer } from '../../kernel/clock.ts'
import type { Logger } from '../../kernel/logger.ts'
import type { GroupMember, GroupMemberSpec, GroupMembers } from './group-member.ts'
import type { HostedMemberParts } from './hosted-member.ts'
import { HostedMember } from './hosted-member.ts'
import { TopicMatcher } from './topic-pattern.ts'

/** Those whose time comes within so long of each other are ended together. */
const SILENCE_CHECK_MS_MIN = 250

export interface GroupMembersParts {
  readonly engine: Engine
  readonly clock: Clock
  readonly logger: Logger
}

export function openGroupMembers(parts: GroupMembersParts): GroupMembers {
  return new HostedMembers(parts)
}

class HostedMembers implements GroupMembers {
  readonly #parts: GroupMembersParts
  readonly #matcher: TopicMatcher
  /** One object for all of them. */
  readonly #ofMembers: HostedMemberParts
  readonly #byGroup = new Map<string, Set<HostedMember>>()
  /** Members whose session at the coordinator may outlast what their clients' last sign of life gave them. */
  readonly #watched = new Set<HostedMember>()
  readonly #listening: readonly (() => void)[]
  #watch: Timer | undefined
  #watchDueMs = 0

  constructor(parts: GroupMembersParts) {
    const { engine, clock } = parts
    this.#parts = parts
    this.#matcher = new TopicMatcher(engine, clock)
    this.#ofMembers = {
      ...parts,
      matcher: this.#matcher,
      onJoined: (member) => this.#joined(member),
      onClosed: (member) => this.#closed(member),
    }
    this.#listening = [
      engine.groups.onRebalance((groupId) => {
        for (const member of this.#byGroup.get(groupId) ?? []) member.rebalanceBegan()
      }),
      engine.onTopicsChanged(() => {
        this.#matcher.topicsChanged()
        for (const members of this.#byGroup.values()) for (const member of members) member.topicsChanged()
      }),
    ]
  }

  open(spec: GroupMemberSpec): GroupMember {
    const members = this.#byGroup.get(spec.groupId) ?? new Set()
    this.#byGroup.set(spec.groupId, members)
    const member = new HostedMember(spec, this.#ofMembers)
    members.add(member)
    return member
  }

  async close(): Promise<void> {
    for (const end of this.#listening) end()
    this.#watch?.cancel()
    const all = [...this.#byGroup.values()].flatMap((members) => [...members])
    await Promise.all(all.map((member) => member.close()))
  }

  #joined(member: HostedMember): void {
    const leftMs = member.endIfSilent()
    if (leftMs === undefined) return
    this.#watched.add(member)
    this.#watchAfter(leftMs)
  }

  #closed(member: HostedMember): void {
    this.#watched.delete(member)
    const members = this.#byGroup.get(member.spec.groupId)
    members?.delete(member)
    if (members?.size === 0) this.#byGroup.delete(member.spec.groupId)
  }

  #watchAfter(leftMs: number): void {
    const { clock } = this.#parts
    const delayMs = Math.max(leftMs, SILENCE_CHECK_MS_MIN)
    const dueMs = clock.monotonic() + delayMs
    if (this.#watch !== undefined && this.#watchDueMs <= dueMs) return
    this.#watch?.cancel()
    this.#watchDueMs = dueMs
    this.#watch = clock.after(delayMs, () => this.#endSilent())
  }

  #endSilent(): void {
    this.#watch = undefined
    let soonestMs = Number.POSITIVE_INFINITY
    for (const member of this.#watched) {
      const leftMs = member.endIfSilent()
      if (leftMs === undefined) this.#watched.delete(member)
      else soonestMs = Math.min(soonestMs, leftMs)
    }
    if (this.#watched.size > 0) this.#watchAfter(soonestMs)
  }
}
