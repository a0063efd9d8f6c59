import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkGroupId } from '../../src/engine/group-id.ts'

test('a group may have any name that can be shown and put into a path', () => {
  for (const groupId of ['billing', 'a/b c', '...', 'Größe', '😀', '%', 'x'.repeat(249)]) checkGroupId(groupId)
})

test('a name that is empty, a folder, too long, no text or no line is refused, with what is allowed', () => {
  for (const groupId of ['', '.', '..', 'x'.repeat(250), '\ud800', 'a\nb', 'a\u0000', '\u0085']) {
    assert.throws(() => checkGroupId(groupId), { code: 'invalid_group_id', message: /1 to 249 characters/ })
  }
})
