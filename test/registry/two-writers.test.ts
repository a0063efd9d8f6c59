// Two nodes that both think that it is they who write the registry, on one engine: whatever was answered holds for good, on
// every node, whether or not the topic was compacted since.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { after, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Engine } from '../../src/engine/engine.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { registryCodeOf } from '../../src/registry/registry-failure.ts'
import { SCHEMA_FORMATS } from '../../src/registry/schema-formats.ts'
import type { WriterSeat } from '../../src/registry/schema-registry.ts'
import { SchemaRegistry } from '../../src/registry/schema-registry.ts'
import { notTheWriter } from '../../src/registry/schema-writer.ts'
import { engineOptions, temporaryDirectory } from '../support/engine-options.ts'
import { Random } from '../support/random.ts'
import { recordOf } from '../support/schema-registry.ts'
import type { SchemaRow } from '../support/schema-rows.ts'
import { compacted, rowsOf, seen, stateOf } from '../support/schema-rows.ts'
import { viewOf } from '../support/shared-engine.ts'

/** Writes for as long as it thinks that it may. */
class Seat implements WriterSeat {
  readonly name: string
  isHere = true

  constructor(name: string) {
    this.name = name
  }

  async place() {
    return this.isHere ? ('here' as const) : { url: 'http://elsewhere' }
  }

  async own() {
    if (!this.isHere) throw notTheWriter()
  }
}

let opened: Promise<Engine> | undefined
after(async () => (await opened)?.close())
const directory = temporaryDirectory({ after })

/** One for all tests, without schemas. */
async function given(): Promise<Engine> {
  opened ??= openLocalEngine(engineOptions(directory))
  const engine = await opened
  if (engine.findTopic('_schemas') !== undefined) await engine.deleteTopic('_schemas')
  return engine
}

let nodes = 0

async function nodeOn(t: TestContext, engine: Engine, name: string) {
  const view = viewOf(engine)
  const seat = new Seat(`${name}-${nodes++}`)
  const options = { engine: view.engine, clock: systemClock, logger: silentLogger, formats: SCHEMA_FORMATS }
  const registry = new SchemaRegistry({ ...options, writer: seat })
  t.after(() => registry.close())
  await registry.ready()
  return { view, seat, registry }
}

const request = (schema: string) => ({ schemaType: 'AVRO' as const, schema, references: [] })

const text = (at: number) => recordOf(`S${at}`, { a: 'int' })

/** Every node, one that begins now, and one that begins when compaction has been there, know the same. */
async function checkOneTruth(t: TestContext, engine: Engine, registries: readonly SchemaRegistry[]) {
  const fresh = await nodeOn(t, engine, 'fresh')
  const now = seen(fresh.registry.state)
  for (const registry of registries) {
    await registry.ready()
    assert.deepEqual(seen(registry.state), now)
  }
  return { now, rows: await rowsOf(engine), state: fresh.registry.state }
}

function checkCompacted(rows: readonly SchemaRow[], expected: ReturnType<typeof seen>): void {
  for (let count = 0; count <= rows.length; count++) {
    const shown = seen(stateOf(compacted(rows, count)))
    assert.ok(isDeepStrictEqual(shown, expected), `the first ${count} of ${rows.length} compacted`)
  }
}

test('two that write at once: what was answered holds, and ids have no holes', async (t) => {
  const engine = await given()
  const nodes = [await nodeOn(t, engine, 'one'), await nodeOn(t, engine, 'two')]
  const seed = Date.now() % 0x7fff_ffff
  t.diagnostic(`seed ${seed}`)
  const random = new Random(seed)
  const answered: { readonly id: number; readonly text: string; readonly version: number; readonly subject: string }[] =
    []
  let refused = 0
  for (let round = 0; round < 20; round++) {
    const writes = nodes.map(async ({ registry }) => {
      const subject = `s${random.below(3)}`
      const schema = text(random.below(60))
      try {
        await registry.changeSettings(subject, { compatibilityLevel: 'NONE' })
        const { id, version } = (await registry.register(subject, request(schema))).schema
        answered.push({ id, text: schema, version, subject })
      } catch (error) {
        assert.ok(error instanceof TailraceError && error.code === 'overloaded', String(error))
        refused++
      }
    })
    await Promise.all(writes)
  }
  assert.ok(answered.length > 10, `${answered.length} were answered, ${refused} refused`)
  const { rows, state } = await checkOneTruth(
    t,
    engine,
    nodes.map(({ registry }) => registry),
  )
  for (const { id, text: schema, version, subject } of answered) {
    assert.equal(state.version(subject, version)?.schema.schema, schema)
    assert.equal(state.version(subject, version)?.schema.id, id)
  }
  const ids = new Set([...state.subjects].flatMap((one) => state.versions(one).map(({ schema }) => schema.id)))
  assert.equal(state.maxId('.'), ids.size, 'no holes')
  // what was passed over was written again by the next one who wrote
  await (nodes[0] as (typeof nodes)[number]).registry.changeSettings('', { normalize: false })
  const all = await rowsOf(engine)
  const last = seen(stateOf(all))
  assert.ok(all.length > rows.length)
  checkCompacted(all, last)
})

