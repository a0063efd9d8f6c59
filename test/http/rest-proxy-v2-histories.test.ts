// Random histories of consumers that share a group: they read, commit, fall silent, are deleted, come and go, and the server
// is stopped and started again. Always: every record is given to somebody, and what was committed when a read was asked for
// is not given by it.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import type { TestReply } from '../support/http-send.ts'
import { Random } from '../support/random.ts'
import { postJson, V2, V2_JSON } from '../support/rest-proxy-v2.ts'

const PARTITIONS = 4
const RECORDS = 300
const WORKERS = 3
const HISTORY_MS_MAX = 20_000

const set = {
  'num.partitions': String(PARTITIONS),
  'group.min.session.timeout.ms': '100',
  'consumer.request.timeout.ms': '60',
}

test('whoever comes, goes or falls silent, every record is given, and what is committed is not given again', async (t) => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  t.diagnostic(`SEED=${seed}`)
  const random = new Random(seed)
  const dataDir = mkdtempSync(join(tmpdir(), 'tailrace-v2-'))
  t.after(() => rmSync(dataDir, { recursive: true, force: true }))
  let server = await startServer(t, { dataDir, set })
  const history = new History()
  let isOver = false

  const produce = async () => {
    for (let at = 0; at < RECORDS; at += 10) {
      const records = Array.from({ length: 10 }, () => ({
        value: at,
        partition: Math.floor(random.next() * PARTITIONS),
      }))
      await stubborn(() => postJson(server, '/topics/t', { records }), history)
      await pause(random.next() * 20)
    }
  }
  const restart = async () => {
    await pause(300)
    await server.close()
    server = await startServer(t, { dataDir, set })
  }
  const work = async (worker: number) => {
    for (let life = 0; !isOver; life++)
      await new Worker(`${worker}-${life}`, () => server, history, random).live(() => isOver)
  }
  const working = Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(worker))).finally(() => {
    isOver = true
  })
  working.catch(() => undefined)
  await Promise.all([produce(), restart()])
  const deadline = performance.now() + HISTORY_MS_MAX
  while (!isOver && !history.isAllCommitted && performance.now() < deadline) await pause(20)
  isOver = true
  await working
  assert.ok(history.isAllCommitted, `${JSON.stringify(history.committed)} of ${JSON.stringify(history.produced)}`)
  for (const [partition, count] of history.produced.entries()) {
    const missing = Array.from({ length: count }, (_, offset) => offset).filter(
      (offset) => !history.given[partition]?.has(offset),
    )
    assert.deepEqual(missing, [], `given of partition ${partition}`)
  }
})

class History {
  readonly produced = new Array<number>(PARTITIONS).fill(0)
  readonly committed = new Array<number>(PARTITIONS).fill(0)
  readonly given = Array.from({ length: PARTITIONS }, () => new Set<number>())

  get isAllCommitted(): boolean {
    return this.produced.every((count, partition) => count === this.committed[partition])
  }
}

class Worker {
  readonly #name: string
  readonly #server: () => TestServer
  readonly #history: History
  readonly #random: Random

  constructor(name: string, server: () => TestServer, history: History, random: Random) {
    this.#name = name
    this.#server = server
    this.#history = history
    this.#random = random
  }

  async live(isOver: () => boolean): Promise<void> {
    const config = {
      name: this.#name,
      format: 'json',
      'auto.offset.reset': 'earliest',
      'auto.commit.enable': 'false',
      'session.timeout.ms': 250,
    }
    await this.#call('POST', '/consumers/g', config)
    await this.#subscribe()
    while (!isOver()) {
      await this.#read()
      const chance = this.#random.next()
      if (chance < 0.7) await this.#commit()
      else if (chance < 0.75)
        return // silent from now on
      else if (chance < 0.8) {
        await this.#call('DELETE', this.#path)
        return
      } else if (chance < 0.85) {
        await this.#call('DELETE', `${this.#path}/subscription`)
        await this.#subscribe()
      }
    }
  }

  async #subscribe(): Promise<void> {
    await this.#call('POST', `${this.#path}/subscription`, { topics: ['t'] })
  }

  async #read(): Promise<void> {
    const floor = [...this.#history.committed]
    const reply = await this.#call('GET', `${this.#path}/records?max_bytes=${Math.ceil(this.#random.next() * 200)}`)
    if (reply?.status !== 200) return
    for (const { partition, offset } of reply.json()) {
      assert.ok(offset >= (floor[partition] as number), `${partition}@${offset} was committed: ${floor}`)
      this.#history.given[partition]?.add(offset)
    }
  }

  async #commit(): Promise<void> {
    const reply = await this.#call('POST', `${this.#path}/offsets`)
    if (reply?.status !== 200) return
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: 't', partition }))
    const found = await this.#call('GET', `${this.#path}/offsets`, { partitions })
    const { committed } = this.#history
    for (const { partition, offset } of found?.status === 200 ? found.json().offsets : []) {
      committed[partition] = Math.max(committed[partition] as number, offset)
    }
  }

  get #path(): string {
    return `/consumers/g/instances/${this.#name}`
  }

  /** undefined: nobody was there to answer. */
  async #call(method: string, path: string, body?: object): Promise<TestReply | undefined> {
    const headers = { 'content-type': V2, accept: path.includes('/records') ? V2_JSON : V2 }
    try {
      return await this.#server().request(method, path, { headers, ...(body === undefined ? {} : { body }) })
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error
      await pause(20)
      return undefined
    }
  }
}

/** Until it is stored. */
async function stubborn(post: () => Promise<TestReply>, history: History): Promise<void> {
  for (;;) {
    const reply = await post().catch(() => undefined)
    for (const { partition, offset } of reply?.status === 200 ? reply.json().offsets : []) {
      if (partition !== null) history.produced[partition] = Math.max(history.produced[partition] ?? 0, offset + 1)
    }
    if (reply?.status === 200) return
    await pause(20)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
