// A topic for each codec, over real sockets: the bytes that come back, what lies on the disk, and what decoders that share
// no code with us find there.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { Reader, readRecordsBatch } from '@platformatic/kafka'
import { scanBatches } from '../../src/record/batch-reader.ts'
import { compressionTypeOf } from '../../src/record/record-batch.ts'
import { runCliOk } from '../cli/cli-process.ts'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'

const require = createRequire(import.meta.url)
const NAMED = ['producer', 'uncompressed', 'gzip', 'snappy', 'lz4', 'zstd'] as const
/** What dump-log and the attributes call it. */
const codecOf = (named: (typeof NAMED)[number]) => (named === 'producer' || named === 'uncompressed' ? 'none' : named)

const VALUES = Array.from(
  { length: 1_000 },
  (_, n) => `{"order":${n},"item":"cup ${n % 7}","price":${n}.50,"paid":true}`,
)
const BODY = `{"records":[${VALUES.map((value, n) => `{"key":"k${n}","value":${value}}`).join(',')}]}`

const segmentOf = (server: TestServer, topic: string) =>
  join(server.dataDir, 'topics', `${topic}-0`, '00000000000000000000.log')

async function filled(t: TestContext): Promise<TestServer> {
  const server = await startServer(t)
  for (const named of NAMED) {
    await server.post('/v1/topics', { name: named, configs: { 'compression.type': named } })
    const large = await server.post(`/v1/topics/${named}/records`, BODY)
    const small = await server.post(`/v1/topics/${named}/records`, { records: [{ key: 'last', value: 1 }] })
    assert.deepEqual([large.status, small.status], [200, 200])
  }
  return server
}

async function valuesOf(server: TestServer, topic: string): Promise<string[]> {
  const page = await server.get(`/v1/topics/${topic}/records?from=earliest&limit=2000`)
  return [...page.text().matchAll(/"value":(.*?),"key_encoding"/g)].map((found) => found[1] as string)
}

test('gives back the bytes that were sent, from fewer bytes on disk', async (t) => {
  const server = await filled(t)
  const plainBytes = readFileSync(segmentOf(server, 'producer')).length
  for (const named of NAMED) {
    assert.deepEqual(await valuesOf(server, named), [...VALUES, '1'], named)
    const middle = await server.get(`/v1/topics/${named}/partitions/0/records/517`)
    assert.ok(middle.text().includes(`"value":${VALUES[517]}`))
    const bytes = readFileSync(segmentOf(server, named))
    const { partitions } = (await server.get(`/v1/topics/${named}`)).json()
    assert.equal(partitions[0].size_bytes, bytes.length)
    if (codecOf(named) === 'none') assert.equal(bytes.length, plainBytes)
    else assert.ok(bytes.length < plainBytes / 2, `${named}: ${bytes.length} of ${plainBytes}`)
    const codecs = scanBatches(bytes).batches.map(({ header }) => compressionTypeOf(header.attributes))
    assert.deepEqual(codecs, [codecOf(named), codecOf(named)])
  }
})

test('a batch that inflates to megabytes is paged, exported and looked into', async (t) => {
  const server = await startServer(t)
  const value = (n: number) => `{"n":${n},"text":"${`word ${n} `.repeat(1_000)}"}`
  const records = Array.from({ length: 200 }, (_, n) => `{"key":"k${n}","value":${value(n)}}`)
  for (const named of ['gzip', 'zstd']) {
    await server.post('/v1/topics', { name: named, configs: { 'compression.type': named } })
    assert.equal((await server.post(`/v1/topics/${named}/records`, `{"records":[${records.join(',')}]}`)).status, 200)
    const [batch, ...others] = scanBatches(readFileSync(segmentOf(server, named))).batches
    assert.ok(batch !== undefined && others.length === 0 && batch.header.sizeBytes < 200_000)
    let found = 0
    for (let next = `/v1/topics/${named}/records?limit=80`; found < 200; ) {
      const page = await server.get(next)
      for (const { offset } of page.json().records) {
        assert.equal(offset, found)
        assert.ok(page.text().includes(value(found++)))
      }
      next = page.json().next
    }
    const one = await server.get(`/v1/topics/${named}/partitions/0/records/125`)
    assert.ok(one.text().includes(value(125)))
    const last = (await server.get(`/v1/topics/${named}/records?from=-3&max_bytes=1000000`)).json()
    assert.deepEqual(
      last.records.map(({ offset }: { offset: number }) => offset),
      [197, 198, 199],
    )
    const lines = (await server.get(`/v1/topics/${named}/export`)).text().trimEnd().split('\n')
    assert.equal(lines.length, 201)
    assert.ok(lines[199]?.includes(value(199)))
  }
})

test('a codec that is set at run time is the next batch’s, and all are read', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 't' })
  for (const named of NAMED) {
    await server.request('PATCH', '/v1/topics/t', { body: { configs: { 'compression.type': named } } })
    await server.post('/v1/topics/t/records', { records: [{ key: 'k', value: named }] })
  }
  assert.deepEqual(
    await valuesOf(server, 't'),
    NAMED.map((named) => JSON.stringify(named)),
  )
  const codecs = scanBatches(readFileSync(segmentOf(server, 't'))).batches.map(({ header }) => header.attributes & 7)
  assert.deepEqual(codecs, [0, 0, 1, 2, 3, 4])
})

test('the server’s own compression.type is that of every topic that names none', async (t) => {
  const server = await startServer(t, { set: { 'compression.type': 'zstd', 'compression.zstd.level': '9' } })
  await server.post('/v1/topics', { name: 'own', configs: { 'compression.type': 'producer' } })
  for (const topic of ['made', 'own']) await server.post(`/v1/topics/${topic}/records`, BODY)
  const codecsOf = (topic: string) =>
    scanBatches(readFileSync(segmentOf(server, topic))).batches.map(({ header }) =>
      compressionTypeOf(header.attributes),
    )
  assert.deepEqual([codecsOf('made'), codecsOf('own')], [['zstd'], ['none']])
  assert.deepEqual(await valuesOf(server, 'made'), VALUES)
})

test('other decoders read the files, and dump-log names the codec', async (t) => {
  const server = await filled(t)
  const Decoder = require('kafkajs/src/protocol/decoder')
  const decodeBatch = require('kafkajs/src/protocol/recordBatch/v0/decoder')
  for (const named of NAMED) {
    const bytes = readFileSync(segmentOf(server, named))
    const values: string[] = []
    for (const { position, header } of scanBatches(bytes).batches) {
      const batch = bytes.subarray(position, position + header.sizeBytes)
      const read = readRecordsBatch(Reader.from(batch)).records.map(({ value }) => String(value))
      values.push(...read)
      // kafkajs has no other codec of its own
      if (codecOf(named) !== 'none' && named !== 'gzip') continue
      const { records } = await decodeBatch(new Decoder(batch))
      assert.deepEqual(
        records.map(({ value }: { value: Buffer }) => String(value)),
        read,
      )
    }
    assert.deepEqual(values, [...VALUES, '1'], named)
  }
  const { stdout } = await runCliOk(['dump-log', segmentOf(server, 'zstd'), '--output', 'table'])
  assert.deepEqual(
    [...stdout.matchAll(/compresscodec: (\w+) /g)].map((found) => found[1]),
    ['zstd', 'zstd'],
  )
})
