import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import type { Engine } from '../../src/engine/engine.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import {
  CURSOR_BYTES_MAX,
  PAGE_SCAN_STEPS_PER_TURN_MAX,
  PARTITION_FAULT_PAUSE_MS,
  TAIL_CHUNKS_BYTES_MAX,
  TAIL_OVERFLOW_RECORDS_MAX,
  TAIL_READS_MAX,
  TAIL_START_SHARED_MS,
} from '../../src/kernel/limits.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { ANONYMOUS } from '../../src/service/caller.ts'
import { RecordFilter } from '../../src/service/filter/record-filter.ts'
import { encodeCursor } from '../../src/service/read/cursor.ts'
import { parsePosition } from '../../src/service/read/positions.ts'
import type { CatchUpPace } from '../../src/service/tail/catch-up-pace.ts'
import type { Tail, TailRequest } from '../../src/service/tail/tail.ts'
import { TailChunks } from '../../src/service/tail/tail-chunks.ts'
import { TailHead } from '../../src/service/tail/tail-head.ts'
import { TailLayout } from '../../src/service/tail/tail-layout.ts'
import { TailPlace } from '../../src/service/tail/tail-place.ts'
import type { TailReads } from '../../src/service/tail/tail-read.ts'
import type { TailTurns } from '../../src/service/tail/tail-turns.ts'
import { createTailService } from '../../src/service/tail/tails.ts'
import { FakeClock } from '../support/fake-clock.ts'
import type { PlainRecord } from '../support/readable-engine.ts'
import { ReadableEngine } from '../support/readable-engine.ts'
import { TailLog, textForm } from './tail-fixture.ts'

interface Asked extends Partial<Omit<TailRequest, 'from' | 'until'>> {
  readonly topics?: readonly string[]
  readonly from?: string
  readonly until?: string | number
  readonly credit?: { readonly records?: number; readonly bytes?: number }
}

/** Its time goes on with each look at it. */
class GoingClock extends FakeClock {
  #more = 0
  override monotonic(): number {
    this.#more += 0.5
    return super.monotonic() + this.#more
  }
}

function newTails(clock = new FakeClock()) {
  const store = new ReadableEngine(clock)
  const telemetry = new Telemetry()
  // a fetch that has looked waits for this before it answers
  const gate = { answer: Promise.resolve() }
  const fetchedBytes: Buffer[] = []
  const engine = {
    findTopic: (name: string) => store.findTopic(name),
    listTopics: () => store.listTopics(),
    onAppend: (listener: never) => store.onAppend(listener),
    onTopicsChanged: (listener: never) => store.onTopicsChanged(listener),
    listOffsets: (queries: never) => store.listOffsets(queries),
    async fetch(positions: never, options: never) {
      const fetched = await store.fetch(positions, options)
      await gate.answer
      fetchedBytes.push(...fetched.map(({ bytes }) => bytes))
      return fetched
    },
  } as unknown as Engine
  const tails = createTailService({ engine, clock, telemetry, logger: silentLogger })
  const form = textForm()
  const open = async ({ topics = ['orders'], from = 'earliest', until, credit, ...asked }: Asked = {}) => {
    const log = new TailLog()
    log.credit = { ...log.credit, ...credit }
    const position = typeof until === 'string' ? parsePosition(until) : undefined
    const tail: Tail = await tails.open({
      caller: { principal: ANONYMOUS, clientId: '', host: '', requestId: '' },
      sources: { kind: 'topics', topics: topics.map((topic) => ({ topic })) },
      from: parsePosition(from),
      until: typeof until === 'number' ? { kind: 'count', recordCount: until } : position,
      onGap: 'earliest',
      overflow: 'pause',
      batchRecords: 500,
      batchWaitMs: 0,
      form,
      reader: log,
      ...asked,
    })
    log.tail = tail
    return { tail, log }
  }
  return { clock, store, telemetry, tails, form, open, gate, fetchedBytes }
}

const values = (...texts: string[]): PlainRecord[] => texts.map((value) => ({ value }))
const many = (count: number) => values(...Array.from({ length: count }, (_, at) => `v${at}`))
const hasCode = (code: string) => (error: unknown) => error instanceof TailraceError && error.code === code

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await turnOfTheLoop()
}

test('a tail gives what is stored and goes over to what is appended', async () => {
  const { store, open } = newTails()
  store.create('orders', 2)
  store.append('orders', 0, values('a', 'b'))
  store.append('orders', 1, values('c'))
  const { log } = await open()
  assert.deepEqual(log.events, [])
  await settle()
  assert.deepEqual(log.records, ['orders/0@0=a', 'orders/0@1=b', 'orders/1@0=c'])
  assert.equal(log.events.at(-1), 'progress caught up')
  store.append('orders', 1, values('d'))
  await settle()
  assert.deepEqual(log.records.slice(3), ['orders/1@1=d'])
})

