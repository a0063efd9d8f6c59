// One consumer that the server keeps for its client (REST Proxy v2): what it reads, where it stands, and its part in its
// group. All its calls come from one client, mostly one at a time; only one read is under way at once, the next ones wait.
//
// Auto-commit: a read commits what the reads before it gave, so what a client was given is committed when it comes back for
// more; a partition that others get meanwhile leaves with what was done with, and its last records are given again.

import type { GroupPartition, OffsetToCommit } from '../../engine/group-protocol.ts'
import { partitionKey } from '../../engine/partition-key.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { CONSUMER_REBALANCE_MS_MAX } from '../../kernel/limits.ts'
import { SerialQueue } from '../../kernel/serial-queue.ts'
import { untilAborted } from '../../kernel/turns.ts'
import type { Caller } from '../caller.ts'
import type { GroupMember, OwnedPartition, OwnershipListener, Subscription } from '../groups/group-member.ts'
import type { ConsumerPosition, Moves } from './consumer-positions.ts'
import { ConsumerPositions } from './consumer-positions.ts'
import type { ConsumerRead, ConsumerReadRequest, ConsumerSink, ReadingConsumer } from './consumer-read.ts'
import { ConsumerReads } from './consumer-read.ts'
import type { ConsumerSource, ConsumerSpec } from './consumer-spec.ts'
import { NO_SOURCE } from './consumer-spec.ts'
import type { InstanceParts, SavedPosition, SeekTarget } from './consumer-start.ts'
import { findOffsets, findStarts } from './consumer-start.ts'

export class ConsumerInstance implements OwnershipListener, ReadingConsumer {
  readonly group: string
  readonly name: string
  readonly spec: ConsumerSpec
  /** When its client was last there: monotonic ms. */
  usedMs = 0

  readonly positions = new ConsumerPositions()
  readonly #parts: InstanceParts
  readonly #onUsed: (instance: ConsumerInstance) => void
  #reads: ConsumerReads | undefined
  #changes: SerialQueue | undefined
  #source: ConsumerSource
  #member: GroupMember | undefined
  /** Where it stood when the server was stopped; taken once, when the partition is its own again. */
  #saved: SavedPosition[]
  /** Who called first: for what it does by itself. */
  #owner: Caller | undefined
  /** Passed on with records that were given and not committed, where the client commits; until it has read again when told. */
  #passedOn: Map<string, GroupPartition> | undefined
  #isToldOfPassedOn = false
  /** It came over a restart that kept no place of it, and its client has been told nothing since. */
  #hasForgotten: boolean
  #isClosed = false

  constructor(
    { group, name, spec }: { readonly group: string; readonly name: string; readonly spec: ConsumerSpec },
    { parts, onUsed }: { readonly parts: InstanceParts; readonly onUsed: (instance: ConsumerInstance) => void },
    kept: { readonly source: ConsumerSource; readonly saved: SavedPosition[] } = { source: NO_SOURCE, saved: [] },
  ) {
    this.group = group
    this.name = name
    this.spec = spec
    this.#parts = parts
    this.#onUsed = onUsed
    this.#source = kept.source
    this.#saved = kept.saved
    this.#hasForgotten = kept.source.kind !== 'none' && kept.saved.length === 0
  }

  get source(): ConsumerSource {
    return this.#source
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  get isReading(): boolean {
    return this.#reads !== undefined && this.#reads.count > 0
  }

  /** What is remembered of it is changed by one call after the other. */
  change<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#changes ??= new SerialQueue()
    return this.#changes.run(work)
  }

