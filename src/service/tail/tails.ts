// Live tails: opening them, and what all of them share. tail.ts says what a tail is.

import type { Engine } from '../../engine/engine.ts'
import type { Clock } from '../../kernel/clock.ts'
import { TailraceError } from '../../kernel/errors.ts'
import { TAILS_OPEN_MAX } from '../../kernel/limits.ts'
import type { Logger } from '../../kernel/logger.ts'
import type { Telemetry } from '../../kernel/telemetry.ts'
import type { Position } from '../read/positions.ts'
import { ReadEstimates } from '../read/read-estimates.ts'
import type { ConsumeParts } from '../read/read-start.ts'
import { getTopic } from '../read/read-start.ts'
import { roomForInflated } from '../read/record-walk.ts'
import { CatchUpPace } from './catch-up-pace.ts'
import type { TailStand } from './live-tail.ts'
import { LiveTail } from './live-tail.ts'
import type { Tail, TailRequest, TailService, TailSources } from './tail.ts'
import { TailChunks } from './tail-chunks.ts'
import { TailHeads } from './tail-heads.ts'
import { TailReads } from './tail-read.ts'
import type { TailStart, TopicToTail } from './tail-start.ts'
import { checkWithin, findTailStart, offsetsOf } from './tail-start.ts'
import { TailTurns } from './tail-turns.ts'
import { TailUntil } from './tail-until.ts'

export interface TailDependencies {
  readonly engine: Engine
  readonly clock: Clock
  readonly telemetry: Telemetry
  readonly logger: Logger
}

export function createTailService(dependencies: TailDependencies): TailService {
  return new Tails(dependencies)
}

class Tails implements TailService {
  readonly #parts: ConsumeParts
  readonly #turns: TailTurns
  readonly #chunks: TailChunks
  readonly #heads: TailHeads
  readonly #endListening: () => void
  readonly #tails = new Set<LiveTail>()
  #opening = 0
  #isClosed = false

  constructor({ engine, clock, telemetry, logger }: TailDependencies) {
    const parts = { engine, clock, telemetry, inflations: roomForInflated(clock) }
    const turns = new TailTurns(clock, logger)
    const pace = new CatchUpPace(clock)
    const reads = new TailReads({ ...parts, turns, estimates: new ReadEstimates() })
    this.#parts = parts
    this.#turns = turns
    this.#chunks = new TailChunks({ reads, turns, pace })
    this.#endListening = engine.onAppend(() => pace.appended())
    this.#heads = new TailHeads({ engine, clock, turns, idle: (head) => this.#chunks.forget(head) })
  }

  async open(request: TailRequest): Promise<Tail> {
    if (this.#tails.size + this.#opening >= TAILS_OPEN_MAX) {
      throw new TailraceError('overloaded', `${TAILS_OPEN_MAX} tails are open, which is as many as there may be`)
    }
    this.#opening++
    try {
      const until = await this.#untilOf(request)
      return await this.#find(request, request.sources, request.from, request.signal, (stand) => {
        return this.#openAt(request, stand, until)
      })
    } finally {
      this.#opening--
    }
  }

  #openAt(request: TailRequest, stand: TailStand, until: TailUntil): Tail {
    if (this.#isClosed) throw new TailraceError('shutting_down', 'the server is stopping')
    // refused now rather than with the first chunk
    stand.place.getCursor()
    const { form, filter, batchRecords, batchWaitMs } = request
    const kind = { key: `${batchRecords}/${filter?.id ?? ''}/${form.key}`, form, filter, batchRecords }
    const tail = new LiveTail(request, kind, stand, until, {
      chunks: this.#chunks,
      turns: this.#turns,
      telemetry: this.#parts.telemetry,
      find: (sources, to, signal, move) => this.#find(request, sources, to, signal, move),
      standAt: (offsets) => this.#heads.standAt(offsets, batchWaitMs),
      left: (head) => this.#heads.left(head),
      closed: (closed) => {
        this.#tails.delete(closed)
        this.#parts.telemetry.tails.open = this.#tails.size
      },
    })
    this.#tails.add(tail)
    this.#parts.telemetry.tails.open = this.#tails.size
    return tail
  }

  async #untilOf({ until, sources, signal }: TailRequest): Promise<TailUntil> {
    if (until === undefined) return new TailUntil()
    if (until.kind === 'count') return new TailUntil(until.recordCount)
    if (sources.kind === 'assigned') return new TailUntil(undefined, [])
    return new TailUntil(undefined, offsetsOf(await this.#startAt(sources, until, signal)))
  }

  /** `use` is called with the place, at once when that is known. */
  async #find<Result>(
    { onGap, batchWaitMs }: TailRequest,
    sources: TailSources,
    position: Position,
    signal: AbortSignal | undefined,
    use: (stand: TailStand) => Result,
  ): Promise<Result> {
    const start = await this.#startAt(sources, position, signal)
    await checkWithin(this.#parts, start, position, onGap)
    return await this.#heads.withStand(start, sources, batchWaitMs, (stand) => {
      if (signal?.aborted) throw new TailraceError('request_cancelled', 'the caller has given up waiting')
      return use(stand)
    })
  }

  async #startAt(sources: TailSources, position: Position, signal: AbortSignal | undefined): Promise<TailStart> {
    const topics = await this.#topicsOf(sources)
    return await findTailStart(this.#parts, { topics, position, isPattern: sources.kind === 'pattern', signal })
  }

  async #topicsOf(sources: TailSources): Promise<readonly TopicToTail[]> {
    const { engine } = this.#parts
    if (sources.kind === 'assigned') return []
    if (sources.kind === 'pattern') return await this.#heads.matching(sources.subscription)
    return sources.topics.map(({ topic, partitions }) => ({ topic: getTopic(engine, topic), partitions }))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#endListening()
    this.#heads.close()
    for (const tail of [...this.#tails]) tail.close()
    this.#turns.close()
  }
}
