// One history of kills: a real server on a real disk, written to and read from by many at once, killed at random moments
// (kill -9, while it starts and while it stops too), stopped cleanly now and then, started again, sometimes without its
// index.db. After each start all that is stored is read and held against the ledger.

import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Random } from '../support/random.ts'
import { ServerProcess } from '../support/server-process.ts'
import { Cut, KillClient } from './kill-client.ts'
import type { SeenRecord } from './kill-ledger.ts'
import { checkTopic, Ledger, TopicLife } from './kill-ledger.ts'
import { NamedProducer, produceOnce } from './kill-producer.ts'
import { PageReader, readTopic } from './kill-reader.ts'

const SEGMENT_BYTES = '65536'
const TRIMMED = 'trimmed'

/** Topics that stay: one partition, several, one whose records are deleted from its start, and one that grows. */
const STEADY = [
  { name: 'one', partitions: 1, configs: { 'segment.bytes': SEGMENT_BYTES } },
  { name: 'wide', partitions: 8, configs: { 'segment.bytes': SEGMENT_BYTES, 'compression.type': 'gzip' } },
  { name: TRIMMED, partitions: 2, configs: { 'segment.bytes': SEGMENT_BYTES } },
  {
    name: 'growing',
    partitions: 2,
    configs: { 'segment.ms': '150', 'message.timestamp.type': 'LogAppendTime', 'compression.type': 'zstd' },
  },
] as const

const CHURNED = ['churn-a', 'churn-b']

interface KillStatistics {
  kills: number
  cleanStops: number
  acknowledged: number
  stored: number
  seen: number
}

export class KillHistory {
  readonly #random: Random
  readonly #dataDir: string
  readonly #ledger = new Ledger()
  readonly #steady: TopicLife[] = []
  readonly #churned: Churn[]
  readonly #named: NamedProducer[] = []
  readonly #readers: PageReader[] = []
  #server: ServerProcess | undefined
  readonly statistics: KillStatistics = { kills: 0, cleanStops: 0, acknowledged: 0, stored: 0, seen: 0 }

  constructor(random: Random, dataDir: string) {
    this.#random = random
    this.#dataDir = dataDir
    this.#churned = CHURNED.map((name) => new Churn(name, this.#ledger, random))
  }

  async run(rounds: number): Promise<void> {
    try {
      await this.#round(async (client) => this.#create(client))
      for (let round = 1; round < rounds; round++) await this.#round()
      await this.#finish()
    } catch (error) {
      const log = this.#server?.log.slice(-3_000)
      throw new Error(`${(error as Error).message}\nthe server last logged: ${log}`, { cause: error })
    } finally {
      await this.#server?.kill()
      this.statistics.acknowledged = this.#ledger.acknowledged
      this.statistics.seen = this.#ledger.seen
    }
  }

