// /v1/groups: list, describe and delete consumer groups, put their offsets elsewhere or take them away.

import type { FastifyInstance, FastifyRequest } from 'fastify'
import { timeText } from '../../codec/iso-time.ts'
import { checkGroupId } from '../../engine/group-id.ts'
import type { GroupListing, GroupPartition } from '../../engine/group-protocol.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { GROUP_LIST_DEFAULT, GROUP_LIST_MAX } from '../../kernel/limits.ts'
import type { GroupView, MemberView, OffsetView } from '../../service/groups/group-view.ts'
import type { OffsetReset } from '../../service/groups/offset-reset.ts'
import type { ResetRequest } from '../../service/groups/reset-request.ts'
import { parsePosition } from '../../service/read/positions.ts'
import type { HttpFloor } from '../http-floor.ts'
import { checkAccept, JSON_MEDIA_TYPE } from '../media-type.ts'
import { callerOf } from '../request-caller.ts'
import { pathText, RequestQuery } from '../request-query.ts'
import { readJson } from './json-request.ts'
import { cursorOfName, nameOfCursor } from './name-cursor.ts'
import { readPartitions } from './read-query.ts'

interface ResetOffsetsRequest {
  readonly to?: string
  readonly shift_by?: number
  readonly offsets?: readonly (GroupPartition & { readonly offset: number })[]
  readonly topics?: readonly string[]
  readonly partitions?: readonly GroupPartition[]
  readonly dry_run?: boolean
  readonly force?: boolean
}

export function groupRoutes(app: FastifyInstance, floor: HttpFloor): void {
  const { groups } = floor.services

  app.get('/groups', async (request) => {
    checkAccept(request.headers.accept, JSON_MEDIA_TYPE)
    const query = new RequestQuery(request, ['limit', 'cursor'])
    const page = await groups.list(callerOf(request), {
      after: nameOfCursor(query.text('cursor'), 'groups'),
      limit: query.integer('limit', { min: 1, max: GROUP_LIST_MAX }) ?? GROUP_LIST_DEFAULT,
    })
    return { items: page.groups.map(renderListing), next_cursor: cursorOfName(page.nextAfter) }
  })

  app.get('/groups/:group', async (request) => {
    checkAccept(request.headers.accept, JSON_MEDIA_TYPE)
    new RequestQuery(request, [])
    return renderGroup(await groups.describe(callerOf(request), pathGroup(request)))
  })

  app.delete('/groups/:group', async (request, reply) => {
    const force = new RequestQuery(request, ['force']).flag('force')
    await groups.delete(callerOf(request), pathGroup(request), force)
    return reply.code(204).send()
  })

  app.patch('/groups/:group/offsets', async (request) => {
    const group = pathGroup(request)
    const body = await readJson<ResetOffsetsRequest>(floor, request, 'ResetOffsetsRequest')
    const { topics, partitions, dry_run: dryRun = false, force = false } = body
    const reset = { target: targetOf(body, group), topics, partitions, dryRun, force }
    const { offsets, leftOut, refusal } = await groups.resetOffsets(callerOf(request), group, reset)
    return {
      group,
      dry_run: dryRun,
      offsets: offsets.map(renderReset),
      ...(leftOut.length === 0 ? {} : { left_out: leftOut }),
      ...(refusal === undefined ? {} : { refusal: renderRefusal(refusal) }),
    }
  })

  app.delete('/groups/:group/offsets', async (request, reply) => {
    const query = new RequestQuery(request, ['topic', 'partition'])
    const topic = query.text('topic')
    if (topic === undefined) {
      const detail = 'topic is missing: the offsets of one topic are deleted, of all of its partitions or of some'
      throw new TailraceError('invalid_request', detail, { parameter: 'topic' })
    }
    await groups.deleteOffsets(callerOf(request), pathGroup(request), topic, readPartitions(query))
    return reply.code(204).send()
  })
}

/** A group's name from the path, percent-decoded and checked. */
export function pathGroup(request: FastifyRequest): string {
  const groupId = pathText(request, 'group')
  checkGroupId(groupId)
  return groupId
}

const TARGETS_ALLOWED =
  'earliest, latest, committed (where the group stands), an offset, a time such as 2026-11-21T02:00:00Z, or a duration ago such as 30m, 1h or 7d'

function targetOf(
  { to, shift_by, offsets, topics, partitions }: ResetOffsetsRequest,
  group: string,
): ResetRequest['target'] {
  const asked = [to, shift_by, offsets].filter((each) => each !== undefined).length
  if (asked !== 1) {
    throw new TailraceError('invalid_request', 'one of to, shift_by and offsets says where the offsets are to be put')
  }
  if (to !== undefined) return { kind: 'position', position: parsePosition(to, group, TARGETS_ALLOWED) }
  if (shift_by !== undefined) return { kind: 'shift', by: shift_by }
  if (topics !== undefined || partitions !== undefined) {
    throw new TailraceError(
      'invalid_request',
      'offsets names its partitions: topics and partitions go with to and shift_by',
    )
  }
  return { kind: 'listed', offsets: offsets ?? [] }
}

function renderListing({ groupId, state, protocolType }: GroupListing) {
  return { group: groupId, state, protocol_type: protocolType }
}

function renderGroup({ group, members, offsets }: GroupView) {
  return {
    ...renderListing(group),
    protocol: group.protocolName,
    generation: group.generationId,
    members: members.map(renderMember),
    offsets: offsets.map(renderOffset),
  }
}

function renderMember({ memberId, groupInstanceId, clientId, host, topics, partitions }: MemberView) {
  return {
    member_id: memberId,
    ...(groupInstanceId === undefined ? {} : { group_instance_id: groupInstanceId }),
    client_id: clientId,
    host,
    topics,
    partitions,
  }
}

function renderOffset({ topic, partition, committed, bounds, memberId, progress }: OffsetView) {
  return {
    topic,
    partition,
    committed_offset: committed?.offset ?? null,
    committed_at: committed === undefined ? null : timeText(committed.committedMs),
    metadata: committed?.metadata ?? '',
    start_offset: bounds?.startOffset ?? null,
    end_offset: bounds?.endOffset ?? null,
    lag: committed === undefined || bounds === undefined ? null : bounds.endOffset - committed.offset,
    member_id: memberId ?? null,
    ...(progress === undefined ? {} : { leased: progress.leased, acknowledged: progress.acknowledged }),
  }
}

function renderRefusal({ code, message: detail, details }: TailraceError) {
  return { code, detail, details }
}

function renderReset({ topic, partition, previousOffset, offset, adjusted }: OffsetReset) {
  return {
    topic,
    partition,
    previous_offset: previousOffset ?? null,
    offset,
    ...(adjusted === undefined ? {} : { adjusted: adjusted.to }),
    ...(adjusted?.requestedOffset === undefined ? {} : { requested_offset: adjusted.requestedOffset }),
  }
}
