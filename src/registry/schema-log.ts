// The registry's topic: what is appended to it, by whomever, is applied in the order of its offsets, and who appends is
// answered when that has come to the append. Every node on an engine reads the same. The topic is made by the first append.

import type { Engine, Topic } from '../engine/engine.ts'
import { SCHEMAS_TOPIC, SCHEMAS_TOPIC_SPEC } from '../engine/schemas-topic.ts'
import type { Clock, Timer } from '../kernel/clock.ts'
import { asTailraceError, TailraceError } from '../kernel/errors.ts'
import { REGISTRY_FETCH_BYTES, REGISTRY_RETRY_MS } from '../kernel/limits.ts'
import type { Logger } from '../kernel/logger.ts'
import { SerialQueue } from '../kernel/serial-queue.ts'
import { RecordReader } from '../record/batch-reader.ts'
import type { RecordHeader, RecordParts } from '../record/record.ts'
import { NO_HEADERS } from '../record/record.ts'
import type { SealedBatch } from '../record/record-batch.ts'
import { sealBatch } from '../record/record-batch.ts'
import { registryFailure } from './registry-failure.ts'
import type { Author, Entry } from './schema-entries.ts'
import { AUTHOR_HEADER, authorText, parseAuthor } from './schema-entries.ts'

const PARTITION = 0

export interface SchemaLogOptions {
  readonly engine: Engine
  readonly clock: Clock
  readonly logger: Logger
  /** Called for each record, in order; false: it is passed over. `forget`: the topic is another one, and what it says begins anew. */
  readonly apply: (key: string, value: string | null, timestamp: number, author: Author | undefined) => boolean
  readonly forget: () => void
}

interface Waiter {
  readonly topicId: string
  readonly offset: number
  readonly applied: PromiseWithResolvers<void>
}

export class SchemaLog {
  readonly #options: SchemaLogOptions
  readonly #reads = new SerialQueue()
  readonly #reader = new RecordReader({ checkCrc: false })
  readonly #listening: readonly (() => void)[]
  #topic: Topic | undefined
  /** Up to here it was applied. */
  #nextOffset = 0
  #waiters: Waiter[] = []
  /** Offsets that were met while an append is under way. */
  #passedOver: number[] | undefined
  /** One that has not begun: it will read what comes before it does. */
  #nextRead: Promise<void> | undefined
  #retry: Timer | undefined
  #failure: TailraceError | undefined
  #isReady = false
  #isClosed = false

  constructor(options: SchemaLogOptions) {
    this.#options = options
    const { engine } = options
    this.#listening = [
      engine.onAppend(({ name }) => {
        if (name === SCHEMAS_TOPIC) void this.#readOn()
      }),
      engine.onTopicsChanged(() => {
        if (engine.findTopic(SCHEMAS_TOPIC)?.id !== this.#topic?.id) void this.#readOn()
      }),
    ]
    void this.#readOn()
  }

