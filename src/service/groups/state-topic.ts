// What services must remember durably and cannot work out again (consumer instances, records that are done above a
// committed offset): a map from text to JSON over one internal compacted topic, whose last record of a key is its value.
// Nothing is read before the first use, and no topic is made before the first put. Any number of callers at once.
//
// Always: what entries() gives is durable. Puts leave in the order of the calls, one append at a time: what comes
// meanwhile waits and goes with the next, and of several puts to one key that wait only the last is written.

import type { Engine, Topic } from '../../engine/engine.ts'
import type { Clock } from '../../kernel/clock.ts'
import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import {
  EXPORT_FETCH_BYTES,
  GATHERED_BATCH_BYTES_MAX,
  STATE_BYTES_MAX,
  STATE_VALUE_BYTES_MAX,
} from '../../kernel/limits.ts'
import type { RecordReader } from '../../record/batch-reader.ts'
import type { RecordParts } from '../../record/record.ts'
import { NO_HEADERS } from '../../record/record.ts'
import { sealBatch } from '../../record/record-batch.ts'
import { listOffsets } from '../read/positions.ts'
import { RecordWalk, roomForInflated, unreadable } from '../read/record-walk.ts'

export const STATE_TOPIC_NAME = '__consumer_state'

const PARTITION = 0

/** Small segments close soon, so that compaction gets at them; a batch fits, whatever the server's default is. */
const STATE_TOPIC_CONFIGS = {
  'cleanup.policy': 'compact',
  'segment.bytes': String(4 * 1024 * 1024),
  'max.message.bytes': String(4 * GATHERED_BATCH_BYTES_MAX),
  'message.timestamp.type': 'CreateTime',
}

/** What JSON.stringify takes and JSON.parse gives. */
export type StateValue = string | number | boolean | readonly unknown[] | { readonly [name: string]: unknown }

export interface StateEntry {
  readonly key: string
  readonly value: StateValue
}

export interface StateTopic {
  /**
   * All whose key begins with `prefix`, as they are durable now, in no order. The first call reads the topic.
   * kafka_storage_error, corrupt_message: it cannot be read; a later call tries again.
   */
  entries(prefix: string): Promise<readonly StateEntry[]>
  /** Of those. */
  keys(prefix: string): Promise<readonly string[]>
  /**
   * Durable when it resolves; null removes. Of puts to one key the one that was called last stays. invalid_request: too
   * large; overloaded, disk_full: nothing is stored; kafka_storage_error: it may be. What makes less of a key is never too
   * much.
   */
  put(key: string, value: StateValue | null): Promise<void>
}

export interface StateTopicDependencies {
  readonly engine: Engine
  readonly clock: Clock
}

export function createStateTopic(dependencies: StateTopicDependencies): StateTopic {
  return new KeyedState(dependencies)
}

interface Put {
  readonly json: string | null
  readonly sizeBytes: number
  readonly done: PromiseWithResolvers<void>
}

class KeyedState implements StateTopic {
  readonly #engine: Engine
  readonly #clock: Clock
  /** JSON by key. */
  readonly #durable = new Map<string, string>()
  /** By key, in the order of the puts. */
  readonly #waiting = new Map<string, Put>()
  #writing: ReadonlyMap<string, Put> = new Map()
  /** Of keys and values, as the puts that are under way will leave them: by kind, which is what stands before the key's first slash. */
  readonly #heldBytes = new Map<string, number>()
  #isWriting = false
  #loading: Promise<void> | undefined

  constructor({ engine, clock }: StateTopicDependencies) {
    this.#engine = engine
    this.#clock = clock
  }

  async entries(prefix: string): Promise<readonly StateEntry[]> {
    await this.#load()
    const found: StateEntry[] = []
    for (const [key, json] of this.#durable) {
      if (key.startsWith(prefix)) found.push({ key, value: JSON.parse(json) as StateValue })
    }
    return found
  }

