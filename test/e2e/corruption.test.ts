// A bit that flips in a data directory, as the real server and the real commands meet it: which reads fail and what they
// say, what goes on undisturbed, what a start makes of it, and how dump-log finds and mends it.

import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { runCli, runCliOk } from '../cli/cli-process.ts'
import type { TestServer } from '../support/http.ts'
import { startServer } from '../support/http.ts'

const RECORDS = 12
/** Each in a batch of its own; six of them fill a segment. */
const value = (number: number) => `"${number} ${'x'.repeat(10_000)}"`

interface Place {
  /** The batch whose byte is changed, by its record's offset. */
  readonly offset: number
  /** Within the batch. */
  readonly byte: number
  readonly bit: number
}

async function fillTopic(t: TestContext): Promise<{ server: TestServer; dataDir: string }> {
  const dataDir = mkdtempSync(join(tmpdir(), 'tailrace-corrupt-'))
  t.after(() => rmSync(dataDir, { recursive: true, force: true }))
  const server = await startServer(t, { dataDir })
  const configs = { 'segment.bytes': '65536' }
  await server.post('/v1/topics', { name: 't', partitions: 2, configs })
  for (let number = 0; number < RECORDS; number++) {
    const records = [0, 1].map((partition) => ({ partition, value: JSON.parse(value(number)) }))
    const named = { 'producer-id': 'p', 'producer-epoch': '0', 'producer-seq': String(number) }
    assert.equal((await server.post('/v1/topics/t/records', { records }, named)).status, 200)
  }
  return { server, dataDir }
}

function segmentsOf(dataDir: string): string[] {
  const folder = join(dataDir, 'topics/t-0')
  const names = readdirSync(folder).filter((name) => name.endsWith('.log'))
  return names.sort().map((name) => join(folder, name))
}

/** Flips the bit; answers the file and the position of its batch. */
function flip(dataDir: string, { offset, byte, bit }: Place): { file: string; position: number } {
  for (const file of segmentsOf(dataDir).reverse()) {
    const bytes = readFileSync(file)
    for (let at = 0; at < bytes.length; at += bytes.readInt32BE(at + 8) + 12) {
      if (Number(bytes.readBigInt64BE(at)) !== offset) continue
      bytes[at + byte] = (bytes[at + byte] as number) ^ (1 << bit)
      writeFileSync(file, bytes)
      return { file, position: at }
    }
  }
  throw new Error(`no batch at ${offset}`)
}

/** Every record of a partition that can be had, one by one; undefined for the others, which must say why. */
async function readEach(server: TestServer, partition: number, count = RECORDS): Promise<(string | undefined)[]> {
  const found: (string | undefined)[] = []
  for (let offset = 0; offset < count; offset++) {
    const reply = await server.get(`/v1/topics/t/partitions/${partition}/records/${offset}?value_format=string`)
    if (reply.status === 200) assert.equal(reply.json().offset, offset)
    else
      assert.ok(
        ['corrupt_message', 'kafka_storage_error', 'record_not_found'].includes(reply.json().code),
        reply.text(),
      )
    found.push(reply.status === 200 ? reply.json().value : undefined)
  }
  return found
}

const all = Array.from({ length: RECORDS }, (_, number) => value(number))
const without = (lost: number) => all.map((one, number) => (number === lost ? undefined : one))

