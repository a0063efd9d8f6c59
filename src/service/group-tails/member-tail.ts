// A tail that is a member of a group. What must hold: a record is given only while its partition is the member's, and from
// where the group has committed; when `revoked` was told nothing of those partitions comes any more, and they are the
// member's until what was given of them is committed, its client lets go, or the time for that is over. Where the group has
// committed nothing, where reading begins is committed before anything is given: if partitions move then, nobody misses
// what came in between.

import type { OffsetToCommit, PartitionResult } from '../../engine/group-protocol.ts'
import type { Clock, Timer } from '../../kernel/clock.ts'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import { GROUP_TAIL_COMMIT_MS_MAX, GROUP_TAIL_JOIN_MS_MAX, PARTITION_FAULT_PAUSE_MS } from '../../kernel/limits.ts'
import { SerialQueue } from '../../kernel/serial-queue.ts'
import { untilAborted } from '../../kernel/turns.ts'
import type { OwnedPartition } from '../groups/group-member.ts'
import { notOwned } from '../groups/hosted-member.ts'
import type { SlotToStart } from '../leases/poll-start.ts'
import { findStarts } from '../leases/poll-start.ts'
import type { GroupStartParts } from '../read/group-start.ts'
import { findInPartitions } from '../read/group-start.ts'
import type { TopicOffset } from '../read/partition-offset.ts'
import type { Position } from '../read/positions.ts'
import type { Tail, TailChunk, TailEnd, TailGap, TailProgress, TailReader, TailService } from '../tail/tail.ts'
import type { GroupSeat, SeatHolder } from './group-seat.ts'
import type { GroupTail, GroupTailRequest } from './group-tail.ts'
import { GroupTailPlaces } from './group-tail-places.ts'

export interface MemberTailParts {
  readonly tails: TailService
  readonly starts: GroupStartParts
  readonly clock: Clock
}

/** Owned, and not begun yet. */
interface FreshPartition extends SlotToStart {
  readonly owned: OwnedPartition
  /** Why it could not be begun was told. */
  isFaultTold: boolean
}

export class MemberTail implements GroupTail, SeatHolder, TailReader {
  readonly connection: object
  readonly #parts: MemberTailParts
  readonly #request: GroupTailRequest
  readonly #places: GroupTailPlaces
  readonly #fresh = new Map<OwnedPartition, FreshPartition>()
  readonly #starts = new SerialQueue()
  readonly #commits = new Set<Promise<unknown>>()
  readonly #over = new AbortController()
  #tail: Tail | undefined
  #seat: GroupSeat | undefined
  /** Others wait for what was revoked. */
  #release: (() => void) | undefined
  #retry: Timer | undefined
  /** It has been told what it owns. */
  #hasSettled = false
  #committedMs: number

  constructor(parts: MemberTailParts, request: GroupTailRequest) {
    this.#parts = parts
    this.#request = request
    this.connection = request.connection
    this.#places = new GroupTailPlaces({ countsDone: request.autoCommitMs !== undefined })
    this.#committedMs = parts.clock.monotonic()
  }