test('tails at the end share one fetch and one encoding of what is appended', async () => {
  const { store, open, form, telemetry } = newTails()
  store.create('orders', 2)
  const opened = await Promise.all(Array.from({ length: 50 }, () => open({ from: 'latest' })))
  await settle()
  const fetches = store.fetches.length
  store.append('orders', 1, values('a', 'b'))
  await settle()
  for (const { log } of opened) assert.deepEqual(log.records, ['orders/1@0=a', 'orders/1@1=b'])
  assert.equal(store.fetches.length - fetches, 1)
  assert.equal(form.encoders, 1)
  assert.equal(telemetry.tails.chunksGiven, 50)
  assert.equal(new Set(opened.map(({ log }) => log.bodies[0])).size, 1)
})

test('a cursor goes on behind what was given', async () => {
  const { store, open } = newTails()
  store.create('orders', 2)
  store.create('bills', 1)
  store.append('orders', 0, values('a', 'b'))
  store.append('bills', 0, values('c'))
  const { log, tail } = await open({ topics: ['orders', 'bills'] })
  await settle()
  assert.equal(log.records.length, 3)
  store.append('bills', 0, values('d'))
  const { log: second } = await open({ topics: ['orders', 'bills'], from: `cursor:${tail.cursor}` })
  await settle()
  assert.deepEqual(second.records, ['bills/0@1=d'])
})

test('forms share the fetch, each has its own encoding; filters share neither with none', async () => {
  const { store, open, form } = newTails()
  store.create('orders')
  const other = textForm('other')
  const [first, second] = [await open(), await open({ form: other })]
  await settle()
  store.append('orders', 0, values('a'))
  await settle()
  assert.equal(store.fetches.length, 1)
  assert.deepEqual([form.encoders, other.encoders], [1, 1])
  assert.deepEqual([first.log.records, second.log.records], [['orders/0@0=a'], ['orders/0@0=a']])
})

test('what was fetched is given back when it is decoded, chunks when the last that was given them has taken them', async () => {
  const { store, open, fetchedBytes } = newTails()
  store.create('orders')
  const opened = await Promise.all([open(), open(), open({ form: textForm('other') })])
  await settle()
  store.append('orders', 0, values('a'))
  await settle()
  const chunks = opened.map(({ log }) => log.chunks[0])
  const texts = () => chunks.map((chunk) => chunk?.body.toString())
  assert.deepEqual(
    fetchedBytes.map(({ length }) => length),
    [0],
  )
  chunks[0]?.taken()
  assert.deepEqual(texts(), ['orders/0@0=a', 'orders/0@0=a', 'orders/0@0=a'])
  chunks[1]?.taken()
  assert.deepEqual(texts(), ['', '', 'orders/0@0=a'], 'the same for both')
  chunks[2]?.taken()
  assert.deepEqual(texts(), ['', '', ''])
})

/** Lets everything through, and lets others have their turn after each record. */
class SlowFilter extends RecordFilter {
  override matches(): boolean {
    this.steps = PAGE_SCAN_STEPS_PER_TURN_MAX
    return true
  }
}

test('what was fetched for several is there until the last of them has decoded it', async () => {
  const { store, open, fetchedBytes } = newTails()
  store.create('orders')
  const fast = await open()
  const slow = await open({ filter: new SlowFilter({ key: Buffer.from('any') }) })
  await settle()
  store.append('orders', 0, values('a'))
  store.append('orders', 0, values('b'))
  await settle()
  assert.equal(store.fetches.length, 1)
  for (const { log } of [fast, slow]) assert.deepEqual(log.records, ['orders/0@0=a', 'orders/0@1=b'])
  assert.equal(fetchedBytes[0]?.length, 0)
})

test('a chunk that is kept for those that are behind outlives the taking of those in front', async () => {
  const { store, open, form } = newTails()
  store.create('orders')
  const fast = await open()
  const slow = await open({ credit: { records: 0 } })
  await settle()
  store.append('orders', 0, values('a'))
  await settle()
  fast.log.chunks[0]?.taken()
  slow.log.credit.records = 10
  slow.tail.wake()
  await settle()
  assert.deepEqual(slow.log.records, ['orders/0@0=a'])
  assert.equal(form.encoders, 1)
  assert.equal(slow.log.bodies[0]?.toString(), 'orders/0@0=a')
  slow.log.chunks[0]?.taken()
  assert.equal(slow.log.bodies[0]?.length, 0, 'nobody is behind any more')
})

test('the last N are those of all topics together', async () => {
  const { store, open } = newTails()
  store.create('a', 2)
  store.create('b')
  const dated = (...times: number[]) => times.map((timestamp) => ({ value: `${timestamp}`, timestamp }))
  store.append('a', 0, dated(1, 5))
  store.append('a', 1, dated(2))
  store.append('b', 0, dated(3, 4, 6))
  const { log } = await open({ topics: ['a', 'b'], from: '-3' })
  await settle()
  assert.deepEqual(log.records.toSorted(), ['a/0@1=5', 'b/0@1=4', 'b/0@2=6'])
})

