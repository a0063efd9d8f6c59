// Records in the form of Kafka's DefaultMessageFormatter.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseProperties } from '../../src/cli/kafka-connect.ts'
import { openMessageFormatter } from '../../src/cli/kafka-message-formatter.ts'
import { RawRecord } from '../../src/client/record-page.ts'
import { javaDouble, javaFloat } from '../../src/kernel/java-number.ts'

const base64 = (bytes: string | Buffer) => Buffer.from(bytes).toString('base64')

function recordOf(members: object): RawRecord {
  const record = {
    topic: 't',
    partition: 3,
    offset: 42,
    timestamp: '2026-01-02T03:04:05.678Z',
    timestamp_type: 'CreateTime',
    key: base64('k'),
    value: base64('v'),
    headers: [],
    ...members,
  }
  return new RawRecord(Buffer.from(JSON.stringify(record)))
}

const print = (properties: readonly string[], members: object = {}) =>
  openMessageFormatter(parseProperties(properties))(recordOf(members)).toString()

test('the value alone is printed, or what else is asked for, in Kafka’s order', () => {
  assert.equal(print([]), 'v\n')
  assert.equal(print(['print.key=true']), 'k\tv\n')
  assert.equal(print(['print.value=false', 'print.key=true']), 'k\n')
  assert.equal(print(['print.value=false']), '')
  const all = ['timestamp', 'partition', 'offset', 'headers', 'key'].map((name) => `print.${name}=true`)
  assert.equal(
    print(all),
    `CreateTime:${Date.UTC(2026, 0, 2, 3, 4, 5, 678)}\tPartition:3\tOffset:42\tNO_HEADERS\tk\tv\n`,
  )
  assert.equal(print(['print.timestamp=true'], { timestamp: null }), 'NO_TIMESTAMP\tv\n')
  assert.match(print(['print.timestamp=true'], { timestamp_type: 'LogAppendTime' }), /^LogAppendTime:/)
})

test('separators and the word for null are as asked', () => {
  const separators = ['print.key=true', 'key.separator= => ', 'line.separator=;', 'null.literal=<nil>']
  assert.equal(print(separators, { key: null, value: null }), '<nil> => <nil>;')
  const headers = [
    { name: 'a', value: '1' },
    { name: 'b', value: null },
    { name: 'c', value: '/w==', value_encoding: 'base64' },
  ]
  const printed = openMessageFormatter(parseProperties(['print.headers=true', 'headers.separator=|']))(
    recordOf({ headers }),
  )
  assert.equal(printed.toString('latin1'), 'a:1|b:null|c:\xff\tv\n')
})

test('values are printed as what a deserializer makes of them', () => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(-9007199254740993n)
  const long = 'value.deserializer=org.apache.kafka.common.serialization.LongDeserializer'
  assert.equal(print([long], { value: base64(bytes) }), '-9007199254740993\n')
  assert.throws(() => print([long], { value: base64('abc') }), {
    message: 'Size of data received by LongDeserializer is not 8',
  })
  assert.equal(print([long], { value: null }), 'null\n')
  const double = Buffer.alloc(8)
  double.writeDoubleBE(1e10)
  assert.equal(print(['value.deserializer=DoubleDeserializer'], { value: base64(double) }), '1.0E10\n')
  assert.equal(
    print(['key.deserializer=a.b.IntegerDeserializer', 'print.key=true'], { key: base64(Buffer.from([0, 0, 1, 0])) }),
    '256\tv\n',
  )
  assert.throws(() => print(['value.deserializer=com.example.Mine']), {
    message: /com\.example\.Mine: here are String/,
  })
})

test('floating-point numbers look as Java’s', () => {
  const doubles: [number, string][] = [
    [0, '0.0'],
    [-0, '-0.0'],
    [1, '1.0'],
    [-1.5, '-1.5'],
    [0.001, '0.001'],
    [0.00099, '9.9E-4'],
    [9_999_999, '9999999.0'],
    [1e7, '1.0E7'],
    [1.7976931348623157e308, '1.7976931348623157E308'],
    [Number.NaN, 'NaN'],
    [Number.NEGATIVE_INFINITY, '-Infinity'],
  ]
  for (const [number, text] of doubles) assert.equal(javaDouble(number), text)
  assert.equal(javaFloat(Math.fround(0.1)), '0.1')
  assert.equal(javaFloat(Math.fround(3.4028235e38)), '3.4028235E38')
})
