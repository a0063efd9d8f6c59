import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OPEN_FILE_WAIT_MS_MAX } from '../../src/kernel/limits.ts'
import { OpenFiles } from '../../src/log/open-files.ts'
import { PowerCutDisk } from '../support/power-cut-disk.ts'
import { Random } from '../support/random.ts'

/** Files of a disk double, with the paths that are open at present. */
function openFiles(filesMax: number, filesInUseMax = 1_000) {
  const disk = new PowerCutDisk(new Random(1))
  const open = new Set<string>()
  const real = disk.open.bind(disk)
  let lacking = 0
  const shortages: unknown[] = []
  disk.open = async (path, create) => {
    if (lacking-- > 0) throw Object.assign(new Error('too many open files'), { code: 'EMFILE' })
    const file = await real(path, create)
    assert.ok(!open.has(path), `${path} is opened once`)
    open.add(path)
    const close = file.close.bind(file)
    return Object.assign(file, {
      close: () => {
        open.delete(path)
        return close()
      },
    })
  }
  const onShort = (error: unknown) => shortages.push(error)
  const lack = (count: number) => {
    lacking = count
  }
  return { files: new OpenFiles({ disk, filesMax, filesInUseMax, onShort }), open, shortages, lack }
}

const nothing = async () => undefined
const settled = () => new Promise((resolve) => setImmediate(resolve))

test('the longest unused file is closed first', async () => {
  const { files, open } = openFiles(2)
  for (const path of ['/a', '/b', '/a', '/c']) await files.use(path, true, nothing)
  await settled()
  assert.deepEqual([...open].sort(), ['/a', '/c'])
})

test('files that are in use for long hide none behind them from who looks for one to close', async () => {
  const { files, open } = openFiles(50)
  let end = () => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const held = Array.from({ length: 40 }, (_, at) => files.use(`/held-${at}`, true, () => ended))
  for (let at = 0; at < 30; at++) await files.use(`/quick-${at}`, true, nothing)
  await settled()
  assert.equal(open.size, 50)
  assert.ok(open.has('/quick-29') && open.has('/quick-28') && !open.has('/quick-3'))
  end()
  await Promise.all(held)
})

test('files in use stay open beyond the limit, and no more than the limit after', async () => {
  const { files, open } = openFiles(10)
  let end = () => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const uses = Array.from({ length: 500 }, (_, at) => files.use(`/${at}`, true, () => ended))
  await settled()
  assert.equal(open.size, 500)
  end()
  await Promise.all(uses)
  await settled()
  assert.equal(open.size, 10)
  await files.close()
  assert.equal(open.size, 0)
})

test('a file that is dropped while it is in use is closed by its last user', async () => {
  const { files, open } = openFiles(10)
  let end = () => {}
  const use = files.use(
    '/a',
    true,
    () =>
      new Promise<void>((resolve) => {
        end = resolve
      }),
  )
  await settled()
  await files.drop('/a')
  assert.equal(open.size, 1)
  end()
  await use
  assert.equal(open.size, 0)
})

test('no more files are open than may be in use; who waits comes in turn, whatever the others do', async () => {
  const { files, open } = openFiles(4, 10)
  const random = new Random(3)
  let most = 0
  const done: number[] = []
  const uses = Array.from({ length: 500 }, (_, at) =>
    files.use(`/${random.below(60)}`, true, async () => {
      most = Math.max(most, open.size)
      for (let turns = random.below(3); turns > 0; turns--) await settled()
      if (random.chance(0.1)) await files.drop(`/${random.below(60)}`)
      done.push(at)
    }),
  )
  await Promise.all(uses)
  assert.equal(done.length, 500)
  assert.ok(most <= 10 && most > 5, `${most} at most`)
  await settled()
  assert.ok(open.size <= 4, `${open.size} at rest`)
  await files.close()
  assert.equal(open.size, 0)
})

test('who finds no file free for a while is told so, and nothing was begun', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { files } = openFiles(1, 2)
  let end = () => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const held = [files.use('/a', true, () => ended), files.use('/b', true, () => ended)]
  let begun = false
  const third = files.use('/c', true, async () => {
    begun = true
  })
  await settled()
  t.mock.timers.tick(OPEN_FILE_WAIT_MS_MAX)
  await assert.rejects(third, { code: 'overloaded' })
  assert.equal(begun, false)
  end()
  await Promise.all(held)
  await files.use('/c', true, nothing)
})

test('where descriptors run out all the same, it is said once, what is unused is closed, and the open is tried again', async () => {
  const { files, open, shortages, lack } = openFiles(10)
  for (const path of ['/a', '/b']) await files.use(path, true, nothing)
  lack(2)
  await files.use('/c', true, nothing)
  assert.deepEqual([[...open], shortages.length], [['/c'], 1])
  lack(100)
  await assert.rejects(files.use('/d', true, nothing), { code: 'overloaded' })
  lack(0)
  await files.use('/d', true, nothing)
  assert.equal(shortages.length, 1)
})
