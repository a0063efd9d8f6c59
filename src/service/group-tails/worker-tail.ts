// A worker of a shared group that is given its records as they come: it polls while its client has room. What must hold: a
// record is its client's until that says what became of it, or its lease is over, or its connection; the leases that
// records are on are this file's affair, clients name records.

import type { Clock, Timer } from '../../kernel/clock.ts'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import {
  PARTITION_FAULT_PAUSE_MS,
  QUEUE_TAIL_RECORDS_OPEN_MAX,
  QUEUE_TAIL_WAIT_MS,
  SHARED_POLL_RECORDS_MAX,
  TAIL_CHUNK_BYTES_MAX,
} from '../../kernel/limits.ts'
import { releaseBytes } from '../../kernel/release-bytes.ts'
import { aborted } from '../../kernel/turns.ts'
import type { RecordReader } from '../../record/batch-reader.ts'
import type { TimestampType } from '../../record/record-batch.ts'
import type {
  AckRequest,
  GroupPolled,
  GroupPollService,
  PartitionFault,
  PollSink,
  TopicPartitionOffset,
} from '../groups/group-poll.ts'
import type { AckOutcome, QueueAcked, QueueForm, QueueTail, QueueTailRequest } from './group-tail.ts'

export interface WorkerTailParts {
  readonly groupPolls: GroupPollService
  readonly clock: Clock
}

interface HeldLease {
  readonly id: string
  /** Monotonic: it is over by then. */
  deadlineMs: number
  /** Of which nothing was said yet. */
  readonly places: Set<string>
}

interface Judged extends TopicPartitionOffset {
  readonly key: string
}

export class WorkerTail implements QueueTail {
  readonly #parts: WorkerTailParts
  readonly #request: QueueTailRequest
  /** By record. */
  readonly #held = new Map<string, HeldLease>()
  readonly #leases = new Set<HeldLease>()
  readonly #over = new AbortController()
  #faultsTold: ReadonlySet<string> = new Set()
  #waiting: AbortController | undefined
  #isRunning = false
  #leaseEnd: Timer | undefined
  /** What the poll of opening brought. */
  #first: GroupPolled<QueueSink> | undefined

  constructor(parts: WorkerTailParts, request: QueueTailRequest) {
    this.#parts = parts
    this.#request = request
  }

  get openRecords(): number {
    this.#forgetExpired()
    return this.#held.size
  }

  async open(): Promise<void> {
    const { signal } = this.#request
    const giveUp = () => this.#waiting?.abort()
    signal?.addEventListener('abort', giveUp)
    try {
      const limit = this.#limit
      if (limit > 0) this.#first = await this.#poll(limit, 0)
    } finally {
      signal?.removeEventListener('abort', giveUp)
    }
    setImmediate(() => this.wake())
  }

