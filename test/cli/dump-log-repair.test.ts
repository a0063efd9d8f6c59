// What a repair knows of records that it takes out of the end of a log, whatever is left of them and of index.db.

import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { batchSizeAt } from '../../src/record/record-batch.ts'
import { temporaryDirectory } from '../support/engine-options.ts'
import { startServer } from '../support/http.ts'
import { runCli, runCliOk } from './cli-process.ts'

/** Each in a batch of its own. */
const RECORDS = 6
/** From here on all batches are bad. */
const FIRST_BAD = 3
const GUESSED = /is a guess/

interface Stopped {
  readonly dataDir: string
  readonly file: string
}

/** A stopped server's files: `spoil` gets each of the last batches, whose records are bad already, in place. */
async function spoilTail(t: TestContext, spoil: (batch: Buffer, offset: number) => void = () => {}): Promise<Stopped> {
  const dataDir = temporaryDirectory(t)
  const server = await startServer(t, { dataDir })
  for (let value = 0; value < RECORDS; value++) {
    assert.equal((await server.post('/v1/topics/t/records', { records: [{ value }] })).status, 200)
  }
  await server.close()
  const folder = join(dataDir, 'topics/t-0')
  const file = join(folder, readdirSync(folder).find((name) => name.endsWith('.log')) as string)
  const bytes = readFileSync(file)
  for (let at = 0, offset = 0; at < bytes.length; offset++) {
    const batch = bytes.subarray(at, at + batchSizeAt(bytes, at))
    at += batch.length
    if (offset < FIRST_BAD) continue
    batch[65] = (batch[65] as number) ^ 0xff
    spoil(batch, offset)
  }
  writeFileSync(file, bytes)
  return { dataDir, file }
}

function removeIndex(dataDir: string): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(join(dataDir, `index.db${suffix}`), { force: true })
}

/** What the next record gets. */
async function nextOffset(t: TestContext, dataDir: string): Promise<number> {
  const server = await startServer(t, { dataDir })
  const { records } = (await server.post('/v1/topics/t/records', { records: [{ value: 'new' }] })).json()
  await server.close()
  return records[0].offset
}

for (const hasIndex of [true, false]) {
  test(`several bad batches at the end: none of their offsets is given again (index.db there: ${hasIndex})`, async (t) => {
    const { dataDir } = await spoilTail(t)
    if (!hasIndex) removeIndex(dataDir)
    const { stdout } = await runCliOk(['dump-log', dataDir, '--repair', '--yes'])
    assert.match(stdout, /offsets 3 to 5 stay empty/)
    assert.doesNotMatch(stdout, GUESSED)
    assert.equal(await nextOffset(t, dataDir), RECORDS)
  })
}

const GUESSES: Record<string, (batch: Buffer, offset: number) => void> = {
  'the header of the first is gone': (batch, offset) => void (offset === 3 && batch.fill(0, 0, 61)),
  'the header of one between is gone': (batch, offset) => void (offset === 4 && batch.fill(0, 0, 61)),
  'a length is wrong': (batch, offset) => void (offset === 4 && batch.writeInt32BE(1 << 20, 8)),
  'a base offset is wrong': (batch, offset) => void (offset === 4 && batch.writeBigInt64BE(1n << 50n, 0)),
}

for (const [what, spoil] of Object.entries(GUESSES)) {
  test(`bad batches at the end, of which ${what}: what is left of them says where it was, and the repair that it is a guess`, async (t) => {
    const { dataDir } = await spoilTail(t, spoil)
    removeIndex(dataDir)
    const { stdout } = await runCliOk(['dump-log', dataDir, '--repair', '--yes'])
    assert.match(stdout, GUESSED)
    assert.equal(await nextOffset(t, dataDir), RECORDS)
  })
}

test('where nothing is left of the last batch, the repair says that its end is a guess', async (t) => {
  const { dataDir } = await spoilTail(t, (batch, offset) => void (offset === RECORDS - 1 && batch.fill(0xaa)))
  removeIndex(dataDir)
  const { stdout } = await runCliOk(['dump-log', dataDir, '--repair', '--yes'])
  assert.match(stdout, GUESSED)
  assert.match(stdout, /offsets 3 to 4 stay empty/)
})

test('an index.db that cannot be opened, and is not damaged, is left there, and nothing is mended', async (t) => {
  const { dataDir, file } = await spoilTail(t)
  removeIndex(dataDir)
  // SQLite finds no file that it could open
  mkdirSync(join(dataDir, 'index.db'))
  const before = readFileSync(file)
  const { code, stderr } = await runCli(['dump-log', dataDir, '--repair', '--yes'])
  assert.equal(code, 1)
  assert.match(stderr, /index\.db .*open/)
  assert.deepEqual(
    readdirSync(dataDir).filter((name) => name.startsWith('index.db')),
    ['index.db'],
  )
  assert.deepEqual(readFileSync(file), before)
  renameSync(join(dataDir, 'index.db'), join(dataDir, 'index.gone'))
  await runCliOk(['dump-log', dataDir, '--repair', '--yes'])
  assert.equal(await nextOffset(t, dataDir), RECORDS)
})
