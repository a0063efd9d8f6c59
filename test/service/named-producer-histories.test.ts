// Random histories of named producers: requests sent ahead, sent again, sent twice at once; appends that fail before they
// are stored and replies that are lost after; restarts; growth. In the end every producer repeats what it was not told
// was stored. Then nothing is stored twice, nothing acknowledged is missing, and every answer about a request was the same.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import type { Engine } from '../../src/engine/engine.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { openLocalEngine } from '../../src/local-engine/local-engine.ts'
import type { ProduceResult } from '../../src/service/produce/produce-result.ts'
import { engineOptions, temporaryDirectory } from '../support/engine-options.ts'
import { MemoryEngine, readRecords } from '../support/memory-engine.ts'
import { Random } from '../support/random.ts'
import type { Spec } from './produce-fixture.ts'
import { caller, openService, rows, settle } from './produce-fixture.ts'

/** How far a producer goes ahead of what it was told is stored (Kafka's max.in.flight.requests). */
const AHEAD_MAX = 5

interface Stage {
  readonly engine: Engine
  /** The same store, opened anew. */
  restart(): Promise<Stage>
}

async function memoryStage(): Promise<Stage> {
  const engine = new MemoryEngine()
  const stage: Stage = { engine, restart: async () => stage }
  return stage
}

async function localStage(t: TestContext): Promise<Stage> {
  const directory = temporaryDirectory(t)
  const open = async (): Promise<Stage> => {
    const engine = await openLocalEngine(engineOptions(directory))
    t.after(() => engine.close())
    return {
      engine,
      restart: async () => {
        await engine.close()
        return open()
      },
    }
  }
  return open()
}

