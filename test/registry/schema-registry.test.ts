// The registry on a real engine: a history of verbs against a small model of them; what another node makes of the same
// topic, whole or compacted; and what happens when the topic cannot be read, or is gone.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import type { Engine } from '../../src/engine/engine.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { registryCodeOf } from '../../src/registry/registry-failure.ts'
import { SCHEMA_FORMATS } from '../../src/registry/schema-formats.ts'
import { SchemaRegistry } from '../../src/registry/schema-registry.ts'
import { engineOptions, temporaryDirectory } from '../support/engine-options.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { Random } from '../support/random.ts'
import { recordOf } from '../support/schema-registry.ts'
import { compacted, rowsOf, seen, stateOf } from '../support/schema-rows.ts'

const request = (schema: string) => ({ schemaType: 'AVRO' as const, schema, references: [] })

async function given(t: TestContext) {
  const engine = await openLocalEngine(engineOptions(temporaryDirectory(t)))
  const registry = registryOn(t, engine)
  t.after(() => engine.close())
  await registry.ready()
  return { engine, registry }
}

function registryOn(t: TestContext, engine: Engine, clock = systemClock): SchemaRegistry {
  const registry = new SchemaRegistry({ engine, clock, logger: silentLogger, formats: SCHEMA_FORMATS })
  t.after(() => registry.close())
  return registry
}

interface ModelVersion {
  readonly version: number
  readonly id: number
  readonly text: string
  deleted: boolean
}

/** What the verbs do, with nothing but lists. The level is NONE, no schema refers to another. */
class Model {
  readonly subjects = new Map<string, ModelVersion[]>()
  readonly #maxIds = new Map<string, number>()

  register(subject: string, text: string): string {
    const versions = this.subjects.get(subject) ?? []
    const there = versions.findLast((one) => !one.deleted && one.text === text)
    if (there !== undefined) return `${there.id}/${there.version}`
    const context = contextOf(subject)
    const known = [...this.subjects].flatMap(([name, list]) => (contextOf(name) === context ? list : []))
    const id = known.find((one) => one.text === text)?.id ?? (this.#maxIds.get(context) ?? 0) + 1
    this.#maxIds.set(context, Math.max(id, this.#maxIds.get(context) ?? 0))
    const version = (versions.at(-1)?.version ?? 0) + 1
    const kept = versions.filter((one) => !(one.deleted && one.id === id))
    this.subjects.set(subject, [...kept, { version, id, text, deleted: false }])
    return `${id}/${version}`
  }

  deleteVersion(subject: string, version: number, permanent: boolean): string {
    const versions = this.subjects.get(subject)
    if (versions === undefined) return '40401'
    const found = versions.find((one) => one.version === version)
    if (found === undefined) return '40402'
    if (found.deleted !== permanent) return permanent ? '40407' : '40406'
    if (permanent)
      this.#keep(
        subject,
        versions.filter((one) => one !== found),
      )
    else found.deleted = true
    return String(version)
  }

  deleteSubject(subject: string, permanent: boolean): string {
    const versions = this.subjects.get(subject)
    if (versions === undefined) return '40401'
    const live = versions.filter((one) => !one.deleted)
    if (permanent && live.length > 0) return '40405'
    if (!permanent && live.length === 0) return '40404'
    const meant = permanent ? versions : live
    for (const one of meant) one.deleted = true
    if (permanent) this.#keep(subject, [])
    return meant.map(({ version }) => version).join()
  }

  #keep(subject: string, versions: ModelVersion[]): void {
    if (versions.length === 0) this.subjects.delete(subject)
    else this.subjects.set(subject, versions)
  }
}

const contextOf = (subject: string) => /^:(\.[^:]+):/.exec(subject)?.[1] ?? '.'

const SUBJECTS = ['a', 'b', ':.c:a', ':.c:b']
const TEXTS = ['int', 'string', 'long'].map((type) => recordOf('R', { a: type }))

