// A free tail: reads topics from wherever its client says, and belongs to no group.

import { TailraceError } from '../../kernel/errors.ts'
import { TAIL_CHUNK_RECORDS_MAX } from '../../kernel/limits.ts'
import { RecordFilter } from '../../service/filter/record-filter.ts'
import type { GroupService } from '../../service/groups/groups.ts'
import type { OffsetsToCommit } from '../../service/groups/offset-commit.ts'
import { bareCursor, parsePosition } from '../../service/read/positions.ts'
import type { Tail, TailRequest, TailSource, TailSources } from '../../service/tail/tail.ts'
import type { HttpFloor } from '../http-floor.ts'
import type { AckFrame, CommitFrame, CreditFrame, SeekFrame, SubscribeFrame } from './frames-in.ts'
import { filtersOf, recordsForm, untilOf } from './subscribe-words.ts'
import type { OpenSubscription, Subscription } from './subscription.ts'
import type { SubscriptionOutput } from './subscription-output.ts'
import { TailOutput } from './tail-output.ts'

export const openTailSubscription: OpenSubscription = async (floor, frame, output, signal) => {
  const reader = new TailOutput(output, frame.credit, () => floor.clock.now())
  const request: TailRequest = {
    caller: output.caller,
    sources: sourcesOf(frame),
    from: parsePosition(frame.from ?? 'latest', frame.group),
    until: untilOf(frame),
    filter: RecordFilter.of(filtersOf(frame), floor.expressions),
    onGap: frame.on_gap ?? 'earliest',
    overflow: frame.overflow ?? 'pause',
    batchRecords: frame.batch?.records ?? TAIL_CHUNK_RECORDS_MAX,
    batchWaitMs: frame.batch?.wait_ms ?? 0,
    form: recordsForm(floor, frame),
    reader,
    signal,
  }
  const tail = await floor.services.tails.open(request)
  reader.standing = tail
  return new TailSubscription(floor, frame, output, reader, tail)
}

class TailSubscription implements Subscription {
  readonly #groups: GroupService
  readonly #group: string | undefined
  readonly #output: SubscriptionOutput
  readonly #reader: TailOutput
  readonly #tail: Tail

  constructor(
    { services }: HttpFloor,
    frame: SubscribeFrame,
    output: SubscriptionOutput,
    reader: TailOutput,
    tail: Tail,
  ) {
    this.#groups = services.groups
    this.#group = frame.group
    this.#output = output
    this.#reader = reader
    this.#tail = tail
  }

  begun(): object {
    return {
      cursor: this.#tail.cursor,
      assignment: this.#tail.positions.map(({ topic, partition, offset }) => ({
        topic: topic.name,
        partition,
        position: offset,
      })),
    }
  }

  credit(frame: CreditFrame): void {
    this.#reader.credit.add(frame)
    this.#tail.wake()
  }

  pause(): void {
    this.#reader.isPaused = true
  }

  resume(): void {
    this.#reader.isPaused = false
    this.#tail.wake()
  }

  async seek({ to }: SeekFrame, signal: AbortSignal): Promise<object> {
    await this.#tail.seek(parsePosition(to, this.#group), signal)
    this.#output.raise()
    return this.begun()
  }

  async commit(frame: CommitFrame): Promise<object> {
    const { group = this.#group } = frame
    if (group === undefined) {
      throw new TailraceError('invalid_request', 'a tail is in no group: name the one to commit in with group')
    }
    await this.#groups.commitOffsets(this.#output.caller, group, offsetsOf(frame))
    return {}
  }

  ack(_frame: AckFrame): Promise<object> {
    throw new TailraceError(
      'invalid_request',
      'records are acked where mode is shared; a tail commits, or keeps its cursor',
    )
  }

  release(): object {
    throw new TailraceError('invalid_request', 'nothing is revoked from a tail: it belongs to no group')
  }

  wake(): void {
    this.#tail.wake()
  }

  heartbeat(): void {
    this.#reader.tellProgress(this.#tail.progress())
  }

  close(): object {
    this.#tail.close()
    return { cursor: this.#tail.cursor }
  }
}

/** What a frame commits. */
function offsetsOf({ cursor, positions }: CommitFrame): OffsetsToCommit {
  if ((cursor === undefined) === (positions === undefined)) {
    throw new TailraceError('invalid_request', 'a commit has a cursor, or positions')
  }
  if (cursor !== undefined) return { kind: 'cursor', cursor: bareCursor(cursor) }
  return { kind: 'listed', offsets: positions ?? [] }
}

function sourcesOf({ topics, pattern, partitions = [] }: SubscribeFrame): TailSources {
  if ((topics === undefined) === (pattern === undefined)) {
    throw new TailraceError('invalid_request', 'a subscription names its topics, or a pattern of theirs')
  }
  if (pattern !== undefined) {
    if (partitions.length > 0)
      throw new TailraceError('invalid_request', 'partitions go with topics, not with a pattern')
    return { kind: 'pattern', subscription: { pattern } }
  }
  const named = new Set(topics)
  const narrowed = new Map<string, number[]>()
  for (const { topic, partition } of partitions) {
    if (!named.has(topic)) throw strayPartition(topic, partition)
    const list = narrowed.get(topic)
    if (list === undefined) narrowed.set(topic, [partition])
    else if (!list.includes(partition)) list.push(partition)
  }
  const sources = [...named].map((topic): TailSource => ({ topic, partitions: narrowed.get(topic) }))
  return { kind: 'topics', topics: sources }
}

function strayPartition(topic: string, partition: number): TailraceError {
  const detail = `partition ${partition} of '${topic}' is asked for, which is not among the topics`
  return new TailraceError('invalid_request', detail, { topic, partition })
}