  /** A sign of life. One that came over a restart takes its place in the group again. */
  touch(caller: Caller): void {
    this.#owner ??= { principal: caller.principal, clientId: caller.clientId, host: caller.host, requestId: '' }
    const source = this.#source
    if (this.#member !== undefined) this.#member.touch()
    else if (source.kind === 'subscribed') this.#join(caller).subscribe(source.subscription)
    else if (source.kind === 'assigned' && this.positions.size === 0) this.#addAssigned()
  }

  hold(): (() => void) | undefined {
    return this.#member?.hold()
  }

  /** Replaces the subscription that there was. */
  async subscribe(caller: Caller, subscription: Subscription): Promise<void> {
    this.#source = { kind: 'subscribed', subscription }
    const member = this.#member ?? this.#join(caller)
    member.subscribe(subscription)
    this.#reads?.wake()
    await this.#settleSoon()
    this.#tellOwned()
  }

  async unsubscribe(): Promise<void> {
    if (this.spec.autoCommit) await this.#commitAll(this.#dealtWith)
    this.#source = NO_SOURCE
    this.positions.clear()
    this.#forgetPassedOn()
    this.#saved = []
    this.#reads?.wake()
    const member = this.#member
    this.#member = undefined
    await member?.close()
  }

  /** Replaces the partitions that there were; those that stay keep their place. */
  async assign(partitions: readonly GroupPartition[]): Promise<void> {
    if (this.spec.autoCommit) await this.#commitAll(this.#dealtWith)
    this.#source = { kind: 'assigned', partitions }
    const kept = new Set(partitions.map(({ topic, partition }) => partitionKey(topic, partition)))
    for (const { topic, partition } of this.positions.all()) {
      if (!kept.has(partitionKey(topic.name, partition))) this.positions.remove(topic.name, partition)
    }
    this.#addAssigned()
    this.#reads?.wake()
    await this.#settleSoon()
    this.#tellOwned()
  }

  /** The topics that its subscription means at present. */
  async topics(): Promise<readonly string[]> {
    const source = this.#source
    if (source.kind !== 'subscribed') return []
    if ('topics' in source.subscription) return source.subscription.topics
    await this.#settleSoon()
    return this.#member?.topics ?? []
  }

  async assignments(): Promise<readonly GroupPartition[]> {
    if (this.#source.kind === 'assigned') return this.#source.partitions
    await this.#settleSoon()
    this.#tellOwned()
    return (this.#member?.owned ?? []).map(({ topic, partition }) => ({ topic: topic.name, partition }))
  }

  /** All of them or, where one is not assigned (consumer_illegal_state), none. */
  async seek(targets: readonly SeekTarget[]): Promise<void> {
    await this.#settleSoon()
    targets.map((target) => this.#assigned(target))
    const offsets = await findOffsets(
      this.#parts.engine,
      targets.map((target) => ({ ...target, topic: this.#assigned(target).topic })),
    )
    const positions = targets.map((target) => this.#assigned(target))
    for (const [at, position] of positions.entries()) this.positions.seek(position, offsets[at] as number)
    this.#dropSaved(positions)
    this.#reads?.wake()
  }

  #assigned({ topic, partition }: GroupPartition): ConsumerPosition {
    const position = this.positions.find(topic, partition)
    if (position !== undefined) return position
    throw illegalState(`No current assignment for partition ${topic}-${partition}`)
  }

  #tellOwned(): void {
    this.positions.markKnown()
    this.#hasForgotten = false
  }

  given(own: readonly ConsumerPosition[], moves: Moves): void {
    for (const position of own) position.isKnown = true
    for (const { position } of moves) position.isUncommitted = true
    this.#hasForgotten = false
    if (this.#isToldOfPassedOn) this.#forgetPassedOn()
  }

  #forgetPassedOn(): void {
    this.#passedOn = undefined
    this.#isToldOfPassedOn = false
  }

  /**
   * Without offsets: up to where records were given. What others own is refused before anything is stored, and so is what
   * others may have owned since the client was last told: it may have been read further, and committed.
   */
  async commit(offsets: readonly OffsetToCommit[] | undefined): Promise<void> {
    await this.#settleSoon()
    if (offsets === undefined) this.#checkAllHeld()
    let toCommit = offsets ?? this.positions.standing(this.#dealtWith)
    if (toCommit.length === 0) return
    if (this.#member !== undefined) {
      toCommit = toCommit.map((each) => ({ ...each, topicId: this.#assigned(each).topic.id }))
      const strange = offsets?.filter((each) => !this.#assigned(each).isKnown) ?? []
      if (strange.length > 0) throw notCommitted(strange, PASSED_ON, '')
    }
    await this.#send(toCommit)
  }

  /** Whoever commits all that it was given is told where it is not there to be committed any more. */
  #checkAllHeld(): void {
    if (this.#hasForgotten) throw FORGOTTEN
    if (this.#passedOn === undefined) return
    this.#isToldOfPassedOn = true
    throw notCommitted([...this.#passedOn.values()], GONE, ', nor is anything else')
  }

  async #send(offsets: readonly OffsetToCommit[]): Promise<void> {
    const { engine } = this.#parts
    const results =
      this.#member === undefined
        ? await engine.groups.commit({ groupId: this.group, offsets })
        : await this.#member.commit(offsets)
    const refused = results.filter(({ error }) => error !== undefined)
    const failed = new Map(refused.map((result) => [partitionKey(result.topic, result.partition), result]))
    for (const each of offsets)
      if (!failed.has(partitionKey(each.topic, each.partition))) this.positions.noteCommitted(each)
    const [first] = failed.values()
    if (first?.error === undefined) return
    throw notCommitted(
      [...failed.values()],
      first.error,
      failed.size < offsets.length ? '; those of other partitions are' : '',
    )
  }

  /** Whoever ends it has what it was given, unless that is on its way still. */
  get #dealtWith(): 'next' | 'processed' {
    return this.isReading ? 'processed' : 'next'
  }

  /** What fails stays to be committed by the next one. */
  async #commitAll(upTo: 'next' | 'processed'): Promise<void> {
    const offsets = this.positions.toCommit(upTo)
    if (offsets.length > 0) await this.#send(offsets).catch(() => undefined)
  }

  async commitProcessed(): Promise<void> {
    this.positions.markProcessed()
    if (this.spec.autoCommit) await this.#commitAll('processed')
  }

  /** One page. consumer_illegal_state when there is nothing to read from. */
  async read(caller: Caller, request: ConsumerReadRequest, sink: ConsumerSink): Promise<ConsumerRead> {
    if (this.#source.kind === 'none') {
      throw illegalState('Consumer is not subscribed to any topics or assigned any partitions')
    }
    this.#reads ??= new ConsumerReads(this, this.#parts)
    const read = await this.#reads.read(caller, request, sink)
    const settle = (isDelivered: boolean) => {
      read.settle(isDelivered)
      this.#onUsed(this)
    }
    return { refusal: read.refusal, settle }
  }

  async settle(signal: AbortSignal): Promise<void> {
    const member = this.#member
    if (member !== undefined) await untilAborted(member.settled(signal), signal)
    if (this.#source.kind === 'assigned') this.#addAssigned()
    if (!signal.aborted) await untilAborted(this.#startPositions(), signal)
  }

  #isSettled(): boolean {
    if (this.#member?.isSettled === false) return false
    if (this.#source.kind === 'assigned') this.#addAssigned()
    return !this.positions.hasUnstarted
  }

  /** What keeps it from joining is told by the next read. */
  async #settleSoon(): Promise<void> {
    if (this.#isSettled()) return
    const { clock, requestTimeoutMs } = this.#parts
    const over = new AbortController()
    const timer = clock.after(requestTimeoutMs, () => over.abort())
    try {
      await this.settle(over.signal)
    } catch (error) {
      if (!(error instanceof TailraceError)) throw error
    } finally {
      timer.cancel()
    }
  }

  /** Throws where no partition has a place to begin at, or one never will by itself. */
  async #startPositions(): Promise<void> {
    const unstarted = this.positions.unstarted()
    const owner = this.#owner
    if (unstarted.length === 0 || owner === undefined) return
    const { found, failure } = await findStarts(this.#parts.consume, owner, this, unstarted, this.#saved)
    for (const { position, offset, committed, isKnown } of found) {
      if (!this.positions.start(position, offset, committed) || !isKnown) continue
      position.isKnown = true
      position.isUncommitted = offset !== committed
    }
    this.#dropSaved(found.map(({ position }) => position))
    if (failure !== undefined && (this.spec.offsetReset === 'none' || this.positions.toRead().length === 0))
      throw failure
  }

  /** From now on it stands elsewhere, or others may have. */
  #dropSaved(partitions: readonly OwnedPartition[]): void {
    if (this.#saved.length === 0) return
    const places = new Set(partitions.map(({ topic, partition }) => partitionKey(topic.id, partition)))
    this.#saved = this.#saved.filter(({ topicId, partition }) => !places.has(partitionKey(topicId, partition)))
  }

  /** Topics may come and go under an assignment. */
  #addAssigned(): void {
    const source = this.#source
    if (source.kind !== 'assigned') return
    for (const { topic: name, partition } of source.partitions) {
      const topic = this.#parts.engine.findTopic(name)
      if (topic !== undefined && partition < topic.partitionCount) this.positions.add(topic, partition)
      else this.positions.remove(name, partition)
    }
  }

  #join(caller: Caller): GroupMember {
    const { members, assignors, instanceTimeoutMs, sessionTimeoutMsMin, sessionTimeoutMsMax } = this.#parts
    const byDefault = Math.min(Math.max(instanceTimeoutMs, sessionTimeoutMsMin), sessionTimeoutMsMax)
    this.#member = members.open({
      groupId: this.group,
      clientId: caller.clientId === '' ? this.name : caller.clientId,
      host: caller.host,
      protocolType: 'consumer',
      assignors,
      sessionTimeoutMs: this.spec.sessionTimeoutMs ?? byDefault,
      rebalanceTimeoutMs: CONSUMER_REBALANCE_MS_MAX,
      listener: this,
    })
    return this.#member
  }

  async onAssigned(partitions: readonly OwnedPartition[]): Promise<void> {
    for (const { topic, partition } of partitions) this.positions.add(topic, partition)
    await this.#startPositions().catch(() => undefined)
    this.#reads?.wake()
  }

  /** From now on nothing is read of them; a page that is being read may still bring their records, which come again elsewhere. */
  async onRevoked(partitions: readonly OwnedPartition[]): Promise<void> {
    const offsets = this.spec.autoCommit ? this.positions.toCommit('processed', partitions) : []
    this.onLost(partitions)
    if (offsets.length > 0) await this.#send(offsets).catch(() => undefined)
  }

  onLost(partitions: readonly OwnedPartition[]): void {
    for (const { topic, partition } of partitions) {
      if (this.positions.find(topic.name, partition)?.isUncommitted && !this.spec.autoCommit) {
        this.#passedOn ??= new Map()
        this.#passedOn.set(partitionKey(topic.name, partition), { topic: topic.name, partition })
      }
      this.positions.remove(topic.name, partition)
    }
    this.#dropSaved(partitions)
    this.#reads?.wake()
  }

  /** Leaves its group. By its client, who has what it was given; else only what was dealt with is committed, or nothing over a stop. */
  async close(why: 'deleted' | 'expired' | 'stopped'): Promise<void> {
    const upTo = why === 'deleted' ? this.#dealtWith : 'processed'
    this.#isClosed = true
    this.#reads?.wake()
    if (this.spec.autoCommit && why !== 'stopped') await this.#commitAll(upTo)
    await this.#member?.close()
  }

  /** Where it stands, to be kept over a stop. */
  save(): SavedPosition[] {
    const upTo = this.#dealtWith
    const standing = this.positions.all().flatMap(({ topic, partition, [upTo]: next, committed }) => {
      return next === undefined ? [] : [{ topicId: topic.id, partition, next, committed: committed ?? -1 }]
    })
    return [...standing, ...this.#saved]
  }
}

const GONE = new TailraceError(
  'illegal_generation',
  'it was passed on in the group before what this consumer was given of it was committed, and that is given again; the offsets of others can be named, or committed after the next read',
)

const FORGOTTEN = new TailraceError(
  'illegal_generation',
  'nothing is committed: the server was restarted and does not know what this consumer was given before; what was not committed before is given again by the next reads',
)

const PASSED_ON = new TailraceError(
  'illegal_generation',
  'the partition was passed on in its group, and has come (back) since this consumer last read; read, or ask for its assignments, first',
)

function notCommitted(partitions: readonly GroupPartition[], cause: TailraceError, others: string): TailraceError {
  const names = partitions.map(({ topic, partition }) => `${topic}-${partition}`).join(', ')
  return new TailraceError(
    cause.code,
    `the offset of ${names} is not committed${others}: ${cause.message}`,
    cause.details,
    { cause },
  )
}

export function illegalState(reason: string): TailraceError {
  return new TailraceError('consumer_illegal_state', `Illegal state: ${reason}`)
}