test('a history of verbs does what a small model does, and every node makes the same of it', async (t) => {
  const seed = Date.now() % 0x7fff_ffff
  t.diagnostic(`seed ${seed}`)
  const random = new Random(seed)
  const { engine, registry } = await given(t)
  const model = new Model()
  await registry.changeSettings(':.__GLOBAL:', { compatibilityLevel: 'NONE' })

  for (let step = 0; step < 300; step++) {
    const subject = random.pick(SUBJECTS)
    const text = random.pick(TEXTS)
    const version = 1 + random.below(4)
    const permanent = random.chance(0.4)
    const [what, expected, done] = random.pick([
      () => ['register', model.register(subject, text), register()] as const,
      () => ['register', model.register(subject, text), register()] as const,
      () =>
        [
          'delete version',
          model.deleteVersion(subject, version, permanent),
          registry.deleteVersion(subject, version, permanent),
        ] as const,
      () =>
        [
          'delete subject',
          model.deleteSubject(subject, permanent),
          registry.deleteSubject(subject, permanent),
        ] as const,
    ])()
    async function register() {
      const { schema } = await registry.register(subject, request(text))
      return `${schema.id}/${schema.version}`
    }
    assert.equal(await outcomeOf(done), expected, `step ${step}: ${what} ${subject} ${version} ${permanent}`)
  }
  const expected = [...model.subjects].sort().map(([, versions]) => versions)
  const shown = [...registry.state.subjects]
    .sort()
    .map((subject) =>
      registry.state
        .versions(subject)
        .map(({ schema: { version, id, schema, deleted } }) => ({ version, id, text: schema, deleted })),
    )
  assert.deepEqual(shown, expected)

  const rows = await rowsOf(engine)
  const now = seen(registry.state)
  const taken: boolean[] = []
  assert.deepEqual(seen(stateOf(rows, taken)), now, 'replayed')
  assert.ok(taken.every(Boolean))
  for (let at = 0; at < 20; at++) {
    assert.deepEqual(seen(stateOf(compacted(rows, random.below(rows.length + 1)))), now, 'compacted and replayed')
  }
  const other = registryOn(t, engine)
  await other.ready()
  assert.deepEqual(seen(other.state), now)
  assert.equal(other.state.maxId('.'), registry.state.maxId('.'))
  const { schema } = await other.register('a', request(recordOf('Other', {})))
  await registry.ready()
  assert.deepEqual(registry.byId(schema.id), schema, 'what one node writes the other knows')
})

async function outcomeOf(done: Promise<unknown>): Promise<string> {
  try {
    return String(await done)
  } catch (error) {
    assert.ok(error instanceof TailraceError)
    return String(registryCodeOf(error))
  }
}

test('registrations at once of the same and of different schemas: one id each, no holes', async (t) => {
  const { registry } = await given(t)
  const text = (schema: number) => recordOf(`S${schema}`, { a: 'int' })
  const all = await Promise.all(
    Array.from({ length: 200 }, (_, at) => registry.register(`s${at % 7}-${at % 20}`, request(text(at % 20)))),
  )
  const ids = new Set(all.map(({ schema }) => schema.id))
  assert.deepEqual(
    [...ids].sort((left, right) => left - right),
    Array.from({ length: 20 }, (_, at) => at + 1),
  )
  assert.ok(all.every(({ schema }) => schema.version === 1))
})

test('an import of the last id that four bytes hold leaves those below it to others', async (t) => {
  const { registry } = await given(t)
  const last = 2 ** 31 - 1
  await registry.register('a', request('"float"'))
  await registry.changeMode('', 'IMPORT', true)
  for (const [text, id] of [
    ['"int"', last],
    ['"double"', last - 1],
    ['"bytes"', 7],
  ] as const) {
    await registry.register('b', { ...request(text), id })
  }
  await registry.changeMode('', 'READWRITE', false)
  await registry.deleteVersion('b', 3, false)
  await registry.deleteVersion('b', 3, true)
  assert.equal((await registry.register('c', request('"long"'))).schema.id, 8, 'what was given is not given again')
  assert.equal((await registry.register('c', request('"int"'), { force: true })).schema.id, last)
  assert.equal((await registry.register('c', request('"string"'), { force: true })).schema.id, 9)
})

test('a topic that cannot be read fails reads and writes until it can, with one try a second', async (t) => {
  const clock = new FakeClock()
  const engine = await openLocalEngine(engineOptions(temporaryDirectory(t)))
  t.after(() => engine.close())
  let failing = false
  let fetches = 0
  const faulty: Engine = new Proxy(engine, {
    get(target, name) {
      const value = Reflect.get(target, name)
      if (name !== 'fetch') return typeof value === 'function' ? value.bind(target) : value
      return async (...given: Parameters<Engine['fetch']>) => {
        fetches++
        if (failing) throw new TailraceError('kafka_storage_error', 'the partition is offline')
        return await engine.fetch(...given)
      }
    },
  })
  const registry = registryOn(t, faulty, clock)
  assert.equal(registry.failure?.code, 'overloaded', 'not read yet')
  await registry.ready()
  await registry.register('a', request('"int"'))
  failing = true
  await assert.rejects(registry.register('a', request('"long"')), { code: 'kafka_storage_error' })
  await assert.rejects(registry.register('a', request('"long"')), { code: 'kafka_storage_error' })
  assert.equal(registry.failure?.code, 'kafka_storage_error')
  fetches = 0
  clock.advance(1_000)
  await assert.rejects(registry.ready())
  assert.ok(fetches <= 2, `${fetches} tries`)
  failing = false
  clock.advance(1_000)
  await registry.ready()
  assert.equal(registry.failure, undefined)
  assert.equal((await registry.register('a', request('"int"'))).schema.version, 1)
})