test('a bad batch under a running server is an error of its partition alone, with where to go on', async (t) => {
  const { server, dataDir } = await fillTopic(t)
  const { file, position } = flip(dataDir, { offset: 3, byte: 500, bit: 2 })
  const bad = { file, position, offset: 3, next_offset: 4, topic: 't', partition: 0 }
  const problem = await server.get('/v1/topics/t/records?partition=0&from=3')
  assert.deepEqual(
    [problem.json().code, problem.json().retryable, problem.headers['retry-after']],
    ['corrupt_message', false, undefined],
  )
  assert.deepEqual(problem.json().details, bad)
  assert.match(problem.json().detail, /good batches go on at offset 4/)
  const v2 = await server.get('/topics/t/partitions/0/records?offset=3&timeout=0&max_bytes=100', {
    accept: 'application/vnd.kafka.binary.v2+json',
  })
  assert.equal(v2.json().error_code, 50002)
  assert.match(v2.json().message, new RegExp(`bad batch in ${file} at position ${position}, where offset 3 is due`))

  // both partitions in one read: what can be had comes first, page by page
  let next = '/v1/topics/t/records?from=earliest&limit=5&value_format=string'
  const got: string[] = []
  for (;;) {
    const page = await server.get(next)
    if (page.status !== 200) {
      assert.deepEqual(page.json().details, bad)
      break
    }
    const { records, partitions, caught_up } = page.json()
    assert.equal(caught_up, false)
    for (const { partition, offset } of records) got.push(`${partition}:${offset}`)
    if (got.includes('0:2') && partitions[0].error) assert.deepEqual(partitions[0].error.details, bad)
    next = page.json().next
  }
  assert.deepEqual(
    got.sort(),
    [...[0, 1, 2].map((offset) => `0:${offset}`), ...all.map((_, offset) => `1:${offset}`)].sort(),
  )
  const behind = await server.get('/v1/topics/t/records?partition=0&from=4&value_format=string')
  assert.equal(behind.json().records[0].value, value(4))

  // nothing that is written rests on what is bad
  const named = { 'producer-id': 'p', 'producer-epoch': '0', 'producer-seq': String(RECORDS) }
  const written = await server.post('/v1/topics/t/records', { records: [{ partition: 0, value: 'more' }] }, named)
  assert.equal(written.json().records[0].offset, RECORDS)
  assert.deepEqual(await readEach(server, 0), without(3))
})

test('a bad batch that a reader met is told to who runs the server, once, with what to do', async (t) => {
  const { server, dataDir } = await fillTopic(t)
  const checkOf = async () =>
    (await server.get('/readyz')).json().checks.find(({ name }: { name: string }) => name === 'partitions')
  assert.deepEqual(await checkOf(), { name: 'partitions', status: 'pass' })
  const { file, position } = flip(dataDir, { offset: 3, byte: 500, bit: 2 })
  for (let times = 0; times < 3; times++) await server.get('/v1/topics/t/records?partition=0&from=3')

  const line = `bad batch in ${file} at position ${position}, where offset 3 is due`
  const advice = `stop the server, then mend with 'tailrace dump-log ${dataDir} --repair --yes'`
  const lines = server.log.filter(({ message }) => message.includes('bad batch'))
  assert.deepEqual(
    lines.map(({ level, message }) => [level, message.startsWith(line), message.endsWith(advice)]),
    [['error', true, true]],
  )
  const [bad, well] = (await server.get('/v1/topics/t')).json().partitions
  assert.deepEqual([bad.leader, bad.offline, bad.corrupt, well.corrupt], [1, undefined, lines[0]?.message, undefined])
  const detail = 'bad batches were met in 1 partition'
  assert.deepEqual(await checkOf(), { name: 'partitions', status: 'warn', detail })
  assert.equal((await server.get('/readyz')).status, 200)
  const metrics = (await server.get('/metrics')).text()
  for (const partition of [0, 1]) {
    assert.ok(metrics.includes(`tailrace_partition_corrupt{topic="t",partition="${partition}"} ${1 - partition}\n`))
  }

  // what nobody can read any more is nobody's trouble
  await server.request('DELETE', '/v1/topics/t/partitions/0/records?before=4')
  assert.equal((await server.get('/v1/topics/t')).json().partitions[0].corrupt, undefined)
})

const PLACES: Record<string, Omit<Place, 'offset'>> = {
  'the base offset, upwards': { byte: 6, bit: 3 },
  'the length': { byte: 10, bit: 1 },
  'the leader epoch': { byte: 14, bit: 4 },
  'the magic': { byte: 16, bit: 0 },
  'the last offset delta': { byte: 26, bit: 0 },
  'a record': { byte: 700, bit: 6 },
}

/** By commands that change nothing. */
async function checkTold(dataDir: string, line: string): Promise<void> {
  const verified = await runCli(['dump-log', join(dataDir, 'topics/t-0'), '--verify'])
  assert.equal(verified.code, 1, verified.stderr)
  assert.ok(verified.stderr.startsWith(`tailrace: ${line}`), verified.stderr)
  const planned = await runCli(['dump-log', dataDir, '--repair'])
  assert.deepEqual([planned.code, planned.stdout.startsWith(line)], [1, true], planned.stdout)
  assert.match(planned.stdout, /would be taken out to/)
  assert.match(planned.stderr, /nothing was changed: say --repair --yes to do it/)
  const again = await runCli(['dump-log', dataDir, '--verify'])
  assert.ok(again.stderr.startsWith(`tailrace: ${line}`), 'nothing was changed')
}

