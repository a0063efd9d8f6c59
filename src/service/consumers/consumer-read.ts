// One consumer's reads, one after the other: each waits for its turn, for the group to be stable and for records, all
// within its time, and comes as soon as there is something. What a read gave counts as given when its reply has gone out:
// until then the next one waits, and a reply that nobody got is undone.
//
// A record that cannot be shown in the consumer's format ends its partition's part of a page. The next read is told of it,
// and with that the consumer stands behind it: nothing is left out in silence, and nothing stops a consumer for good. In front of
// one that cannot be shown only for now it stays.

import { TailraceError } from '../../kernel/errors.ts'
import { CONSUMER_READS_WAITING_MAX, PAGE_RECORDS_MAX, PAGE_WAIT_MS_MAX } from '../../kernel/limits.ts'
import { aborted, Turns, untilAborted } from '../../kernel/turns.ts'
import type { Caller } from '../caller.ts'
import type { PartitionBounds, RecordSink } from '../read/page.ts'
import type { ConsumerPosition, ConsumerPositions, Moves, RefusedRecord } from './consumer-positions.ts'
import { undo } from './consumer-positions.ts'
import type { ConsumerSource, ConsumerSpec } from './consumer-spec.ts'
import type { InstanceParts } from './consumer-start.ts'

export interface ConsumerReadRequest {
  /** Undefined: as long as the consumer waits at most. */
  readonly timeoutMs: number | undefined
  readonly maxBytes: number
  /** Its client is gone, or the server is closing. */
  readonly signal: AbortSignal
}

/** Shows records; what comes behind one that it cannot show, in its partition, it leaves out. */
export interface ConsumerSink extends RecordSink {
  readonly shownCount: number
  readonly refused: readonly RefusedRecord[]
}

export interface ConsumerRead {
  /** The client is to be told of a record that cannot be shown, and gets no records. */
  readonly refusal: TailraceError | undefined
  /** To be called once: has the client got the reply? */
  settle(isDelivered: boolean): void
}

/** Whose reads they are. */
export interface ReadingConsumer {
  readonly group: string
  readonly spec: ConsumerSpec
  readonly positions: ConsumerPositions
  readonly source: ConsumerSource
  readonly isClosed: boolean
  /** Its client is there, until the function that is returned is called. */
  hold(): (() => void) | undefined
  /**
   * Waits until the group is stable and it is known where each partition begins, or until `signal`. Throws what keeps it
   * from that.
   */
  settle(signal: AbortSignal): Promise<void>
  /** The client asks for more. Does not fail. */
  commitProcessed(): Promise<void>
  /** The client has got a page: these partitions are known to be its own, of these it was given records. */
  given(own: readonly ConsumerPosition[], moves: Moves): void
}

interface Outcome {
  readonly moves: Moves
  readonly refusal: TailraceError | undefined
}

const NOTHING: Outcome = { moves: [], refusal: undefined }

export class ConsumerReads {
  readonly #instance: ReadingConsumer
  readonly #parts: InstanceParts
  readonly #turns = new Turns()
  /** Which partition begins the next page. */
  #partitionTurn = 0
  /** Of the last page, for good; the consumer stands in front of them. */
  #refused: readonly RefusedRecord[] = []
  #waiting: AbortController | undefined

  constructor(instance: ReadingConsumer, parts: InstanceParts) {
    this.#instance = instance
    this.#parts = parts
  }

  /** Reads under way, and those that wait for their turn. */
  get count(): number {
    return this.#turns.count
  }

  /** What the consumer reads, or where, has changed: the page that waits is begun anew. */
  wake(): void {
    this.#waiting?.abort()
  }

  async read(caller: Caller, request: ConsumerReadRequest, sink: ConsumerSink): Promise<ConsumerRead> {
    if (this.count > CONSUMER_READS_WAITING_MAX) throw tooManyReads()
    const { clock } = this.#parts
    const timeoutMs = Math.min(request.timeoutMs ?? Number.POSITIVE_INFINITY, this.#timeoutMsMax())
    const deadline = clock.monotonic() + timeoutMs
    const over = new AbortController()
    const stop = () => over.abort()
    const timer = clock.after(timeoutMs, stop)
    if (request.signal.aborted) stop()
    else request.signal.addEventListener('abort', stop)
    try {
      const endTurn = await this.#turns.take(over.signal)
      if (endTurn === undefined) return { refusal: undefined, settle: () => undefined }
      return await this.#readInTurn(caller, { ...request, over: over.signal, deadline }, sink, endTurn)
    } finally {
      timer.cancel()
      request.signal.removeEventListener('abort', stop)
    }
  }

  #timeoutMsMax(): number {
    return Math.min(this.#instance.spec.requestTimeoutMs ?? this.#parts.requestTimeoutMs, PAGE_WAIT_MS_MAX)
  }

  async #readInTurn(caller: Caller, read: TimedRead, sink: ConsumerSink, endTurn: () => void): Promise<ConsumerRead> {
    const instance = this.#instance
    const letGo = instance.hold()
    const end = () => {
      letGo?.()
      endTurn()
    }
    try {
      const committing = instance.commitProcessed()
      const { moves, refusal } = await this.#fill(caller, read, sink)
      await untilAborted(committing, read.over)
      const told = instance.positions.all()
      const settle = (isDelivered: boolean) => {
        if (isDelivered) this.#instance.given(told, moves)
        else undo(moves)
        end()
      }
      return { refusal, settle }
    } catch (error) {
      end()
      throw error
    }
  }