test('a position by offset names one partition; one outside of its bounds is refused with them', async () => {
  const { store, open } = newTails()
  store.create('orders', 2)
  store.create('bills')
  store.append('bills', 0, many(5))
  store.cut('bills', 0, 2)
  const bills = { topics: ['bills'] }
  await assert.rejects(open({ from: '0' }), hasCode('invalid_position'))
  await assert.rejects(open({ topics: ['orders', 'bills'], from: '0' }), hasCode('invalid_position'))
  await assert.rejects(open({ ...bills, from: '6' }), hasCode('offset_out_of_range'))
  await assert.rejects(open({ ...bills, from: '1', onGap: 'error' }), hasCode('offset_out_of_range'))
  await assert.rejects(open({ topics: ['none'] }), hasCode('unknown_topic_or_partition'))
  const { log } = await open({ ...bills, from: '1' })
  await settle()
  assert.deepEqual(log.events.slice(0, 2), ['gap bills/0@1-2 removed', 'bills/0@2=v2'])
  const { log: atEnd } = await open({ ...bills, from: '5' })
  await settle()
  assert.deepEqual(atEnd.events, ['progress caught up'])
})

test('a cursor of a topic that was made again, or of no topic that is asked for, is refused', async () => {
  const { store, open, tails } = newTails()
  for (const name of ['a', 'b', 'c']) store.create(name)
  const { tail } = await open({ topics: ['a', 'b'] })
  const from = `cursor:${tail.cursor}`
  await assert.rejects(open({ topics: ['a', 'c'], from }), hasCode('invalid_cursor'))
  await assert.rejects(open({ topics: ['a'], from: `cursor:${tail.cursor}x` }), hasCode('invalid_cursor'))
  const { tail: ofPattern } = await open({ sources: { kind: 'pattern', subscription: { pattern: '[ab]' } } })
  store.drop('b')
  store.create('b')
  await assert.rejects(open({ topics: ['a', 'b'], from }), hasCode('topic_recreated'))
  await assert.rejects(open({ topics: ['b'], from }), hasCode('topic_recreated'))
  const id = (at: number) => ({ topicId: `${at}`.repeat(8).concat('-0000-4000-8000-000000000000'), whole: true })
  const foreign = encodeCursor({ topics: [1, 2].map((at) => ({ ...id(at), partitions: [] })), turn: 0 })
  await assert.rejects(open({ topics: ['a', 'b'], from: `cursor:${foreign}` }), hasCode('invalid_cursor'))
  store.append('b', 0, values('x'))
  const pattern = { sources: { kind: 'pattern', subscription: { pattern: '[ab]' } } } as const
  const { log } = await open({ ...pattern, from: `cursor:${ofPattern.cursor}` })
  await settle()
  assert.deepEqual(log.records, ['b/0@0=x'], 'of a pattern it is a topic that came later')
  await tails.close()
})

test('a reader is told of what was removed before it was read, or fails', async () => {
  const { store, open, telemetry } = newTails()
  store.create('orders')
  store.append('orders', 0, many(3))
  const patient = await open({ credit: { records: 2 } })
  const strict = await open({ credit: { records: 2 }, onGap: 'error' })
  await settle()
  store.append('orders', 0, many(4))
  store.cut('orders', 0, 5)
  for (const { log, tail } of [patient, strict]) {
    log.credit.records = 10
    tail.wake()
  }
  await settle()
  const given = ['orders/0@0=v0', 'orders/0@1=v1']
  assert.deepEqual(patient.log.events.slice(0, 5), [
    ...given,
    'gap orders/0@2-5 removed',
    'orders/0@5=v2',
    'orders/0@6=v3',
  ])
  assert.deepEqual(strict.log.events, [...given, 'fail offset_out_of_range'])
  assert.equal(telemetry.tails.open, 1)
})

test('a partition that cannot be read is told once, the others go on, and it goes on when it can', async () => {
  const { store, open, clock } = newTails()
  store.create('orders', 2)
  store.append('orders', 0, values('a'))
  const damaged = store.partition('orders', 0)
  damaged.error = new TailraceError('kafka_storage_error', 'the disk is gone')
  const { log } = await open()
  await settle()
  assert.deepEqual(log.events, ['fault orders/0 kafka_storage_error', 'progress lag 1'])
  for (const value of ['b', 'c']) {
    store.append('orders', 1, values(value))
    clock.advance(PARTITION_FAULT_PAUSE_MS)
    await settle()
  }
  assert.deepEqual(log.records, ['orders/1@0=b', 'orders/1@1=c'])
  assert.equal(log.events.filter((event) => event.startsWith('fault')).length, 1)
  const fetches = store.fetches.length
  await settle()
  assert.equal(store.fetches.length, fetches, 'it is not asked again and again')
  store.grow('orders', 3)
  await settle()
  assert.equal(log.events.filter((event) => event.startsWith('fault')).length, 1, 'a topic that grows changes nothing')
  damaged.error = undefined
  clock.advance(PARTITION_FAULT_PAUSE_MS)
  await settle()
  assert.equal(log.records.at(-1), 'orders/0@0=a')
  assert.equal(log.events.at(-1), 'progress caught up')
  store.append('orders', 0, values('d'))
  damaged.error = new TailraceError('kafka_storage_error', 'again')
  await settle()
  assert.equal(log.events.filter((event) => event.startsWith('fault')).length, 2, 'told anew')
})