/** `write` is planned, and held until the other node has written. */
async function overtaken(
  t: TestContext,
  before: (registry: SchemaRegistry) => Promise<unknown>,
  write: (registry: SchemaRegistry) => Promise<unknown>,
  other: (registry: SchemaRegistry) => Promise<unknown>,
) {
  const engine = await given()
  const paused = await nodeOn(t, engine, 'paused')
  const next = await nodeOn(t, engine, 'next')
  await paused.registry.changeSettings('', { compatibilityLevel: 'NONE' })
  await before(paused.registry)
  const held = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<void>()
  paused.view.beforeAppend = () => {
    reached.resolve()
    return held.promise
  }
  const late = write(paused.registry).then(
    (value) => value,
    (error: unknown) => error,
  )
  await reached.promise
  const answer = await other(next.registry)
  const before_ = seen(next.registry.state)
  paused.seat.isHere = false
  held.resolve()
  const refusal = await late
  assert.ok(refusal instanceof TailraceError && registryCodeOf(refusal) === 50004, String(refusal))
  const { now } = await checkOneTruth(t, engine, [paused.registry, next.registry])
  assert.deepEqual(now, before_, 'as if it had not been written')
  // who writes has restored it
  for (let turns = 0; [...next.registry.state.displaced].length > 0; turns++) {
    assert.ok(turns < 10_000)
    await turn()
  }
  const { rows, now: restored } = await checkOneTruth(t, engine, [paused.registry, next.registry])
  assert.deepEqual(restored, now)
  checkCompacted(rows, now)
  return { answer, registry: next.registry }
}

const register = (subject: string, at: number) => (registry: SchemaRegistry) =>
  registry.register(subject, request(text(at)))

test('a version that comes too late is passed over, whatever else would have its id or its place', async (t) => {
  const first = await overtaken(t, register('a', 0), register('a', 1), register('a', 2))
  assert.equal(first.registry.version('a', 2).schema, text(2))
  const shared = await overtaken(
    t,
    (r) => Promise.all([register('a', 0)(r), register('b', 1)(r)]),
    register('a', 1),
    register('a', 2),
  )
  assert.equal(shared.registry.version('a', 2).schema, text(2))
  assert.equal(shared.registry.byId(3).schema, text(2))
  await overtaken(t, register('a', 0), register(':.c:x', 1), register('b', 2))
})

test('a deletion, a setting or a mode that comes too late is passed over', async (t) => {
  const two = async (registry: SchemaRegistry) => {
    await register('a', 0)(registry)
    await register('a', 1)(registry)
  }
  await overtaken(t, two, (r) => r.deleteSubject('a', false), register('a', 2))
  await overtaken(t, two, (r) => r.deleteVersion('a', 2, false), register('a', 2))
  await overtaken(
    t,
    async (r) => {
      await two(r)
      await r.deleteVersion('a', 1, false)
    },
    (r) => r.deleteVersion('a', 1, true),
    register('b', 1),
  )
  await overtaken(
    t,
    two,
    (r) => r.deleteSubject('a', false),
    (r) => r.deleteSubject('a', false),
  )
  await overtaken(
    t,
    two,
    (r) => r.changeSettings('a', { compatibilityLevel: 'FULL' }),
    (r) => r.changeSettings('a', { compatibilityLevel: 'BACKWARD' }),
  )
  await overtaken(t, two, (r) => r.changeMode('a', 'READONLY', false), register('a', 3))
  await overtaken(
    t,
    async (r) => {
      await register(':.c:x', 0)(r)
      await r.deleteSubject(':.c:x', false)
      await r.deleteSubject(':.c:x', true)
    },
    (r) => r.deleteContext('.c'),
    register('b', 0),
  )
})

