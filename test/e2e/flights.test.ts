// A real data set through the whole house: 200,000 flights, imported with a key into a topic of eight partitions, read back
// by offset, by time, by key and page by page, and exported. An independent client's partitioner says where keys belong.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { temporaryDirectory } from '../support/engine-options.ts'
import { Random } from '../support/random.ts'
import { ServerProcess } from '../support/server-process.ts'

const require = createRequire(import.meta.url)
const murmur2 = require('kafkajs/src/producer/partitioners/default/murmur2.js') as (key: Buffer) => number

const FLIGHTS = 200_000
const PARTITIONS = 8
const TOPIC = 'flights'

interface Flight {
  readonly partition: number
  readonly offset: number
  readonly timestamp: string
  readonly key: string
  /** The bytes of the value, as text. */
  readonly value: string
}

/** Each record's JSON as the file has it: `0.0` stays `0.0`. */
function flightLines(): string[] {
  const text = readFileSync(new URL('../data/flights-200k.json', import.meta.resolve('vega-datasets')), 'latin1')
  return text.match(/\{[^{}]*\}/g) ?? []
}

const keyOf = (line: string) => /"distance":(\d+)/.exec(line)?.[1] ?? ''
const partitionOf = (key: string) => (murmur2(Buffer.from(key)) & 0x7fff_ffff) % PARTITIONS

const SHOWN =
  /\{"topic":"flights","partition":(\d+),"offset":(\d+),"timestamp":"([^"]+)","timestamp_type":"CreateTime","key":"(\d+)","value":(\{[^{}]*\}),/g

function flightsIn(text: string): Flight[] {
  return Array.from(text.matchAll(SHOWN), ([, partition, offset, timestamp, key, value]) => ({
    partition: Number(partition),
    offset: Number(offset),
    timestamp: timestamp as string,
    key: key as string,
    value: value as string,
  }))
}

test('a real data set goes in, and comes back as it was', async (t) => {
  const lines = flightLines()
  assert.equal(lines.length, FLIGHTS)
  const expected: string[][] = Array.from({ length: PARTITIONS }, () => [])
  for (const line of lines) expected[partitionOf(keyOf(line))]?.push(line)

  const server = await ServerProcess.start({ dataDir: temporaryDirectory(t) })
  t.after(() => server.kill())
  const get = (path: string) => server.request('GET', `/v1/topics/${TOPIC}${path}`)
  const stored: Flight[][] = Array.from({ length: PARTITIONS }, () => [])

  await t.test('imported by its field distance', async () => {
    const created = await server.request('POST', '/v1/topics', { body: { name: TOPIC, partitions: PARTITIONS } })
    assert.equal(created.status, 201)
    const half = FLIGHTS >> 1
    const bodies = [Buffer.from(lines.slice(0, half).join('\n')), gzipSync(lines.slice(half).join('\n'), { level: 1 })]
    let imported = 0
    for (const [at, body] of bodies.entries()) {
      const headers = { 'content-type': 'application/x-ndjson', ...(at === 1 ? { 'content-encoding': 'gzip' } : {}) }
      const path = `/v1/topics/${TOPIC}/import?format=value&key=distance`
      const report = await server.request('POST', path, { headers, body })
      assert.equal(report.status, 200, report.text())
      assert.equal(report.json().rejected, 0)
      imported += report.json().imported
    }
    assert.equal(imported, FLIGHTS)
  })

  await t.test(
    'by cursor pages: every key where the partitioner says, every value as it was, in the order of the input',
    async () => {
      let path = '/records?from=earliest&limit=10000&max_bytes=8388608'
      let isCaughtUp = false
      while (!isCaughtUp) {
        const page = await get(path)
        assert.equal(page.status, 200)
        const text = page.body.toString('latin1')
        for (const flight of flightsIn(text)) stored[flight.partition]?.push(flight)
        const { cursor, caught_up: caughtUp } = JSON.parse(
          `{${text.slice(text.lastIndexOf('"cursor":'))}`.replace(/"next":"[^"]*",/, ''),
        )
        isCaughtUp = caughtUp
        path = `/records?cursor=${cursor}&limit=10000&max_bytes=8388608`
      }
      for (const [partition, flights] of stored.entries()) {
        assert.equal(flights.length, expected[partition]?.length, `records of partition ${partition}`)
        for (const [offset, flight] of flights.entries()) {
          assert.ok(
            flight.offset === offset && flight.value === expected[partition]?.[offset],
            `${partition}:${offset}`,
          )
          assert.equal(flight.key, keyOf(flight.value))
        }
      }
    },
  )

  await t.test('exported: the same bytes', async () => {
    const exported = await get('/export')
    const ends = Array.from({ length: PARTITIONS }, () => 0)
    for (const { partition, offset, value } of flightsIn(exported.body.toString('latin1'))) {
      assert.equal(offset, ends[partition])
      assert.ok(value === expected[partition]?.[offset], `${partition}:${offset}`)
      ends[partition] = offset + 1
    }
    assert.deepEqual(
      ends,
      expected.map(({ length }) => length),
    )
    assert.match(exported.body.subarray(-400).toString(), /\n\{"\$end":\{"cursor":"[^"]+","records":200000\}\}\n$/)
  })

  await t.test('by offset', async () => {
    const random = new Random(7)
    for (let left = 40; left > 0; left--) {
      const flight = random.pick(random.pick(stored))
      const { partition, offset } = flight
      const one = await get(`/partitions/${partition}/records/${offset}`)
      assert.deepEqual(flightsIn(`${one.text().slice(0, -1)},`), [flight])
      const page = await get(`/records?partition=${partition}&from=${offset}&limit=20`)
      assert.deepEqual(flightsIn(page.text()), stored[partition]?.slice(offset, offset + 20))
    }
  })

  await t.test('by time: from the first at or after it', async () => {
    const random = new Random(8)
    for (let left = 15; left > 0; left--) {
      const { timestamp } = random.pick(random.pick(stored))
      const { items } = (await get(`/offsets?at=${timestamp}`)).json()
      for (const { partition, offset } of items as Flight[]) {
        const flights = stored[partition] ?? []
        const first = flights.findIndex((flight) => flight.timestamp >= timestamp)
        assert.equal(offset, first < 0 ? flights.length : first, `partition ${partition} at ${timestamp}`)
        const page = await get(`/records?partition=${partition}&from=${timestamp}&limit=3`)
        assert.deepEqual(flightsIn(page.text()), flights.slice(offset, offset + 3))
      }
    }
  })

  await t.test('by key: all of it in the order of the input', async () => {
    const key = keyOf(lines[1_000] ?? '')
    const found: string[] = []
    let path = `/records?from=earliest&limit=1000&key=${key}`
    for (let isCaughtUp = false; !isCaughtUp; ) {
      const page = await get(path)
      found.push(...flightsIn(page.text()).map(({ value }) => value))
      const { caught_up: caughtUp, cursor } = page.json()
      isCaughtUp = caughtUp
      path = `/records?cursor=${cursor}&limit=1000&key=${key}`
    }
    assert.ok(found.length > 10)
    assert.deepEqual(
      found,
      lines.filter((line) => keyOf(line) === key),
    )
  })
})
