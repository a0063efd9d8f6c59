// Many tails over one store while it lives: appends, deleted beginnings, growth, topics that go and come again, credit,
// seeks, assignments, fetches that take their time. Each tail's view must be the log from where it began, in order, each
// record once, less the gaps that it was told; and any cursor must go on exactly behind what came before it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import type { Engine } from '../../src/engine/engine.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { PARTITION_FAULT_PAUSE_MS } from '../../src/kernel/limits.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import type { RecordReader } from '../../src/record/batch-reader.ts'
import { ANONYMOUS } from '../../src/service/caller.ts'
import { RecordFilter } from '../../src/service/filter/record-filter.ts'
import { parsePosition } from '../../src/service/read/positions.ts'
import type {
  Tail,
  TailChunk,
  TailEncoder,
  TailForm,
  TailGap,
  TailOverflow,
  TailReader,
  TailRequest,
  TailService,
  TailSources,
} from '../../src/service/tail/tail.ts'
import { createTailService } from '../../src/service/tail/tails.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { Random } from '../support/random.ts'
import { ownBytes, ReadableEngine } from '../support/readable-engine.ts'

const caller = { principal: ANONYMOUS, clientId: '', host: '', requestId: '' }
const NAMES = ['t.a', 't.b', 'c']
const KEYS = ['k0', 'k1', 'k2', null]

interface Logged {
  readonly offset: number
  readonly key: string | null
}

/** All that was ever appended, by topic, its incarnation and partition. */
class Model {
  readonly #logs = new Map<string, Logged[]>()

  log(place: string): Logged[] {
    const log = this.#logs.get(place) ?? []
    this.#logs.set(place, log)
    return log
  }
}

/** One line a record: place, offset, key, cursor. */
const LINES: TailForm = {
  key: 'lines',
  newEncoder(): TailEncoder {
    const lines: string[] = []
    let place = ''
    return {
      size: 0,
      begin(topic, partition) {
        place = `${topic}/${partition}`
      },
      write(record: RecordReader, cursor) {
        const key = record.keyStart < 0 ? '' : record.bytes.toString('utf8', record.keyStart, record.keyEnd)
        const line = `${place} ${record.offset} ${key} ${cursor?.()}`
        lines.push(line)
        ;(this as { size: number }).size += line.length + 1
      },
      finish: () => ownBytes([Buffer.from(lines.join('\n'))]),
    }
  },
}

/** The same without keeping the promise of cursors: another form over the same places. */
const OTHER_LINES: TailForm = { key: 'other', newEncoder: () => LINES.newEncoder() }

type View = Map<string, { next: number; missing: TailGap[] }>

class Follower implements TailReader {
  readonly name: string
  readonly #model: Model
  readonly request: Omit<TailRequest, 'reader'>
  tail: Tail | undefined
  view: View = new Map()
  credit = { records: 0, bytes: 0 }
  given = 0
  ended: string | undefined
  cursors: { readonly cursor: string; readonly view: View }[] = []
  /** What it was given and still has, as sockets have, and what that said when it came. */
  held: { readonly chunk: TailChunk; readonly text: string }[] = []

  constructor(name: string, model: Model, request: Omit<TailRequest, 'reader'>) {
    this.name = name
    this.#model = model
    this.request = request
  }

  room() {
    return this.credit
  }

  take(chunk: TailChunk): void {
    const { body, recordCount, cursor } = chunk
    this.#isAlive()
    const text = body.toString()
    const lines = text.split('\n')
    this.held.push({ chunk, text })
    assert.equal(lines.length, recordCount)
    assert.ok(recordCount <= this.credit.records, `${this.name} was given more than it had room for`)
    this.credit = { records: this.credit.records - recordCount, bytes: this.credit.bytes - body.length }
    this.given += recordCount
    for (const line of lines) this.#takeLine(line)
    assert.equal(cursor, this.tail?.cursor)
    this.#remember(cursor)
  }

  /** Of the first `count` of what it has; until then nobody may have touched that. */
  letGo(count: number): void {
    for (const { chunk, text } of this.held.splice(0, count)) {
      assert.equal(chunk.body.toString(), text, `${this.name} holds a chunk that is another by now`)
      chunk.taken()
    }
  }

