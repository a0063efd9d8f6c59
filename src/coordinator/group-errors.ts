// What a group's members are refused with, in words that say what to do.

import type { MemberIdentity } from '../engine/group-protocol.ts'
import { TailraceError } from '../kernel/errors.ts'

export function unknownMember(groupId: string, memberId: string): TailraceError {
  const message = `group '${groupId}' has no member '${memberId}' (any more): join it again without a member id`
  return new TailraceError('unknown_member_id', message, { group: groupId, member_id: memberId })
}

export function fencedInstance(groupId: string, groupInstanceId: string): TailraceError {
  const message = `another member of group '${groupId}' has joined as '${groupInstanceId}'`
  return new TailraceError('fenced_instance_id', message, { group: groupId, group_instance_id: groupInstanceId })
}

export function illegalGeneration({ groupId, generationId }: MemberIdentity, current: number): TailraceError {
  const message = `group '${groupId}' is in generation ${current}, not ${generationId}: join again`
  return new TailraceError('illegal_generation', message, {
    group: groupId,
    generation_id: generationId,
    current_generation_id: current,
  })
}

export function rebalanceInProgress(groupId: string): TailraceError {
  return new TailraceError('rebalance_in_progress', `group '${groupId}' is rebalancing: join again`, { group: groupId })
}

export function inconsistentProtocol(groupId: string, why: string, details: object = {}): TailraceError {
  return new TailraceError('inconsistent_group_protocol', `group '${groupId}' ${why}`, { group: groupId, ...details })
}

export function membersOnly(groupId: string): TailraceError {
  const message = `group '${groupId}' has members: while it has, only they commit its offsets`
  return new TailraceError('unknown_member_id', message, { group: groupId })
}

export function nonEmptyGroup(groupId: string): TailraceError {
  return new TailraceError('non_empty_group', `group '${groupId}' has members: stop them first`, { group: groupId })
}

export function groupNotFound(groupId: string): TailraceError {
  return new TailraceError('group_id_not_found', `there is no group '${groupId}'`, { group: groupId })
}