  wake(): void {
    if (this.#over.signal.aborted) return
    if (!this.#isRunning) void this.#run()
    // it has been told to wait
    else if (this.#limit < 1) this.#waiting?.abort()
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    while (!this.#over.signal.aborted) {
      try {
        const limit = this.#limit
        if (this.#first === undefined && limit < 1) break
        this.#give(this.#first ?? (await this.#poll(limit, QUEUE_TAIL_WAIT_MS)))
      } catch (error) {
        await this.#failed(asTailraceError(error))
      }
    }
    this.#isRunning = false
    this.#wakeWhenLeaseEnds()
  }

  /** Who has as many open records as there may be is told of nothing that makes room when their leases end. */
  #wakeWhenLeaseEnds(): void {
    if (this.#over.signal.aborted || this.#held.size < QUEUE_TAIL_RECORDS_OPEN_MAX) return
    const { clock } = this.#parts
    let first = Number.POSITIVE_INFINITY
    for (const { deadlineMs } of this.#leases) first = Math.min(first, deadlineMs)
    this.#leaseEnd?.cancel()
    this.#leaseEnd = clock.after(Math.max(0, first - clock.monotonic()) + 1, () => this.wake())
  }

  async #failed(error: TailraceError): Promise<void> {
    if (this.#over.signal.aborted) return
    if (!error.retriable) {
      void this.close(false)
      this.#request.reader.fail(error)
      return
    }
    const paused = Promise.withResolvers<void>()
    const timer = this.#parts.clock.after(PARTITION_FAULT_PAUSE_MS, paused.resolve)
    await Promise.race([paused.promise, aborted(this.#over.signal)])
    timer.cancel()
  }

  /** Records that may be given now. */
  get #limit(): number {
    const { records, bytes } = this.#request.reader.room()
    if (bytes < 1) return 0
    this.#forgetExpired()
    const open = QUEUE_TAIL_RECORDS_OPEN_MAX - this.#held.size
    return Math.min(records, open, this.#request.batchRecords, SHARED_POLL_RECORDS_MAX)
  }

  async #poll(limit: number, waitMs: number): Promise<GroupPolled<QueueSink>> {
    const { caller, groupId, member, subscription, from, leaseMs, maxAttempts, form, reader } = this.#request
    const waiting = new AbortController()
    this.#waiting = waiting
    const worker = { caller, groupId, mode: 'shared', member, subscription, from, leaseMs, maxAttempts } as const
    const maxBytes = Math.max(1, Math.min(reader.room().bytes, TAIL_CHUNK_BYTES_MAX))
    try {
      return await this.#parts.groupPolls.poll(
        { ...worker, limit, maxBytes, waitMs, signal: waiting.signal },
        () => new QueueSink(form),
      )
    } finally {
      this.#waiting = undefined
    }
  }

  #give(polled: GroupPolled<QueueSink>): void {
    this.#first = undefined
    let isGiven = false
    try {
      if (this.#over.signal.aborted) return
      this.#tell(polled)
      isGiven = true
    } finally {
      polled.settle(isGiven)
    }
  }

  #tell({ given, sink, gaps, faults }: GroupPolled<QueueSink>): void {
    const { reader } = this.#request
    for (const gap of gaps) reader.gap(gap)
    this.#tellFaults(faults)
    if (given === undefined) return
    const body = sink.finish()
    this.#hold({ id: given.id, deadlineMs: this.#leaseDeadlineMs(), places: new Set(sink.places) })
    reader.take({ body, recordCount: sink.places.length, cursor: '', taken: () => releaseBytes(body) })
  }

  /** Each once, until it is over. */
  #tellFaults(faults: readonly PartitionFault[]): void {
    const told = this.#faultsTold
    this.#faultsTold = new Set(faults.map(faultKey))
    for (const each of faults) {
      const { topic, partition, fault } = each
      if (!told.has(faultKey(each))) this.#request.reader.fault({ topic, partition, error: fault })
    }
  }

  #hold(lease: HeldLease): void {
    this.#leases.add(lease)
    for (const place of lease.places) {
      // given before, and its time was over
      this.#held.get(place)?.places.delete(place)
      this.#held.set(place, lease)
    }
  }

  #letGo(lease: HeldLease, places: Iterable<string> = [...lease.places]): void {
    for (const place of places) {
      lease.places.delete(place)
      if (this.#held.get(place) === lease) this.#held.delete(place)
    }
    if (lease.places.size === 0) this.#leases.delete(lease)
  }

  /** Of one that was given or extended just now. */
  #leaseDeadlineMs(): number {
    return this.#parts.clock.monotonic() + this.#request.leaseMs
  }

  #forgetExpired(): void {
    const now = this.#parts.clock.monotonic()
    for (const lease of this.#leases) if (lease.deadlineMs < now) this.#letGo(lease)
  }

  async ack(outcome: AckOutcome, records: readonly TopicPartitionOffset[]): Promise<QueueAcked> {
    const judged = records.map(
      (record): Judged => ({ ...record, key: keyOf(record.topic, record.partition, record.offset) }),
    )
    const byLease = Map.groupBy(judged, ({ key }) => this.#held.get(key))
    const failures: { readonly error: TailraceError; readonly records: readonly Judged[] }[] = []
    const acked = { accepted: 0, released: 0, rejected: 0, extended: 0, deadLettered: 0, deadLettersWaiting: 0 }
    await Promise.all(
      [...byLease].map(async ([lease, own]) => {
        try {
          if (lease === undefined) throw notHeld()
          await this.#judge(lease, outcome, own, acked)
        } catch (error) {
          const failure = asTailraceError(error)
          if (failure.code === 'fenced_lease' && lease !== undefined) this.#letGo(lease)
          failures.push({ error: failure, records: own })
        }
      }),
    )
    this.wake()
    const [first] = failures
    if (first === undefined) return acked
    throw failedAck(
      first.error,
      failures.flatMap((failure) => failure.records),
      records.length,
    )
  }

  async #judge(
    lease: HeldLease,
    outcome: AckOutcome,
    own: readonly Judged[],
    acked: { -readonly [Count in keyof QueueAcked]: number },
  ): Promise<void> {
    const { groupPolls } = this.#parts
    const { caller, groupId, leaseMs } = this.#request
    if (outcome === 'extend') {
      await groupPolls.extend(caller, groupId, lease.id, leaseMs)
      lease.deadlineMs = this.#leaseDeadlineMs()
      acked.extended += own.length
      return
    }
    const places = own.map(({ topic, partition, offset }) => ({ topic, partition, offset }))
    const answer = await groupPolls.ack(caller, groupId, lease.id, { ...said(outcome, places), keep: true })
    this.#letGo(
      lease,
      own.map(({ key }) => key),
    )
    acked.accepted += answer.accepted ?? 0
    acked.released += answer.released ?? 0
    acked.rejected += answer.rejected ?? 0
    acked.deadLettered += answer.deadLettered ?? 0
    acked.deadLettersWaiting += answer.deadLettersWaiting ?? 0
  }

  async close(isDead: boolean): Promise<void> {
    if (this.#over.signal.aborted) return
    this.#over.abort()
    this.#waiting?.abort()
    this.#leaseEnd?.cancel()
    this.#first?.settle(false)
    this.#first = undefined
    const { groupPolls } = this.#parts
    const { caller, groupId } = this.#request
    const leases = [...this.#leases]
    this.#leases.clear()
    this.#held.clear()
    // what fails ends with its time
    const delivery = isDead ? 'counted' : 'uncounted'
    await Promise.allSettled(leases.map(({ id }) => groupPolls.release(caller, groupId, id, delivery)))
  }
}

/** Notes which records were written. */
class QueueSink implements PollSink {
  readonly places: string[] = []
  readonly #encoder: ReturnType<QueueForm['newEncoder']>
  #topic = ''
  #partition = -1

  constructor(form: QueueForm) {
    this.#encoder = form.newEncoder()
  }

  get isFull(): boolean {
    return this.#encoder.size > TAIL_CHUNK_BYTES_MAX
  }

  begin(topic: string, partition: number, timestampType: TimestampType, topicId: string): void {
    this.#topic = topic
    this.#partition = partition
    this.#encoder.begin(topic, partition, timestampType, topicId)
  }

  attempt(attempts: number): void {
    this.#encoder.attempt?.(attempts)
  }

  write(record: RecordReader): void {
    this.places.push(keyOf(this.#topic, this.#partition, record.offset))
    this.#encoder.write(record)
  }

  finish(): Buffer {
    return this.#encoder.finish('')
  }
}

function said(outcome: Exclude<AckOutcome, 'extend'>, places: readonly TopicPartitionOffset[]): AckRequest {
  if (outcome === 'accept') return { accepted: places }
  return outcome === 'reject' ? { rejected: places } : { released: places }
}

function faultKey({ topic, partition, fault }: PartitionFault): string {
  return `${topic}/${partition}/${fault.code}`
}

/** No topic's name holds a slash. */
function keyOf(topic: string, partition: number, offset: number): string {
  return `${topic}/${partition}/${offset}`
}

function notHeld(): TailraceError {
  return new TailraceError(
    'fenced_lease',
    'the record is not leased to this subscription: it was acknowledged already, its lease is over, or it was never given here',
  )
}

function failedAck(error: TailraceError, records: readonly TopicPartitionOffset[], asked: number): TailraceError {
  const others = records.length < asked ? ' What was said of the others is done.' : ''
  const named = records.map(({ topic, partition, offset }) => ({ topic, partition, offset }))
  return new TailraceError(
    error.code,
    `of ${records.length} records nothing was taken: ${error.message}.${others}`,
    { ...error.details, records: named },
    { cause: error },
  )
}