for (const [where, offset, whats] of [
  ['a closed segment', 2, Object.keys(PLACES)],
  ['the segment that is written', 9, ['the base offset, upwards', 'the length', 'a record']],
] as const) {
  test(`a bit that flipped in ${where} while it was stopped: told, found, mended, and all else is there`, async (t) => {
    for (const what of whats) {
      const place = PLACES[what] as Omit<Place, 'offset'>
      await t.test(what, async (t) => {
        const { server, dataDir } = await fillTopic(t)
        assert.equal(segmentsOf(dataDir).length, 2)
        await server.close()
        const { file, position } = flip(dataDir, { offset, ...place })
        // the files alone say what there is
        rmSync(join(dataDir, 'index.db'))
        const isHarmless = what === 'the leader epoch'
        const isOffset = what.startsWith('the base offset')
        const spoilt = await startServer(t, { dataDir })
        const [partition, other] = (await spoilt.get('/v1/topics/t')).json().partitions
        assert.deepEqual([partition.leader, other.leader], [isHarmless ? 1 : -1, 1])
        assert.deepEqual(await readEach(spoilt, 1), all)
        assert.deepEqual(await readEach(spoilt, 0), isHarmless ? all : all.map(() => undefined))
        await spoilt.close()

        if (isHarmless) return
        const line = `${file}: bad batch at position ${position}, where offset ${offset} was due: `
        if (what === 'a record') await checkTold(dataDir, line)
        const { stdout } = await runCliOk(['dump-log', dataDir, '--repair', '--yes'])
        assert.ok(stdout.startsWith(line), stdout)
        assert.match(
          stdout,
          isOffset ? /base offset is put right; nothing is lost/ : /are taken out to .*; offset \d+ stays empty/,
        )
        const cut = readdirSync(join(dataDir, 'topics/t-0')).filter((name) => name.includes('.cut-'))
        assert.equal(cut.length, isOffset ? 0 : 1)
        for (const name of cut) assert.equal(statSync(join(dataDir, 'topics/t-0', name)).mode & 0o777, 0o640)
        assert.match(stdout, /\n4 files looked at, 1 bad place\n$/)

        const mended = await startServer(t, { dataDir })
        const left = isOffset ? all : without(offset)
        assert.deepEqual(await readEach(mended, 0), left)
        const read = await mended.get('/v1/topics/t/records?partition=0&from=0&value_format=string')
        assert.deepEqual(
          read.json().records.map((record: { value: string }) => record.value),
          left.filter((one) => one !== undefined),
        )
        assert.equal(read.json().caught_up, true)
        const repeat = { 'producer-id': 'p', 'producer-epoch': '0', 'producer-seq': String(RECORDS - 1) }
        const again = { records: [0, 1].map((partition) => ({ partition, value: JSON.parse(value(RECORDS - 1)) })) }
        assert.equal((await mended.post('/v1/topics/t/records', again, repeat)).json().duplicate, true)
        const written = await mended.post('/v1/topics/t/records', { records: [{ partition: 0, value: 'more' }] })
        assert.equal(written.json().records[0].offset, RECORDS)
      })
    }
  })
}

test('repair goes on to further places, loses no offset at the end, and keeps away from a directory in use', async (t) => {
  const { server, dataDir } = await fillTopic(t)
  const refused = await runCli(['dump-log', dataDir, '--repair', '--yes'])
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /in use by another process/)
  const copied = await runCli(['dump-log', segmentsOf(dataDir)[0] as string, '--verify'])
  assert.equal(copied.code, 0)
  await server.close()
  const lost = [1, 2, 7, RECORDS - 1]
  for (const offset of lost) flip(dataDir, { offset, byte: 700, bit: 6 })
  const verified = await runCli(['dump-log', dataDir, '--verify'])
  // two bad batches that stand side by side are one place
  assert.equal(verified.stderr.match(/bad batch at position/g)?.length, 3, verified.stderr)
  await runCliOk(['dump-log', dataDir, '--repair', '--yes'])
  const mended = await startServer(t, { dataDir })
  assert.deepEqual(
    await readEach(mended, 0),
    all.map((one, number) => (lost.includes(number) ? undefined : one)),
  )
  const { records } = (await mended.post('/v1/topics/t/records', { records: [{ partition: 0, value: 'm' }] })).json()
  assert.equal(records[0].offset, RECORDS, 'an offset that was read once names no other record')
})
