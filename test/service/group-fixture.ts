// Members of groups over the coordinator in memory, with a clock that the test moves.

import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Engine } from '../../src/engine/engine.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import type {
  AssignorName,
  GroupMember,
  GroupMemberSpec,
  GroupMembers,
  OwnedPartition,
  OwnershipListener,
} from '../../src/service/groups/group-member.ts'
import { openGroupMembers } from '../../src/service/groups/group-members.ts'
import { FakeClock } from '../support/fake-clock.ts'
import type { MemoryEngineOptions } from '../support/memory-engine.ts'
import { MemoryEngine } from '../support/memory-engine.ts'

export const SESSION_MS = 10_000
export const REBALANCE_MS = 60_000
export const COOPERATIVE: readonly AssignorName[] = ['cooperative-sticky', 'range']

export function openMembers(options: MemoryEngineOptions = {}) {
  const clock = new FakeClock()
  const engine = new MemoryEngine({ clock, ...options })
  const members = openGroupMembers({ engine, clock, logger: silentLogger })
  return { clock, engine, members }
}

/** What a member was told, in words: 'assigned orders-0 orders-1'. Checks that nothing is told that cannot be. */
export class Told implements OwnershipListener {
  readonly events: string[] = []
  readonly owned = new Set<OwnedPartition>()
  /** Before what is revoked is given up. */
  beforeRevoked: (partitions: readonly OwnedPartition[], lost: AbortSignal) => Promise<void> | void = () => {}

  async onRevoked(partitions: readonly OwnedPartition[], lost: AbortSignal): Promise<void> {
    this.#take('revoked', partitions)
    await this.beforeRevoked(partitions, lost)
  }

  onLost(partitions: readonly OwnedPartition[]): void {
    this.#take('lost', partitions)
  }

  onAssigned(partitions: readonly OwnedPartition[]): void {
    this.events.push(`assigned ${names(partitions)}`)
    for (const owned of partitions) {
      assert.ok(!this.owned.has(owned), `${name(owned)} is assigned twice`)
      this.owned.add(owned)
    }
  }

  #take(how: string, partitions: readonly OwnedPartition[]): void {
    this.events.push(`${how} ${names(partitions)}`)
    for (const owned of partitions) assert.ok(this.owned.delete(owned), `${name(owned)} is ${how} and was not assigned`)
  }
}

export function names(partitions: readonly OwnedPartition[]): string {
  return partitions.map(name).join(' ')
}

function name({ topic, partition }: OwnedPartition): string {
  return `${topic.name}-${partition}`
}

export interface TestMember {
  readonly member: GroupMember
  readonly told: Told
}

export function openMember(members: GroupMembers, spec: Partial<GroupMemberSpec> = {}): TestMember {
  const told = new Told()
  const member = members.open({
    groupId: 'readers',
    clientId: 'test',
    host: '127.0.0.1',
    protocolType: 'consumer',
    assignors: COOPERATIVE,
    sessionTimeoutMs: SESSION_MS,
    rebalanceTimeoutMs: REBALANCE_MS,
    listener: told,
    ...spec,
  })
  return { member, told }
}

/** Everything that goes on by itself has gone on: with the store in memory that is some turns of promises. */
export async function quiet(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await nextTurn()
}

/** Settled, or the test fails instead of hanging. */
export async function settled({ member }: TestMember): Promise<void> {
  await member.settled(AbortSignal.timeout(5_000))
}

export function ownedNames({ member }: TestMember): string {
  return names(member.owned)
}

export async function stateOf(engine: Engine, groupId = 'readers'): Promise<string> {
  const group = await engine.groups.describe(groupId)
  return group === undefined ? 'none' : `${group.state} ${group.members.length}`
}
