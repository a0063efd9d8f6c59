// Producers that are silent for producer.id.expiration.ms are forgotten, over restarts and kills, and never sooner.

import assert from 'node:assert/strict'
import { cpSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import type { Engine, Topic } from '../../src/engine/engine.ts'
import { PRODUCER_NAMES_MAX } from '../../src/kernel/limits.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { openMetaDatabase } from '../../src/local-engine/meta-schema.ts'
import { sealBatch } from '../../src/record/record-batch.ts'
import { toParts } from '../record/records.ts'
import { openService, refusal } from '../service/produce-fixture.ts'
import { CheckClock } from '../support/check-clock.ts'
import { engineOptions, producerId, temporaryDirectory } from '../support/engine-options.ts'
import type { FakeClock } from '../support/fake-clock.ts'
import { Random } from '../support/random.ts'

const HOUR_MS = 3_600_000
const EXPIRATION_MS = 24 * HOUR_MS
const CHECK_MS = 600_000
/** A row is dated ahead: a name may live so much longer. */
const ADVANCE_MS = HOUR_MS

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

async function openEngine(t: TestContext, dataDir: string, clock: FakeClock): Promise<Engine> {
  const engine = await openLocalEngine(engineOptions(dataDir, { clock, producerExpirationMs: EXPIRATION_MS }))
  t.after(() => engine.close())
  return engine
}

/** What a kill of the server leaves behind. */
function killed(t: TestContext, dataDir: string): string {
  const left = temporaryDirectory(t)
  cpSync(dataDir, left, { recursive: true })
  return left
}

async function open(t: TestContext) {
  const dataDir = temporaryDirectory(t)
  const clock = new CheckClock(CHECK_MS)
  return { dataDir, clock, engine: await openEngine(t, dataDir, clock) }
}

function append(engine: Engine, topic: Topic, partition: number, id: bigint, sequence: number, value = 'v') {
  const records = toParts([{ timestamp: 1_767_225_600_000, key: null, value, headers: [] }])
  const numbers = { producerId: id, producerEpoch: 0, baseSequence: sequence }
  return engine.append(topic, partition, [sealBatch(records, { compression: 'none', ...numbers })], 'all')
}

function rowsOf(dataDir: string, file: string, table: string): number {
  const db = new Database(join(dataDir, file), { readonly: true })
  try {
    return db.prepare(`SELECT count(*) FROM ${table}`).pluck().get() as number
  } finally {
    db.close()
  }
}

test('a silent name is forgotten, one in use is not, and no id is given again after a restart', async (t) => {
  const { dataDir, clock, engine } = await open(t)
  const busy = await producerId(engine, 'busy')
  const silent = await producerId(engine, 'silent')
  for (let hour = 0; hour < 30; hour++) {
    await clock.pass(HOUR_MS)
    assert.equal(await producerId(engine, 'busy'), busy)
  }
  assert.equal(rowsOf(dataDir, 'meta.db', 'producers'), 1)
  await engine.close()

  const again = await openEngine(t, dataDir, clock)
  const back = await producerId(again, 'silent')
  assert.ok(back > silent, `${back} after ${silent}`)
  assert.equal(await producerId(again, 'busy'), busy)
})

test('who comes back after its name was forgotten is told to begin at 0, whatever number it goes on with', async (t) => {
  const { dataDir, clock, engine } = await open(t)
  await engine.createTopic({ name: 't', partitionCount: 3 })
  const start =
    (on: Engine) =>
    (sequence: number, specs = [{ key: 'a' }, { key: 'b' }, { key: 'c' }]) =>
      openService(on).produce('t', specs, { producer: { name: 'p', epoch: 2, sequence } })
  for (let sequence = 0; sequence < 5; sequence++) await start(engine)(sequence)
  const beforeKill = killed(t, dataDir)
  await clock.pass(EXPIRATION_MS - CHECK_MS)
  assert.equal((await start(engine)(4)).duplicate, true)

  await clock.pass(EXPIRATION_MS + ADVANCE_MS + CHECK_MS)
  const late = start(engine)
  for (const sequence of [5, 4, 1]) {
    await assert.rejects(late(sequence), refusal('out_of_order_sequence_number', { expected: 0, received: sequence }))
  }
  assert.equal((await late(0)).duplicate, false)
  assert.equal((await late(0)).duplicate, true)
  const service = openService(engine)
  const old = { producer: { name: 'p', epoch: 1, sequence: 0 } }
  await assert.rejects(service.produce('t', [{}], old), refusal('invalid_producer_epoch', { current_epoch: 2 }))

  // of a server that was killed and is started a day later the same is true once it has looked
  const revived = await openEngine(t, beforeKill, clock)
  await clock.pass(CHECK_MS)
  await assert.rejects(start(revived)(5), refusal('out_of_order_sequence_number', { expected: 0, received: 5 }))
})

test('a service that has known a producer for long learns that it was forgotten', async (t) => {
  const { clock, engine } = await open(t)
  await engine.createTopic({ name: 't' })
  const { produce } = openService(engine)
  const send = (sequence: number) => produce('t', [{}], { producer: { name: 'p', epoch: 0, sequence } })
  for (let sequence = 0; sequence < 5; sequence++) await send(sequence)
  await clock.pass(EXPIRATION_MS + ADVANCE_MS + CHECK_MS)
  await assert.rejects(send(5), refusal('out_of_order_sequence_number', { expected: 0, received: 5 }))
  await assert.rejects(send(4), refusal('out_of_order_sequence_number', { expected: 0, received: 4 }))
  assert.equal((await send(0)).offset(0), 5)
})

test('a topic that a producer left a day ago still knows its repeats, as long as the name is in use', async (t) => {
  const { clock, engine } = await open(t)
  for (const name of ['left', 'used']) await engine.createTopic({ name, partitionCount: 2 })
  const { produce } = openService(engine)
  const send = (topic: string, sequence: number) =>
    produce(topic, [{ partition: 0 }, { partition: 1 }], { producer: { name: 'p', epoch: 0, sequence } })
  await send('left', 0)
  await send('left', 1)
  for (let sequence = 0; sequence < 30; sequence++) {
    await clock.pass(HOUR_MS)
    await send('used', sequence)
  }
  assert.equal((await send('left', 1)).duplicate, true)
  assert.equal((await send('left', 2)).duplicate, false)
})

test('a name with a request under way is not forgotten, however long that takes', async (t) => {
  const { clock, engine } = await open(t)
  const under = Promise.withResolvers<void>()
  let inside: bigint | undefined
  const long = engine.withProducerId('p', async (id) => {
    inside = id
    await under.promise
  })
  while (inside === undefined) await nextTurn()
  for (let day = 0; day < 3; day++) await clock.pass(EXPIRATION_MS + ADVANCE_MS)
  assert.equal(await producerId(engine, 'p'), inside)
  await clock.pass(EXPIRATION_MS - CHECK_MS)
  under.resolve()
  await long
  await clock.pass(EXPIRATION_MS - CHECK_MS)
  assert.equal(await producerId(engine, 'p'), inside, 'silence begins when the request has ended')
})

test('a step of the wall clock makes nobody forgotten', async (t) => {
  const { clock, engine } = await open(t)
  const topic = await engine.createTopic({ name: 't' })
  const id = await producerId(engine, 'p')
  await append(engine, topic, 0, 5n, 0)
  clock.step(3 * EXPIRATION_MS)
  await clock.pass(CHECK_MS)
  assert.equal(await producerId(engine, 'p'), id)
  assert.equal((await engine.producerState(topic, 5n)).length, 1)
})

test('requests that come while their name is being forgotten share one new id', async (t) => {
  const { clock, engine } = await open(t)
  for (let round = 0; round < 20; round++) {
    const old = await producerId(engine, 'p')
    const passing = clock.pass(EXPIRATION_MS + ADVANCE_MS + CHECK_MS)
    for (let turn = 0; turn < round % 5; turn++) await nextTurn()
    const [one, two] = await Promise.all([producerId(engine, 'p'), producerId(engine, 'p')])
    await passing
    assert.equal(one, two)
    assert.ok((one as bigint) > old, `round ${round}`)
    assert.equal(await producerId(engine, 'p'), one)
  }
})

test('no history of uses, restarts and kills forgets a name too soon or gives an id twice', async (t) => {
  const seed = Math.floor(Math.random() * 2 ** 32)
  const random = new Random(seed)
  t.diagnostic(`seed ${seed}`)
  const clock = new CheckClock(CHECK_MS)
  let dataDir = temporaryDirectory(t)
  let engine = await openEngine(t, dataDir, clock)
  const known = new Map<string, { id: bigint; usedMs: number }>()
  const given = new Map<bigint, string>()
  for (let step = 0; step < 150; step++) {
    const dice = random.next()
    if (dice < 0.04) {
      await engine.close()
      engine = await openEngine(t, dataDir, clock)
    } else if (dice < 0.08) {
      const left = killed(t, dataDir)
      await engine.close()
      dataDir = left
      engine = await openEngine(t, dataDir, clock)
    } else if (dice < 0.4) {
      await clock.pass(CHECK_MS + Math.floor(random.next() * random.next() * 10 * HOUR_MS))
    } else {
      const name = `p${random.below(8)}`
      const before = known.get(name)
      const id = await producerId(engine, name)
      const silentMs = clock.now() - (before?.usedMs ?? 0)
      if (before !== undefined && silentMs <= EXPIRATION_MS) assert.equal(id, before.id, `seed ${seed}, step ${step}`)
      if (id !== before?.id) assert.equal(given.get(id), undefined, `seed ${seed}, step ${step}: id given twice`)
      given.set(id, name)
      known.set(name, { id, usedMs: clock.now() })
    }
  }
  const [name = ''] = known.keys()
  await clock.pass(EXPIRATION_MS + ADVANCE_MS + CHECK_MS)
  assert.equal(given.get(await producerId(engine, name)), undefined, `seed ${seed}: ${name} was not forgotten`)
})

test('at the bound new names are refused, until silent ones are forgotten', async (t) => {
  const dataDir = temporaryDirectory(t)
  const clock = new CheckClock(CHECK_MS)
  const db = openMetaDatabase(join(dataDir, 'meta.db'))
  const add = db.prepare('INSERT INTO producers VALUES (?, ?, ?)')
  db.transaction(() => {
    for (let at = 0; at < PRODUCER_NAMES_MAX; at++) add.run(`p${at}`, (1n << 62n) + BigInt(at), clock.now() + at)
  })()
  db.close()
  const engine = await openEngine(t, dataDir, clock)
  await assert.rejects(producerId(engine, 'one too many'), { code: 'overloaded' })
  assert.equal(await producerId(engine, 'p7'), (1n << 62n) + 7n)
  await clock.pass(EXPIRATION_MS + PRODUCER_NAMES_MAX / 2)
  assert.equal(await producerId(engine, 'one too many'), (1n << 62n) + BigInt(PRODUCER_NAMES_MAX))
  assert.equal(await producerId(engine, 'p7'), (1n << 62n) + 7n)
  const left = rowsOf(dataDir, 'meta.db', 'producers')
  assert.ok(left > PRODUCER_NAMES_MAX / 2 && left < PRODUCER_NAMES_MAX / 2 + 10, `${left} names are left`)
})

test('what partitions, index.db, snapshots and growths remember of a forgotten producer goes too', async (t) => {
  const { dataDir, clock, engine } = await open(t)
  const topic = await engine.createTopic({ name: 't', partitionCount: 2, configs: { 'segment.bytes': '65536' } })
  const [gone, kept] = [await producerId(engine, 'gone'), await producerId(engine, 'kept')]
  for (const id of [gone, kept, 5n]) for (const partition of [0, 1]) await append(engine, topic, partition, id, 0)
  const grown = await engine.growTopic('t', 3)
  assert.deepEqual([...(grown.growths[0]?.lastSequences.keys() ?? [])], [gone, kept], 'of those with a name')
  for (let hour = 0; hour < 26; hour++) {
    await clock.pass(HOUR_MS)
    await producerId(engine, 'kept')
  }
  for (const id of [gone, 5n]) assert.deepEqual(await engine.producerState(grown, id), [])
  assert.equal((await engine.producerState(grown, kept)).length, 2)
  assert.deepEqual([...(engine.findTopic('t')?.growths[0]?.lastSequences.keys() ?? [])], [kept])
  assert.equal(rowsOf(dataDir, 'meta.db', 'growths'), 1)
  assert.equal(rowsOf(dataDir, 'index.db', 'producers'), 2)

  await append(engine, grown, 0, kept, 1, 'x'.repeat(66_000))
  const folder = join(dataDir, 'topics', 't-0')
  const snapshots = readdirSync(folder).filter((name) => name.endsWith('.snapshot'))
  assert.equal(snapshots.length, 1)
  assert.match(readFileSync(join(folder, snapshots[0] as string), 'utf8'), new RegExp(`^\\S+\\n${kept} .*\\n\\S+\\n$`))
})

test('a partition that is not open forgets once it is, and index.db with it', async (t) => {
  const { dataDir, clock, engine } = await open(t)
  const topic = await engine.createTopic({ name: 't', partitionCount: 2 })
  const id = await producerId(engine, 'p')
  for (const partition of [0, 1]) await append(engine, topic, partition, id, 0)
  await engine.close()
  const again = await openEngine(t, dataDir, clock)
  await clock.pass(EXPIRATION_MS + ADVANCE_MS + CHECK_MS)
  assert.equal(rowsOf(dataDir, 'meta.db', 'producers'), 0)
  assert.equal(rowsOf(dataDir, 'index.db', 'producers'), 2)
  await again.fetch([{ topic, partition: 1, offset: 0 }], {
    minBytes: 0,
    maxBytes: 1_000,
    maxWaitMs: 0,
    isolation: 'read_committed',
  })
  await clock.pass(CHECK_MS)
  assert.equal(rowsOf(dataDir, 'index.db', 'producers'), 1)
})
