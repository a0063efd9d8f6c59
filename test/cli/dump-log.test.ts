// dump-log on the files that a real server has written, and on the same files broken.

import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { JOURNAL_ID_BYTES, renderEntry, renderJournalFile } from '../../src/log/journal-entry.ts'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'
import { runCli, runCliOk } from './cli-process.ts'

const SEGMENT = '00000000000000000000.log'

async function twoBatches(t: { after(cleanUp: () => Promise<void> | void): void }): Promise<TestServer> {
  const server = await startServer(t)
  const records = [
    { key: 'k', value: { n: 1 }, headers: [{ name: 'h', value: 'v' }] },
    { value: 'AP8=', value_encoding: 'base64' },
  ]
  await server.post('/v1/topics/t/records', { records })
  const named = { 'producer-id': 'p', 'producer-epoch': '0', 'producer-seq': '0' }
  await server.post('/v1/topics/t/records', { records: [{ key: null, value: null }] }, named)
  return server
}

const segmentOf = (server: TestServer) => join(server.dataDir, 'topics', 't-0', SEGMENT)

test('prints batches and records in the form of Kafka’s dump-log', async (t) => {
  const server = await twoBatches(t)
  const { stdout } = await runCliOk(['dump-log', segmentOf(server), '--records', '--output', 'table'])
  const [dumping, starting, first, one, two, second, three, end] = stdout.split('\n')
  assert.equal(dumping, `Dumping ${segmentOf(server)}`)
  assert.equal(starting, 'Log starting offset: 0')
  assert.match(
    first ?? '',
    /^baseOffset: 0 lastOffset: 1 count: 2 baseSequence: -1 lastSequence: -1 producerId: -1 producerEpoch: -1 partitionLeaderEpoch: \d+ isTransactional: false isControl: false deleteHorizonMs: OptionalLong\.empty position: 0 CreateTime: \d+ size: \d+ magic: 2 compresscodec: none crc: \d+ isvalid: true$/,
  )
  assert.match(
    one ?? '',
    /^\| offset: 0 CreateTime: \d+ keySize: 1 valueSize: 7 sequence: -1 headerKeys: \[h\] key: k payload: \{"n":1\}$/,
  )
  assert.match(two ?? '', /^\| offset: 1 .* keySize: -1 valueSize: 2 .* payload: base64 AP8=$/)
  assert.match(
    second ?? '',
    /^baseOffset: 2 lastOffset: 2 count: 1 baseSequence: 0 lastSequence: 0 producerId: \d+ producerEpoch: 0 /,
  )
  assert.match(three ?? '', /^\| offset: 2 .* keySize: -1 valueSize: -1 sequence: 0 headerKeys: \[\]$/)
  assert.equal(end, '')
})

test('says which segments the next start will replace', async (t) => {
  const server = await twoBatches(t)
  const swap = join(server.dataDir, 'topics', 't-0', '00000000000000000000-00000000000000000000.log.swap')
  copyFileSync(segmentOf(server), swap)
  const { stderr } = await runCliOk(['dump-log', server.dataDir, '--verify'])
  assert.ok(stderr.includes(`${swap} is about to take the place`), stderr)
})

test('prints a JSON object a line into a pipe', async (t) => {
  const server = await twoBatches(t)
  const { lines } = await runCliOk(['dump-log', segmentOf(server), '--records'])
  assert.deepEqual(
    lines.map(({ baseOffset, count, offset, key, value, value_base64 }) => [
      baseOffset ?? offset,
      count,
      key,
      value ?? value_base64,
    ]),
    [
      [0, 2, undefined, undefined],
      [0, undefined, 'k', '{"n":1}'],
      [1, undefined, null, 'AP8='],
      [2, 1, undefined, undefined],
      [2, undefined, null, undefined],
    ],
  )
})

test('verifies every segment below a folder', async (t) => {
  const server = await twoBatches(t)
  const { stdout } = await runCliOk(['dump-log', server.dataDir, '--verify', '--output', 'table'])
  assert.equal(stdout, `${segmentOf(server)}: ok, 2 batches, 3 records, offsets 0 to 2\n`)
  const { lines } = await runCliOk(['dump-log', server.dataDir, '--verify'])
  assert.deepEqual(lines, [
    { file: segmentOf(server), ok: true, batches: 2, records: 3, first_offset: 0, end_offset: 3 },
  ])
})

