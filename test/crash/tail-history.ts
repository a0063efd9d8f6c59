// One history of tails: a real server on a real disk that is written to while its topics keep little; tails whose
// connections are cut at random moments, in the middle of frames too, and a server that is killed under them. Each tail
// goes on by its cursor, and has seen every record once or been told that it is gone: held against the ledger of all
// that was sent and acknowledged.

import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { CuttingWire } from '../support/cutting-wire.ts'
import type { Random } from '../support/random.ts'
import { ServerProcess } from '../support/server-process.ts'
import { Cut, KillClient } from './kill-client.ts'
import { Ledger, TopicLife } from './kill-ledger.ts'
import { NamedProducer, produceOnce } from './kill-producer.ts'
import { TailReading } from './tail-readers.ts'
import { TailView } from './tail-view.ts'

export interface TailHistoryOptions {
  readonly dataDir: string
  readonly random: Random
  readonly cuts: number
  /** Of the server; some of them are clean stops. */
  readonly kills: number
  /** Of each transport; one in four sees a key alone. */
  readonly readers: number
}

const TOPIC = 'tailed'
const PARTITIONS = 3
/** Little enough that who is away for a moment misses something. */
const CONFIGS = { 'segment.bytes': '65536', 'retention.bytes': '131072' }
const BYTES_BETWEEN_CUTS = 400_000
const STUCK_MS_MAX = 30_000
/** Each third kill is a stop, which tails are told of. */
const CLEAN_STOP_EVERY = 3

export class TailHistory {
  readonly statistics = { cuts: 0, kills: 0, cleanStops: 0, acknowledged: 0, seen: 0, gaps: 0 }
  readonly #options: TailHistoryOptions
  readonly #random: Random
  readonly #ledger = new Ledger()
  readonly #topic = new TopicLife(TOPIC, PARTITIONS)
  readonly #readings: TailReading[] = []
  readonly #named: NamedProducer[]
  #wire: CuttingWire | undefined
  #server: ServerProcess | undefined
  /** Nothing is cut any more. */
  #isFinishing = false

