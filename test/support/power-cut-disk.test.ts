import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DiskFaults } from './disk-faults.ts'
import { PowerCutDisk } from './power-cut-disk.ts'
import { Random } from './random.ts'

const FILE = '/data/log'
const SEEDS = 200

async function write(disk: PowerCutDisk, text: string, position = 0, path = FILE): Promise<void> {
  const file = await disk.open(path, true)
  await file.write([Buffer.from(text)], position)
}

async function sync(disk: PowerCutDisk, path = FILE): Promise<void> {
  await (await disk.open(path, false)).sync()
}

function textOf(disk: PowerCutDisk, path = FILE): string | undefined {
  const folder = path.slice(0, path.lastIndexOf('/'))
  return disk.namesIn(folder).includes(path.slice(folder.length + 1)) ? disk.bytesOf(path).toString() : undefined
}

/** What a cut leaves, over many random numbers. */
async function outcomes(
  prepare: (disk: PowerCutDisk) => Promise<void>,
  look: (disk: PowerCutDisk) => string | undefined = textOf,
  what: 'power' | 'process' = 'power',
): Promise<Set<string | undefined>> {
  const seen = new Set<string | undefined>()
  for (let seed = 0; seed < SEEDS; seed++) {
    const disk = new PowerCutDisk(new Random(seed))
    await prepare(disk)
    seen.add(look(disk.cut(what)))
  }
  return seen
}

test('what is synced, with its folder, is there after a power cut', async () => {
  const left = await outcomes(async (disk) => {
    await write(disk, 'abc')
    await sync(disk)
    await disk.syncDirectory('/data')
  })
  assert.deepEqual([...left], ['abc'])
})

test('what is not synced is there after a power cut, or not, or up to some byte', async () => {
  const left = await outcomes(async (disk) => {
    await write(disk, 'abc')
    await sync(disk)
    await disk.syncDirectory('/data')
    await write(disk, 'xyz', 1)
  })
  // the last one: longer, with a sector of zeros that was never written
  assert.deepEqual(left, new Set(['abc', 'axc', 'axy', 'axyz', 'abc\0']))
})

test('sectors of one write reach the disk in any order, and those that do not are zeros', async () => {
  const sectors = (text: string | undefined) =>
    text?.match(/[\s\S]{512}/g)?.map((one) => (one[0] === '\0' ? '0' : one[0]))
  const left = await outcomes(
    async (disk) => {
      await write(disk, '')
      await disk.syncDirectory('/data')
      await write(disk, `${'a'.repeat(512)}${'b'.repeat(512)}`)
    },
    (disk) => sectors(textOf(disk))?.join(''),
  )
  for (const order of ['ab', 'a0', '0b', '00']) assert.ok(left.has(order), order)
})

test('a name that is not synced with its folder may be gone, and its bytes with it', async () => {
  const left = await outcomes(async (disk) => {
    await write(disk, 'abc')
    await sync(disk)
  })
  assert.deepEqual(left, new Set(['abc', undefined]))
})

test('a rename happens whole or not at all, and in order with others of its folder', async () => {
  const left = await outcomes(
    async (disk) => {
      for (const name of ['a', 'b']) {
        await write(disk, name, 0, `/data/${name}`)
        await sync(disk, `/data/${name}`)
      }
      await disk.syncDirectory('/data')
      await disk.rename('/data/a', '/data/c')
      await disk.rename('/data/b', '/data/a')
    },
    (disk) => ['a', 'b', 'c'].map((name) => textOf(disk, `/data/${name}`) ?? '-').join(''),
  )
  assert.deepEqual(left, new Set(['ab-', '-ba', 'b-a']))
})

test('a removal that is not synced may be undone, a folder in which a file was made may be gone with it', async () => {
  const removed = await outcomes(async (disk) => {
    await write(disk, 'abc')
    await sync(disk)
    await disk.syncDirectory('/data')
    await disk.remove(FILE)
  })
  assert.deepEqual(removed, new Set(['abc', undefined]))
  const inFolder = await outcomes(
    async (disk) => {
      await disk.syncDirectory('/data')
      disk.failNext('sync-folder', 'EIO')
      await assert.rejects(disk.makeDirectory('/data/new'), { code: 'EIO' })
      await write(disk, 'abc', 0, '/data/new/log')
      await sync(disk, '/data/new/log')
      await disk.syncDirectory('/data/new')
    },
    (disk) => textOf(disk, '/data/new/log'),
  )
  assert.deepEqual(inFolder, new Set(['abc', undefined]))
})

test('a kill of the process loses nothing, and makes nothing durable', async () => {
  const killed = await outcomes((disk) => write(disk, 'abc'), textOf, 'process')
  assert.deepEqual(killed, new Set(['abc']))
  const thenCut = await outcomes(
    async (disk) => {
      await write(disk, 'abc')
      await disk.syncDirectory('/data')
    },
    (disk) => textOf(disk.cut('power')),
    'process',
  )
  assert.ok(thenCut.has('abc') && thenCut.has(''))
})

