// The long form of compaction's test, for a night: npm run test:compaction [-- --records 10000000 --keys 100000 --kills 20
// --seed 7]. A compacted topic is written over and over while it is compacted and the server is killed; what is left must
// be the newest record of every key, at its offset, and what has not been compacted yet. Prints the seed first, and what
// was done; ends with 1 when a record is not what it should be.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Random } from '../support/random.ts'
import { ServerProcess } from '../support/server-process.ts'

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '10000000' },
    keys: { type: 'string', default: '100000' },
    kills: { type: 'string', default: '20' },
    seed: { type: 'string', default: String(Date.now() % 0x7fff_ffff) },
  },
})
const recordCount = Number(values.records)
const keyCount = Number(values.keys)
const killCount = Number(values.kills)
const RECORDS_PER_REQUEST = 50_000
const SETTLE_MS_MAX = 600_000

const random = new Random(Number(values.seed))
print(`seed ${values.seed}`)
const dataDir = mkdtempSync(join(tmpdir(), 'tailrace-compaction-'))
const folder = join(dataDir, 'topics', 'prices-0')
const options = { dataDir, set: { 'log.cleaner.backoff.ms': '100' } }
/** By key: the newest offset of what can have been compacted, and of all. */
const newest = new Float64Array(keyCount).fill(-1)
const keyOf = new Uint32Array(recordCount)
const total = { passes: 0, recordsRead: 0, kills: 0 }
let server = await ServerProcess.start(options)
try {
  await run()
} finally {
  await server.kill()
}
rmSync(dataDir, { recursive: true, force: true })

async function run(): Promise<void> {
  const configs = { 'cleanup.policy': 'compact', 'min.cleanable.dirty.ratio': '0.3', 'segment.bytes': '8388608' }
  const start = performance.now()
  await server.request('POST', '/v1/topics', { body: { name: 'prices', partitions: 1, configs } })
  const requests = Math.ceil(recordCount / RECORDS_PER_REQUEST)
  for (let request = 0; request < requests; request++) {
    await send(request * RECORDS_PER_REQUEST, Math.min(recordCount, (request + 1) * RECORDS_PER_REQUEST))
    if (random.chance(killCount / requests)) await killInTheMidst()
    if ((request + 1) % 20 === 0) print(`${seconds(start)} s: ${(request + 1) * RECORDS_PER_REQUEST} records sent`)
  }
  // all that is closed is to be compacted, whatever its part
  await server.request('PATCH', '/v1/topics/prices', { body: { configs: { 'min.cleanable.dirty.ratio': '0' } } })
  const left = await settled()
  await count()
  print(
    `${seconds(start)} s: ${recordCount} records over ${keyCount} keys came to ${left}; ${total.passes} passes looked at ` +
      `${total.recordsRead} records, ${total.kills} kills`,
  )
  if (total.passes === 0) throw new Error('nothing was compacted')
}

async function send(from: number, to: number): Promise<void> {
  const lines: string[] = []
  for (let offset = from; offset < to; offset++) {
    const key = random.below(keyCount)
    keyOf[offset] = key
    lines.push(`{"key":"k${key}","value":${offset}}`)
  }
  const headers = { 'content-type': 'application/x-ndjson' }
  const reply = await server.request('POST', '/v1/topics/prices/import', { headers, body: lines.join('\n') })
  if (reply.json().imported !== to - from) throw new Error(`import answered ${reply.text().slice(0, 500)}`)
}

/** Best of all while something is being replaced. */
async function killInTheMidst(): Promise<void> {
  await count()
  for (let left = 200; left > 0; left--) {
    if (readdirSync(folder).some((name) => /\.(cleaned|swap)$/.test(name))) break
    await sleep(5)
  }
  await sleep(random.below(20))
  await server.kill()
  total.kills++
  server = await ServerProcess.start(options)
}

async function count(): Promise<void> {
  const text = (await server.request('GET', '/metrics')).text()
  const read = (name: string) => Number(new RegExp(`^tailrace_compaction_${name} (\\S+)`, 'm').exec(text)?.[1])
  total.passes += read('passes_total')
  total.recordsRead += read('records_read_total')
}

/** Waits until every closed segment is clean, and answers how many records are left. */
async function settled(): Promise<number> {
  const deadline = performance.now() + SETTLE_MS_MAX
  for (;;) {
    const activeBase = Number(
      readdirSync(folder)
        .filter((name) => /^\d{20}\.log$/.test(name))
        .sort()
        .at(-1)
        ?.slice(0, 20),
    )
    const difference = await compare(activeBase)
    if (typeof difference === 'number') return difference
    if (performance.now() > deadline) throw new Error(difference)
    await sleep(1_000)
  }
}

/** How many records there are, or what is wrong with them. Throws at once for what no pass could mend. */
async function compare(activeBase: number): Promise<number | string> {
  newest.fill(-1)
  for (let offset = 0; offset < activeBase; offset++) newest[keyOf[offset] as number] = offset
  let found = 0
  let next = 0
  let position = 'from=earliest'
  for (;;) {
    const path = `/v1/topics/prices/records?${position}&limit=10000&max_bytes=16777216`
    const page = (await server.request('GET', path)).json()
    for (const { offset, key, value } of page.records) {
      if (key !== `k${keyOf[offset]}` || value !== offset) throw new Error(`offset ${offset} holds ${key}=${value}`)
      for (; next < offset; next++) {
        if (isDue(next, activeBase)) throw new Error(`offset ${next} (k${keyOf[next]}) is missing`)
      }
      if (!isDue(offset, activeBase)) return `offset ${offset} (k${keyOf[offset]}) is still there`
      next = offset + 1
      found++
    }
    if (page.caught_up) break
    position = `cursor=${page.cursor}`
  }
  for (; next < recordCount; next++) {
    if (isDue(next, activeBase)) throw new Error(`offset ${next} (k${keyOf[next]}) is missing`)
  }
  return found
}

function isDue(offset: number, activeBase: number): boolean {
  return offset >= activeBase || newest[keyOf[offset] as number] === offset
}

function seconds(start: number): number {
  return Math.round((performance.now() - start) / 1_000)
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