test('an empty segment ends where it begins; what is no segment is refused', async (t) => {
  const server = await twoBatches(t)
  const empty = join(server.dataDir, 'topics', 't-0', '00000000000000000030.log')
  writeFileSync(empty, '')
  const { lines } = await runCliOk(['dump-log', empty, '--verify'])
  assert.deepEqual([lines[0].first_offset, lines[0].end_offset, lines[0].batches], [null, 30, 0])
  for (const name of ['meta.db', 'reserve']) {
    const { code, stdout, stderr } = await runCli(['dump-log', segmentOf(server), join(server.dataDir, name)])
    assert.deepEqual([code, stdout], [2, ''])
    assert.match(stderr, new RegExp(`${name} is no segment file: `))
  }
  const copy = join(server.dataDir, 'a-copy')
  copyFileSync(segmentOf(server), copy)
  await runCliOk(['dump-log', copy])
})

test('names file, position and offset of what is corrupt, and ends with 1', async (t) => {
  const server = await twoBatches(t)
  const dir = mkdtempSync(join(tmpdir(), 'tailrace-cli-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, SEGMENT)
  const whole = readFileSync(segmentOf(server))
  const second = 12 + whole.readInt32BE(8)
  const broken = [
    ['a flipped bit', whole.with(whole.length - 2, (whole.at(-2) ?? 0) ^ 1), /checksum/],
    ['a cut', whole.subarray(0, -3), /cut/],
    ['an offset that goes back', whole.with(second + 7, 1), /base offset is 1, and 2 or more was due/],
    ['what is no batch', Buffer.concat([whole.subarray(0, second), Buffer.alloc(100)]), /shorter than its header/],
  ] as const
  for (const [what, bytes, says] of broken) {
    writeFileSync(file, bytes)
    for (const args of [['--verify'], ['--records'], []]) {
      const { code, lines, stderr } = await runCli(['dump-log', file, ...args])
      assert.equal(code, 1, what)
      assert.match(stderr, new RegExp(`^tailrace: ${file}: bad batch at position ${second}, where offset 2 was due: `))
      assert.match(stderr, says)
      if (args[0] === '--verify') assert.deepEqual([lines[0].ok, lines[0].batches], [false, 1])
      else assert.equal(lines[0].count, 2, 'what is good before it is shown')
    }
  }
  copyFileSync(segmentOf(server), file)
  await runCliOk(['dump-log', file])
})

test('reads segments larger than a piece, and batches that a piece cuts', async (t) => {
  const server = await startServer(t)
  const value = 'x'.repeat(3_000_000)
  for (let count = 0; count < 4; count++) {
    await server.post('/v1/topics/t/records', { records: [{ value }, { value }] })
  }
  const { lines } = await runCliOk(['dump-log', segmentOf(server)])
  assert.deepEqual(
    lines.map(({ baseOffset }) => baseOffset),
    [0, 2, 4, 6],
  )
})

test('--yes alone is a misunderstanding', async () => {
  const { code, stdout, stderr } = await runCli(['dump-log', 'any', '--yes'])
  assert.deepEqual({ code, stdout }, { code: 2, stdout: '' })
  assert.match(stderr, /--yes .* --repair/)
})

test('says when a commit journal beside the files has what they may lack', async (t) => {
  const server = await twoBatches(t)
  const dataDir = mkdtempSync(join(tmpdir(), 'tailrace-dump-'))
  t.after(() => rmSync(dataDir, { recursive: true }))
  const file = join(dataDir, 'topics', 't-0', SEGMENT)
  mkdirSync(join(file, '..'), { recursive: true })
  copyFileSync(segmentOf(server), file)
  assert.equal((await runCliOk(['dump-log', file])).stderr, '')
  mkdirSync(join(dataDir, 'journal'))
  const id = Buffer.alloc(JOURNAL_ID_BYTES, 7)
  const journal = renderJournalFile(id, 8192)
  writeFileSync(join(dataDir, 'journal', '1'), journal)
  Buffer.concat(renderEntry(Buffer.alloc(100), id, { number: 1, neededFrom: 1, stretches: [] })).copy(journal, 4096)
  writeFileSync(join(dataDir, 'journal', '0'), journal)
  const { stderr } = await runCliOk(['dump-log', file, file])
  const beside = `${dataDir}/journal has 1 entries for the next start: after a power cut, files may lack them`
  assert.equal(stderr, `tailrace: ${beside}\n`)
  const repair = await runCli(['dump-log', '--repair', '--yes', file])
  assert.equal(repair.code, 1)
  assert.match(repair.stderr, /start the server once before a repair/)
})
