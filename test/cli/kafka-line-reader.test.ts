// Lines of the console producer, by every property of Kafka's LineMessageReader.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseProperties } from '../../src/cli/kafka-connect.ts'
import { openLineReader } from '../../src/cli/kafka-line-reader.ts'

interface Shown {
  readonly key?: string
  readonly value?: string
  readonly headers?: readonly (readonly [name: string, value: string | null])[]
}

function read(line: string | Buffer, ...properties: string[]): Shown {
  const json = openLineReader(parseProperties(properties))(Buffer.from(line), 7)
  const { key, value, headers } = JSON.parse(json)
  return {
    ...(key !== undefined && { key }),
    ...(value !== undefined && { value }),
    ...(headers && { headers: headers.map((header: { name: string; value: string }) => [header.name, header.value]) }),
  }
}

test('a line is a value, and an empty line an empty one', () => {
  assert.deepEqual(read('a\tb'), { value: 'a\tb' })
  assert.deepEqual(read(''), { value: '' })
})

test('a key stands before the separator', () => {
  assert.deepEqual(read('k\tv\tw', 'parse.key=true'), { key: 'k', value: 'v\tw' })
  assert.deepEqual(read('k::v', 'parse.key=TRUE ', 'key.separator=::'), { key: 'k', value: 'v' })
  assert.deepEqual(read('=v', 'parse.key=true', 'key.separator=='), { key: '', value: 'v' })
})

test('headers stand before the key', () => {
  const both = ['parse.key=true', 'parse.headers=true']
  assert.deepEqual(read('h1:v1,h2:v2\tk\tv', ...both), {
    key: 'k',
    value: 'v',
    headers: [
      ['h1', 'v1'],
      ['h2', 'v2'],
    ],
  })
  assert.deepEqual(
    read('a=1;b=x:y|v', 'parse.headers=true', 'headers.delimiter=|', 'headers.separator=;', 'headers.key.separator=='),
    {
      value: 'v',
      headers: [
        ['a', '1'],
        ['b', 'x:y'],
      ],
    },
  )
})

test('the null marker stands for nothing, wherever it is', () => {
  const all = ['parse.key=true', 'parse.headers=true', 'null.marker=NULL']
  assert.deepEqual(read('NULL\tNULL\tNULL', ...all), {})
  assert.deepEqual(read('h:NULL\tk\tNULL', ...all), { key: 'k', headers: [['h', null]] })
  assert.throws(() => read('NULL:v\tk\tv', ...all), { message: /Header keys should not be equal to the null marker/ })
})

test('a missing separator is an error in Kafka’s words, unless errors are ignored', () => {
  assert.throws(() => read('line', 'parse.key=true'), {
    message: "No key separator found on line number 7: 'line'",
  })
  assert.throws(() => read('line', 'parse.headers=true'), {
    message: "No headers delimiter found on line number 7: 'line'",
  })
  assert.throws(() => read('h\tv', 'parse.headers=true'), {
    message: "No header key separator found in pair 'h' on line number 7",
  })
  assert.deepEqual(read('line', 'parse.key=true', 'ignore.error=true'), { value: 'line' })
  assert.deepEqual(read('h\tv', 'parse.headers=true', 'ignore.error=true'), { value: 'v', headers: [['h', null]] })
})

test('separators that could not be told apart are refused', () => {
  for (const properties of [
    ['headers.delimiter=,'],
    ['headers.delimiter=:'],
    ['headers.separator=:'],
    ['null.marker=\t'],
    ['null.marker=,'],
    ['null.marker=:'],
    ['key.separator=x', 'null.marker=x'],
  ]) {
    assert.throws(
      () => openLineReader(parseProperties(properties)),
      { message: /may not be equal/ },
      String(properties),
    )
  }
})

test('bytes that are no UTF-8 become base64', () => {
  const json = openLineReader(parseProperties(['parse.key=true', 'parse.headers=true']))
  const line = Buffer.concat([Buffer.from('h:'), Buffer.from([0xff, 0x09, 0xfe, 0x09, 0xfd])])
  assert.deepEqual(JSON.parse(json(line, 1)), {
    key: '/g==',
    key_encoding: 'base64',
    value: '/Q==',
    value_encoding: 'base64',
    headers: [{ name: 'h', value: '/w==', value_encoding: 'base64' }],
  })
})
