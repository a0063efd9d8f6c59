import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nearestName, typingSlips } from '../../src/kernel/nearest-name.ts'

test('counts letters left out, put in, replaced, and neighbours swapped', () => {
  const counted: [string, string, number][] = [
    ['', '', 0],
    ['', 'abc', 3],
    ['abc', '', 3],
    ['retention', 'retention', 0],
    ['retntion', 'retention', 1],
    ['rettention', 'retention', 1],
    ['retantion', 'retention', 1],
    ['retnetion', 'retention', 1],
    ['kitten', 'sitting', 3],
  ]
  for (const [left, right, slips] of counted) {
    assert.equal(typingSlips(left, right), slips)
    assert.equal(typingSlips(right, left), slips)
  }
})

test('finds the name that was meant, whatever its case', () => {
  const known = ['port', 'host', 'data.dir', 'num.partitions']
  assert.equal(nearestName('prot', known), 'port')
  assert.equal(nearestName('NUM_PARTITIONS', ['NUM_PARTITIONS']), 'NUM_PARTITIONS')
  assert.equal(nearestName('num.partition', known), 'num.partitions')
  assert.equal(nearestName('datadir', known), 'data.dir')
})

test('suggests nothing when nothing is near', () => {
  assert.equal(nearestName('colour', ['port', 'host']), undefined)
  assert.equal(nearestName('x'.repeat(1_000_000), ['port', 'host']), undefined)
  assert.equal(nearestName('port', []), undefined)
})