/** Some appends fail before they are stored, of some only the reply is lost. */
function unreliable(engine: Engine, random: Random, faults: { rate: number }): Engine {
  const fault = (what: string) => new TailraceError('kafka_storage_error', what)
  const append: Engine['append'] = async (...request) => {
    if (random.chance(faults.rate)) throw fault('not stored')
    const lost = random.chance(faults.rate)
    const appended = await engine.append(...request)
    if (lost) throw fault('stored, the reply is lost')
    return appended
  }
  return new Proxy(engine, {
    get(target, name) {
      if (name === 'append') return append
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}

class Producer {
  readonly name: string
  readonly requests: { readonly specs: readonly Spec[]; readonly answers: ProduceResult[] }[] = []
  readonly #random: Random

  constructor(name: string, random: Random) {
    this.name = name
    this.#random = random
  }

  /** The lowest number that was never acknowledged. */
  get due(): number {
    const due = this.requests.findIndex(({ answers }) => answers.length === 0)
    return due < 0 ? this.requests.length : due
  }

  /** A number to send now: the next ones, or one that was sent before. */
  chooseNumber(): number {
    const { due } = this
    return Math.max(0, due - 2 + this.#random.below(AHEAD_MAX + 1))
  }

  specs(sequence: number, partitionCount: number): readonly Spec[] {
    while (this.requests.length <= sequence) {
      const number = this.requests.length
      const specs = Array.from({ length: 1 + this.#random.below(6) }, (_, at) => {
        const value = `${this.name}/${number}/${at}`
        const way = this.#random.below(3)
        if (way === 0) return { value, key: `key ${this.#random.below(20)}` }
        return way === 1 ? { value, partition: this.#random.below(partitionCount) } : { value }
      })
      this.requests.push({ specs, answers: [] })
    }
    return this.requests[sequence]?.specs ?? []
  }
}

class History {
  readonly #random: Random
  readonly #faults = { rate: 0 }
  readonly #producers: readonly Producer[]
  #stage: Stage
  #service: ReturnType<typeof openService>

  constructor(stage: Stage, random: Random) {
    this.#stage = stage
    this.#random = random
    this.#producers = ['p', 'q'].map((name) => new Producer(name, random))
    this.#service = openService(unreliable(stage.engine, random, this.#faults))
  }

  async run(): Promise<void> {
    await this.#stage.engine.createTopic({ name: 't', partitionCount: 1 + this.#random.below(3) })
    for (let step = 0; step < 25; step++) {
      this.#faults.rate = this.#random.pick([0, 0, 0.2, 0.5])
      const growing = this.#random.chance(0.1) ? this.#grow() : undefined
      const sent = Array.from({ length: this.#random.below(5) }, () => this.#sendSome())
      await Promise.all([...sent, growing])
      if (this.#random.chance(0.15)) await this.#restart()
    }
    this.#faults.rate = 0
    for (const producer of this.#producers) {
      for (let repeats = 0; producer.due < producer.requests.length; repeats++) {
        assert.ok(repeats < producer.requests.length, `request ${producer.due} is refused again and again`)
        await this.#send(producer, producer.due)
      }
    }
    // What acks leader answered is readable only when it is synced.
    await this.#restart()
    await settle()
    await this.#check()
  }

  get #partitionCount(): number {
    return this.#stage.engine.findTopic('t')?.partitionCount ?? 0
  }

  async #grow(): Promise<void> {
    const partitionCount = this.#partitionCount + 1 + this.#random.below(2)
    await this.#service.topics.alter(caller, 't', { partitionCount })
  }

  async #restart(): Promise<void> {
    await this.#service.service.close()
    this.#stage = await this.#stage.restart()
    this.#service = openService(unreliable(this.#stage.engine, this.#random, this.#faults))
  }

  async #sendSome(): Promise<void> {
    const producer = this.#random.pick(this.#producers)
    const first = producer.chooseNumber()
    const last = Math.min(first + this.#random.below(3), producer.due + AHEAD_MAX - 1)
    const numbers = Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => first + at)
    await Promise.all(numbers.map((number) => this.#send(producer, number)))
  }

  async #send(producer: Producer, sequence: number): Promise<void> {
    const specs = producer.specs(sequence, this.#partitionCount)
    const request = { name: producer.name, epoch: 0, sequence }
    const acks = this.#random.pick(['all', 'leader'] as const)
    try {
      const result = await this.#service.produce('t', specs, { acks, producer: request })
      if (result.failure === undefined) producer.requests[sequence]?.answers.push(result)
      else assert.equal(result.failure.code, 'kafka_storage_error')
    } catch (error) {
      assert.ok(error instanceof TailraceError && error.code === 'out_of_order_sequence_number', String(error))
    }
  }

  async #check(): Promise<void> {
    const stored = await this.#readAll()
    const expected = this.#producers.flatMap(({ requests }) => requests.flatMap(({ specs }) => specs.map(textOf)))
    assert.deepEqual([...stored.keys()].sort(), expected.sort(), 'every record is stored, none twice')
    for (const { requests } of this.#producers) {
      for (const { specs, answers } of requests) {
        for (const answer of answers) {
          for (const [index, { partition, offset }] of rows(answer).entries()) {
            const place = stored.get(textOf(specs[index] as Spec))
            assert.equal(partition, place?.partition)
            if (offset >= 0 || !answer.duplicate) assert.equal(offset, place?.offset)
          }
        }
      }
    }
  }

  async #readAll(): Promise<Map<string, { partition: number; offset: number }>> {
    const topic = this.#stage.engine.findTopic('t')
    assert.ok(topic)
    const found = new Map<string, { partition: number; offset: number }>()
    for (let partition = 0; partition < topic.partitionCount; partition++) {
      const limits = { minBytes: 0, maxBytes: 2 ** 30, maxWaitMs: 0, isolation: 'read_uncommitted' } as const
      const [fetched] = await this.#stage.engine.fetch([{ topic, partition, offset: 0 }], limits)
      assert.equal(fetched?.error, undefined)
      for (const { value, offset } of readRecords(fetched?.bytes ?? Buffer.alloc(0))) {
        assert.ok(!found.has(String(value)), `${value} is stored twice`)
        found.set(String(value), { partition, offset })
      }
    }
    return found
  }
}

function textOf({ value }: Spec): string {
  return String(value)
}

async function tryHistories(count: number, open: () => Promise<Stage>): Promise<void> {
  const chosen = process.env['SEED']
  const first = chosen === undefined ? Date.now() % 1_000_000_000 : Number(chosen)
  for (let seed = first; seed < first + (chosen === undefined ? count : 1); seed++) {
    try {
      await new History(await open(), new Random(seed)).run()
    } catch (cause) {
      throw new Error(`history with SEED=${seed}`, { cause })
    }
  }
}

test('stores every request of named producers once, through faults, restarts and growth', async () => {
  await tryHistories(400, memoryStage)
})

test('does so on the disk as well', async (t) => {
  await tryHistories(6, () => localStage(t))
})
