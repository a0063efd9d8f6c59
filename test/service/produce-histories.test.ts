// Many clients at once, with every acks, one to many records, into partitions of one topic: whatever was answered is
// found at the partition and offset that the answer named, every accepted record is stored once, and a client that waits
// for its answers finds its records of one partition in the order it sent them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Engine } from '../../src/engine/engine.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import { engineOptions, temporaryDirectory } from '../support/engine-options.ts'
import { MemoryEngine, readRecords } from '../support/memory-engine.ts'
import { Random } from '../support/random.ts'
import type { Spec } from './produce-fixture.ts'
import { openService, rows } from './produce-fixture.ts'

const CLIENTS = 24
const REQUESTS = 25

async function readPartition(engine: Engine, partition: number) {
  const topic = engine.findTopic('t')
  assert.ok(topic)
  const limits = { minBytes: 0, maxBytes: 2 ** 30, maxWaitMs: 0, isolation: 'read_uncommitted' } as const
  const [fetched] = await engine.fetch([{ topic, partition, offset: 0 }], limits)
  assert.equal(fetched?.error, undefined)
  return readRecords(fetched?.bytes ?? Buffer.alloc(0))
}

async function tryClients(engine: Engine, partitionCount: number, configs: Record<string, string>): Promise<void> {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000_000)
  const random = new Random(seed)
  await engine.createTopic({ name: 't', partitionCount, configs })
  const { produce, service, telemetry } = openService(engine)
  const sent: string[] = []
  const answered = new Map<string, { partition: number; offset: number }>()

  const client = async (name: number) => {
    for (let request = 0; request < REQUESTS; request++) {
      const specs: Spec[] = Array.from({ length: random.chance(0.5) ? 1 : 1 + random.below(30) }, (_, at) => {
        const value = `${name}/${String(request).padStart(3, '0')}/${String(at).padStart(3, '0')}`
        return random.chance(0.5) ? { value, key: `key ${random.below(50)}` } : { value }
      })
      for (const { value } of specs) sent.push(String(value))
      const result = await produce('t', specs, { acks: random.pick(['all', 'all', 'leader', 'none']) })
      assert.equal(result.failure, undefined)
      for (const [index, place] of rows(result).entries()) answered.set(String(specs[index]?.value), place)
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, (_, name) => client(name)))
  await service.close()
  await Promise.all(Array.from({ length: partitionCount }, (_, partition) => produceLast(engine, partition)))

  const stored: string[] = []
  for (let partition = 0; partition < partitionCount; partition++) {
    const records = (await readPartition(engine, partition)).filter(({ value }) => value !== 'last')
    for (const { value, offset } of records) {
      const answer = answered.get(String(value))
      assert.equal(answer?.partition, partition, `SEED=${seed}`)
      if (answer.offset >= 0) assert.equal(answer.offset, offset, `SEED=${seed}`)
      stored.push(String(value))
    }
    for (let name = 0; name < CLIENTS; name++) {
      const own = records.map(({ value }) => String(value)).filter((value) => value.startsWith(`${name}/`))
      assert.deepEqual(own, [...own].sort(), `SEED=${seed}`)
    }
  }
  assert.deepEqual(stored.sort(), sent.sort(), `SEED=${seed}`)
  assert.ok(telemetry.gatheredRequests.count < CLIENTS * REQUESTS * partitionCount)
}

/** Once it is synced, so is all before it. */
async function produceLast(engine: Engine, partition: number): Promise<void> {
  const { produce } = openService(engine)
  await produce('t', [{ value: 'last', partition }])
}

const ways: [string, number, Record<string, string>][] = [
  ['one partition', 1, {}],
  ['eight partitions', 8, {}],
  ['small batches', 2, { 'max.message.bytes': '2000' }],
  ['compressed batches', 2, { 'compression.type': 'zstd' }],
]

for (const [way, partitionCount, configs] of ways) {
  test(`stores what many clients send at once: ${way}`, async () => {
    await tryClients(new MemoryEngine(), partitionCount, configs)
  })

  test(`stores what many clients send at once: ${way}, on the disk`, async (t) => {
    const engine = await openLocalEngine(engineOptions(temporaryDirectory(t)))
    t.after(() => engine.close())
    await tryClients(engine, partitionCount, configs)
  })
}