  async keys(prefix: string): Promise<readonly string[]> {
    await this.#load()
    return [...this.#durable.keys()].filter((key) => key.startsWith(prefix))
  }

  async put(key: string, value: StateValue | null): Promise<void> {
    // before: what is read must not come over what is put
    await this.#load()
    const json = value === null ? null : JSON.stringify(value)
    const sizeBytes = sizeOf(key, json)
    const beforeBytes = this.#bytesOf(key)
    this.#checkRoom(key, sizeBytes, beforeBytes)
    this.#count(key, sizeBytes - beforeBytes)
    // who put what is replaced is answered together with what replaces it
    const done = this.#waiting.get(key)?.done ?? Promise.withResolvers<void>()
    this.#waiting.delete(key)
    this.#waiting.set(key, { json, sizeBytes, done })
    if (!this.#isWriting) {
      this.#isWriting = true
      // with what else is put in this turn
      setImmediate(() => void this.#writeAll())
    }
    return done.promise
  }

  /** What the last put of it takes. */
  #bytesOf(key: string): number {
    const put = this.#waiting.get(key) ?? this.#writing.get(key)
    return put?.sizeBytes ?? sizeOf(key, this.#durable.get(key) ?? null)
  }

  #count(key: string, bytes: number): void {
    const kind = kindOf(key)
    this.#heldBytes.set(kind, (this.#heldBytes.get(kind) ?? 0) + bytes)
  }

  #checkRoom(key: string, sizeBytes: number, beforeBytes: number): void {
    if (sizeBytes > STATE_VALUE_BYTES_MAX) {
      throw new TailraceError(
        'invalid_request',
        `what is to be remembered has more than ${STATE_VALUE_BYTES_MAX} bytes`,
      )
    }
    const heldBytes = this.#heldBytes.get(kindOf(key)) ?? 0
    if (sizeBytes <= beforeBytes || heldBytes + sizeBytes - beforeBytes <= STATE_BYTES_MAX) return
    throw new TailraceError(
      'overloaded',
      `consumers have ${heldBytes} bytes of state, which is about all that is kept: acknowledge, or delete groups and instances that are not needed`,
    )
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.size > 0) await this.#write(this.#takeBatch())
    this.#isWriting = false
  }

  #takeBatch(): ReadonlyMap<string, Put> {
    const batch = new Map<string, Put>()
    let bytes = 0
    for (const [key, put] of this.#waiting) {
      // what is removed has a record, too
      bytes += Buffer.byteLength(key) + put.sizeBytes
      if (batch.size > 0 && bytes > GATHERED_BATCH_BYTES_MAX) break
      batch.set(key, put)
    }
    for (const key of batch.keys()) this.#waiting.delete(key)
    return batch
  }

  async #write(batch: ReadonlyMap<string, Put>): Promise<void> {
    const timestamp = this.#clock.now()
    const records = [...batch].map(([key, { json }]) => partsOf(key, json, timestamp))
    this.#writing = batch
    try {
      const [appended] = await this.#engine.append(
        await this.#topic(),
        PARTITION,
        [sealBatch(records, { compression: 'none' })],
        'all',
      )
      if (appended?.error !== undefined) throw appended.error
    } catch (error) {
      this.#writing = new Map()
      for (const [key, put] of batch) {
        if (!this.#waiting.has(key)) this.#count(key, this.#bytesOf(key) - put.sizeBytes)
        put.done.reject(asTailraceError(error))
      }
      return
    }
    this.#writing = new Map()
    for (const [key, put] of batch) {
      this.#keep(key, put.json)
      put.done.resolve()
    }
  }

  #keep(key: string, json: string | null): void {
    if (json === null) this.#durable.delete(key)
    else this.#durable.set(key, json)
  }

  #keepRead(key: string, json: string | null): void {
    this.#count(key, sizeOf(key, json) - this.#bytesOf(key))
    this.#keep(key, json)
  }

  async #topic(): Promise<Topic> {
    const found = this.#engine.findTopic(STATE_TOPIC_NAME)
    if (found !== undefined) return found
    return await this.#engine.createTopic({ name: STATE_TOPIC_NAME, partitionCount: 1, configs: STATE_TOPIC_CONFIGS })
  }

  #load(): Promise<void> {
    this.#loading ??= this.#readAll().catch((error) => {
      this.#loading = undefined
      this.#durable.clear()
      this.#heldBytes.clear()
      throw error
    })
    return this.#loading
  }

  async #readAll(): Promise<void> {
    const topic = this.#engine.findTopic(STATE_TOPIC_NAME)
    if (topic === undefined) return
    const [earliest] = await listOffsets(this.#engine, topic, [PARTITION], 'earliest')
    const [latest] = await listOffsets(this.#engine, topic, [PARTITION], 'latest')
    const end = latest?.offset ?? 0
    let offset = earliest?.offset ?? 0
    const walk = new RecordWalk(roomForInflated(this.#clock))
    try {
      while (offset < end) offset = await this.#readFrom(topic, offset, walk)
    } finally {
      walk.end()
    }
  }

  /** Gives where to go on. */
  async #readFrom(topic: Topic, offset: number, walk: RecordWalk): Promise<number> {
    const [part] = await this.#engine.fetch([{ topic, partition: PARTITION, offset }], {
      minBytes: 0,
      maxBytes: EXPORT_FETCH_BYTES,
      maxWaitMs: 0,
      isolation: 'read_committed',
    })
    if (part === undefined || part.error !== undefined) {
      const nothing = new TailraceError('kafka_storage_error', 'nothing was read')
      throw unreadable(topic, { partition: PARTITION, offset }, part?.error ?? nothing)
    }
    walk.begin(part, offset)
    do {
      while (walk.next()) this.#keepRead(keyOf(walk.record), jsonOf(walk.record))
    } while (await walk.inflate())
    if (walk.nextOffset > offset) return walk.nextOffset
    throw unreadable(
      topic,
      { partition: PARTITION, offset },
      new TailraceError('kafka_storage_error', 'it ends before its end'),
    )
  }
}

function kindOf(key: string): string {
  return key.slice(0, key.indexOf('/') + 1)
}

function sizeOf(key: string, json: string | null): number {
  return json === null ? 0 : Buffer.byteLength(key) + Buffer.byteLength(json)
}

function keyOf({ bytes, keyStart, keyEnd }: RecordReader): string {
  return bytes.toString('utf8', Math.max(0, keyStart), Math.max(0, keyEnd))
}

function jsonOf({ bytes, valueStart, valueEnd }: RecordReader): string | null {
  return valueStart < 0 ? null : bytes.toString('utf8', valueStart, valueEnd)
}

function partsOf(keyText: string, json: string | null, timestamp: number): RecordParts {
  const key = Buffer.from(keyText)
  const value = Buffer.from(json ?? '')
  return {
    key,
    keyStart: 0,
    keyEnd: key.length,
    value,
    valueStart: json === null ? -1 : 0,
    valueEnd: json === null ? -1 : value.length,
    headers: NO_HEADERS,
    timestamp,
  }
}
