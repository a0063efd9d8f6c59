// Names of producers beside a meta.db that fails: nothing is taken for durable that is not.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { TailraceError } from '../../src/kernel/errors.ts'
import { openMetaDatabase } from '../../src/local-engine/meta-schema.ts'
import { ProducerNames } from '../../src/local-engine/producer-names.ts'
import { temporaryDirectory } from '../support/engine-options.ts'
import { FakeClock } from '../support/fake-clock.ts'

const EXPIRATION_MS = 24 * 3_600_000

function open(t: TestContext) {
  const clock = new FakeClock()
  const disk = { isFull: false, commits: 0 }
  const commit = async () => {
    disk.commits++
    if (disk.isFull) throw new TailraceError('disk_full', 'no room on the disk for meta.db')
  }
  const forgotten: bigint[] = []
  const db = openMetaDatabase(join(temporaryDirectory(t), 'meta.db'))
  t.after(() => db.close())
  const names = new ProducerNames(db, {
    clock,
    expirationMs: EXPIRATION_MS,
    writer: { commit },
    onForgotten: (producerIds) => forgotten.push(...producerIds),
  })
  const use = (name: string) => names.use(name, (id) => Promise.resolve(id))
  return { clock, disk, names, use, forgotten }
}

test('a new name whose row cannot be written is nobody, and its id goes to nobody', async (t) => {
  const { disk, names, use } = open(t)
  disk.isFull = true
  const failed = await Promise.allSettled([use('p'), use('p')])
  assert.deepEqual(
    failed.map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  disk.isFull = false
  const id = await use('p')
  assert.equal(id, (1n << 62n) + 1n)
  assert.deepEqual([names.has(id - 1n), names.has(id)], [false, true])
})

test('a use that cannot be made durable is refused before work begins, and the name stays', async (t) => {
  const { clock, disk, use } = open(t)
  const id = await use('p')
  clock.advance(2 * 3_600_000)
  disk.isFull = true
  await assert.rejects(use('p'), { code: 'disk_full' })
  disk.isFull = false
  assert.equal(await use('p'), id)
})

test('names that could not be forgotten are known as before, and go at the next check', async (t) => {
  const { clock, disk, names, use, forgotten } = open(t)
  const [one] = [await use('one'), await use('two')]
  clock.advance(EXPIRATION_MS + 3_600_001)
  disk.isFull = true
  const checking = names.forgetSilent(new AbortController().signal)
  const waiting = use('one')
  await assert.rejects(checking, { code: 'disk_full' })
  await assert.rejects(waiting, { code: 'disk_full' })
  disk.isFull = false
  assert.equal(await use('one'), one)
  await names.forgetSilent(new AbortController().signal)
  assert.deepEqual(forgotten, [(one as bigint) + 1n])
})

test('a name in steady use is written a few dozen times in an expiration', async (t) => {
  const { clock, disk, use } = open(t)
  for (let minute = 0; minute < 24 * 60; minute++) {
    await use('p')
    clock.advance(60_000)
  }
  assert.ok(disk.commits >= 24 && disk.commits <= 50, `${disk.commits} commits`)
})