test('a history of three that write at once, now one, now all: one truth, whenever the topic is compacted', async (t) => {
  const engine = await given()
  const seed = Date.now() % 0x7fff_ffff
  t.diagnostic(`seed ${seed}`)
  const random = new Random(seed)
  const nodes = await Promise.all(['one', 'two', 'three'].map((name) => nodeOn(t, engine, name)))
  await nodes[0]?.registry.changeSettings('', { compatibilityLevel: 'NONE' })
  for (const { view, seat } of nodes) {
    view.beforeAppend = async () => {
      const isPaused = random.chance(0.2)
      for (let turns = random.below(isPaused ? 2_000 : 20); turns > 0; turns--) await turn()
      // it goes on where it was, and learns that it may not any more
      if (isPaused) seat.isHere = false
    }
  }
  for (let round = 0; round < 25; round++) {
    for (const { seat } of nodes) seat.isHere = true
    const writes = nodes.map(async ({ registry }) => {
      const subject = random.pick(['a', 'b', ':.c:a'])
      const permanent = random.chance(0.4)
      const write = random.pick([
        () => registry.register(subject, request(text(random.below(6)))),
        () => registry.register(subject, request(text(random.below(6)))),
        () => registry.deleteSubject(subject, permanent),
        () => registry.deleteVersion(subject, 'latest', false),
        () => registry.deleteVersion(subject, 1 + random.below(4), permanent),
        () => registry.changeSettings(subject, { normalize: permanent }),
        () => registry.deleteSettings(subject),
        () => registry.changeMode(subject, 'READWRITE', false),
        () => registry.deleteMode(subject, false),
      ])
      await write().catch((error: unknown) => assert.ok(error instanceof TailraceError, String(error)))
    })
    await Promise.all(writes)
  }
  // what they still have to restore comes to its end, and one does the rest
  for (const { registry, view, seat } of nodes) {
    seat.isHere = false
    view.beforeAppend = () => {}
    await assert.rejects(registry.changeSettings('', { normalize: false }))
  }
  const last = nodes[1] as (typeof nodes)[number]
  last.seat.isHere = true
  await last.registry.changeSettings('', { normalize: false })
  const { now, rows } = await checkOneTruth(
    t,
    engine,
    nodes.map(({ registry }) => registry),
  )
  const taken: boolean[] = []
  stateOf(rows, taken)
  assert.ok(taken.includes(false), 'some were passed over')
  checkCompacted(rows, now)
})

test('what comes too late is planned again by one who writes again', async (t) => {
  const engine = await given()
  const paused = await nodeOn(t, engine, 'paused')
  const next = await nodeOn(t, engine, 'next')
  await register('a', 0)(paused.registry)
  const held = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<void>()
  paused.view.beforeAppend = () => {
    reached.resolve()
    return held.promise
  }
  const late = register('b', 1)(paused.registry)
  await reached.promise
  assert.equal((await register('c', 2)(next.registry)).schema.id, 2)
  held.resolve()
  assert.equal((await late).schema.id, 3)
  assert.equal((await register('d', 1)(next.registry)).schema.id, 3)
  await checkOneTruth(t, engine, [paused.registry, next.registry])
})

test('who becomes the writer says so first, in Confluent’s form, and once', async (t) => {
  const engine = await given()
  const one = await nodeOn(t, engine, 'one')
  assert.equal(engine.findTopic('_schemas'), undefined, 'not before there is something to write')
  await register('a', 0)(one.registry)
  await register('a', 0)(one.registry)
  await register('b', 1)(one.registry)
  const rows = await rowsOf(engine)
  assert.deepEqual(
    rows.map(({ key, author }) => [JSON.parse(key).keytype, author?.claim]),
    [
      ['NOOP', 1],
      ['SCHEMA', 1],
      ['SCHEMA', 1],
    ],
  )
  assert.deepEqual([rows[0]?.key, rows[0]?.value], ['{"keytype":"NOOP","magic":0}', null])
})