  constructor(options: TailHistoryOptions) {
    this.#options = options
    this.#random = options.random
    const parts = { topic: this.#topic, ledger: this.#ledger, random: options.random }
    this.#named = [1, 4].map((window) => new NamedProducer(`named/${window}`, { ...parts, window }))
  }

  async run(): Promise<void> {
    const onCut = () => {
      this.statistics.cuts++
    }
    this.#wire = await CuttingWire.open(() => this.#cutAfter(), onCut)
    try {
      await this.#rounds(this.#wire, onCut)
    } catch (error) {
      const log = this.#server?.log.slice(-3_000)
      throw new Error(`${(error as Error).message}\nthe server last logged: ${log}`, { cause: error })
    } finally {
      this.#wire.close()
      await Promise.allSettled(this.#readings.map((reading) => reading.stop()))
      await this.#server?.kill()
      this.statistics.acknowledged = this.#ledger.acknowledged
      this.statistics.seen = this.#ledger.seen
      this.statistics.gaps = this.#readings.reduce((sum, { view }) => sum + view.gapCount, 0)
    }
  }

  async #rounds(wire: CuttingWire, onCut: () => void): Promise<void> {
    const { cuts, kills } = this.#options
    let client = await this.#start(wire)
    await this.#create(client)
    this.#startReaders(wire, onCut)
    await this.#until('every tail stands at the start', () => this.#readings.every(({ view }) => view.cursor))
    for (let round = 1; round <= kills; round++) {
      const load = this.#load(client)
      await this.#until('connections are cut', () => this.statistics.cuts >= (round * cuts) / kills)
      await this.#end(wire, round % CLEAN_STOP_EVERY === 0)
      client.close()
      await load
      client = await this.#start(wire)
    }
    await this.#finish(client)
  }

  /** A byte of what the server sends, most often somewhere in a frame. */
  #cutAfter(): number | undefined {
    if (this.#isFinishing) return undefined
    const bytes = this.#random.below(BYTES_BETWEEN_CUTS)
    return this.#random.chance(0.1) ? bytes % 1_000 : bytes
  }

  async #start(wire: CuttingWire): Promise<KillClient> {
    this.#server = await ServerProcess.start({
      dataDir: this.#options.dataDir,
      set: { 'auto.create.topics.enable': 'false', 'log.level': 'warn', 'shutdown.grace.ms': '2000' },
    })
    wire.targetPort = this.#server.port
    return new KillClient(this.#server.port)
  }

  async #create(client: KillClient): Promise<void> {
    const body = JSON.stringify({ name: TOPIC, partitions: PARTITIONS, configs: CONFIGS })
    const { status, text, json } = await client.request('POST', '/v1/topics', { body })
    assert.equal(status, 201, text)
    this.#topic.id = json().id
    this.#topic.state = 'alive'
  }

  #startReaders(wire: CuttingWire, onCut: () => void): void {
    for (const kind of ['websocket', 'events'] as const) {
      for (let at = 0; at < this.#options.readers; at++) {
        const filter = at % 4 === 3 ? { key: `k${this.#random.below(24)}` } : {}
        const name = `${kind} ${at}${filter.key === undefined ? '' : ` of ${filter.key}`}`
        const view = new TailView(name, { ledger: this.#ledger, topic: this.#topic, ...filter })
        const reading = new TailReading(kind, { view, random: this.#random, topic: TOPIC, port: wire.port, onCut })
        this.#readings.push(reading)
        reading.start()
      }
    }
  }

  /** Until the server is gone. */
  async #load(client: KillClient): Promise<void> {
    const produce = async () => {
      while (true) await produceOnce(client, this.#ledger, this.#random, this.#topic)
    }
    const loops = [produce(), produce(), this.#flood(client), ...this.#named.map((producer) => producer.run(client))]
    await Promise.all(loops.map(untilCut))
  }

  /** Large records in bursts: what is old goes quickly. */
  async #flood(client: KillClient): Promise<void> {
    const random = this.#random
    while (true) {
      for (let left = 1 + random.below(20); left > 0; left--) {
        const fill = 'y'.repeat(10_000 + random.below(30_000))
        const partition = random.below(PARTITIONS)
        const records = (number: number) => [{ key: null, partition, value: `{"q":${number},"i":0,"x":"${fill}"}` }]
        await produceOnce(client, this.#ledger, random, this.#topic, records)
      }
      await delay(random.below(150))
    }
  }

  async #end(wire: CuttingWire, isClean: boolean): Promise<void> {
    const server = this.#server as ServerProcess
    assert.ok(!server.ended, server.failure('ended by itself').message)
    wire.targetPort = undefined
    if (isClean) {
      this.statistics.cleanStops++
      await server.stop()
    } else {
      this.statistics.kills++
      await server.kill()
    }
  }

  /** What was sent under a name is sent until it is answered; then every tail comes to the end. */
  async #finish(client: KillClient): Promise<void> {
    this.#isFinishing = true
    for (const producer of this.#named) await producer.deliver(client)
    const { starts, ends } = await this.#bounds(client)
    await this.#until(
      () => `every tail comes to ${ends}: ${this.#readings.map(({ view }) => view.about).join('; ')}`,
      () => this.#readings.every(({ view }) => view.isComplete(ends)),
    )
    for (const { view } of this.#readings) view.check(starts, ends)
    for (const reading of this.#readings) await reading.stop()
    for (const [partition, places] of this.#topic.places.entries()) {
      assert.ok(places.length <= (ends[partition] ?? 0), `${partition} ends at ${ends[partition]}: a record is gone`)
    }
    client.close()
    await this.#server?.stop()
  }

  /** Once what is still on its way from those who hung up has been stored. */
  async #bounds(client: KillClient): Promise<{ starts: number[]; ends: number[] }> {
    let last = ''
    while (true) {
      const { status, text, json } = await client.request('GET', `/v1/topics/${TOPIC}`)
      assert.equal(status, 200, text)
      const described: { start_offset: number; end_offset: number }[] = json().partitions
      const ends = described.map(({ end_offset: end }) => end)
      if (ends.join() === last) return { starts: described.map(({ start_offset: start }) => start), ends }
      last = ends.join()
      await delay(100)
    }
  }

  async #until(what: string | (() => string), isSo: () => unknown): Promise<void> {
    const start = performance.now()
    while (!isSo()) {
      for (const reading of this.#readings) reading.check()
      const about = () => (typeof what === 'string' ? what : what())
      assert.ok(performance.now() - start < STUCK_MS_MAX, `stuck before ${about()}`)
      await delay(5)
    }
  }
}

async function untilCut(loop: Promise<void>): Promise<void> {
  try {
    await loop
  } catch (error) {
    if (!(error instanceof Cut)) throw error
  }
}
