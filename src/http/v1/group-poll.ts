// /v1/groups/{group}/poll, /v1/groups/{group}/leases and its {lease}/ack, extend, release: consuming as a group with no state in
// the client. A poll's reply is written as pages are: stored bytes spliced, nothing parsed.

import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { AvroUnions } from '../../codec/avro-decoder.ts'
import { timeText } from '../../codec/iso-time.ts'
import type { RecordFormat } from '../../codec/record-json.ts'
import { TailraceError } from '../../kernel/errors.ts'
import {
  LEASE_ACK_BYTES_MAX,
  LEASE_MEMBER_CHARS_MAX,
  LEASE_MS_DEFAULT,
  MAX_ATTEMPTS_DEFAULT,
  PAGE_BYTES_DEFAULT,
  PAGE_RECORDS_DEFAULT,
  POLL_TOPICS_MAX,
} from '../../kernel/limits.ts'
import type { Subscription } from '../../service/groups/group-member.ts'
import type {
  AckRequest,
  GroupPolled,
  GroupPollRequest,
  LeaseAnswer,
  PollMode,
  TopicPartitionOffset,
} from '../../service/groups/group-poll.ts'
import type { Position } from '../../service/read/positions.ts'
import { parsePosition } from '../../service/read/positions.ts'
import { ofItsKind } from '../group-kind.ts'
import type { HttpFloor } from '../http-floor.ts'
import { checkAccept, JSON_MEDIA_TYPE } from '../media-type.ts'
import { callerOf } from '../request-caller.ts'
import { pathText, RequestQuery } from '../request-query.ts'
import { settleWithReply } from '../settle-with-reply.ts'
import { whileConnected } from '../while-connected.ts'
import { pathGroup } from './groups.ts'
import { faultJson, JsonPage } from './json-page.ts'
import { readJson, readOptionalJson } from './json-request.ts'

/** Its numbers are within the bounds of its schema. */
interface PollGroupRequest {
  readonly topics?: readonly string[]
  readonly topic_pattern?: string
  readonly mode?: PollMode
  readonly member?: string
  readonly from?: string
  readonly limit?: number
  readonly max_bytes?: number
  readonly wait_ms?: number
  readonly lease_ms?: number
  readonly max_attempts?: number
  readonly key_format?: RecordFormat
  readonly value_format?: RecordFormat
  readonly unions?: AvroUnions
}

interface AckLeaseRequest {
  readonly through?: 'all'
  readonly positions?: readonly { readonly topic: string; readonly partition: number; readonly through: number }[]
  readonly accept?: 'all'
  readonly accepted?: readonly TopicPartitionOffset[]
  readonly released?: readonly TopicPartitionOffset[]
  readonly rejected?: readonly TopicPartitionOffset[]
  readonly keep?: boolean
}

const POLL_OTHERWISE = { exclusive: 'poll it with mode exclusive', shared: 'poll it with mode shared' }

export function groupPollRoutes(app: FastifyInstance, floor: HttpFloor): void {
  const { groupPolls } = floor.services
  const { replyBuffers: buffers, knownJson: known } = floor
  app.post('/groups/:group/poll', async (request, reply) => {
    const groupId = pathGroup(request)
    const body = await readJson<PollGroupRequest>(floor, request, 'PollGroupRequest')
    const poll = parsePoll(groupId, body, request)
    const formats = {
      keyFormat: body.key_format ?? 'auto',
      valueFormat: body.value_format ?? 'auto',
      schemas: floor.schemas,
      unions: body.unions ?? 'tagged',
    } as const
    const output = buffers.take()
    const newSink = () => {
      output.reset()
      return new JsonPage(output, formats, known)
    }
    try {
      const polling = whileConnected(reply, floor.closing, (signal) => groupPolls.poll({ ...poll, signal }, newSink))
      const polled = await ofItsKind(polling, POLL_OTHERWISE)
      settleWithReply(reply, 200, polled.settle)
      const bytes = polled.sink.finish(renderPolled(groupId, polled))
      buffers.giveBackAfter(reply.raw, output)
      return reply.type(JSON_MEDIA_TYPE).send(bytes)
    } catch (error) {
      buffers.giveBack(output)
      throw error
    }
  })

  app.get('/groups/:group/leases', async (request) => {
    checkAccept(request.headers.accept, JSON_MEDIA_TYPE)
    new RequestQuery(request, [])
    const leases = await groupPolls.leases(callerOf(request), pathGroup(request))
    const items = leases.map(({ member, expiresMs, positions }) => {
      return { member, expires_at: timeText(expiresMs), positions }
    })
    return { items, next_cursor: null }
  })

  app.delete('/groups/:group/leases', async (request) => {
    checkAccept(request.headers.accept, JSON_MEDIA_TYPE)
    const member = new RequestQuery(request, ['member']).text('member')
    if (member === undefined) {
      throw invalid(
        'member is missing: the leases of one worker end, by its name, or of those that gave none (empty)',
        {
          parameter: 'member',
        },
      )
    }
    return { released: await groupPolls.releaseMember(callerOf(request), pathGroup(request), member) }
  })

  app.post('/groups/:group/leases/:lease/ack', async (request) => {
    const body = await readJson<AckLeaseRequest>(floor, request, 'AckLeaseRequest', LEASE_ACK_BYTES_MAX)
    return renderAnswer(await groupPolls.ack(callerOf(request), pathGroup(request), pathLease(request), parseAck(body)))
  })

  app.post('/groups/:group/leases/:lease/extend', async (request) => {
    const body = await readOptionalJson<{ lease_ms?: number }>(floor, request, 'ExtendLeaseRequest')
    const { lease_ms: leaseMs = LEASE_MS_DEFAULT } = body
    return renderAnswer(await groupPolls.extend(callerOf(request), pathGroup(request), pathLease(request), leaseMs))
  })

  app.post('/groups/:group/leases/:lease/release', async (request) => {
    await readOptionalJson<object>(floor, request, 'ReleaseLeaseRequest')
    return renderAnswer(await groupPolls.release(callerOf(request), pathGroup(request), pathLease(request)))
  })
}

