import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { splitArray, splitObject } from '../../src/client/raw-json.ts'
import { parseRecordPage, RawRecord } from '../../src/client/record-page.ts'

test('an object is cut into its members’ texts, as they stand', () => {
  const members = splitObject(Buffer.from(' { "a" : 1.0 ,"b\\n":{"x": [1,{"y":"}"}]}, "c":"\\"" } '))
  assert.deepEqual(
    [...(members ?? [])].map(([name, json]) => [name, json.toString()]),
    [
      ['a', '1.0'],
      ['b\n', '{"x": [1,{"y":"}"}]}'],
      ['c', '"\\""'],
    ],
  )
  assert.equal(splitObject(Buffer.from('{}'))?.size, 0)
  for (const bad of ['', '[]', '{', '{"a"}', '{"a":1,}', '{"a":1}x', '{"a":01}', '{a:1}', 'null']) {
    assert.equal(splitObject(Buffer.from(bad)), undefined, bad)
  }
})

test('an array is cut into its elements’ texts, as they stand', () => {
  const elements = splitArray(Buffer.from('[ 1 , [2,3] , "]" ]'))
  assert.deepEqual(elements?.map(String), ['1', '[2,3]', '"]"'])
  assert.deepEqual(splitArray(Buffer.from(' [ ] ')), [])
  for (const bad of ['', '{}', '[', '[1,]', '[1]2', '[,1]']) assert.equal(splitArray(Buffer.from(bad)), undefined, bad)
})

test('whatever JSON.stringify writes is cut where JSON.parse would', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.array(fc.jsonValue()), (object, array) => {
      const members = splitObject(Buffer.from(JSON.stringify(object, null, 1)))
      const parsed = JSON.parse(JSON.stringify(object))
      assert.deepEqual(new Set(members?.keys()), new Set(Object.keys(parsed)))
      for (const [name, json] of members ?? []) assert.deepEqual(JSON.parse(json.toString()), parsed[name])
      const elements = splitArray(Buffer.from(JSON.stringify(array)))
      assert.deepEqual(
        elements?.map((json) => JSON.parse(json.toString())),
        JSON.parse(JSON.stringify(array)),
      )
    }),
  )
})

test('a record gives its members as text and as what they are', () => {
  const record = new RawRecord(
    Buffer.from('{"partition":3,"offset":42,"key":null,"value":1.0,"value_encoding":"json"}'),
  )
  assert.deepEqual([record.partition, record.offset], [3, 42])
  assert.equal(record.member('value')?.toString(), '1.0')
  assert.equal(record.member('headers'), undefined)
  assert.equal(record.text('value_encoding'), 'json')
  assert.equal(record.text('key'), undefined)
  assert.equal(record.text('value'), undefined)
  assert.equal(record.attempts, undefined)
  assert.equal(new RawRecord(Buffer.from('{"attempts":2}')).attempts, 2)
})

test('a page without records, gaps or partitions is a page; without a cursor it is none', () => {
  const page = parseRecordPage(Buffer.from('{"records":[],"cursor":"c","later":{"unknown":1}}'))
  assert.deepEqual(page, { records: [], cursor: 'c', caughtUp: false, partitions: [], gaps: [] })
  for (const bad of ['', '{"records":[]}', '{"cursor":"c"}', '<html>', '{"records":{},"cursor":"c"}']) {
    assert.throws(() => parseRecordPage(Buffer.from(bad)), { code: 'unexpected_reply' })
  }
})
