import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../../src/kernel/logger.ts'
import { Telemetry } from '../../src/kernel/telemetry.ts'
import { CommitJournal } from '../../src/log/commit-journal.ts'
import type { Turn } from '../../src/log/commit-rounds.ts'
import { CommitRounds } from '../../src/log/commit-rounds.ts'
import { OpenFiles } from '../../src/log/open-files.ts'
import { PowerCutDisk } from '../support/power-cut-disk.ts'
import { Random } from '../support/random.ts'

const HELD_FILES_MAX = 100

async function openBench() {
  const disk = new PowerCutDisk(new Random(1))
  const open = new Set<unknown>()
  const openFile = disk.open.bind(disk)
  disk.open = async (path, create) => {
    const file = await openFile(path, create)
    open.add(file)
    file.close = async () => {
      open.delete(file)
    }
    return file
  }
  const files = new OpenFiles({ disk, filesMax: 10, filesInUseMax: 1_000 })
  const telemetry = new Telemetry()
  const places = {
    dataDir: '/data',
    topicsDirectory: '/data/topics',
    fileBytes: 1_000_000,
    roundsBeforeMade: 0,
    roundsBeforeNextTry: 3,
    heldFilesMax: HELD_FILES_MAX,
  }
  const journal = new CommitJournal({ ...places, disk, files, logger: silentLogger, telemetry })
  await journal.open(new Set())
  const rounds = new CommitRounds(journal)
  const commit = (turn: Turn, partition: number, bytes = 100) => {
    const path = `/data/topics/t-${partition}/0.log`
    const place = { topicId: '0191d5a0-0000-7000-8000-000000000001', partition, segmentBase: 0, position: 0, path }
    const buffers = [Buffer.alloc(bytes)]
    return files.use(path, true, (file) => turn.sync({ ...place, file, buffers, sizeBytes: bytes, lost: () => {} }))
  }
  /** The turns of a round of several: all wait for a first one that is on. */
  const round = async (count: number) => {
    const first = await rounds.enter()
    const turns = Array.from({ length: count }, () => rounds.enter())
    first.leave()
    return Promise.all(turns)
  }
  const commitAll = async (count: number, bytes: number, firstPartition = 0) => {
    const turns = await round(count)
    await Promise.all(turns.map((turn, at) => commit(turn, firstPartition + at, bytes)))
    for (const turn of turns) turn.leave()
  }
  return { disk, rounds, telemetry, open, commit, round, commitAll }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

test('a round of several small stretches is one entry of the journal', async () => {
  const { telemetry, commitAll } = await openBench()
  // the journal is made meanwhile
  await commitAll(3, 100)
  await settled()
  assert.equal(telemetry.journalEntries, 0)
  await commitAll(3, 100)
  assert.equal(telemetry.journalEntries, 1)
})

test('stretches are written twice only as far as the saved syncs are worth it', async () => {
  const { telemetry, commitAll } = await openBench()
  await commitAll(2, 100)
  await settled()
  await commitAll(2, 16 * 1024 + 1)
  await commitAll(1, 100)
  assert.equal(telemetry.journalEntries, 0)
  await commitAll(4, 16 * 1024 + 1)
  assert.equal(telemetry.journalEntries, 1)
})

test('the journal keeps a bounded number of files open, and takes the next ones when those are synced', async () => {
  const { telemetry, open, commitAll } = await openBench()
  await commitAll(2, 10)
  await settled()
  await commitAll(HELD_FILES_MAX + 1, 10)
  assert.equal(telemetry.journalEntries, 0)
  for (let round = 0; round < 6; round++) {
    await commitAll(HELD_FILES_MAX - 20, 10, round * 1_000)
    await settled()
    assert.ok(open.size <= 2 * HELD_FILES_MAX, `${open.size} files are open`)
  }
  assert.equal(telemetry.journalEntries, 6)
})

test('a round waits for the slowest to write, but not for who stands aside', async () => {
  const { commit, round } = await openBench()
  const [slow, aside, quick] = (await round(3)) as [Turn, Turn, Turn]
  let isDone = false
  const committed = commit(quick, 0).then(() => {
    isDone = true
  })
  aside.standAside()
  await settled()
  assert.ok(!isDone)
  const second = commit(slow, 1)
  await Promise.all([committed, second])
  // it syncs by itself whenever it comes to it
  await commit(aside, 2)
})

test('one that leaves without a word is not waited for, and the next round begins when all have left', async () => {
  const { rounds, commit, round } = await openBench()
  const [failing, good] = (await round(2)) as [Turn, Turn]
  const committed = commit(good, 0)
  let isNext = false
  const next = Promise.resolve(rounds.enter()).then((turn) => {
    isNext = true
    return turn
  })
  failing.leave()
  await committed
  await settled()
  assert.ok(!isNext)
  good.leave()
  ;(await next).leave()
})

test('of a file whose sync has failed no later sync is believed', async () => {
  const { disk, rounds, telemetry, commit, commitAll } = await openBench()
  await commitAll(2, 100)
  await settled()
  await commitAll(2, 100)
  assert.equal(telemetry.journalEntries, 1)
  disk.failNext('sync', 'EIO')
  for (let tries = 0; tries < 2; tries++) {
    const turn = await rounds.enter()
    turn.standAside()
    await assert.rejects(commit(turn, 0), { code: 'EIO' })
    turn.leave()
  }
})
