import assert from 'node:assert/strict'
import { existsSync, mkdirSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { TailraceError } from '../../src/kernel/errors.ts'
import { DISK_RESERVE_RETRY_MS } from '../../src/kernel/limits.ts'
import { DiskReserve } from '../../src/local-engine/disk-reserve.ts'
import { temporaryDirectory } from '../support/engine-options.ts'
import { FakeClock } from '../support/fake-clock.ts'

const BYTES = 64 * 1024

function openReserve(t: TestContext, dataDir = temporaryDirectory(t)) {
  const clock = new FakeClock()
  const warnings: string[] = []
  const logger = { info() {}, error() {}, warn: (_facts: object, message: string) => void warnings.push(message) }
  const reserve = new DiskReserve({ dataDir, bytes: BYTES, clock, logger })
  return { reserve, clock, warnings, dataDir, path: join(dataDir, 'reserve') }
}

/** Fails for want of room as long as the file is there. */
const needsRoomOf = (path: string) => () =>
  existsSync(path) ? Promise.reject(new TailraceError('disk_full', 'no room')) : Promise.resolve('done')

test('what finds no room is done with that of the reserve, once, and the reserve is taken again', async (t) => {
  const { reserve, warnings, path } = openReserve(t)
  await reserve.take()
  assert.ok(statSync(path).blocks * 512 >= BYTES)
  assert.equal(await reserve.withRoom(needsRoomOf(path)), 'done')
  assert.equal(warnings.length, 1)
  await reserve.take()
  assert.ok(statSync(path).blocks * 512 >= BYTES, 'there is room on this disk')
  await reserve.close()
})

test('without a reserve, and for other failures, nothing is tried twice', async (t) => {
  const { reserve, path } = openReserve(t)
  let tries = 0
  const failing = (code: 'disk_full' | 'overloaded') => () => {
    tries++
    return Promise.reject(new TailraceError(code, 'fails'))
  }
  await assert.rejects(reserve.withRoom(failing('disk_full')), { code: 'disk_full' })
  await reserve.take()
  await assert.rejects(reserve.withRoom(failing('overloaded')), { code: 'overloaded' })
  assert.equal(tries, 2)
  assert.ok(existsSync(path))
  await reserve.close()
})

test('a file that a crash has cut is no reserve, and is made whole', async (t) => {
  const first = openReserve(t)
  await first.reserve.take()
  await first.reserve.close()
  truncateSync(first.path, 100)
  const { reserve, path } = openReserve(t, first.dataDir)
  await assert.rejects(reserve.withRoom(() => Promise.reject(new TailraceError('disk_full', 'no room'))))
  await reserve.take()
  assert.equal(statSync(path).size, BYTES)
  await reserve.close()
})

test('is tried again by the clock where it could not be taken', async (t) => {
  const dataDir = join(temporaryDirectory(t), 'not-there-yet')
  const { reserve, clock, path } = openReserve(t, dataDir)
  await reserve.take()
  assert.ok(!existsSync(path))
  mkdirSync(dataDir)
  clock.advance(DISK_RESERVE_RETRY_MS)
  await reserve.take()
  assert.ok(existsSync(path))
  await reserve.close()
})
