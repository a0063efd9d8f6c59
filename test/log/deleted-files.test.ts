import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DELETED_FILES_CLOSE_MS_MAX, DELETED_FILES_WAITING_MAX } from '../../src/kernel/limits.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import { DeletedFiles } from '../../src/log/deleted-files.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { PowerCutDisk } from '../support/power-cut-disk.ts'
import { Random } from '../support/random.ts'

/** Each unlinking takes its time by the clock. */
class SlowDisk extends PowerCutDisk {
  readonly #clock: FakeClock
  unlinkMs = 0

  constructor(clock: FakeClock) {
    super(new Random(1))
    this.#clock = clock
  }

  override async remove(path: string): Promise<void> {
    await super.remove(path)
    this.#clock.advance(this.unlinkMs)
  }
}

async function open(names: readonly string[]) {
  const clock = new FakeClock()
  const disk = new SlowDisk(clock)
  for (const name of names) await disk.open(`/d/${name}`, true)
  const files = new DeletedFiles({ disk, clock, logger: silentLogger })
  const left = () => disk.namesIn('/d')
  return { clock, disk, files, left }
}

const turns = async () => {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
}

test('each file goes when its own delay is over, whatever their order', async () => {
  const { clock, files, left } = await open(['a', 'b', 'c', 'd'])
  await files.remove('/d/a', 300)
  await files.remove('/d/b', 100)
  await files.remove('/d/c', 200)
  await files.remove('/d/d', 0)
  assert.deepEqual(left(), ['a', 'b', 'c'])
  for (const expected of [['a', 'c'], ['a'], []]) {
    clock.advance(100)
    await turns()
    assert.deepEqual(left(), expected)
  }
})

test('a folder that goes as a whole is let alone, and so is another of its name', async () => {
  const { clock, files, left } = await open(['a'])
  await files.remove('/d/a', 100)
  files.forgetFolder('/d')
  clock.advance(1_000)
  await turns()
  assert.deepEqual(left(), ['a'])
  assert.deepEqual(await files.close(), [])
})

test('beyond the bound the oldest goes at once', async () => {
  const { files, left } = await open(['a', 'b'])
  await files.remove('/d/a', 1_000)
  await files.remove('/d/b', 1_000)
  for (let at = 2; at < DELETED_FILES_WAITING_MAX; at++) await files.remove(`/d/${at}`, 1_000)
  assert.deepEqual(left(), ['a', 'b'])
  await files.remove('/d/last', 1_000)
  assert.deepEqual(left(), ['b'])
})

test('closing removes what waits, for a bounded time, and says whether something is left', async () => {
  const { disk, files, left } = await open(['a', 'b', 'c', 'd'])
  for (const name of left()) await files.remove(`/d/${name}`, 60_000)
  disk.unlinkMs = DELETED_FILES_CLOSE_MS_MAX * 0.7
  assert.deepEqual(await files.close(), ['/d/c', '/d/d'])
  assert.deepEqual(left(), ['c', 'd'])
})