test('a tail ends behind a number of records, or where a position is', async () => {
  const { store, open } = newTails()
  store.create('orders')
  store.append('orders', 0, many(5))
  const counted = await open({ until: 7 })
  const bounded = await open({ until: 'latest' })
  await settle()
  store.append('orders', 0, many(5))
  await settle()
  assert.equal(counted.log.records.length, 7)
  assert.equal(bounded.log.records.length, 5)
  for (const { log } of [counted, bounded]) assert.equal(log.events.at(-1), 'end until')
  const { log: none } = await open({ from: 'latest', until: '4' })
  await settle()
  assert.deepEqual(none.events, ['end until'], 'it was there already')
  const { log: ahead } = await open({ from: '8', until: '12' })
  await settle()
  assert.equal(ahead.records.length, 2)
  store.append('orders', 0, many(5))
  await settle()
  assert.deepEqual([ahead.records.length, ahead.events.at(-1)], [4, 'end until'])
})

test('a tail ends at an offset that compaction has removed', async () => {
  const { store, open } = newTails()
  store.create('orders')
  store.append('orders', 0, values('a', 'b'), { deltas: [0, 1], lastOffsetDelta: 5 })
  store.append('orders', 0, values('c', 'd'), { deltas: [3, 4] })
  for (const until of ['4', '6', '7', '9']) {
    const { log } = await open({ until })
    await settle()
    assert.deepEqual(log.events, ['orders/0@0=a', 'orders/0@1=b', 'end until'], until)
  }
})

test('a tail gives no more than there is room for, and goes on when there is more', async () => {
  const { store, open } = newTails()
  store.create('orders')
  store.append('orders', 0, many(10))
  const { log, tail } = await open({ credit: { records: 3 } })
  await settle()
  assert.equal(log.records.length, 3)
  store.append('orders', 0, many(1))
  await settle()
  assert.equal(log.records.length, 3)
  log.credit.records = 4
  tail.wake()
  await settle()
  assert.equal(log.records.length, 7)
  log.credit = { records: 100, bytes: 1 }
  tail.wake()
  await settle()
  assert.equal(log.records.length, 8, 'a record that is larger comes alone')
  assert.ok(!log.events.some((event) => event.startsWith('progress')))
  log.credit = { records: 100, bytes: 1_000 }
  tail.wake()
  await settle()
  assert.deepEqual([log.records.length, log.events.at(-1)], [11, 'progress caught up'])
})

test('with drop_oldest what is too far behind is left out, counted and told', async () => {
  const { store, open } = newTails()
  store.create('orders')
  const { log, tail } = await open({ overflow: 'drop_oldest', credit: { records: 0 } })
  const { log: other } = await open({ overflow: 'drop_oldest' })
  await settle()
  for (let batch = 0; batch < 12; batch++) store.append('orders', 0, many(1_000))
  await settle()
  log.credit.records = 1_000_000
  tail.wake()
  await settle()
  await settle()
  await settle()
  assert.equal(log.events[0], `gap orders/0@0-${12_000 - TAIL_OVERFLOW_RECORDS_MAX} overflow`)
  assert.equal(log.records.length, TAIL_OVERFLOW_RECORDS_MAX)
  assert.equal(log.lastProgress?.dropped, 12_000 - TAIL_OVERFLOW_RECORDS_MAX)
  assert.equal(other.records.length, 12_000, 'who had room has all')
})

test("with latest_per_key a reader without room gets each key's last, in order, and is told of the others", async () => {
  const { store, open } = newTails()
  store.create('orders', 2)
  const keyed = (...keys: (string | null)[]) => keys.map((key) => ({ key, value: `${key}` }))
  const { log, tail } = await open({ overflow: 'latest_per_key', credit: { records: 1 } })
  store.append('orders', 0, keyed('a', 'b', 'a', null, null, 'c', 'a', 'b'))
  store.append('orders', 1, keyed('a', 'z'))
  await settle()
  assert.deepEqual(log.records, ['orders/0@0=a'])
  log.credit.records = 100
  tail.wake()
  await settle()
  const rest = ['orders/0@3=null', 'orders/0@4=null', 'orders/0@5=c', 'orders/0@6=a', 'orders/0@7=b']
  assert.deepEqual(log.records.slice(1).toSorted(), [...rest, 'orders/1@0=a', 'orders/1@1=z'])
  assert.deepEqual(
    log.events.filter((event) => event.startsWith('gap')),
    ['gap orders/0@1-3 overflow'],
  )
  assert.equal(log.lastProgress?.dropped, 2)
  store.append('orders', 0, keyed('a', 'a'))
  await settle()
  assert.equal(log.records.filter((record) => /0@(8|9)/.test(record)).length, 2, 'with room it gets all again')
})