function pathLease(request: FastifyRequest): string {
  const lease = pathText(request, 'lease')
  if (lease !== '') return lease
  throw invalid("the path names no lease: it is the poll's lease, which is null where the poll has no records", {})
}

function parsePoll(groupId: string, body: PollGroupRequest, request: FastifyRequest): GroupPollRequest {
  const { mode = 'exclusive', member = '' } = body
  if (member.length > LEASE_MEMBER_CHARS_MAX) {
    throw invalid(`member has ${member.length} characters, ${LEASE_MEMBER_CHARS_MAX} are allowed`, {
      max: LEASE_MEMBER_CHARS_MAX,
    })
  }
  if (mode === 'exclusive' && body.max_attempts !== undefined) {
    throw invalid(
      'max_attempts is of shared groups: an exclusive lease is given out again until it is acknowledged',
      {},
    )
  }
  return {
    caller: callerOf(request),
    groupId,
    mode,
    member,
    subscription: parseSubscription(body),
    from: parseFrom(body.from ?? 'earliest'),
    limit: body.limit ?? PAGE_RECORDS_DEFAULT,
    maxBytes: body.max_bytes ?? PAGE_BYTES_DEFAULT,
    waitMs: body.wait_ms ?? 0,
    leaseMs: body.lease_ms ?? LEASE_MS_DEFAULT,
    maxAttempts: body.max_attempts ?? MAX_ATTEMPTS_DEFAULT,
  }
}

function parseSubscription({ topics, topic_pattern: pattern }: PollGroupRequest): Subscription {
  if (topics !== undefined && pattern === undefined) {
    if (topics.length >= 1 && topics.length <= POLL_TOPICS_MAX) return { topics: [...new Set(topics)].sort() }
    throw invalid(`topics names 1 to ${POLL_TOPICS_MAX} topics, here are ${topics.length}`, { max: POLL_TOPICS_MAX })
  }
  if (pattern !== undefined && topics === undefined) return { pattern }
  throw invalid('a poll names its topics, or a topic_pattern, and not both', {})
}

const STARTS_ALLOWED =
  'earliest, latest, -N (the last N records), a time such as 2026-11-21T02:00:00Z, or a duration ago such as 30m, 1h or 7d'

function parseFrom(text: string): Position {
  const position = parsePosition(text, undefined, STARTS_ALLOWED)
  if (!NO_START.has(position.kind)) return position
  throw new TailraceError(
    'invalid_position',
    `from says where a group begins that has committed nothing yet: ${STARTS_ALLOWED}, not '${text.slice(0, 60)}'`,
    { position: text.slice(0, 60) },
  )
}

const NO_START: ReadonlySet<Position['kind']> = new Set(['offset', 'cursor', 'committed'])

function parseAck({ through, positions, ...rest }: AckLeaseRequest): AckRequest {
  if (through !== undefined && positions !== undefined) throw invalid('an ack has through or positions, not both', {})
  const places = positions?.map(({ topic, partition, through: offset }) => ({ topic, partition, offset }))
  return { ...rest, through: through ?? places }
}

function renderPolled(groupId: string, { given, generation, gaps, faults }: GroupPolled): object {
  return {
    lease: given?.id ?? null,
    expires_at: given === undefined ? null : timeText(given.expiresMs),
    positions: given?.positions ?? [],
    generation,
    next: `/v1/groups/${encodeURIComponent(groupId)}/poll`,
    ...(gaps.length === 0 ? {} : { gaps }),
    ...(faults.length === 0
      ? {}
      : { faults: faults.map(({ topic, partition, fault }) => ({ topic, partition, error: faultJson(fault) })) }),
  }
}

function renderAnswer({ lease, expiresMs, deadLettered, deadLettersWaiting, ...rest }: LeaseAnswer): object {
  return {
    lease: lease ?? null,
    expires_at: expiresMs === undefined ? null : timeText(expiresMs),
    ...rest,
    ...(deadLettered === undefined ? {} : { dead_lettered: deadLettered }),
    ...(deadLettersWaiting === undefined ? {} : { dead_letters_waiting: deadLettersWaiting }),
  }
}

function invalid(message: string, details: Record<string, unknown>): TailraceError {
  return new TailraceError('invalid_request', message, details)
}