  /** undefined: all that was there at the start is applied, and reading goes on. */
  get failure(): TailraceError | undefined {
    if (this.#failure !== undefined) return this.#failure
    return this.#isReady ? undefined : new TailraceError('overloaded', 'the schemas are being read')
  }

  /** Resolves when everything that was in the topic when it was called is applied, or cannot be read. Throws once closed. */
  async caughtUp(): Promise<void> {
    await this.#readOn()
    if (this.#isClosed) throw shuttingDown()
  }

  /**
   * In one batch, at one time. Durable and read when it resolves; false: some of them were passed over, as everybody does.
   * One at a time.
   */
  async append(entries: readonly Entry[], author?: Author): Promise<boolean> {
    const { engine, clock } = this.#options
    const timestamp = clock.now()
    const there = engine.findTopic(SCHEMAS_TOPIC)
    // what is to be written was decided by what was read of it
    if (there?.id !== this.#topic?.id) throw topicGone()
    const topic = there ?? (await this.#makeTopic())
    const batch = sealBatch(
      entries.map((entry) => partsOf(entry, entry.timestamp ?? timestamp, author)),
      { compression: 'none' },
    )
    const passedOver: number[] = []
    this.#passedOver = passedOver
    try {
      const baseOffset = await this.#appendBatch(topic, batch)
      const endOffset = baseOffset + entries.length
      await this.#applied(topic, endOffset)
      return !passedOver.some((offset) => offset >= baseOffset && offset < endOffset)
    } finally {
      this.#passedOver = undefined
    }
  }

  async #appendBatch(topic: Topic, batch: SealedBatch): Promise<number> {
    try {
      const [appended] = await this.#options.engine.append(topic, PARTITION, [batch], 'all')
      if (appended?.error !== undefined) throw appended.error
      return appended?.baseOffset ?? 0
    } catch (error) {
      throw asRegistryFailure(asTailraceError(error))
    }
  }

  close(): void {
    this.#isClosed = true
    this.#retry?.cancel()
    for (const end of this.#listening) end()
    this.#rejectAll(shuttingDown())
  }

  async #makeTopic(): Promise<Topic> {
    const { engine } = this.#options
    try {
      return await engine.createTopic(SCHEMAS_TOPIC_SPEC)
    } catch (error) {
      const known = engine.findTopic(SCHEMAS_TOPIC)
      if (known !== undefined) return known
      throw error
    }
  }

  async #applied(topic: Topic, offset: number): Promise<void> {
    // nobody reads on: it would never come
    if (this.#isClosed) throw shuttingDown()
    const applied = Promise.withResolvers<void>()
    this.#waiters.push({ topicId: topic.id, offset, applied })
    void this.#readOn()
    await applied.promise
  }

  #readOn(): Promise<void> {
    this.#nextRead ??= this.#reads.run(async () => {
      this.#nextRead = undefined
      if (this.#isClosed) return
      try {
        await this.#readToEnd()
        this.#failure = undefined
        this.#isReady = true
      } catch (error) {
        this.#failed(asTailraceError(error))
      }
    })
    return this.#nextRead
  }

  async #readToEnd(): Promise<void> {
    const { engine, forget } = this.#options
    const topic = engine.findTopic(SCHEMAS_TOPIC)
    if (topic?.id !== this.#topic?.id) {
      if (this.#topic !== undefined) forget()
      this.#topic = topic
      this.#nextOffset = 0
      if (topic !== undefined) this.#warnOf(topic)
    }
    for (let hasMore = topic !== undefined; hasMore; ) hasMore = await this.#readFrom(topic as Topic)
    this.#resolveWaiters()
  }

  /** One that somebody else has made. */
  #warnOf({ config, partitionCount }: Topic): void {
    const { cleanupPolicy } = config
    if (cleanupPolicy.compact && !cleanupPolicy.delete && partitionCount === 1) return
    this.#options.logger.warn(
      { topic: SCHEMAS_TOPIC, partitions: partitionCount, cleanupPolicy },
      'schemas are kept in a topic of one partition with cleanup.policy=compact: of this one they may be lost',
    )
  }

  /** True when there was something. */
  async #readFrom(topic: Topic): Promise<boolean> {
    const [part] = await this.#options.engine.fetch([{ topic, partition: PARTITION, offset: this.#nextOffset }], {
      minBytes: 0,
      maxBytes: REGISTRY_FETCH_BYTES,
      maxWaitMs: 0,
      isolation: 'read_committed',
    })
    if (part === undefined) throw new TailraceError('kafka_storage_error', 'nothing was read')
    const { error, logStartOffset, bytes } = part
    if (error?.code === 'offset_out_of_range' && logStartOffset > this.#nextOffset) {
      this.#nextOffset = logStartOffset
      return true
    }
    if (error !== undefined) throw error
    this.#applyAll(bytes)
    return bytes.length > 0
  }

  #applyAll(bytes: Buffer): void {
    const { apply, logger } = this.#options
    const reader = this.#reader
    try {
      for (let position = 0; position < bytes.length; position = reader.batchEnd) {
        reader.open(bytes, position)
        while (!reader.isControl && reader.next()) {
          const { offset, keyStart, keyEnd, valueStart, valueEnd } = reader
          if (offset < this.#nextOffset) continue
          const key = reader.bytes.toString('utf8', Math.max(0, keyStart), Math.max(0, keyEnd))
          const value = valueStart < 0 ? null : reader.bytes.toString('utf8', valueStart, valueEnd)
          if (apply(key, value, reader.timestamp, authorOf(reader))) continue
          this.#passedOver?.push(offset)
          logger.warn(
            { topic: SCHEMAS_TOPIC, offset, key: key.slice(0, 200) },
            'a record of the registry is passed over',
          )
        }
        this.#nextOffset = reader.lastOffset + 1
      }
    } finally {
      reader.close()
    }
  }

  #resolveWaiters(): void {
    const waiting = this.#waiters
    const isHere = ({ topicId }: Waiter) => topicId === this.#topic?.id
    this.#waiters = waiting.filter((waiter) => isHere(waiter) && waiter.offset > this.#nextOffset)
    for (const waiter of waiting) {
      if (!isHere(waiter)) waiter.applied.reject(topicGone())
      else if (waiter.offset <= this.#nextOffset) waiter.applied.resolve()
    }
  }

  #rejectAll(error: TailraceError): void {
    const waiting = this.#waiters
    this.#waiters = []
    for (const { applied } of waiting) applied.reject(error)
  }

  /** It is tried again: the partition may come back. */
  #failed(error: TailraceError): void {
    const { clock, logger } = this.#options
    if (this.#failure === undefined) logger.error({ err: error, topic: SCHEMAS_TOPIC }, 'the schemas cannot be read')
    this.#failure = error
    this.#rejectAll(error)
    this.#retry?.cancel()
    this.#retry = clock.after(REGISTRY_RETRY_MS, () => void this.#readOn())
  }
}

/** What is no fault of the request's must not look like one. */
function asRegistryFailure(error: TailraceError): TailraceError {
  switch (error.code) {
    case 'message_too_large':
      return registryFailure(42209, 'Register operation failed because schema is too large')
    case 'unknown_topic_or_partition':
    case 'topic_recreated':
      return topicGone()
    default:
      return error
  }
}

function shuttingDown(): TailraceError {
  return new TailraceError('shutting_down', 'the server is shutting down')
}

function topicGone(): TailraceError {
  return new TailraceError('overloaded', `the topic ${SCHEMAS_TOPIC} was deleted meanwhile; try again`)
}

function authorOf(reader: RecordReader): Author | undefined {
  if (reader.headerCount === 0) return undefined
  const header = reader.headers().find(({ name }) => name === AUTHOR_HEADER)
  return header?.value ? parseAuthor(Buffer.from(header.value).toString('latin1')) : undefined
}

function headersOf(author: Author | undefined): readonly RecordHeader[] {
  return author === undefined ? NO_HEADERS : [{ name: AUTHOR_HEADER, value: Buffer.from(authorText(author)) }]
}

function partsOf(entry: Entry, timestamp: number, author: Author | undefined): RecordParts {
  const key = Buffer.from(entry.key)
  const value = Buffer.from(entry.value ?? '')
  return {
    key,
    keyStart: 0,
    keyEnd: key.length,
    value,
    valueStart: entry.value === null ? -1 : 0,
    valueEnd: entry.value === null ? -1 : value.length,
    headers: headersOf(author),
    timestamp,
  }
}