test('partitions that are added are read from their first record, also by who names none', async () => {
  const { store, open } = newTails()
  store.create('orders')
  const whole = await open({ from: 'latest' })
  const one = await open({ sources: { kind: 'topics', topics: [{ topic: 'orders', partitions: [0] }] } })
  await settle()
  store.grow('orders', 3)
  store.append('orders', 2, values('a'))
  await settle()
  assert.deepEqual(whole.log.records, ['orders/2@0=a'])
  assert.deepEqual(one.log.records, [])
  assert.equal(whole.tail.positions.length, 3)
  const { log } = await open({ from: `cursor:${whole.tail.cursor}` })
  await settle()
  assert.deepEqual(log.records, [])
})

test('a pattern follows topics that come and go; a topic that was named ends the tail when it goes', async () => {
  const { store, open } = newTails()
  for (const name of ['t.a', 't.b', 'x']) store.create(name)
  const pattern = await open({ sources: { kind: 'pattern', subscription: { pattern: 't\\..*' } }, from: 'latest' })
  const named = await open({ topics: ['t.a', 'x'] })
  await settle()
  store.create('t.c', 2)
  store.append('t.c', 1, values('new'))
  store.append('x', 0, values('other'))
  await settle()
  store.drop('t.a')
  store.create('t.a')
  store.append('t.a', 0, values('again'))
  await settle()
  assert.deepEqual(pattern.log.records, ['t.c/1@0=new', 't.a/0@0=again'])
  assert.deepEqual(named.log.events.at(-1), 'end topic_deleted')
  assert.ok(!named.log.records.includes('t.a/0@0=again'))
  const empty = await open({ sources: { kind: 'pattern', subscription: { pattern: 'none' } } })
  await settle()
  assert.deepEqual(empty.log.events, ['progress caught up'])
  store.create('none')
  store.append('none', 0, values('first'))
  await settle()
  assert.deepEqual(empty.log.records, ['none/0@0=first'])
})

test('what a pattern’s reader had not read of a topic that is deleted is told as a gap', async () => {
  const { store, open } = newTails()
  store.create('t.a', 2)
  store.append('t.a', 0, values('a', 'b', 'c'))
  store.append('t.a', 1, values('d'))
  const pattern = { sources: { kind: 'pattern', subscription: { pattern: 't\\..*' } } } as const
  const { log } = await open({ ...pattern, credit: { records: 1 } })
  const { log: ofAll } = await open(pattern)
  await settle()
  assert.deepEqual(log.records, ['t.a/0@0=a'])
  store.drop('t.a')
  store.create('t.a')
  store.append('t.a', 0, values('again'))
  log.credit = { records: 100, bytes: 100_000 }
  await settle()
  log.tail?.wake()
  await settle()
  assert.deepEqual(log.gaps, [
    { topic: 't.a', partition: 0, from: 1, to: 3, reason: 'removed' },
    { topic: 't.a', partition: 1, from: 0, to: 1, reason: 'removed' },
  ])
  assert.deepEqual(log.records, ['t.a/0@0=a', 't.a/0@0=again'])
  assert.deepEqual(ofAll.gaps, [])
})

test('a pattern that comes to mean more than a cursor can name fails its tails, and stops no others', async () => {
  const { store, open } = newTails()
  store.create('other')
  store.create('wide-0')
  const wide = await open({ sources: { kind: 'pattern', subscription: { pattern: 'wide-.*' } } })
  // whatever its reader does then
  wide.log.fail = () => {
    wide.log.events.push('fail')
    throw new Error('a reader that fails')
  }
  const { log } = await open({ topics: ['other'] })
  await settle()
  for (let at = 1; at < CURSOR_BYTES_MAX / 16; at++) store.create(`wide-${at}`)
  await settle()
  assert.equal(wide.log.events.at(-1), 'fail')
  assert.equal(wide.tail.cursor, undefined)
  assert.equal(wide.tail.progress().cursor, undefined)
  store.append('wide-0', 0, values('a'))
  store.append('other', 0, values('b'))
  await settle()
  assert.equal(log.records.at(-1), 'other/0@0=b')
})