test('after a failed sync a later one succeeds, and the bytes are still not on the disk unless they are written anew', async () => {
  const failed = async (disk: PowerCutDisk) => {
    await write(disk, 'abc')
    await disk.syncDirectory('/data')
    disk.failNext('sync', 'EIO')
    await assert.rejects(sync(disk), { code: 'EIO' })
    assert.equal(textOf(disk), 'abc', 'readers see them')
    await sync(disk)
  }
  const left = await outcomes(failed)
  assert.ok(left.has('') && left.has('abc'))
  const anew = await outcomes(async (disk) => {
    await failed(disk)
    await write(disk, 'abc')
    await sync(disk)
  })
  assert.deepEqual(anew, new Set(['abc']))
})

test('after a failed sync of a folder its names may be on the disk, and are after a later one', async () => {
  const fail = async (disk: PowerCutDisk) => {
    await write(disk, 'abc')
    await sync(disk)
    disk.failNext('sync-folder', 'EIO')
    await assert.rejects(disk.syncDirectory('/data'), { code: 'EIO' })
  }
  assert.deepEqual(await outcomes(fail), new Set(['abc', undefined]))
  const again = await outcomes(async (disk) => {
    await fail(disk)
    await disk.syncDirectory('/data')
  })
  assert.deepEqual(again, new Set(['abc']))
})

test('a small file is written whole or not at all, at whatever operation the power goes', async () => {
  const left = new Set<string | undefined>()
  for (let operation = 1; operation < 8; operation++) {
    for (let seed = 0; seed < 50; seed++) {
      const disk = new PowerCutDisk(new Random(seed))
      await disk.writeFileDurably(FILE, Buffer.from('old, and longer'))
      let isCut = false
      disk.faults.cutAfter(operation, () => {
        isCut = true
        disk.unplug()
      })
      await disk.writeFileDurably(FILE, Buffer.from('new')).catch(() => undefined)
      const text = textOf(disk.cut('power'))
      if (!isCut) assert.equal(text, 'new')
      left.add(text)
    }
  }
  assert.deepEqual(left, new Set(['old, and longer', 'new']))
})

test('every operation fails when told, and what it was to do has not happened', async () => {
  const disk = new PowerCutDisk(new Random(1))
  await write(disk, 'abc')
  const file = await disk.open(FILE, false)
  const cases = [
    ['open', () => disk.open(FILE, false)],
    ['create', () => disk.open('/data/other', true)],
    ['read', () => file.read(Buffer.alloc(3), 0)],
    ['read', () => disk.readFile(FILE)],
    ['write', () => file.write([Buffer.from('x')], 0)],
    ['truncate', () => file.truncate(0)],
    ['size', () => file.size()],
    ['list', () => disk.list('/data')],
    ['make-folder', () => disk.makeDirectory('/data/folder')],
    ['rename', () => disk.rename(FILE, '/data/other')],
    ['remove', () => disk.remove(FILE)],
  ] as const
  for (const [operation, work] of cases) {
    disk.failNext(operation, 'EIO')
    await assert.rejects(work, { code: 'EIO' }, operation)
  }
  assert.equal(textOf(disk), 'abc')
  assert.deepEqual(disk.namesIn('/data'), ['log'])
  disk.failNext('write-partly', 'ENOSPC')
  await assert.rejects(file.write([Buffer.from('defghi')], 3), { code: 'ENOSPC' })
  assert.match(textOf(disk) ?? '', /^abcd?e?f?g?h?$/)
  assert.equal(disk.faults.struck.get('write-partly ENOSPC'), 1)
})

test('by chance some operations fail, with what Linux answers there', async () => {
  const faults = new DiskFaults()
  const disk = new PowerCutDisk(new Random(1), { faults })
  await write(disk, 'abc')
  faults.failByChance(0.5, new Random(2), /open|sync/)
  const codes = new Set<string>()
  for (let left = 50; left > 0; left--) {
    await sync(disk).catch((error: { code: string }) => codes.add(error.code))
    await disk.list('/data')
  }
  assert.deepEqual(codes, new Set(['EMFILE', 'EIO', 'ENOSPC']))
  faults.end()
  await sync(disk)
})

test('a disk without power takes and gives nothing, also through files that were open', async () => {
  const disk = new PowerCutDisk(new Random(1))
  await write(disk, 'abc')
  const file = await disk.open(FILE, false)
  const next = disk.cut('process')
  await assert.rejects(file.write([Buffer.from('x')], 0), { code: 'EIO' })
  await assert.rejects(disk.list('/data'), { code: 'EIO' })
  assert.equal(textOf(next), 'abc')
})

test('a flipped bit is wrong for readers and after a power cut', async () => {
  const disk = new PowerCutDisk(new Random(1))
  await write(disk, 'abc')
  await sync(disk)
  await disk.syncDirectory('/data')
  disk.flipBit(FILE, 1, 0)
  assert.equal(textOf(disk), 'acc')
  assert.equal(textOf(disk.cut('power')), 'acc')
})
