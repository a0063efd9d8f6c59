import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import type { Engine } from '../../src/engine/engine.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { STATE_BYTES_MAX, STATE_VALUE_BYTES_MAX } from '../../src/kernel/limits.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import type { StateValue } from '../../src/service/groups/state-topic.ts'
import { createStateTopic, STATE_TOPIC_NAME } from '../../src/service/groups/state-topic.ts'
import { engineOptions, temporaryDirectory } from '../support/engine-options.ts'
import { MemoryEngine } from '../support/memory-engine.ts'
import { Bench } from '../support/power-cut-machine.ts'
import { Random } from '../support/random.ts'

const stateOf = (engine: Engine) => createStateTopic({ engine, clock: systemClock })

async function contentOf(engine: Engine, prefix = ''): Promise<Record<string, StateValue>> {
  const entries = await stateOf(engine).entries(prefix)
  return Object.fromEntries(entries.map(({ key, value }) => [key, value]))
}

test('what was put is there after a restart, what was removed is not', async (t: TestContext) => {
  const options = engineOptions(temporaryDirectory(t))
  const first = await openLocalEngine(options)
  const state = stateOf(first)
  await Promise.all([state.put('a/1', { n: 1 }), state.put('a/2', [1, 'two']), state.put('b/1', 'text')])
  await state.put('a/2', null)
  assert.deepEqual(await state.entries('a/'), [{ key: 'a/1', value: { n: 1 } }])
  await first.close()
  const second = await openLocalEngine(options)
  t.after(() => second.close())
  assert.deepEqual(await contentOf(second), { 'a/1': { n: 1 }, 'b/1': 'text' })
  assert.equal(second.findTopic(STATE_TOPIC_NAME)?.config.cleanupPolicy.compact, true)
})

test('no topic is made before something is put', async () => {
  const engine = new MemoryEngine()
  const state = stateOf(engine)
  assert.deepEqual(await state.entries(''), [])
  await state.put('a', null)
  assert.equal(engine.created, 1)
  assert.equal(engine.findTopic(STATE_TOPIC_NAME)?.internal, true)
})

test('the puts of a turn are one batch, those that come meanwhile the next; the last of a key counts', async () => {
  const engine = new MemoryEngine()
  const state = stateOf(engine)
  await state.entries('')
  const gate = Promise.withResolvers<void>()
  engine.beforeSync = () => gate.promise
  const early = [state.put('a', 1), state.put('b', 1)]
  while (engine.appends.length === 0) await new Promise((resolve) => setImmediate(resolve))
  const late = [state.put('a', 2), state.put('b', 2), state.put('a', 3)]
  gate.resolve()
  await Promise.all([...early, ...late])
  const written = engine.records(STATE_TOPIC_NAME, 0).map(({ key, value }) => `${key}=${value}`)
  assert.deepEqual(written, ['a=1', 'b=1', 'b=2', 'a=3'])
  assert.equal(engine.batches(STATE_TOPIC_NAME, 0).length, 2)
  assert.deepEqual(await contentOf(engine), { a: 3, b: 2 })
})

test('a put that failed is told and changes nothing; what is put then is tried', async () => {
  const engine = new MemoryEngine()
  const state = stateOf(engine)
  await state.put('a', 1)
  engine.beforeWrite = () => {
    throw new TailraceError('disk_full', 'full')
  }
  await assert.rejects(state.put('a', 2), { code: 'disk_full' })
  assert.deepEqual(await state.entries(''), [{ key: 'a', value: 1 }])
  engine.beforeWrite = () => {}
  await state.put('a', 3)
  assert.deepEqual(await state.entries(''), [{ key: 'a', value: 3 }])
})

test('a value has a limit', async () => {
  const state = stateOf(new MemoryEngine())
  await assert.rejects(state.put('a', 'x'.repeat(STATE_VALUE_BYTES_MAX)), { code: 'invalid_request' })
  assert.deepEqual(await state.entries(''), [])
})

test('at the limit what gets smaller is taken, what is removed makes room, and another kind of state has its own', async () => {
  const state = stateOf(new MemoryEngine())
  const value = 'x'.repeat(STATE_VALUE_BYTES_MAX - 1_000)
  const count = Math.floor(STATE_BYTES_MAX / STATE_VALUE_BYTES_MAX)
  await Promise.all(Array.from({ length: count }, (_, n) => state.put(`a/${n}`, value)))
  await state.put('a/rest', 'x'.repeat(count * 900))
  const more = 'x'.repeat(count * 950)
  await assert.rejects(state.put('a/more', more), { code: 'overloaded' })
  await assert.rejects(state.put('a/rest', value), { code: 'overloaded' })
  await state.put('a/0', value.slice(1))
  await state.put('b/0', value)
  await Promise.all([state.put('a/0', null), state.put('a/more', more)])
})

test('a put that failed takes no room', async () => {
  const engine = new MemoryEngine()
  const state = stateOf(engine)
  const value = 'x'.repeat(STATE_VALUE_BYTES_MAX - 1_000)
  const putAll = (count: number) => Promise.all(Array.from({ length: count }, (_, n) => state.put(`a/${n}`, value)))
  await state.put('a/0', 1)
  engine.beforeWrite = () => {
    throw new TailraceError('disk_full', 'full')
  }
  const count = Math.floor(STATE_BYTES_MAX / STATE_VALUE_BYTES_MAX)
  await assert.rejects(putAll(count), { code: 'disk_full' })
  engine.beforeWrite = () => {}
  await putAll(count)
})

test('a topic that cannot be read is told to who asks, and is asked again', async () => {
  const engine = new MemoryEngine()
  await stateOf(engine).put('a', 1)
  const state = stateOf(engine)
  const fetch = engine.fetch
  engine.fetch = async (positions) => {
    const parts = await fetch.call(engine, positions)
    return parts.map((part) => ({ ...part, error: new TailraceError('kafka_storage_error', 'offline') }))
  }
  await assert.rejects(state.entries(''), { code: 'kafka_storage_error' })
  await assert.rejects(state.put('b', 1), { code: 'kafka_storage_error' })
  engine.fetch = fetch
  assert.deepEqual(await state.entries(''), [{ key: 'a', value: 1 }])
})

test('whatever was acknowledged is there after a kill or a power cut', async (t) => {
  for (let seed = 1; seed <= 8; seed++) {
    const bench = new Bench(temporaryDirectory(t), seed)
    let machine = await bench.start()
    const random = new Random(seed)
    const acknowledged = new Map<string, number>()
    for (let life = 0, n = 0; life < 4; life++) {
      const state = stateOf(machine.engine)
      const puts: Promise<void>[] = []
      for (let count = 0; count < 30; count++) {
        const value = ++n
        const key = `k${random.below(5)}`
        const put = state.put(key, value)
        puts.push(put.then(() => void acknowledged.set(key, Math.max(value, acknowledged.get(key) ?? 0))))
        if (random.chance(0.2)) await new Promise((resolve) => setImmediate(resolve))
      }
      if (random.chance(0.5)) await Promise.all(puts)
      const settled = Promise.allSettled(puts)
      const sure = new Map(acknowledged)
      machine = await bench.cut(machine, random.pick(['power', 'process']))
      await settled
      const found = await contentOf(machine.engine)
      for (const [key, value] of sure) {
        assert.ok(Number(found[key]) >= value, `seed ${seed}: ${key} was ${value}, is ${found[key]}`)
      }
      for (const [key, value] of Object.entries(found)) acknowledged.set(key, Number(value))
    }
    await machine.engine.close()
  }
})
