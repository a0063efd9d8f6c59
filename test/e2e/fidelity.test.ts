// What a client sends is what is stored and what comes back: the very bytes, over real sockets, on disk, and for a decoder
// that shares no code with us.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryDirectory } from '../support/engine-options.ts'
import { ServerProcess } from '../support/server-process.ts'

const require = createRequire(import.meta.url)
const MIB = 1024 * 1024

/** JSON texts that a parser and a printer would not give back as they are. */
const VALUES: readonly string[] = [
  '{"value":12345678901234567890}',
  '1.0',
  '-0',
  '1E400',
  '0.1000000000000000055511151231257827',
  '{"b":1,"a":2,"b":3}',
  '{"__proto__":{"x":1},"constructor":null}',
  '"\\ud800"',
  '{"low":"\\udc00","high":"\\uD83C","pair":"\\ud83c\\udf0a","plain":"🌊"}',
  '"\\/\\u002f\\u0000\\u007F"',
  '{\n  "pretty": [\n    1,\n    {}\n  ],\r\n\t"printed": true\n}',
  '[ ]',
  '""',
  'null',
  'false',
  `"${'x'.repeat(MIB)}"`,
  `"${'流'.repeat(MIB / 3)}"`,
  `{"escapes":"${'\\n\\"\\\\'.repeat(MIB / 6)}"}`,
]
const BODY = `{"records":[${VALUES.map((value, at) => `{"key":"k${at}","value":${value},"value_encoding":"json"}`).join(',')}]}`

const asShown = (at: number, value: string) =>
  `"key":"k${at}","value":${value},"key_encoding":"string","value_encoding":"json"`

test('values come back byte for byte', async (t) => {
  const dataDir = temporaryDirectory(t)
  const server = await ServerProcess.start({ dataDir })
  t.after(() => server.kill())
  const produced = await server.request('POST', '/v1/topics/exact/records', { body: BODY })
  assert.equal(produced.status, 200, produced.text().slice(0, 500))

  await t.test('in a page', async () => {
    const page = await server.request('GET', `/v1/topics/exact/records?max_bytes=${8 * MIB}`)
    const text = page.text()
    let from = 0
    for (const [at, value] of VALUES.entries()) {
      const found = text.indexOf(asShown(at, value), from)
      assert.ok(found >= 0, `${value.slice(0, 60)} in ${text.slice(from, from + 300)}`)
      from = found + value.length
    }
  })

  await t.test('as single records', async () => {
    for (const [at, value] of VALUES.entries()) {
      const one = await server.request('GET', `/v1/topics/exact/partitions/0/records/${at}`)
      assert.ok(one.text().includes(asShown(at, value)), value.slice(0, 60))
    }
  })

  await t.test('through an export and an import into another topic', async () => {
    const exported = await server.request('GET', '/v1/topics/exact/export')
    const lines = exported.text().split('\n')
    assert.equal(lines.pop(), '')
    assert.match(lines.pop() ?? '', /^\{"\$end":\{.*"records":18/)
    assert.equal(lines.length, VALUES.length)
    for (const [at, value] of VALUES.entries()) {
      if (/[\r\n]/.test(value)) assert.equal(JSON.parse(lines[at] ?? '').value, Buffer.from(value).toString('base64'))
      else assert.ok(lines[at]?.includes(asShown(at, value)), value.slice(0, 60))
    }
    const imported = await server.request('POST', '/v1/topics/copy/import', {
      headers: { 'content-type': 'application/x-ndjson' },
      body: exported.body,
    })
    assert.deepEqual([imported.status, imported.json().imported, imported.json().rejected], [200, VALUES.length, 0])
    const page = await server.request('GET', `/v1/topics/copy/records?max_bytes=${8 * MIB}`)
    for (const [at, value] of VALUES.entries()) assert.ok(page.text().includes(asShown(at, value)), value.slice(0, 60))
  })

  await t.test('after kill -9, from the segment file, decoded by an independent library', async () => {
    await server.kill()
    const file = join(dataDir, 'topics', 'exact-0', '00000000000000000000.log')
    const records = await decodeWithKafkajs(readFileSync(file))
    assert.deepEqual(
      records.map(({ key, offset }) => [offset, key.toString()]),
      VALUES.map((_, at) => [String(at), `k${at}`]),
    )
    for (const [at, value] of VALUES.entries()) {
      assert.ok(records[at]?.value.equals(Buffer.from(value)), value.slice(0, 60))
    }
  })
})

test('bytes that are no JSON come back byte for byte as base64, with their headers in order', async (t) => {
  const server = await ServerProcess.start({ dataDir: temporaryDirectory(t) })
  t.after(() => server.kill())
  const bytes = Buffer.from(Array.from({ length: 1_024 }, (_, at) => (at * 7) % 256)).toString('base64')
  const headers = [
    { name: 'b', value: 'first' },
    { name: 'a', value: null },
    { name: 'b', value: bytes, value_encoding: 'base64' },
  ]
  const record = { key: bytes, key_encoding: 'base64', value: bytes, value_encoding: 'base64', headers }
  const produced = await server.request('POST', '/v1/topics/binary/records', { body: { records: [record] } })
  assert.equal(produced.status, 200, produced.text())
  const [back] = (await server.request('GET', '/v1/topics/binary/records')).json().records
  assert.deepEqual([back.key, back.key_encoding], [bytes, 'base64'])
  assert.deepEqual([back.value, back.value_encoding], [bytes, 'base64'])
  assert.deepEqual(
    back.headers.map(({ name, value }: { name: string; value: string | null }) => [name, value]),
    headers.map(({ name, value }) => [name, value]),
  )
})

interface DecodedRecord {
  readonly offset: string
  readonly key: Buffer
  readonly value: Buffer
}

async function decodeWithKafkajs(bytes: Buffer): Promise<DecodedRecord[]> {
  const Decoder = require('kafkajs/src/protocol/decoder')
  const decodeBatch = require('kafkajs/src/protocol/recordBatch/v0/decoder')
  const decoder = new Decoder(bytes)
  const records: DecodedRecord[] = []
  while (decoder.canReadInt64()) records.push(...(await decodeBatch(decoder)).records)
  return records
}
