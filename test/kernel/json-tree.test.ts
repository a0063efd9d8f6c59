import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  compareDecimals,
  isMultiple,
  isSameJson,
  parseJsonTree,
  plainOf,
  printJsonTree,
} from '../../src/kernel/json-tree.ts'

test('keeps order, digits and odd names', () => {
  const text = '{"2":1.0,"1":12345678901234567890,"__proto__":[1e2,-0.50],"a b":{"":null},"\\u0000":"é\\n\\ud800"}'
  assert.equal(printJsonTree(parseJsonTree(text)), text)
})

test('drops white space; of a name that appears twice the last value stands in the first place', () => {
  assert.equal(
    printJsonTree(parseJsonTree(' { "a" : 1 ,\n"b":[ true , false ] , "a":{ } } ')),
    '{"a":{},"b":[true,false]}',
  )
})

test('sorts members at every level when it is asked to', () => {
  assert.equal(
    printJsonTree(parseJsonTree('{"b":[{"d":1,"c":2}],"a":3}'), { sorted: true }),
    '{"a":3,"b":[{"c":2,"d":1}]}',
  )
})

for (const text of ['', '{', '[1,]', '{"a"}', '01', '"a', 'nul', '1 2', `${'['.repeat(5000)}${']'.repeat(5000)}`]) {
  test(`refuses ${text.slice(0, 12)}`, () => {
    assert.throws(() => parseJsonTree(text), { code: 'invalid_request' })
  })
}

test('says the same as JSON.parse of any JSON', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      const tree = parseJsonTree(text)
      assert.deepEqual(JSON.parse(printJsonTree(tree)), JSON.parse(text))
      assert.equal(JSON.stringify(plainOf(tree)), JSON.stringify(JSON.parse(text)))
      assert.ok(isSameJson(tree, parseJsonTree(printJsonTree(tree, { sorted: true }))))
    }),
  )
})

test('compares decimals exactly', () => {
  const rising = [
    '-1e400',
    '-10',
    '-9.99',
    '-0.1',
    '0',
    '1e-400',
    '0.1',
    '0.10000000000000000001',
    '1',
    '9007199254740993',
    '9007199254740994',
    '1e400',
  ]
  for (const [at, left] of rising.entries()) {
    for (const [other, right] of rising.entries())
      assert.equal(Math.sign(compareDecimals(left, right)), Math.sign(at - other), `${left} ${right}`)
  }
  for (const same of ['1', '1.0', '1e0', '10e-1', '0.1E1', '1.000']) assert.equal(compareDecimals('1', same), 0, same)
  assert.equal(compareDecimals('0', '-0.0e9'), 0)
  assert.ok(isSameJson(parseJsonTree('{"a":1.0,"b":[]}'), parseJsonTree('{"b":[],"a":1}')))
  assert.ok(!isSameJson(parseJsonTree('{"a":1}'), parseJsonTree('{"a":"1"}')))
})

for (const [number, of, expected] of [
  ['4', '2', true],
  ['2', '4', false],
  ['0.3', '0.1', true],
  ['1.0', '0.30', false],
  ['-6e2', '3E1', true],
  ['0', '7', true],
  ['7', '0', false],
  ['9007199254740993', '2', false],
  ['9007199254740994', '2', true],
  ['50000000001', '2', false],
  ['1e500', '5', true],
  ['1e999999999', '5', false],
  ['1e99999999999999999999999', '5', false],
] as const) {
  test(`${number} ${expected ? 'is' : 'is not'} a multiple of ${of}`, () => {
    assert.equal(isMultiple(number, of), expected)
  })
}