test('what is taken away is never given, not even by a read that was under way', async () => {
  const { store, open, gate } = newTails()
  const orders = store.create('orders', 3)
  for (const partition of [0, 1, 2]) store.append('orders', partition, values('a', 'b'))
  const { log, tail } = await open({ sources: { kind: 'assigned', areAllKnown: () => true } })
  const answered = Promise.withResolvers<void>()
  gate.answer = answered.promise
  const at = (partition: number, offset: number) => ({ topic: orders, partition, offset })
  tail.assign([at(0, 0), at(1, 1)])
  await settle()
  tail.assign([at(1, 0), at(2, 1)])
  answered.resolve()
  await settle()
  assert.deepEqual(log.records.toSorted(), ['orders/1@1=b', 'orders/2@1=b'], 'what it had goes on where it was')
  tail.assign([])
  store.append('orders', 1, values('c'))
  await settle()
  assert.equal(log.records.length, 2)
  assert.deepEqual(tail.positions, [])
})

test('after a seek nothing comes of where it was', async () => {
  const { store, open, gate } = newTails()
  store.create('orders')
  store.append('orders', 0, many(6))
  const { log, tail } = await open({ batchRecords: 2 })
  const answered = Promise.withResolvers<void>()
  gate.answer = answered.promise
  await turnOfTheLoop()
  await turnOfTheLoop()
  const sought = tail.seek(parsePosition('4')).then(() => log.records.length)
  assert.equal(await sought, 0)
  answered.resolve()
  await settle()
  assert.deepEqual(log.records, ['orders/0@4=v4', 'orders/0@5=v5'])
  await assert.rejects(tail.seek(parsePosition('99')), hasCode('offset_out_of_range'))
  await tail.seek(parsePosition('-1'))
  await settle()
  assert.deepEqual(log.records.slice(2), ['orders/0@5=v5'])
})

test('what is appended waits for more, where that is asked for', async () => {
  const { store, open, clock } = newTails()
  store.create('orders')
  const { log } = await open({ batchWaitMs: 50 })
  await settle()
  clock.advance(50)
  store.append('orders', 0, values('a'))
  await settle()
  clock.advance(49)
  store.append('orders', 0, values('b'))
  await settle()
  assert.deepEqual(log.records, [])
  clock.advance(1)
  await settle()
  assert.deepEqual(log.records, ['orders/0@0=a', 'orders/0@1=b'])
  assert.equal(log.bodies.length, 1)
})

test('a filter moves on where nothing matches, and counts what it has looked at', async () => {
  const { store, open, form } = newTails()
  store.create('orders')
  for (let batch = 0; batch < 25; batch++) store.append('orders', 0, many(10_000))
  const filter = () => new RecordFilter({ key: Buffer.from('k') })
  const { log, tail } = await open({ filter: filter() })
  for (let turn = 0; turn < 20; turn++) await settle()
  assert.deepEqual(log.events, ['progress lag 150000', 'progress lag 50000', 'progress caught up'])
  assert.equal(log.lastProgress?.scanned, 250_000)
  assert.equal(tail.positions[0]?.offset, 250_000)
  const { log: second } = await open({ filter: filter(), from: 'latest' })
  await settle()
  store.append('orders', 0, [{ key: 'k', value: 'a' }, { value: 'b' }])
  await settle()
  assert.deepEqual([log.records, second.records], [['orders/0@250000=a'], ['orders/0@250000=a']])
  assert.deepEqual([log.lastProgress?.matched, form.encoders], [1, 1])
})

test('chunks are kept for those that are behind while there is room, and forgotten when nobody is', async () => {
  const { store, open, form } = newTails()
  store.create('orders')
  // what is kept beside a chunk counts too
  const size = TAIL_CHUNKS_BYTES_MAX / 4 - 4096
  const fat = { key: 'fat', newEncoder: () => ({ ...form.newEncoder(), size: 0, begin() {}, write() {}, finish }) }
  const finish = () => Buffer.alloc(size, '\n', 'latin1').subarray(0, size)
  const open1 = (credit?: { records: number }) => open({ form: fat, from: 'latest', ...(credit && { credit }) })
  const fast = await open1()
  const slow = await open1({ records: 0 })
  for (const { log } of [fast, slow]) log.countsLines = false
  await settle()
  const appendAll = async (count: number) => {
    for (let append = 0; append < count; append++) {
      store.append('orders', 0, values('a'))
      await settle()
    }
    slow.log.credit.records = count
    slow.tail.wake()
    await settle()
  }
  const isShared = (body: Buffer) => fast.log.bodies.includes(body)
  await appendAll(4)
  assert.equal(fast.log.bodies.length, 4)
  assert.deepEqual(slow.log.bodies.map(isShared), [true, true, true, true])
  await appendAll(5)
  assert.equal(fast.log.bodies.length, 9)
  assert.deepEqual(slow.log.bodies.slice(4).map(isShared), [false], 'the first was not there any more')
})