  async open(): Promise<void> {
    const { caller, groupId, until, filter, onGap, overflow, batchRecords, batchWaitMs, form, signal } = this.#request
    const reading = { until, filter, onGap, overflow, batchRecords, batchWaitMs, form, signal }
    this.#tail = await this.#parts.tails.open({
      caller,
      sources: { kind: 'assigned', areAllKnown: () => this.#hasSettled && this.#fresh.size === 0 },
      from: { kind: 'committed', group: groupId },
      reader: this,
      ...reading,
    })
  }

  /** Resolves when the group has taken it in, or is slow to; what keeps it out for good is thrown. */
  async sit(seat: GroupSeat): Promise<void> {
    this.#seat = seat
    const opened = Promise.withResolvers<void>()
    const before = seat.take(this)
    // nothing is told before whoever opened it has it
    void this.#starts.run(() => Promise.all([opened.promise, before]))
    this.assigned(seat.owned)
    seat.subscribe(this.#request.subscription)
    const slow = new AbortController()
    const timer = this.#parts.clock.after(GROUP_TAIL_JOIN_MS_MAX, () => slow.abort())
    try {
      await untilAborted(seat.member.settled(slow.signal), slow.signal)
    } catch (error) {
      if (!asTailraceError(error).retriable) throw error
    } finally {
      timer.cancel()
      setImmediate(() => opened.resolve())
    }
    void this.#watch()
  }

  get isOver(): boolean {
    return this.#over.signal.aborted
  }

  get tail(): Tail {
    return this.#tail as Tail
  }

  get memberId(): string {
    return this.#seat?.member.memberId ?? ''
  }

  get generationId(): number {
    return this.#seat?.member.generationId ?? -1
  }

  get partitions(): readonly TopicOffset[] {
    return this.#places.list()
  }

  get #isMember(): boolean {
    return this.#seat?.holder === this
  }

  async commit(named: readonly OffsetToCommit[]): Promise<readonly PartitionResult[]> {
    const seat = this.#seat
    if (seat === undefined || !this.#isMember) return named.map(notOwned)
    const offsets = this.#places.identified(named)
    const committing = seat.member.commit(offsets)
    this.#commits.add(committing)
    for (const offset of offsets) this.#places.asked(offset)
    let results: readonly PartitionResult[] | undefined
    try {
      results = await committing
      return results
    } finally {
      for (const [at, offset] of offsets.entries()) {
        if (results !== undefined && results[at]?.error === undefined) this.#places.committed(offset)
        else this.#places.refused(offset)
      }
      this.#commits.delete(committing)
      if (!this.#places.hasUnsettled) this.#release?.()
    }
  }

  async commitCursor(cursor: string): Promise<readonly PartitionResult[]> {
    const { own, foreign } = this.#places.offsetsAt(cursor)
    if (!this.#isMember) return [...own.map(notOwned), ...this.#refused(foreign)]
    const known = own.filter((one) => this.#places.isCommitted(one))
    const news = own.filter((one) => !this.#places.isCommitted(one))
    const results = news.length === 0 ? [] : await this.commit(news)
    return [...known.map(({ topic, partition }) => ({ topic, partition })), ...results, ...this.#refused(foreign)]
  }

  #refused(foreign: readonly { readonly topicId: string; readonly partition: number }[]): readonly PartitionResult[] {
    if (foreign.length === 0) return []
    const names = new Map(this.#parts.starts.engine.listTopics().map(({ id, name }) => [id, name]))
    // of a topic that is deleted there is nothing to be committed
    return foreign.flatMap(({ topicId, partition }) => {
      const topic = names.get(topicId)
      return topic === undefined ? [] : [notOwned({ topic, partition, offset: -1 })]
    })
  }

  done(recordCount: number): void {
    this.#places.done(recordCount)
    if (!this.#places.hasUnsettled) this.#release?.()
  }

  /** What its client is done with is committed if that is due. */
  commitDue(now: number): void {
    const { autoCommitMs } = this.#request
    if (autoCommitMs === undefined || now - this.#committedMs < autoCommitMs || this.#commits.size > 0) return
    this.#committedMs = now
    void this.#commitDone()
  }

  /** What fails stays to be committed. */
  async #commitDone(): Promise<void> {
    if (this.#request.autoCommitMs === undefined) return
    const offsets = this.#places.doneOffsets()
    if (offsets.length > 0) await this.commit(offsets).catch(() => undefined)
  }

  /** What is being committed is, so that whoever reads those partitions next begins behind it; or that takes too long. */
  async #committed(): Promise<void> {
    if (this.#commits.size === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = this.#parts.clock.after(GROUP_TAIL_COMMIT_MS_MAX, resolve)
    await Promise.race([promise, Promise.allSettled(this.#commits)])
    timer.cancel()
  }

  release(): void {
    void Promise.allSettled(this.#commits).then(() => this.#release?.())
  }

  async seek(to: Position, signal?: AbortSignal): Promise<void> {
    await this.tail.seek(to, signal)
    this.#places.sought()
  }

  async leave(): Promise<void> {
    await this.#end('left')
  }

  lost(): void {
    void this.#end('lost')
  }

  async #end(how: 'left' | 'lost'): Promise<void> {
    if (this.#over.signal.aborted) return
    void this.#commitDone()
    this.#stop()
    await this.#seat?.leave(this, how, this.#committed())
  }

  #stop(): void {
    this.#over.abort()
    this.#retry?.cancel()
    this.#fresh.clear()
    this.#tail?.close()
    this.#release?.()
  }

  async superseded(): Promise<void> {
    this.#fail(replaced(this.#request))
    await this.#committed()
  }

  assigned(partitions: readonly OwnedPartition[]): void {
    for (const owned of partitions) {
      const { topic, partition } = owned
      this.#fresh.set(owned, { owned, topic, partition, isAdded: undefined, isFaultTold: false })
    }
    this.#startFresh()
  }

  async revoked(partitions: readonly OwnedPartition[]): Promise<void> {
    for (const owned of partitions) this.#fresh.delete(owned)
    const left = this.#places.leave(partitions)
    if (left.length === 0) {
      this.#tail?.wake()
      return
    }
    this.#assign()
    const waits = this.#places.hasUnsettled && this.#request.releaseMs > 0
    const { promise, resolve } = Promise.withResolvers<void>()
    if (waits) this.#release = resolve
    this.#request.reader.revoked(left, waits ? this.#request.releaseMs : 0)
    if (waits) {
      const timer = this.#parts.clock.after(this.#request.releaseMs, resolve)
      await promise
      timer.cancel()
      this.#release = undefined
    }
    void this.#commitDone()
    await this.#committed()
    this.#places.lose(left)
  }

  lostPartitions(partitions: readonly OwnedPartition[]): void {
    for (const owned of partitions) this.#fresh.delete(owned)
    const lost = this.#places.lose(partitions)
    this.#release?.()
    if (lost.length > 0) {
      this.#assign()
      this.#request.reader.revoked(lost, 0)
    }
    void this.#watch()
  }

  /** Not waited for by who assigns: where it begins is committed, which has to wait for the rebalance that is just ending. */
  #startFresh(): void {
    if (this.#fresh.size === 0) return
    void this.#starts.run(async () => {
      const fresh = [...this.#fresh.values()]
      if (fresh.length === 0) return
      try {
        await this.#start(fresh)
      } catch (error) {
        this.#failedToStart(fresh, asTailraceError(error))
      }
    })
  }

  async #start(fresh: readonly FreshPartition[]): Promise<void> {
    const { groupId, from } = this.#request
    const found = await findStarts(this.#parts.starts, groupId, fresh, from)
    for (const { slot, error } of found) if (error !== undefined) this.#failedToStart([slot], error)
    const ends = await this.#findEnds(found.filter(({ error }) => error === undefined).map(({ slot }) => slot))
    const sound = found.filter(({ slot }) => ends.has(slot) && this.#fresh.has(slot.owned))
    const resets = sound.filter(({ committed }) => committed === undefined)
    const refused = await this.#commitStarts(resets.map(({ slot, offset }) => startOf(slot.owned, offset)))
    const begun = sound.filter(({ slot }) => !refused.has(slot.owned) && this.#fresh.delete(slot.owned))
    if (begun.length === 0) return
    for (const { slot, offset } of begun) this.#places.begin(slot.owned, offset, ends.get(slot))
    const told = begun.map(({ slot: { topic, partition }, offset }) => ({ topic, partition, offset }))
    this.#request.reader.assigned(told)
    this.#assign()
  }

  /** Of those that can be begun. Where it reads up to is what `until` is now, when they are assigned. */
  async #findEnds(fresh: readonly FreshPartition[]): Promise<ReadonlyMap<FreshPartition, number | undefined>> {
    const { until } = this.#request
    if (until === undefined || until.kind === 'count') return new Map(fresh.map((one) => [one, undefined]))
    const ends = new Map<FreshPartition, number>()
    for (const { owned: one, offset, error } of await findInPartitions(this.#parts.starts, fresh, until)) {
      if (error === undefined) ends.set(one, offset)
      else this.#failedToStart([one], error)
    }
    return ends
  }

  /** Those that could not be begun. */
  async #commitStarts(
    starts: readonly (OffsetToCommit & { readonly owned: OwnedPartition })[],
  ): Promise<ReadonlySet<OwnedPartition>> {
    if (starts.length === 0) return new Set()
    const results = await this.commit(starts)
    const refused = new Set<OwnedPartition>()
    for (const [at, { owned }] of starts.entries()) {
      const error = results[at]?.error
      if (error === undefined) continue
      refused.add(owned)
      const fresh = this.#fresh.get(owned)
      if (fresh !== undefined) this.#failedToStart([fresh], error)
    }
    return refused
  }

  #failedToStart(fresh: readonly FreshPartition[], error: TailraceError): void {
    if (this.#over.signal.aborted) return
    for (const one of fresh) {
      if (one.isFaultTold || !this.#fresh.has(one.owned)) continue
      one.isFaultTold = true
      this.#request.reader.fault({ topic: one.topic.name, partition: one.partition, error })
    }
    this.#retryLater()
  }

  #retryLater(): void {
    this.#retry ??= this.#parts.clock.after(PARTITION_FAULT_PAUSE_MS, () => {
      this.#retry = undefined
      this.#startFresh()
      void this.#watch()
    })
  }

  #assign(): void {
    this.#tail?.assign(this.#places.list())
  }

  /** Until it has settled: what keeps it out for good ends it. */
  async #watch(): Promise<void> {
    const { signal } = this.#over
    try {
      if (signal.aborted) return
      await this.#seat?.member.settled(signal)
      this.#hasSettled = true
      this.#tail?.wake()
    } catch (error) {
      if (signal.aborted) return
      const failure = asTailraceError(error)
      if (failure.retriable) this.#retryLater()
      else this.#fail(failure)
    }
  }

  #fail(error: TailraceError): void {
    if (this.#over.signal.aborted) return
    void this.#end('left')
    this.#request.reader.fail(error)
  }

  room() {
    return this.#request.reader.room()
  }

  take(chunk: TailChunk): void {
    this.#places.gave(chunk.cursor, chunk.recordCount)
    this.#request.reader.take(chunk)
  }

  gap(gap: TailGap): void {
    this.#request.reader.gap(gap)
  }

  progress(progress: TailProgress): void {
    if (progress.cursor !== undefined) this.#places.passed(progress.cursor)
    this.#request.reader.progress(progress)
  }

  fault(fault: { readonly topic: string; readonly partition: number; readonly error: TailraceError }): void {
    this.#request.reader.fault(fault)
  }

  /** Its client can still commit. */
  end(reason: TailEnd): void {
    this.#request.reader.end(reason)
  }

  fail(error: TailraceError): void {
    this.#fail(error)
  }
}

function startOf(owned: OwnedPartition, offset: number) {
  const { topic, partition } = owned
  return { owned, topic: topic.name, topicId: topic.id, partition, offset }
}

function replaced({ groupId, member, instance }: GroupTailRequest): TailraceError {
  const name = instance ?? member
  return new TailraceError(
    'fenced_instance_id',
    `another connection is member '${name}' of group '${groupId}' now: nothing comes here any more`,
    { group: groupId, member: name },
  )
}