  #takeLine(line: string): void {
    const [place = '', offsetText, key, cursor = ''] = line.split(' ')
    const offset = Number(offsetText)
    const known = this.#at(place)
    assert.ok(offset >= known.next, `${this.name}: ${place}@${offset} comes after ${known.next}`)
    const lost = known.missing.find(({ reason, from, to }) => {
      const isGone = reason === 'removed' || this.request.overflow === 'drop_oldest'
      return isGone && offset >= from && offset < to
    })
    assert.equal(lost, undefined, `${this.name}: ${place}@${offset} comes after it was told to be lost`)
    this.checkNoneLeft(place, offset)
    const logged = this.#model.log(place).find((one) => one.offset === offset)
    assert.ok(
      logged !== undefined && this.#isWanted(logged) && (logged.key ?? '') === key,
      `${place}@${offset} is none`,
    )
    known.next = offset + 1
    this.#remember(cursor)
  }

  /** Before an offset all that is wanted was given, or told to be missing. */
  checkNoneLeft(place: string, before: number): void {
    const { next, missing } = this.#at(place)
    for (const one of this.#model.log(place)) {
      if (one.offset < next || one.offset >= before || !this.#isWanted(one)) continue
      const isTold = missing.some(({ from, to }) => one.offset >= from && one.offset < to)
      assert.ok(isTold, `${this.name} has missed ${place}@${one.offset}`)
    }
  }

  #isWanted({ key }: Logged): boolean {
    return this.request.filter === undefined || key === 'k1'
  }

  #at(place: string): { next: number; missing: TailGap[] } {
    const known = this.view.get(place)
    if (known !== undefined) return known
    assert.ok(this.isCovered(place), `${this.name} reads ${place}, which is not its own`)
    const fresh = { next: 0, missing: [] }
    this.view.set(place, fresh)
    return fresh
  }

  /** What it may read although it did not begin with it: partitions and topics that came later. */
  isCovered(place: string): boolean {
    const { sources } = this.request
    const [topic = ''] = place.split('/')
    if (sources.kind === 'pattern') return topic.startsWith('t.')
    if (sources.kind === 'assigned') return false
    return sources.topics.some((one) => one.topic === topic && one.partitions === undefined)
  }

  #remember(cursor: string): void {
    if (this.cursors.length > 20) this.cursors.shift()
    const view: View = new Map()
    for (const [place, { next, missing }] of this.view) view.set(place, { next, missing: [...missing] })
    this.cursors.push({ cursor, view })
  }

  gap(gap: TailGap): void {
    this.#isAlive()
    this.#at(`${gap.topic}/${gap.partition}`).missing.push(gap)
  }

  progress(): void {
    this.#isAlive()
    this.#remember(this.tail?.cursor ?? '')
  }

  fault({ topic, partition, error }: Parameters<TailReader['fault']>[0]): void {
    this.#isAlive()
    assert.equal(error.code, 'kafka_storage_error', `${topic}/${partition}`)
  }

  end(reason: string): void {
    this.#isAlive()
    this.ended = reason
  }

  fail(error: Error): void {
    this.ended = `failed: ${error.cause instanceof Error ? error.cause.stack : error.message}`
  }

  #isAlive(): void {
    assert.ok(this.tail !== undefined, 'it was called before it was open')
    assert.equal(this.ended, undefined, 'it was called after its end')
  }

  /** Begins anew where the tail stands. */
  restart(): void {
    this.view = new Map()
    this.cursors = []
    for (const { topic, partition, offset } of this.tail?.positions ?? []) {
      this.view.set(`${topic.name}/${partition}`, { next: offset, missing: [] })
    }
  }
}

class History {
  readonly random: Random
  readonly clock = new FakeClock()
  readonly store = new ReadableEngine(this.clock)
  readonly model = new Model()
  readonly tails: TailService
  readonly followers: Follower[] = []
  /** Bodies whose memory was given back when the last that had them let go of them. */
  releasedCount = 0
  #opened = 0

