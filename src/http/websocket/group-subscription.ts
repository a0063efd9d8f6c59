// A subscription that is a member of a consumer group: told which partitions are its own, given what is in them from where
// the group has committed, and committing for the group.

import type { OffsetToCommit, PartitionResult } from '../../engine/group-protocol.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { GROUP_TAIL_RELEASE_MS_DEFAULT, TAIL_CHUNK_RECORDS_MAX } from '../../kernel/limits.ts'
import { RecordFilter } from '../../service/filter/record-filter.ts'
import type { GroupTail, GroupTailReader } from '../../service/group-tails/group-tail.ts'
import type { OwnedPartition } from '../../service/groups/group-member.ts'
import type { TopicOffset } from '../../service/read/partition-offset.ts'
import { bareCursor, parsePosition } from '../../service/read/positions.ts'
import type { TailEnd } from '../../service/tail/tail.ts'
import { ofItsKind } from '../group-kind.ts'
import type { CreditGrant } from './credit.ts'
import type { CommitFrame, CreditFrame, SeekFrame, SubscribeFrame } from './frames-in.ts'
import {
  filtersOf,
  groupOf,
  groupUntilOf,
  recordsForm,
  refuseMembers,
  SUBSCRIBE_OTHERWISE,
  startOf,
  topicsOf,
} from './subscribe-words.ts'
import type { OpenSubscription, Subscription, SubscriptionEnd } from './subscription.ts'
import type { SubscriptionOutput } from './subscription-output.ts'
import { TailOutput } from './tail-output.ts'

export const openGroupSubscription: OpenSubscription = async (floor, frame, output, signal) => {
  refuseMembers(frame, ['lease_ms', 'max_attempts'], 'shared')
  const reader = new GroupOutput(output, frame.credit, () => floor.clock.now())
  const { member = '', instance, session_timeout_ms, release_ms, auto_commit_ms, batch } = frame
  const opening = floor.services.groupTails.open({
    caller: output.caller,
    groupId: groupOf(frame),
    member,
    instance,
    subscription: topicsOf(frame),
    from: startOf(frame),
    sessionTimeoutMs: session_timeout_ms,
    releaseMs: release_ms ?? GROUP_TAIL_RELEASE_MS_DEFAULT,
    autoCommitMs: auto_commit_ms,
    connection: output.connection,
    until: groupUntilOf(frame),
    filter: RecordFilter.of(filtersOf(frame), floor.expressions),
    onGap: frame.on_gap ?? 'earliest',
    overflow: frame.overflow ?? 'pause',
    batchRecords: batch?.records ?? TAIL_CHUNK_RECORDS_MAX,
    batchWaitMs: batch?.wait_ms ?? 0,
    form: recordsForm(floor, frame),
    reader,
    signal,
  })
  const tail = await ofItsKind(opening, SUBSCRIBE_OTHERWISE)
  if (reader.credit.records === Number.POSITIVE_INFINITY) tail.done(Number.POSITIVE_INFINITY)
  return new GroupSubscription(frame, output, reader, tail)
}

/** What a tail gives, and what the group does. */
class GroupOutput extends TailOutput implements GroupTailReader {
  readonly #output: SubscriptionOutput

  constructor(output: SubscriptionOutput, credit: CreditGrant | undefined, now: () => number) {
    super(output, credit, now)
    this.#output = output
  }

  assigned(partitions: readonly TopicOffset[]): void {
    this.#output.raise()
    this.#output.send('assigned', { partitions: partitions.map(place) })
  }

  revoked(partitions: readonly OwnedPartition[], deadlineMs: number): void {
    this.#output.raise()
    const named = partitions.map(({ topic, partition }) => ({ topic: topic.name, partition }))
    this.#output.send('revoked', { partitions: named, deadline_ms: deadlineMs })
  }

  /** It stays a member: what was given is still to be committed. */
  override end(reason: TailEnd): void {
    this.#output.send('end', { reason })
  }

  override fail(error: TailraceError): void {
    super.fail(error)
    if (error.code === 'fenced_instance_id') this.#output.supersede(error.message)
  }
}

class GroupSubscription implements Subscription {
  readonly #frame: SubscribeFrame
  readonly #output: SubscriptionOutput
  readonly #reader: GroupOutput
  readonly #member: GroupTail

  constructor(frame: SubscribeFrame, output: SubscriptionOutput, reader: GroupOutput, member: GroupTail) {
    this.#frame = frame
    this.#output = output
    this.#reader = reader
    this.#member = member
  }

  begun(): object {
    const { memberId, generationId, partitions } = this.#member
    return { member_id: memberId, generation: generationId, assignment: partitions.map(place) }
  }

  credit(frame: CreditFrame): void {
    this.#reader.credit.add(frame)
    // without end, nothing will tell how far its client is
    if (frame.records !== undefined) this.#member.done(frame.records < 0 ? Number.POSITIVE_INFINITY : frame.records)
    this.#member.tail.wake()
  }

  pause(): void {
    this.#reader.isPaused = true
  }

  resume(): void {
    this.#reader.isPaused = false
    this.#member.tail.wake()
  }

  async seek({ to }: SeekFrame, signal: AbortSignal): Promise<object> {
    await this.#member.seek(parsePosition(to, this.#frame.group), signal)
    this.#output.raise()
    return { cursor: this.#member.tail.cursor, assignment: this.#member.tail.positions.map(place) }
  }

  async commit({ cursor, positions, group }: CommitFrame): Promise<object> {
    if (group !== undefined && group !== this.#frame.group) {
      throw new TailraceError('invalid_request', `this subscription commits for its own group, '${this.#frame.group}'`)
    }
    if ((cursor === undefined) === (positions === undefined)) {
      throw new TailraceError('invalid_request', 'a commit has a cursor, or positions')
    }
    const results =
      cursor === undefined
        ? await this.#member.commit(positions as readonly OffsetToCommit[])
        : await this.#member.commitCursor(bareCursor(cursor))
    return committed(results)
  }

  ack(): Promise<object> {
    throw new TailraceError('invalid_request', 'records are acked where mode is shared; a member of a group commits')
  }

  release(): object {
    this.#member.release()
    return {}
  }

  wake(): void {
    this.#member.tail.wake()
  }

  heartbeat(): void {
    this.#reader.tellProgress(this.#member.tail.progress())
  }

  async close(why: SubscriptionEnd): Promise<object> {
    if (why === 'away' || why === 'lost') {
      this.#member.lost()
      return {}
    }
    const { cursor } = this.#member.tail
    await this.#member.leave()
    return { cursor }
  }
}

function place({ topic, partition, offset }: TopicOffset) {
  return { topic: topic.name, partition, position: offset }
}

/** The first refusal, with all partitions that it is about. */
function committed(results: readonly PartitionResult[]): object {
  const done = results.filter(({ error }) => error === undefined).map(named)
  const refused = results.filter(({ error }) => error !== undefined)
  const [first] = refused
  if (first?.error === undefined) return { committed: done }
  const others = done.length === 0 ? '' : '; what was said of others is committed'
  throw new TailraceError(
    first.error.code,
    `${first.error.message}${others}`,
    { ...first.error.details, refused: refused.map(named), committed: done },
    { cause: first.error },
  )
}

function named({ topic, partition }: PartitionResult) {
  return { topic, partition }
}
