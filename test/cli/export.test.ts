// Export and import through files and pipes.

import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { gunzipSync, gzipSync, zstdDecompressSync } from 'node:zlib'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import { runCli, runCliOk } from './cli-process.ts'

function freshDir(t: { after(cleanUp: () => void): void }): string {
  const dir = mkdtempSync(join(tmpdir(), 'tailrace-cli-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

async function fill(server: TestServer, topic: string): Promise<void> {
  await runCliOk(['topics', 'create', topic, '-p', '3'], { url: server.url })
  const body =
    '{"records":[{"key":"a","value":{"n": 12345678901234567890,\n "m":1.0}},{"key":"","value":null},' +
    '{"value":"AP8K","value_encoding":"base64","headers":[{"name":"h","value":"v"},{"name":"h","value":null}]},' +
    '{"key":"ÿ","value":"plain","value_encoding":"string","timestamp":"2026-01-02T03:04:05.678Z"}]}'
  assert.equal((await server.post(`/v1/topics/${topic}/records`, body)).status, 200)
}

/** All that is stored of a topic, byte for byte. */
async function stored(server: TestServer, topic: string): Promise<unknown> {
  const reply = await server.get(`/v1/topics/${topic}/records?key_format=base64&value_format=base64`)
  return JSON.parse(reply.text().replaceAll(`"topic":"${topic}"`, '"topic":""')).records
}

for (const [ending, unpack] of [
  ['ndjson', (bytes: Buffer) => bytes],
  ['ndjson.gz', gunzipSync],
  ['ndjson.zst', zstdDecompressSync],
] as const) {
  test(`a topic goes through a file .${ending} and comes back byte for byte`, async (t) => {
    const server = await startServer(t)
    const { url } = server
    const dir = freshDir(t)
    const file = join(dir, `orders.${ending}`)
    await fill(server, 'orders')
    const exported = await runCliOk(['export', 'orders', file], { url })
    assert.equal(exported.stdout, '')
    assert.deepEqual(readdirSync(dir), [`orders.${ending}`], 'nothing else is left')
    assert.match(unpack(readFileSync(file)).toString(), /\n\{"\$end":\{.*"records":4.*\}\}\n$/)

    await runCliOk(['topics', 'create', 'copy', '-p', '3'], { url })
    const imported = await runCliOk(['import', 'copy', file], { url })
    assert.equal(imported.lines[0].imported, 4)
    assert.deepEqual(await stored(server, 'copy'), await stored(server, 'orders'))
  })
}

test('a topic goes through a pipe', async (t) => {
  const server = await startServer(t)
  const { url } = server
  await fill(server, 'orders')
  const { bytes } = await runCliOk(['export', 'orders'], { url })
  await runCliOk(['topics', 'create', 'copy', '-p', '3'], { url })
  const { stdout } = await runCliOk(['import', 'copy', '--output', 'table'], { url, input: bytes })
  assert.equal(stdout, '4 lines: 4 imported, 0 rejected\n')
  assert.deepEqual(await stored(server, 'copy'), await stored(server, 'orders'))
})

test('lines that are rejected are named, the others are in, and it ends with 1', async (t) => {
  const { url } = await startServer(t)
  const input = '{"value":1}\n\n{"nope":1}\nnot json\n{"value":2}\n'
  const { code, lines, stderr } = await runCli(['import', 'orders'], { url, input })
  assert.equal(code, 1)
  const { lines: count, imported, rejected } = lines[0]
  assert.deepEqual({ count, imported, rejected }, { count: 4, imported: 2, rejected: 2 })
  assert.match(stderr, /^line 3: .*nope.*\nline 4: .*\ntailrace: 2 lines were not imported; --format value .*\n$/)
  const elsewhere = await runCli(['import', 'narrow'], { url, input: '{"partition":3,"value":1}\n' })
  assert.match(
    elsewhere.stderr,
    /no partition 3.*\ntailrace: 1 line was not imported; topics alter --partitions .*--no-keep-partitions .*\n$/,
  )
})

test('plain values are imported with a member as their key', async (t) => {
  const { url } = await startServer(t)
  const file = join(freshDir(t), 'flights.json.gz')
  writeFileSync(file, gzipSync('{"id":"x","n":1.50}\n{"id":7}\n'))
  await runCliOk(['import', 'flights', file, '--format', 'value', '--key', 'id'], { url })
  const { lines, stdout } = await runCliOk(['consume', 'flights', '--from-beginning', '-e'], { url })
  assert.deepEqual(
    lines.map(({ key }) => key),
    ['x', '7'],
  )
  assert.match(stdout, /"value":\{"id":"x","n":1\.50\},/)
})

test('an export of a part begins and ends where it is told', async (t) => {
  const { url } = await startServer(t)
  await runCliOk(['produce', 't'], { url, input: '0\n1\n2\n3\n' })
  const { lines } = await runCliOk(['export', 't', '--from', '1', '--until', '3', '-p', '0'], { url })
  assert.deepEqual(
    lines.map(({ value }) => value),
    [1, 2, undefined],
  )
})

test('an export that fails leaves no file under its name', async (t) => {
  const { url } = await startServer(t)
  const file = join(freshDir(t), 'nope.ndjson')
  const { code } = await runCli(['export', 'nope', file], { url })
  assert.equal(code, 3)
  assert.ok(!existsSync(file) && !existsSync(`${file}.part`))
})

test('what the server refuses before it has read all is told', async (t) => {
  const { url } = await startServer(t)
  const { code, stderr } = await runCli(['import', 'no name'], { url, input: '{"value":1}\n'.repeat(500_000) })
  assert.equal(code, 2)
  assert.match(stderr, /^tailrace: .*no name/)
})

test('an export that the server cannot go on with says why, into a file and into a pipe', async (t) => {
  const server = await startServer(t)
  const { url } = server
  await server.post('/v1/topics', { name: 't', partitions: 1 })
  for (let at = 0; at < 30; at++) {
    await server.post('/v1/topics/t/records', { records: [{ value: `${at} ${'x'.repeat(100_000)}` }] })
  }
  const folder = join(server.dataDir, 'topics/t-0')
  const segment = join(folder, readdirSync(folder).find((name) => name.endsWith('.log')) ?? '')
  const bytes = readFileSync(segment)
  const middle = bytes.length >> 1
  bytes[middle] = (bytes[middle] as number) ^ 1
  writeFileSync(segment, bytes)
  const file = join(freshDir(t), 't.ndjson')
  for (const target of [[], [file]]) {
    const { code, stderr } = await runCli(['export', 't', ...target], { url })
    assert.equal(code, 1)
    assert.match(stderr, /^tailrace: the export is not whole: .*\(corrupt_message\)$/m)
  }
  assert.ok(!existsSync(file) && !existsSync(`${file}.part`))
})
