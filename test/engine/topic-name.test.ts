import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkTopicName, isInternalTopic } from '../../src/engine/topic-name.ts'
import { TailraceError } from '../../src/kernel/errors.ts'

test('takes the names that Kafka takes', () => {
  for (const name of ['a', 'orders', 'Orders_2.v-1', '...', '-', '_schemas', '__consumer_offsets', 'x'.repeat(249)]) {
    checkTopicName(name)
  }
})

test('refuses every other name and says what is wrong with it', () => {
  const faults: [string, RegExp][] = [
    ['', /is empty/],
    ['.', /is a directory/],
    ['..', /is a directory/],
    ['x'.repeat(250), /has 250 characters/],
    ['../etc', /holds the character "\/"/],
    ['a\0b', /holds the character "\\u0000"/],
    ['a b', /holds the character " "/],
    ['%2e%2e', /holds the character "%"/],
    ['orders\n', /holds the character "\\n"/],
    ['größe', /holds the character "ö"/],
    ['🚰', /holds the character "🚰"/],
  ]
  for (const [name, expected] of faults) {
    assert.throws(
      () => checkTopicName(name),
      (error) => {
        assert(error instanceof TailraceError)
        assert.equal(error.code, 'invalid_topic_exception')
        assert.match(error.message, expected)
        return true
      },
    )
  }
})

test('knows the topics that the system keeps for itself', () => {
  assert.deepEqual(['_schemas', '__consumer_offsets', '__', '_mine', 'orders'].map(isInternalTopic), [
    true,
    true,
    true,
    false,
    false,
  ])
})
