// A member's place in its group, which may outlast the connection that took it: under a name it is kept for the session
// timeout, and who comes back under that name sits down again, without a rebalance. While nobody sits there it takes part in
// rebalances and owns, but nobody reads.

import type { Clock, Timer } from '../../kernel/clock.ts'
import type {
  GroupMember,
  GroupMemberSpec,
  GroupMembers,
  OwnedPartition,
  OwnershipListener,
  Subscription,
} from '../groups/group-member.ts'

/** Who reads what the member owns. */
export interface SeatHolder {
  readonly connection: object
  assigned(partitions: readonly OwnedPartition[]): void
  /** They go to others when it resolves. */
  revoked(partitions: readonly OwnedPartition[]): Promise<void>
  lostPartitions(partitions: readonly OwnedPartition[]): void
  /** Another one sits there now. Resolves when nothing of its own is under way any more. */
  superseded(): Promise<void>
}

export interface GroupSeatParts {
  readonly members: GroupMembers
  readonly clock: Clock
  /** It is no more. */
  readonly onClosed: (seat: GroupSeat) => void
}

export class GroupSeat implements OwnershipListener {
  readonly member: GroupMember
  /** '' where nobody can come back. */
  readonly key: string
  readonly #parts: GroupSeatParts
  readonly #sessionTimeoutMs: number
  #holder: SeatHolder | undefined
  /** What those that sat here before have under way. */
  #before: Promise<void> = Promise.resolve()
  #wish = ''
  #leaving: readonly OwnedPartition[] = []
  #letGo: (() => void) | undefined
  #session: Timer | undefined
  #closing: Promise<void> | undefined

  constructor(parts: GroupSeatParts, key: string, spec: Omit<GroupMemberSpec, 'listener'>) {
    this.#parts = parts
    this.key = key
    this.#sessionTimeoutMs = spec.sessionTimeoutMs
    this.member = parts.members.open({ ...spec, listener: this })
  }

  get holder(): SeatHolder | undefined {
    return this.#holder
  }

  /** Without what is just leaving. */
  get owned(): readonly OwnedPartition[] {
    return this.member.owned.filter((owned) => !this.#leaving.includes(owned))
  }

  /** Who comes back with the same wish causes no rebalance. invalid_request: a pattern that is none. */
  subscribe(subscription: Subscription): void {
    const wish = JSON.stringify(subscription)
    if (wish !== this.#wish) this.member.subscribe(subscription)
    this.#wish = wish
  }

  /** Resolves when who sat there before has nothing under way. */
  take(holder: SeatHolder): Promise<void> {
    this.#session?.cancel()
    this.#session = undefined
    this.#letGo ??= this.member.hold()
    const before = this.#holder
    this.#holder = holder
    if (before !== undefined) this.#before = Promise.all([this.#before, before.superseded()]).then(() => undefined)
    return this.#before
  }

  /** `last`: what the holder still does as a member. */
  async leave(holder: SeatHolder, how: 'left' | 'lost', last: Promise<void>): Promise<void> {
    if (this.#holder !== holder) return
    this.#holder = undefined
    this.#before = Promise.all([this.#before, last]).then(() => undefined)
    if (how === 'left' || this.key === '') {
      // whoever comes under this name meanwhile is another member
      this.#parts.onClosed(this)
      await this.#before
      await this.close()
      return
    }
    this.#letGo?.()
    this.#letGo = undefined
    if (this.#closing !== undefined) return
    this.#session = this.#parts.clock.after(this.#sessionTimeoutMs, () => void this.close())
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#session?.cancel()
    this.#parts.onClosed(this)
    this.#letGo?.()
    await this.member.close()
  }

  onAssigned(partitions: readonly OwnedPartition[]): void {
    this.#holder?.assigned(partitions)
  }

  async onRevoked(partitions: readonly OwnedPartition[]): Promise<void> {
    this.#leaving = partitions
    try {
      await Promise.all([this.#before, this.#holder?.revoked(partitions)])
    } finally {
      this.#leaving = []
    }
  }

  onLost(partitions: readonly OwnedPartition[]): void {
    this.#holder?.lostPartitions(partitions)
  }
}