test('nothing is kept for who is behind where nobody else comes by', async () => {
  const { store, open } = newTails()
  store.create('orders')
  store.append('orders', 0, many(1_000))
  const fast = await open({ from: 'latest' })
  const late = await open({ credit: { records: 400 }, batchRecords: 400 })
  await settle()
  assert.equal(late.log.records.length, 400)
  store.append('orders', 0, values('a'))
  await settle()
  fast.log.chunks[0]?.taken()
  assert.equal(fast.log.bodies[0]?.length, 0, 'it was given back at once')
  late.log.credit.records = 1_000
  late.tail.wake()
  await settle()
  assert.deepEqual(late.log.records.slice(-1), ['orders/0@1000=a'])
})

test('who comes soon to where another has begun shares what is read from there; who comes later reads alone', async () => {
  const { store, open, clock, form } = newTails()
  store.create('orders')
  store.append('orders', 0, many(10))
  // it is behind: what is kept is not forgotten
  await open({ credit: { records: 0 } })
  const open1 = async () => {
    const { log } = await open({ batchRecords: 1 })
    await settle()
    assert.equal(log.records.length, 10)
    for (const chunk of log.chunks) chunk.taken()
    return log.bodies.filter(({ length }) => length > 0).length
  }
  assert.equal(await open1(), 10, 'for who comes soon')
  clock.advance(TAIL_START_SHARED_MS - 1)
  assert.deepEqual([await open1(), form.encoders], [10, 10])
  clock.advance(TAIL_START_SHARED_MS)
  assert.deepEqual([await open1(), form.encoders], [10, 10], 'what is kept is there for all')

  store.append('orders', 0, many(10))
  for (const name of ['the first', 'one that comes later']) {
    const { log } = await open({ from: '2', batchRecords: 2 })
    await settle()
    for (const chunk of log.chunks) chunk.taken()
    const kept = log.bodies.filter(({ length }) => length > 0)
    assert.deepEqual(kept, [], name)
    clock.advance(TAIL_START_SHARED_MS)
  }
})

test('a tail that is closed hears nothing more, nor does any when the service is', async () => {
  const { store, open, tails, telemetry, gate } = newTails()
  store.create('orders')
  store.append('orders', 0, values('a'))
  const answered = Promise.withResolvers<void>()
  gate.answer = answered.promise
  const [first, second] = [await open(), await open({ form: textForm('other') })]
  await turnOfTheLoop()
  assert.equal(telemetry.tails.open, 2)
  first.tail.close()
  first.tail.close()
  assert.equal(telemetry.tails.open, 1)
  await tails.close()
  answered.resolve()
  await settle()
  assert.deepEqual([first.log.events, second.log.events], [[], []])
  assert.equal(telemetry.tails.open, 0)
  assert.equal(store.waiting, 0)
  await assert.rejects(open(), hasCode('shutting_down'))
})

test('who has gone while a tail is opened gets none', async () => {
  const { store, open, telemetry } = newTails()
  store.create('orders')
  await assert.rejects(open({ signal: AbortSignal.abort() }), hasCode('request_cancelled'))
  assert.equal(telemetry.tails.open, 0)
})

test('many that have much to catch up with do not hold up who is at the end', async () => {
  const { store, open, gate } = newTails()
  store.create('orders')
  store.create('old')
  for (let batch = 0; batch < 8; batch++) store.append('old', 0, many(9_000))
  const { log } = await open({ from: 'latest' })
  for (let at = 0; at < 2 * TAIL_READS_MAX; at++) {
    await open({ topics: ['old'], batchRecords: 8_000, form: textForm(`form ${at}`) })
  }
  await settle()
  const answered = Promise.withResolvers<void>()
  gate.answer = answered.promise
  await settle()
  gate.answer = Promise.resolve()
  store.append('orders', 0, values('a'))
  await settle()
  assert.deepEqual(log.records, ['orders/0@0=a'])
  answered.resolve()
})

test('with drop_oldest nothing is left out of what is far behind the end and not behind its until', async () => {
  const { store, open } = newTails(new GoingClock())
  store.create('orders')
  store.append('orders', 0, many(20))
  const { tail, log } = await open({ until: 'latest', overflow: 'drop_oldest', credit: { records: 0 } })
  await settle()
  store.append('orders', 0, many(TAIL_OVERFLOW_RECORDS_MAX + 100))
  await settle()
  log.credit = { records: 100, bytes: 100_000 }
  tail.wake()
  await settle()
  assert.equal(log.records.length, 20)
  assert.deepEqual(log.events.slice(20), ['end until'])
})

test('what was appended is shown though a read that is older learns the end of its partition', () => {
  const store = new ReadableEngine()
  const topic = store.create('orders')
  const layout = new TailLayout([{ topic, whole: true, partitions: [0] }])
  const head = new TailHead('k', layout, 0, {
    clock: store.clock,
    turns: { enqueue() {} } as unknown as TailTurns,
    faulted() {},
  })
  head.endUnknown(0)
  head.appended(topic, 0, 11)
  head.learnEnd(layout, 0, 10)
  head.takeTurn()
  assert.equal(head.ends[0], 11)
})