  constructor(seed: number) {
    this.random = new Random(seed)
    this.tails = createTailService({
      engine: this.#engine(),
      clock: this.clock,
      telemetry: new Telemetry(),
      logger: silentLogger,
    })
    for (const name of NAMES) this.store.create(name, 1 + this.random.below(3))
  }

  /** Fetches take some turns of the event loop, before and after they look. */
  #engine(): Engine {
    const { store } = this
    const pause = async () => {
      for (let turns = this.random.below(3); turns > 0; turns--) await turnOfTheLoop()
    }
    return {
      findTopic: (name: string) => store.findTopic(name),
      listTopics: () => store.listTopics(),
      onAppend: (listener: never) => store.onAppend(listener),
      onTopicsChanged: (listener: never) => store.onTopicsChanged(listener),
      async listOffsets(queries: never) {
        await pause()
        return await store.listOffsets(queries)
      },
      async fetch(positions: never, options: never) {
        await pause()
        const fetched = await store.fetch(positions, options)
        await pause()
        return fetched
      },
    } as unknown as Engine
  }

  append(): void {
    const { random, store } = this
    const name = random.pick([...store.topics.keys()])
    const partition = random.below(store.topics.get(name)?.partitionCount ?? 1)
    const count = 1 + random.below(6)
    const keys = Array.from({ length: count }, () => random.pick(KEYS))
    const deltas = keys.map(() => 0)
    for (let at = 1, delta = 0; at < count; at++) {
      delta += random.chance(0.8) ? 1 : 1 + random.below(5)
      deltas[at] = delta
    }
    const lastOffsetDelta = (deltas.at(-1) ?? 0) + (random.chance(0.1) ? random.below(4) : 0)
    const log = this.model.log(`${name}/${partition}`)
    const base = store.partition(name, partition).endOffset
    for (const [at, key] of keys.entries()) log.push({ offset: base + (deltas[at] ?? 0), key })
    store.append(
      name,
      partition,
      keys.map((key) => ({ key, value: 'v' })),
      { deltas, lastOffsetDelta },
    )
  }

  cut(): void {
    const { random, store } = this
    const name = random.pick([...store.topics.keys()])
    const partition = random.below(store.topics.get(name)?.partitionCount ?? 1)
    const { startOffset, endOffset } = store.partition(name, partition)
    store.cut(name, partition, startOffset + random.below(endOffset - startOffset + 1))
  }

  /** A partition cannot be read for a while. */
  fault(): void {
    const { random, store } = this
    const name = random.pick([...store.topics.keys()])
    const place = store.partition(name, random.below(store.topics.get(name)?.partitionCount ?? 1))
    const error = new TailraceError('kafka_storage_error', 'it cannot be read')
    place.error = place.error === undefined && random.chance(0.4) ? error : undefined
  }

  #mend(): void {
    for (const { name, partitionCount } of this.store.topics.values()) {
      for (let partition = 0; partition < partitionCount; partition++) {
        this.store.partition(name, partition).error = undefined
      }
    }
  }

  grow(): void {
    const { random, store } = this
    const name = random.pick([...store.topics.keys()])
    const count = store.topics.get(name)?.partitionCount ?? 1
    if (count < 5) store.grow(name, count + 1)
  }

  /** Gone, and there again when everybody has heard of it. */
  async remake(): Promise<void> {
    const { random, store } = this
    const name = random.pick(NAMES)
    const { partitionCount = 1 } = store.topics.get(name) ?? {}
    store.drop(name)
    await this.settle()
    for (const follower of this.followers) {
      const { sources } = follower.request
      const isNamed = sources.kind === 'topics' && sources.topics.some(({ topic }) => topic === name)
      if (isNamed && follower.ended === undefined) assert.equal(follower.ended, 'topic_deleted')
      if (sources.kind === 'assigned') this.#assign(follower)
      for (let partition = 0; partition < 5; partition++) follower.view.delete(`${name}/${partition}`)
      follower.cursors = []
    }
    for (let partition = 0; partition < 5; partition++) this.model.log(`${name}/${partition}`).length = 0
    store.create(name, random.chance(0.5) ? partitionCount : 1 + random.below(3))
  }

  sources(): TailSources {
    const { random, store } = this
    const kind = random.below(10)
    if (kind < 3) return { kind: 'pattern', subscription: { pattern: 't\\..*' } }
    if (kind < 5) return { kind: 'assigned', areAllKnown: () => true }
    const topics = NAMES.filter(() => random.chance(0.6))
    if (topics.length === 0) topics.push('c')
    return {
      kind: 'topics',
      topics: topics.map((topic) => {
        const count = store.topics.get(topic)?.partitionCount ?? 1
        return { topic, partitions: random.chance(0.3) ? [random.below(count)] : undefined }
      }),
    }
  }

  async open(change: Partial<TailRequest> = {}): Promise<Follower | undefined> {
    const { random } = this
    const until = random.chance(0.1) ? { kind: 'count' as const, recordCount: 1 + random.below(30) } : undefined
    const request = {
      caller,
      sources: this.sources(),
      from: parsePosition(random.pick(['earliest', 'latest', '-1', '-7'])),
      until,
      filter: random.chance(0.3) ? new RecordFilter({ key: Buffer.from('k1') }) : undefined,
      onGap: 'earliest' as const,
      overflow: random.pick<TailOverflow>(['pause', 'pause', 'drop_oldest', 'latest_per_key']),
      batchRecords: random.pick([1, 3, 10, 500]),
      batchWaitMs: random.pick([0, 0, 5]),
      form: random.pick([LINES, OTHER_LINES]),
      ...change,
    }
    const follower = new Follower(`tail ${++this.#opened}`, this.model, request)
    this.#credit(follower)
    try {
      follower.tail = await this.tails.open({ ...request, reader: follower })
    } catch (error) {
      assert.equal(error instanceof TailraceError && error.code, 'kafka_storage_error')
      return undefined
    }
    follower.restart()
    this.followers.push(follower)
    if (request.sources.kind === 'assigned') this.#assign(follower)
    return follower
  }

  #credit(follower: Follower): void {
    const { random } = this
    const records = random.pick([0, 1, 2, 10, 1000])
    const bytes = random.pick([0, 1, 100, 1_000_000])
    follower.credit = { records: follower.credit.records + records, bytes: Math.max(0, follower.credit.bytes) + bytes }
    follower.tail?.wake()
  }

  #assign(follower: Follower): void {
    const { random, store } = this
    const offsets = [...store.topics.values()].flatMap((topic) =>
      Array.from({ length: topic.partitionCount }, (_, partition) => {
        const { startOffset, endOffset } = store.partition(topic.name, partition)
        return { topic, partition, offset: startOffset + random.below(endOffset - startOffset + 1) }
      }).filter(() => random.chance(0.4)),
    )
    follower.tail?.assign(offsets)
    const before = follower.view
    follower.view = new Map()
    follower.cursors = []
    for (const { topic, partition, offset } of offsets) {
      const place = `${topic.name}/${partition}`
      follower.view.set(place, before.get(place) ?? { next: offset, missing: [] })
    }
  }

  async seek(follower: Follower): Promise<void> {
    const { random } = this
    const { cursor } = random.chance(0.3) && follower.cursors.length > 0 ? random.pick(follower.cursors) : {}
    // an assigned tail may have lost what a cursor of it knows of
    const isUsable = cursor !== undefined && follower.request.sources.kind !== 'assigned'
    const to = isUsable ? `cursor:${cursor}` : random.pick(['earliest', 'latest', '-3'])
    try {
      await follower.tail?.seek(parsePosition(to))
    } catch (error) {
      // the last N are looked for in the records
      assert.equal(error instanceof TailraceError && error.code, 'kafka_storage_error')
      return
    }
    if (follower.ended === undefined) follower.restart()
  }

  /** Another tail, from a cursor of this one: it begins where this one had come to. */
  async resume(follower: Follower): Promise<void> {
    const { random } = this
    const { sources, filter } = follower.request
    if (follower.cursors.length === 0 || sources.kind === 'assigned') return
    const { cursor, view } = random.pick(follower.cursors)
    const resumed = await this.open({ sources, filter, from: parsePosition(`cursor:${cursor}`) })
    if (resumed?.tail === undefined || resumed.ended !== undefined) return
    const before = new Follower(follower.name, this.model, follower.request)
    before.view = view
    for (const [place, { next }] of resumed.view) {
      const from = before.view.get(place)?.next ?? 0
      assert.ok(next >= from, `a cursor goes back in ${place} from ${from} to ${next}`)
      if (before.view.has(place) || before.isCovered(place)) before.checkNoneLeft(place, next)
    }
  }

  async settle(): Promise<void> {
    for (let turn = 0; turn < 60; turn++) await turnOfTheLoop()
  }

  async step(): Promise<void> {
    const { random } = this
    const dice = random.below(100)
    const alive = this.followers.filter(({ ended }) => ended === undefined)
    const one = alive.length === 0 ? undefined : random.pick(alive)
    // also of those that have ended
    if (this.followers.length > 0) random.pick(this.followers).letGo(random.below(5))
    if (dice < 40) this.append()
    else if (dice < 46) this.cut()
    else if (dice < 48) this.grow()
    else if (dice < 49) await this.remake()
    else if (dice < 51) this.fault()
    else if (dice < 56) alive.length < 12 && (await this.open())
    else if (one === undefined) return
    else if (dice < 80) this.#credit(one)
    else if (dice < 84) await this.seek(one)
    else if (dice < 88) one.request.sources.kind === 'assigned' && this.#assign(one)
    else if (dice < 92) await this.resume(one)
    else if (dice < 94) {
      one.tail?.close()
      one.ended = 'closed'
    } else this.clock.advance(random.pick([1, 20, PARTITION_FAULT_PAUSE_MS]))
    for (let turns = random.below(4); turns > 0; turns--) await turnOfTheLoop()
  }

  async finish(): Promise<void> {
    this.#mend()
    const isThere = ({ ended, tail }: Follower) => ended !== undefined || tail?.progress().caughtUp
    for (let round = 0; round < 100 && (round < 3 || !this.followers.every(isThere)); round++) {
      for (const follower of this.followers) {
        follower.credit = { records: 100_000, bytes: 100_000_000 }
        follower.tail?.wake()
      }
      this.clock.advance(PARTITION_FAULT_PAUSE_MS)
      await this.settle()
    }
    for (const follower of this.followers) this.#check(follower)
    const bodies = this.followers.flatMap(({ held }) => held.map(({ chunk }) => chunk.body))
    for (const follower of this.followers) follower.letGo(Number.POSITIVE_INFINITY)
    this.releasedCount = bodies.filter(({ length }) => length === 0).length
    await this.tails.close()
  }

  #check(follower: Follower): void {
    const { ended, request, tail, given } = follower
    if (ended !== undefined) {
      assert.ok(!ended.startsWith('failed'), `${follower.name} ${ended}`)
      if (ended === 'until' && request.until?.kind === 'count') assert.equal(given, request.until.recordCount)
      return
    }
    assert.ok(tail?.progress().caughtUp, `${follower.name} stands before the end`)
    for (const { topic, partition, offset } of tail.positions) {
      const place = `${topic.name}/${partition}`
      assert.equal(offset, this.store.partition(topic.name, partition).endOffset, place)
      if (follower.view.has(place) || follower.isCovered(place)) follower.checkNoneLeft(place, offset)
    }
  }
}

const SEEDS = Number(process.env['TAIL_SEEDS'] ?? 40)
const FIRST = Number(process.env['TAIL_SEED'] ?? 1)

test('whatever happens, each tail gives its log once and in order, less the gaps that it tells', async (t) => {
  let releasedCount = 0
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    const history = new History(seed)
    try {
      for (let step = 0; step < 200; step++) await history.step()
      await history.finish()
      releasedCount += history.releasedCount
    } catch (error) {
      t.diagnostic(`seed ${seed}`)
      throw error
    }
  }
  assert.ok(releasedCount > 0, 'nothing was given back')
})
