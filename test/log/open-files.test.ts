import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OpenFiles } from '../../src/log/open-files.ts'
import { PowerCutDisk } from '../support/power-cut-disk.ts'
import { Random } from '../support/random.ts'

/** Files of a disk double, with the paths that are open at present. */
function openFiles(filesMax: number) {
  const disk = new PowerCutDisk(new Random(1))
  const open = new Set<string>()
  const real = disk.open.bind(disk)
  disk.open = async (path, create) => {
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
  return { files: new OpenFiles({ disk, filesMax }), open }
}

const nothing = async () => undefined
const settled = () => new Promise((resolve) => setImmediate(resolve))

test('the longest unused file is closed first', async () => {
  const { files, open } = openFiles(2)
  for (const path of ['/a', '/b', '/a', '/c']) await files.use(path, true, nothing)
  await settled()
  assert.deepEqual([...open].sort(), ['/a', '/c'])
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