test('a topic that is deleted begins anew; what was being written is told so', async (t) => {
  const { engine, registry, appended, goOn } = await givenSlow(t, 2)
  await registry.register('a', request('"int"'))
  const writing = registry.register('b', request('"long"'))
  await appended
  await engine.deleteTopic('_schemas')
  goOn()
  await assert.rejects(writing, (error) => error instanceof TailraceError && error.retriable)
  await registry.ready()
  assert.throws(() => registry.version('a', 1), /not found/)
  assert.equal((await registry.register('c', request('"double"'))).schema.id, 1)
})

test('closing ends what is being written, and what waits for its turn', { timeout: 20_000 }, async (t) => {
  const { registry, appended, goOn } = await givenSlow(t, 1)
  const ended = Promise.allSettled(['"int"', '"long"'].map((text) => registry.register('a', request(text))))
  await appended
  const closed = registry.close()
  goOn()
  await closed
  for (const result of await ended) {
    assert.equal(result.status, 'rejected')
    assert.equal(result.reason.code, 'shutting_down')
  }
  await assert.rejects(registry.register('a', request('"int"')), { code: 'shutting_down' })
  await registry.close()
})

/** The append of this number, the first is 1, is told only when goOn was called; `appended`: it is done. */
async function givenSlow(t: TestContext, number: number) {
  const engine = await openLocalEngine(engineOptions(temporaryDirectory(t)))
  const reached = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  let appends = 0
  const slow: Engine = new Proxy(engine, {
    get(target, name) {
      const value = Reflect.get(target, name)
      if (name !== 'append') return typeof value === 'function' ? value.bind(target) : value
      return async (...given: Parameters<Engine['append']>) => {
        const result = await engine.append(...given)
        if (++appends === number) {
          reached.resolve()
          await released.promise
        }
        return result
      }
    },
  })
  const registry = registryOn(t, slow)
  t.after(() => engine.close())
  await registry.ready()
  return { engine, registry, appended: reached.promise, goOn: () => released.resolve() }
}

const LEVELS = [
  'NONE',
  'BACKWARD',
  'BACKWARD_TRANSITIVE',
  'FORWARD',
  'FORWARD_TRANSITIVE',
  'FULL',
  'FULL_TRANSITIVE',
] as const

/**
 * Ten versions of an order, and by hand: under which levels the next may follow all those before it. N: none at all; b, B:
 * backward, also transitively; f, F: forward; u, U: full.
 */
const EVOLUTION: readonly (readonly [what: string, fields: Readonly<Record<string, unknown>>, verdicts: string])[] = [
  ['the first', { id: 'long', total: 'int' }, 'NbBfFuU'],
  ['a field with a default is added', { id: 'long', total: 'int', note: ['string', ''] }, 'NbBfFuU'],
  ['a field is added without a default', { id: 'long', total: 'int', note: ['string', ''], who: 'string' }, 'NfF'],
  ['that one gets a default', { id: 'long', total: 'int', note: ['string', ''], who: ['string', '?'] }, 'NbBfFuU'],
  ['a type is widened', { id: 'long', total: 'long', note: ['string', ''], who: ['string', '?'] }, 'NbB'],
  ['a field with a default is removed', { id: 'long', total: 'long', who: ['string', '?'] }, 'NbBfu'],
  ['a field without one is removed', { total: 'long', who: ['string', '?'] }, 'NbB'],
  ['it comes back with a default', { id: ['long', 0], total: 'long', who: ['string', '?'] }, 'NbBfu'],
  ['a type is narrowed', { id: ['long', 0], total: 'int', who: ['string', '?'] }, 'NfF'],
  ['a type becomes another', { id: ['string', ''], total: 'int', who: ['string', '?'] }, 'N'],
]

const LETTER = {
  NONE: 'N',
  BACKWARD: 'b',
  BACKWARD_TRANSITIVE: 'B',
  FORWARD: 'f',
  FORWARD_TRANSITIVE: 'F',
  FULL: 'u',
  FULL_TRANSITIVE: 'U',
}

for (const level of LEVELS) {
  test(`ten versions of an order under ${level}`, async (t) => {
    const { registry } = await given(t)
    for (const [at, [what, fields, verdicts]] of EVOLUTION.entries()) {
      await registry.changeSettings('orders', { compatibilityLevel: level })
      const schema = request(recordOf('Order', fields))
      const isLawful = verdicts.includes(LETTER[level])
      const { isCompatible } = registry.testCompatibility('orders', 'all', schema)
      assert.equal(isCompatible, isLawful, `${at + 1}: ${what}`)
      if (isLawful) assert.equal((await registry.register('orders', schema)).schema.version, at + 1)
      else await assert.rejects(registry.register('orders', schema), { code: 'incompatible_schema' })
      // it follows all the same, so that the next has the same ten before it under every level
      await registry.changeSettings('orders', { compatibilityLevel: 'NONE' })
      await registry.register('orders', schema)
    }
  })
}