test('a topic that is deleted while a tail of it is being opened refuses that tail, or ends it; a pattern without it stays', async () => {
  for (let delay = 0; delay < 20; delay++) {
    const { store, open } = newTails()
    const named = new TailLog()
    const pattern = new TailLog()
    store.create('orders')
    store.append('orders', 0, many(3))
    const opening = open({ from: '-1', reader: named }).catch(({ code }: TailraceError) => code)
    const sources = { kind: 'pattern', subscription: { pattern: 'ord.*' } } as const
    const openingPattern = open({ reader: pattern, sources }).catch(({ code }: TailraceError) => code)
    for (let at = 0; at < delay; at++) await Promise.resolve()
    store.drop('orders')
    const opened = await opening
    await settle()
    if (typeof opened === 'string') assert.equal(opened, 'unknown_topic_or_partition', `${delay} microtasks later`)
    else assert.equal(named.events.at(-1), 'end topic_deleted', `${delay} microtasks later`)
    const ofPattern = await openingPattern
    if (typeof ofPattern === 'string') assert.equal(ofPattern, 'unknown_topic_or_partition')
    else assert.deepEqual([ofPattern.tail.positions, pattern.errors], [[], []])
  }
})

test('chunks in which nothing was found are bounded too', async () => {
  const { chunks, head, placeAt, kind } = newChunks(0)
  const places: TailPlace[] = []
  for (let at = 0; at < 8_000; at++) {
    const place = placeAt()
    if (at < 100) places.push(place)
    chunks.at(head, place, kind)
    if (at % 1_000 === 0) await turnOfTheLoop()
  }
  await settle()
  assert.ok(chunks.keptBytes > TAIL_CHUNKS_BYTES_MAX / 2 && chunks.keptBytes <= TAIL_CHUNKS_BYTES_MAX)
  assert.ok(places.every(({ chunks: made }) => made?.size === 0))
})

test('a chunk whose tails have gone before it was read is kept for nobody', async () => {
  const { chunks, head, placeAt, kind } = newChunks(1_000)
  chunks.at(head, placeAt(), kind)
  head.isIdle = true
  chunks.forget(head)
  await settle()
  assert.equal(chunks.keptBytes, 0)
})

/** Chunks over reads that give so many bytes. */
function newChunks(bytes: number) {
  const store = new ReadableEngine()
  const partitions = [...Array(1_000).keys()]
  const layout = new TailLayout([{ topic: store.create('orders', 1_000), whole: true, partitions }])
  const placeAt = () => Object.assign(new TailPlace(layout, new Float64Array(1_000)), { isShared: true })
  const chunk = bytes === 0 ? undefined : { body: Buffer.alloc(bytes), recordCount: 1, hold() {}, taken() {} }
  const nothing = { gaps: [], scanned: 1, filterErrors: 0, dropped: 0 }
  const reads = { read: async () => ({ ...nothing, chunk, next: placeAt() }) } as unknown as TailReads
  const chunks = new TailChunks({ reads, pace: {} as CatchUpPace, turns: { enqueue() {} } as unknown as TailTurns })
  const head = { isIdle: false, ends: new Float64Array(1_000) } as { isIdle: boolean } & TailHead
  return { chunks, head, placeAt, kind: { key: 'k', form: textForm(), filter: undefined, batchRecords: 100 } }
}

test('what tails that are gone had waited for is not read', async () => {
  const { store, open, clock } = newTails(new GoingClock())
  store.create('orders')
  for (let at = 0; at < 200; at++) store.append('orders', 0, values(...Array<string>(10).fill('x'.repeat(1_000))))
  for (let at = 0; at < 30; at++) {
    const { tail } = await open({ credit: { bytes: 300_000 }, batchRecords: 10_000 })
    for (let turn = 0; turn < 12; turn++) await turnOfTheLoop()
    tail.wake()
    tail.close()
    // as long as records come in, reads of those that are far behind have rests
    store.append('orders', 0, values('y'))
  }
  const before = store.fetches.length
  for (let at = 0; at < 50; at++) {
    await settle()
    clock.advance(50)
    store.append('orders', 0, values('z'))
  }
  assert.equal(store.fetches.length, before)
})

test('a head whose last tail leaves while its pattern is matched anew listens to nothing any more', async (t) => {
  const told = t.mock.method(TailHead.prototype, 'appended')
  for (let delay = 0; delay < 12; delay++) {
    const { store, open } = newTails()
    store.create('orders-1')
    const { tail } = await open({ sources: { kind: 'pattern', subscription: { pattern: 'orders-.*' } } })
    await settle()
    store.create('orders-2')
    for (let at = 0; at < delay; at++) await Promise.resolve()
    tail.close()
    await settle()
    told.mock.resetCalls()
    store.append('orders-1', 0, values('a'))
    assert.equal(told.mock.callCount(), 0, `closed ${delay} microtasks later`)
  }
})
