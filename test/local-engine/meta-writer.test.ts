// The thread that commits meta.db, as its callers see it.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { META_WAITING_COMMITS_MAX } from '../../src/kernel/limits.ts'
import { openMetaDatabase } from '../../src/local-engine/meta-schema.ts'
import { MetaWriter } from '../../src/local-engine/meta-writer.ts'
import { temporaryDirectory } from '../support/engine-options.ts'

test('only so many commits wait; one beyond them is refused, and those that wait are stored', async (t) => {
  const path = join(temporaryDirectory(t), 'meta.db')
  const writer = new MetaWriter(path)
  const commit = (groupId: string) => writer.commit([{ statement: 'putGroup', values: [groupId, 'consumer', 1, null] }])
  const waiting = Array.from({ length: META_WAITING_COMMITS_MAX }, (_, at) => commit(`g${at}`))
  await assert.rejects(commit('refused'), { code: 'overloaded' })
  await Promise.all(waiting)
  await commit('later')
  await writer.close()
  const db = openMetaDatabase(path)
  const count = (where: string) => db.prepare(`SELECT count(*) AS count FROM groups WHERE ${where}`).get()
  assert.deepEqual(count('true'), { count: META_WAITING_COMMITS_MAX + 1 })
  assert.deepEqual(count("group_id = 'refused'"), { count: 0 })
  db.close()
})