  /** However little time there is, what is there already is looked for. */
  async #fill(caller: Caller, read: TimedRead, sink: ConsumerSink): Promise<Outcome> {
    const instance = this.#instance
    for (;;) {
      const isLast = read.over.aborted
      if (instance.isClosed) throw instanceNotFound()
      if (instance.source.kind === 'none') return NOTHING
      const outcome = this.#tell() ?? (await this.#readPage(caller, read, sink))
      if (outcome !== undefined) return outcome
      if (isLast) return NOTHING
    }
  }

  /** Undefined: there may be more to come. */
  async #readPage(caller: Caller, read: TimedRead, sink: ConsumerSink): Promise<Outcome | undefined> {
    const { consume, clock } = this.#parts
    const instance = this.#instance
    await instance.settle(read.over)
    const offsets = instance.positions.toRead()
    const waiting = new AbortController()
    const stop = () => waiting.abort()
    read.over.addEventListener('abort', stop)
    this.#waiting = waiting
    const isOver = read.over.aborted
    try {
      if (offsets.length === 0) {
        if (!isOver) await aborted(waiting.signal)
        return undefined
      }
      const page = await consume.readPartitions(
        caller,
        {
          offsets,
          turn: this.#partitionTurn,
          limit: PAGE_RECORDS_MAX,
          maxBytes: read.maxBytes,
          estimateKey: instance.group,
          minBytes: Math.max(0, instance.spec.fetchMinBytes),
          waitMs: isOver ? 0 : Math.max(0, read.deadline - clock.monotonic()),
          onGap: 'error',
          ...(isOver ? {} : { signal: waiting.signal }),
        },
        sink,
      )
      this.#partitionTurn = page.turn
      this.#refused = sink.refused.filter(({ isForNow }) => !isForNow)
      const moves = instance.positions.advance(offsets, page.partitions, sink.refused)
      const faults = this.#passFaults(page.partitions)
      if (sink.shownCount > 0) return { moves, refusal: undefined }
      const told = this.#tell(moves)
      if (told !== undefined) return told
      const [refused] = sink.refused
      if (refused !== undefined) return { moves, refusal: refused.error }
      if (faults.left !== undefined) throw faults.left
      // its time is over, or the engine's, if nobody has woken it
      return faults.hasPassed || waiting.signal.aborted ? undefined : NOTHING
    } finally {
      this.#waiting = undefined
      read.over.removeEventListener('abort', stop)
    }
  }

  /** Tells of a record that could not be shown, and steps behind it. */
  #tell(moved: Moves = []): Outcome | undefined {
    const { positions } = this.#instance
    for (const refused of this.#refused) {
      const moves = positions.pass(refused)
      if (moves.length > 0) return { moves: [...moved, ...moves], refusal: refused.error }
    }
    return undefined
  }

  /** Positions that are gone are set anew by the consumer's policy, topics that are gone are left. What is left is a failure. */
  #passFaults(partitions: readonly PartitionBounds[]): {
    readonly hasPassed: boolean
    readonly left: TailraceError | undefined
  } {
    const { positions, spec } = this.#instance
    let hasPassed = false
    let left: TailraceError | undefined
    for (const { topic, partition, nextOffset, startOffset, endOffset, fault } of partitions) {
      const position = fault === undefined ? undefined : positions.find(topic.name, partition)
      if (fault === undefined || position?.topic.id !== topic.id || position.next !== nextOffset) continue
      if (GONE.has(fault.code)) positions.remove(topic.name, partition)
      else if (fault.code === 'offset_out_of_range' && spec.offsetReset !== 'none')
        positions.seek(position, spec.offsetReset === 'earliest' ? startOffset : endOffset)
      else {
        left ??= fault
        continue
      }
      hasPassed = true
    }
    return { hasPassed, left }
  }
}

interface TimedRead extends ConsumerReadRequest {
  readonly over: AbortSignal
  /** Monotonic ms. */
  readonly deadline: number
}

const GONE: ReadonlySet<string> = new Set(['unknown_topic_or_partition', 'topic_recreated'])

function tooManyReads(): TailraceError {
  const reads = `${CONSUMER_READS_WAITING_MAX} reads of this consumer wait for their turn already`
  return new TailraceError('overloaded', `${reads}: it reads once at a time`)
}

export function instanceNotFound(): TailraceError {
  return new TailraceError('consumer_instance_not_found', 'Consumer instance not found.')
}