  async #round(prepare?: (client: KillClient) => Promise<void>): Promise<void> {
    const { client, server } = await this.#start()
    await prepare?.(client)
    await this.#load(client, server)
  }

  async #create(client: KillClient): Promise<void> {
    for (const { name, partitions, configs } of STEADY) {
      const topic = new TopicLife(name, partitions)
      const { status, text, json } = await client.request('POST', '/v1/topics', {
        body: JSON.stringify({ name, partitions, configs }),
      })
      assert.equal(status, 201, text)
      topic.id = json().id
      topic.state = 'alive'
      this.#steady.push(topic)
      const parts = { topic, ledger: this.#ledger, random: this.#random }
      this.#named.push(new NamedProducer(`${name}/serial`, { ...parts, window: 1 }))
      this.#named.push(new NamedProducer(`${name}/several at once`, { ...parts, window: 4 }))
      // Where records are deleted, offsets have gaps: those readers would have nothing to say.
      if (name === TRIMMED) continue
      this.#readers.push(new PageReader(this.#ledger, this.#random, topic))
      this.#readers.push(new PageReader(this.#ledger, this.#random, topic))
    }
    this.#readers.push(new PageReader(this.#ledger, this.#random, CHURNED[0] as string))
  }

  /** Sometimes killed before it is ready, sometimes without its index; then all is checked. */
  async #start(): Promise<{ client: KillClient; server: ServerProcess }> {
    if (this.#random.chance(0.25)) {
      for (const file of ['index.db', 'index.db-wal', 'index.db-shm'])
        rmSync(join(this.#dataDir, file), { force: true })
    }
    if (this.#random.chance(0.15)) {
      this.#server = this.#spawn()
      await delay(this.#random.below(600))
      await this.#server.kill()
      this.statistics.kills++
    }
    const server = this.#spawn()
    this.#server = server
    await server.ready()
    const client = new KillClient(server.port)
    for (const topic of this.#steady) await this.#check(client, topic)
    for (const churn of this.#churned) {
      const topic = await churn.resolve(client)
      if (topic !== undefined) await this.#check(client, topic)
    }
    return { client, server }
  }

  #spawn(): ServerProcess {
    return new ServerProcess({
      dataDir: this.#dataDir,
      set: { 'auto.create.topics.enable': 'false', 'log.level': 'warn', 'shutdown.grace.ms': '2000' },
    })
  }

  async #check(client: KillClient, topic: TopicLife): Promise<void> {
    const { text, json, status } = await client.request('GET', `/v1/topics/${topic.name}`)
    assert.equal(status, 200, `${topic.name}: ${text}`)
    const described: { end_offset: number; start_offset: number; offline?: string }[] = json().partitions
    assert.equal(json().id, topic.id, `${topic.name} is the same topic`)
    if (topic.growthInDoubt && described.length === topic.partitionCounts.at(-2)) topic.partitionCounts.pop()
    topic.growthInDoubt = false
    assert.equal(described.length, topic.partitionCountMax, `${topic.name} has its partitions`)
    const { records, ...bounds } = await readTopic(client, topic.name, 50 + this.#random.below(4_000))
    const { starts, ends } = bounds
    assert.deepEqual(
      described.map((partition) => [partition.offline, partition.start_offset, partition.end_offset]),
      ends.map((end, partition) => [undefined, starts[partition], end]),
      `${topic.name}: its bounds`,
    )
    checkTopic(this.#ledger, topic, records, bounds)
    this.statistics.stored = this.#steady.reduce((sum, { places }) => sum + places.flat().length, 0)
    await this.#checkTimes(client, topic, records)
  }

  /** The first offset whose timestamp is at or after a time, partition by partition. */
  async #checkTimes(client: KillClient, topic: TopicLife, records: readonly SeenRecord[]): Promise<void> {
    for (let left = Math.min(3, records.length); left > 0; left--) {
      const time = this.#random.pick(records).timestamp
      const { text, json } = await client.request('GET', `/v1/topics/${topic.name}/offsets?at=${time}`)
      const answered: { partition: number; offset: number }[] = json().items
      assert.ok(answered !== undefined, text)
      for (const { partition, offset } of answered) {
        const first = records.find((record) => record.partition === partition && record.timestamp >= time)
        const expected = first?.offset ?? topic.places[partition]?.length ?? 0
        assert.equal(offset, expected, `${topic.name}-${partition}: the first offset at ${time}`)
      }
    }
  }

  /** All at once until the server goes. */
  async #load(client: KillClient, server: ServerProcess): Promise<void> {
    const loops = [
      ...this.#steady.flatMap((topic) => [this.#produce(client, topic), this.#produce(client, topic)]),
      ...this.#named.map((producer) => producer.run(client)),
      ...this.#readers.map((reader) => reader.run(client)),
      ...this.#churned.map((churn) => churn.run(client)),
      ...(this.#random.chance(0.4) ? [this.#grow(client)] : []),
      this.#trim(client),
    ].map(untilCut)
    const all = Promise.all(loops)
    await Promise.race([client.answered(10 + this.#random.below(700)), all])
    await delay(this.#random.below(10))
    await this.#end(server)
    client.close()
    await all
  }

  async #produce(client: KillClient, topic: TopicLife): Promise<void> {
    while (true) await produceOnce(client, this.#ledger, this.#random, topic)
  }

  async #grow(client: KillClient): Promise<void> {
    await client.answered(1 + this.#random.below(400))
    const topic = this.#steady.at(-1) as TopicLife
    const partitions = topic.partitionCountMax + 1 + this.#random.below(2)
    topic.growthInDoubt = true
    topic.partitionCounts.push(partitions)
    const { status, text } = await client.request('PATCH', `/v1/topics/${topic.name}`, {
      body: JSON.stringify({ partitions }),
    })
    if (status === 503) return
    assert.equal(status, 200, text)
    topic.growthInDoubt = false
  }

  /** Deletes records from a start that everybody has heard of. */
  async #trim(client: KillClient): Promise<void> {
    const topic = this.#steady.find(({ name }) => name === TRIMMED) as TopicLife
    while (true) {
      await client.answered(1 + this.#random.below(60))
      const partition = this.#random.below(topic.partitionCountMax)
      const end = topic.places[partition]?.length ?? 0
      const before = Math.max(topic.startsAsked[partition] ?? 0, this.#random.below(end + 1))
      topic.startsAsked[partition] = before
      const path = `/v1/topics/${topic.name}/partitions/${partition}/records?before=${before}`
      const { status, text, json } = await client.request('DELETE', path)
      if (status === 503) return
      // What was acknowledged with acks=1 may not be synced yet, and is not to be seen before it is.
      if (status === 416) continue
      assert.equal(status, 200, text)
      assert.equal(json().start_offset, before, text)
      topic.startsAnswered[partition] = before
    }
  }

  async #end(server: ServerProcess): Promise<void> {
    const how = this.#random.next()
    assert.ok(!server.ended, server.failure('ended by itself').message)
    if (how < 0.2) {
      this.statistics.cleanStops++
      await server.stop()
      return
    }
    if (how < 0.35) {
      server.signal('SIGTERM')
      await delay(this.#random.below(40))
    }
    this.statistics.kills++
    await server.kill()
  }

  /** Named producers go on until each of their requests is answered: nothing of theirs is missing, nothing there twice. */
  async #finish(): Promise<void> {
    const { client, server } = await this.#start()
    for (const producer of this.#named) await producer.deliver(client)
    for (const topic of this.#steady) {
      await this.#check(client, topic)
      assert.equal(topic.open.size, 0, `${topic.name}: every fate is known`)
    }
    await server.stop()
    client.close()
  }
}

/** Loops run until their server is gone; everything else that they throw is a broken promise. */
async function untilCut(loop: Promise<void>): Promise<void> {
  try {
    await loop
  } catch (error) {
    if (!(error instanceof Cut)) throw error
  }
}

/** Makes a topic, writes to it, deletes it, again and again under one name. */
class Churn {
  readonly #name: string
  readonly #ledger: Ledger
  readonly #random: Random
  #topic: TopicLife | undefined

  constructor(name: string, ledger: Ledger, random: Random) {
    this.#name = name
    this.#ledger = ledger
    this.#random = random
  }

  async run(client: KillClient): Promise<void> {
    while (true) {
      this.#topic ??= await this.#create(client)
      const topic = this.#topic
      const produced = settled(
        Array.from({ length: 1 + this.#random.below(4) }, () => produceOnce(client, this.#ledger, this.#random, topic)),
      )
      // Now and then the topic is deleted under its producers.
      if (this.#random.chance(0.1)) await settled([produced, this.#delete(client, topic)])
      else await produced
      if (topic.state === 'alive' && this.#random.chance(0.3)) await this.#delete(client, topic)
    }
  }

  /** After a start: is it there? */
  async resolve(client: KillClient): Promise<TopicLife | undefined> {
    const { status, text, json } = await client.request('GET', `/v1/topics/${this.#name}`)
    const topic = this.#topic
    const state = topic?.state ?? 'deleted'
    if (status === 404) {
      assert.notEqual(state, 'alive', `${this.#name} is gone`)
      this.#topic = undefined
      return undefined
    }
    assert.equal(status, 200, text)
    assert.ok(topic !== undefined && state !== 'deleted', `${this.#name} is back: ${text}`)
    if (state === 'creating') topic.id = json().id
    topic.state = 'alive'
    return topic
  }

  async #create(client: KillClient): Promise<TopicLife> {
    const partitions = 1 + this.#random.below(3)
    const topic = new TopicLife(this.#name, partitions)
    this.#topic = topic
    const configs = { 'segment.bytes': SEGMENT_BYTES }
    const answer = await client.request('POST', '/v1/topics', {
      body: JSON.stringify({ name: this.#name, partitions, configs }),
    })
    if (answer.status === 503) throw new Cut('it is stopping')
    assert.equal(answer.status, 201, answer.text)
    topic.id = answer.json().id
    topic.state = 'alive'
    return topic
  }

  async #delete(client: KillClient, topic: TopicLife): Promise<void> {
    topic.state = 'deleting'
    const { status, text } = await client.request('DELETE', `/v1/topics/${this.#name}`)
    if (status === 503) throw new Cut('it is stopping')
    assert.equal(status, 204, text)
    topic.state = 'deleted'
    this.#topic = undefined
  }
}

/** All of them, and the worst of their failures. */
async function settled(requests: readonly Promise<void>[]): Promise<void> {
  const failures = (await Promise.allSettled(requests)).filter((one) => one.status === 'rejected')
  const worst = failures.find(({ reason }) => !(reason instanceof Cut)) ?? failures[0]
  if (worst !== undefined) throw worst.reason
}
