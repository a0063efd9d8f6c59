// The v1 produce body and import lines: what becomes of every member, and what is refused in which words.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseProduceBody, parseRecordLine } from '../../src/codec/produce-body.ts'
import type { ProduceRecord } from '../../src/codec/produce-record.ts'
import { TailraceError } from '../../src/kernel/errors.ts'
import { JSON_DEPTH_MAX, PRODUCE_RECORDS_MAX, RECORD_HEADERS_MAX } from '../../src/kernel/limits.ts'

function bytesOf(bytes: Uint8Array, start: number, end: number): Buffer | null {
  return start < 0 ? null : Buffer.from(bytes.subarray(start, end))
}

const storedKey = (record: ProduceRecord) => bytesOf(record.key, record.keyStart, record.keyEnd)
const storedValue = (record: ProduceRecord) => bytesOf(record.value, record.valueStart, record.valueEnd)
const textOf = (bytes: Buffer | null) => bytes?.toString() ?? null

function parseOne(record: string, rest = ''): ProduceRecord {
  const [parsed] = parseProduceBody(Buffer.from(`{"records":[${record}]${rest}}`))
  assert.ok(parsed)
  return parsed
}

function failure(parse: () => unknown): TailraceError {
  try {
    parse()
  } catch (error) {
    assert.ok(error instanceof TailraceError, `${error}`)
    return error
  }
  assert.fail('it was taken')
}

const refusal = (body: string | Buffer) => failure(() => parseProduceBody(Buffer.from(body as string)))

test('a key is its text, a value its JSON as it was sent', () => {
  const values = [
    '12345678901234567890',
    '1.0',
    '-0',
    '1e400',
    '{"b":1,"a":2,"b":3}',
    '"\\ud800"',
    '{\n  "pretty": [ 1,\n 2 ]\n}',
    '"caf\\u00e9 é \\/"',
    'true',
    '""',
    `"${'x'.repeat(1024 * 1024)}"`,
  ]
  for (const value of values) {
    const record = parseOne(`{"key":"k é","value": ${value} }`)
    assert.equal(textOf(storedValue(record)), value)
    assert.equal(textOf(storedKey(record)), 'k é')
  }
})

test('values and keys without escapes are ranges of the body', () => {
  const body = Buffer.from('{"records":[{"key":"a","value":{"n":1}}]}')
  const [record] = parseProduceBody(body)
  assert.equal(record?.value, body)
  assert.equal(record?.key, body)
})

test('no key, no value and the empty key are three things', () => {
  for (const record of ['{}', '{"key":null,"value":null}', '{"key":null,"value_encoding":null,"headers":null}']) {
    assert.deepEqual([storedKey(parseOne(record)), storedValue(parseOne(record))], [null, null])
  }
  assert.equal(textOf(storedKey(parseOne('{"key":""}'))), '')
  assert.equal(textOf(storedValue(parseOne('{"value":null,"value_encoding":"json"}'))), 'null')
  assert.equal(storedValue(parseOne('{"value":null,"value_encoding":"string"}')), null)
  assert.equal(storedValue(parseOne('{"value_encoding":"json"}')), null)
  assert.equal(textOf(storedValue(parseOne('{"value":null}', ',"value_encoding":"json"'))), 'null')
})

test('escapes of text become UTF-8', () => {
  const key = storedKey(parseOne('{"key":"\\u0000\\u00e9\\u20ac\\ud83d\\ude00\\"\\\\\\/\\b\\f\\n\\r\\t"}'))
  assert.equal(textOf(key), '\u0000é€😀"\\/\b\f\n\r\t')
})

test('a member name may be written with escapes', () => {
  assert.equal(textOf(storedKey(parseOne('{"\\u006bey":"k"}'))), 'k')
})

test('partition and timestamp are taken as they are, or left open', () => {
  const time = (text: string) => parseOne(`{"timestamp":${text}}`).timestamp
  assert.deepEqual([parseOne('{}').partition, parseOne('{}').timestamp], [-1, -1])
  assert.equal(parseOne('{"partition":7}').partition, 7)
  assert.equal(parseOne('{"partition":null}').partition, -1)
  const ms = Date.UTC(2026, 10, 21, 2, 0, 0, 123)
  assert.equal(time('"2026-11-21T02:00:00.123Z"'), ms)
  assert.equal(time('"2026-11-21T03:00:00.123456789+01:00"'), ms)
  assert.equal(time('"2026-11-21T02:00Z"'), ms - 123)
  assert.equal(time(String(ms)), ms)
  assert.equal(time('0'), 0)
  assert.equal(time('null'), -1)
})

test('headers keep their order, duplicates and nulls', () => {
  const { headers } = parseOne(
    '{"headers":[{"name":"a","value":"x"},{"name":"a","value":null},{"name":"","value":"\\n"},{"name":"b"},' +
      '{"value":"AAE=","value_encoding":"base64","name":"c"},{"name":"d","value":{"n": 1.0},"value_encoding":"json"}]}',
  )
  const shown = headers.map(({ name, value }) => [name, value === null ? null : Buffer.from(value).toString('latin1')])
  assert.deepEqual(shown, [
    ['a', 'x'],
    ['a', null],
    ['', '\n'],
    ['b', null],
    ['c', '\u0000\u0001'],
    ['d', '{"n": 1.0}'],
  ])
  assert.deepEqual(parseOne('{"headers":[]}').headers, [])
  assert.deepEqual(parseOne('{"headers":[ ]}').headers, [])
})

test("every encoding gives the bytes of Kafka's own serializer", () => {
  const cases: [string, string, string][] = [
    ['string', '"é"', 'c3a9'],
    ['json', '[1.0]', '5b312e305d'],
    ['base64', '"AP8\\/"', '00ff3f'],
    ['base64', '""', ''],
    ['int16', '-2', 'fffe'],
    ['int32', '16909060', '01020304'],
    ['int32', '"-2147483648"', '80000000'],
    ['int64', '9223372036854775807', '7fffffffffffffff'],
    ['int64', '"-9223372036854775808"', '8000000000000000'],
    ['int64', '-0', '0000000000000000'],
    ['float32', '1.5', '3fc00000'],
    ['float32', '"NaN"', '7fc00000'],
    ['float64', '-0', '8000000000000000'],
    ['float64', '1e-3', '3f50624dd2f1a9fc'],
    ['float64', '"-Infinity"', 'fff0000000000000'],
    [
      'uuid',
      '"7F1A1BD0-5c1e-4d1b-9d5e-0c5f4f0a9b11"',
      Buffer.from('7f1a1bd0-5c1e-4d1b-9d5e-0c5f4f0a9b11').toString('hex'),
    ],
  ]
  for (const [encoding, json, hex] of cases) {
    const named = parseOne(
      `{"key":${json},"value":${json},"key_encoding":"${encoding}","value_encoding":"${encoding}"}`,
    )
    assert.equal(storedKey(named)?.toString('hex'), hex, `${encoding} ${json}`)
    assert.equal(storedValue(named)?.toString('hex'), hex, `${encoding} ${json}`)
    const before = parseOne(`{"value_encoding":"${encoding}","value":${json}}`)
    assert.equal(storedValue(before)?.toString('hex'), hex)
  }
})

test("a request's encodings hold for its records, wherever they stand; a record's own goes first", () => {
  const records =
    '"records":[{"key":5,"value":"AAE="},{"key":"k","key_encoding":"string","value":"x","value_encoding":"json"}]'
  const encodings = '"key_encoding":"int16","value_encoding":"base64"'
  for (const body of [
    `{${encodings},${records}}`,
    `{${records},${encodings}}`,
    `{"key_encoding":"int16",${records},"value_encoding":"base64"}`,
  ]) {
    const [first, second] = parseProduceBody(Buffer.from(body))
    assert.ok(first && second)
    assert.deepEqual([storedKey(first), storedValue(first)], [Buffer.of(0, 5), Buffer.of(0, 1)])
    assert.deepEqual([textOf(storedKey(second)), textOf(storedValue(second))], ['k', '"x"'])
  }
})

test('malformed JSON is told by line, column and what was expected', () => {
  const error = refusal('{"records":[\n  {"value": tru}\n]}')
  assert.equal(error.code, 'invalid_request')
  assert.deepEqual(error.details, { position: 25, line: 2, column: 13, expected: 'true, false or null' })
  assert.match(error.message, /line 2, column 13: expected true, false or null/)
  for (const body of [
    '',
    '{',
    '{"records":[{"value":1}]',
    '{"records":[{"value":1},]}',
    '{"records":[{"value":1}]}]',
    '\ufeff{}',
  ]) {
    assert.equal(refusal(body).code, 'invalid_request', body)
  }
})

test('malformed JSON goes before wrong content, wherever each of them is', () => {
  for (const body of [
    '{"records":[{"key":5},{"value":tru}]}',
    '{"recordz":[],"x":tru}',
    '{"records":[{"key":5}]} x',
    '{"records":[{"headers":7}],"key_encoding":"string",}',
  ]) {
    assert.equal(refusal(body).code, 'invalid_request', body)
  }
})

test('a body or line that is not UTF-8 is refused', () => {
  const body = Buffer.from('{"records":[{"value":"\xff"}]}', 'latin1')
  assert.equal(refusal(body).code, 'invalid_request')
  assert.match(refusal(body).message, /UTF-8/)
  const line = Buffer.from('{"value":"\xff"}', 'latin1')
  assert.equal(failure(() => parseRecordLine(line, 0, line.length, { keepPartition: true })).code, 'invalid_request')
})

const WRONG: [string, object, RegExp][] = [
  ['[]', {}, /^the body must be an object, not an array$/],
  ['{}', { member: 'records' }, /^records is missing/],
  ['{"records":[]}', { member: 'records' }, /^records is empty/],
  ['{"records":{}}', { member: 'records' }, /^records must be an array, not an object$/],
  ['{"records":null}', { member: 'records' }, /^records must be an array, not null$/],
  ['{"records":[{}],"records":[{}]}', { member: 'records' }, /^records stands twice/],
  ['{"recrods":[{}]}', { member: 'recrods' }, /did you mean records\?/],
  ['{"records":[{}],"key_encoding":"text"}', { member: 'key_encoding' }, /one of string, json, base64, .*, not "text"/],
  ['{"records":[{}],"key_encoding":5}', { member: 'key_encoding' }, /not 5/],
  ['{"records":[{},7]}', { index: 1 }, /^records\[1\] must be an object, not a number$/],
  [
    '{"records":[{"vaule":1}]}',
    { index: 0, member: 'vaule' },
    /^records\[0\]\.vaule is not known here; did you mean value\?$/,
  ],
  [
    '{"records":[{"__proto__":{}}]}',
    { index: 0, member: '__proto__' },
    /is not known here; allowed are key, value, headers/,
  ],
  ['{"records":[{"offset":1}]}', { index: 0, member: 'offset' }, /is not known here/],
  ['{"records":[{"value":1,"value":2}]}', { index: 0, member: 'value' }, /stands twice/],
  ['{"records":[{"value":1,"v\\u0061lue":2}]}', { index: 0, member: 'value' }, /stands twice/],
  ['{"records":[{"key":5}]}', { index: 0, member: 'key' }, /must be a string, not 5; key_encoding says/],
  ['{"records":[{"key":{"a":1}}]}', { index: 0, member: 'key' }, /must be a string/],
  ['{"records":[{"key":"\\ud800x"}]}', { index: 0, member: 'key' }, /half a surrogate pair/],
  ['{"records":[{"key":"\\udc00"}]}', { index: 0, member: 'key' }, /half a surrogate pair/],
  [
    '{"records":[{"value":"\\ud800","value_encoding":"string"}]}',
    { index: 0, member: 'value' },
    /half a surrogate pair/,
  ],
  ['{"records":[{"value":7,"value_encoding":"string"}]}', { index: 0, member: 'value' }, /must be a string, not 7/],
  ['{"records":[{"value":7,"value_encoding":"xml"}]}', { index: 0, member: 'value_encoding' }, /must be one of/],
  ['{"records":[{"partition":-1}]}', { index: 0, member: 'partition' }, /whole number from 0 on, not -1/],
  ['{"records":[{"partition":1.0}]}', { index: 0, member: 'partition' }, /not 1\.0/],
  ['{"records":[{"partition":"1"}]}', { index: 0, member: 'partition' }, /not "1"/],
  ['{"records":[{"partition":2147483648}]}', { index: 0, member: 'partition' }, /whole number/],
  ['{"records":[{"timestamp":-5}]}', { index: 0, member: 'timestamp' }, /time with its zone/],
  ['{"records":[{"timestamp":1.5}]}', { index: 0, member: 'timestamp' }, /not 1\.5/],
  ['{"records":[{"timestamp":9007199254740993}]}', { index: 0, member: 'timestamp' }, /not 9007199254740993/],
  [
    '{"records":[{"timestamp":"2026-02-29T00:00:00Z"}]}',
    { index: 0, member: 'timestamp' },
    /not "2026-02-29T00:00:00Z"/,
  ],
  ['{"records":[{"timestamp":"2026-11-21T02:00:00"}]}', { index: 0, member: 'timestamp' }, /with its zone/],
  ['{"records":[{"timestamp":"1969-12-31T23:59:59Z"}]}', { index: 0, member: 'timestamp' }, /time/],
  [
    '{"records":[{"headers":{}}]}',
    { index: 0, member: 'headers' },
    /must be an array such as \[\{"name":"n","value":"v"\}\], not an object/,
  ],
  ['{"records":[{"headers":"]"}]}', { index: 0, member: 'headers' }, /must be an array .*, not a string/],
  [
    '{"records":[{"headers":[1]}]}',
    { index: 0, member: 'headers[0]' },
    /^records\[0\]\.headers\[0\] must be an object/,
  ],
  [
    '{"records":[{"headers":[{"value":"x"}]}]}',
    { index: 0, member: 'headers[0].name' },
    /headers\[0\]\.name is missing/,
  ],
  [
    '{"records":[{"headers":[{"name":1}]}]}',
    { index: 0, member: 'headers[0].name' },
    /name must be a string of text, not 1/,
  ],
  [
    '{"records":[{"headers":[{"name":"\\ud800"}]}]}',
    { index: 0, member: 'headers[0].name' },
    /must be a string of text/,
  ],
  [
    '{"records":[{"headers":[{"name":"a","value":1}]}]}',
    { index: 0, member: 'headers[0].value' },
    /headers\[0\]\.value must be a string/,
  ],
  [
    '{"records":[{"headers":[{"name":"a"},{"name":"a","valu":1}]}]}',
    { index: 0, member: 'headers[1].valu' },
    /headers\[1\]\.valu is not/,
  ],
]

test('wrong content is refused with its index, its member and what is allowed', () => {
  for (const [body, details, message] of WRONG) {
    const error = refusal(body)
    assert.equal(error.code, 'invalid_record', body)
    assert.deepEqual(error.details, details, body)
    assert.match(error.message, message)
  }
})

test('base64 is taken in its one form only', () => {
  for (const text of [
    'Q',
    'QQ',
    'QQ=',
    'QR==',
    'QUJ=',
    '====',
    'QQ==QQ==',
    'Q Q=',
    'QUI-',
    'QUI_',
    'QUJD\\n',
    'QQ===',
  ]) {
    const error = refusal(`{"records":[{"value":"${text}","value_encoding":"base64"}]}`)
    assert.match(error.message, /is not base64/, text)
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const record = parseOne(`{"value":"${Buffer.from(bytes).toString('base64')}","value_encoding":"base64"}`)
      assert.deepEqual(storedValue(record), Buffer.from(bytes))
    }),
  )
})

test('numbers out of range or not exact are refused', () => {
  const wrong: [string, string[]][] = [
    ['int16', ['32768', '-32769', '1.5', '1e2', '"1.0"', 'true', '" 1"', '""', '[1]']],
    ['int32', ['2147483648', '"0x10"', '99999999999999999999999999']],
    ['int64', ['9223372036854775808', '-9223372036854775809', '"01"', '1.0']],
    ['float32', ['1e39', '"inf"', 'true', '{}']],
    ['float64', ['1e309', '"1e309"', '"x"', '""']],
    ['uuid', ['"7f1a1bd05c1e4d1b9d5e0c5f4f0a9b11"', '5', '"7f1a1bd0-5c1e-4d1b-9d5e-0c5f4f0a9b1g"']],
  ]
  for (const [encoding, values] of wrong) {
    for (const value of values) {
      const error = refusal(`{"records":[{"value":${value},"value_encoding":"${encoding}"}]}`)
      assert.deepEqual(
        [error.code, error.details],
        ['invalid_record', { index: 0, member: 'value' }],
        `${encoding} ${value}`,
      )
    }
  }
})

test('depth and counts are bounded', () => {
  const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
  assert.equal(textOf(storedValue(parseOne(`{"value":${nested(JSON_DEPTH_MAX)}}`)))?.length, JSON_DEPTH_MAX * 2)
  assert.match(refusal(`{"records":[{"value":${nested(JSON_DEPTH_MAX + 1)}}]}`).message, /at most 500 levels/)
  const wrongBesideDeep = `{"records":[{"key":5},{"value":${nested(JSON_DEPTH_MAX)}}]}`
  assert.equal(refusal(wrongBesideDeep).code, 'invalid_record')
  assert.equal(refusal('['.repeat(1_000_000)).code, 'invalid_request')
  assert.equal(refusal(`{"records":${'['.repeat(1_000_000)}`).code, 'invalid_request')
  assert.equal(refusal(`${'{"records":'.repeat(100_000)}`).code, 'invalid_request')
  const headers = (count: number) => `{"headers":[${Array.from({ length: count }, () => '{"name":"a"}').join(',')}]}`
  assert.equal(parseOne(headers(RECORD_HEADERS_MAX)).headers.length, RECORD_HEADERS_MAX)
  assert.match(refusal(`{"records":[${headers(RECORD_HEADERS_MAX + 1)}]}`).message, /headers are more than 1000/)
  const many = (count: number) => `{"records":[${'{},'.repeat(count - 1)}{}]}`
  assert.equal(parseProduceBody(Buffer.from(many(PRODUCE_RECORDS_MAX))).length, PRODUCE_RECORDS_MAX)
  assert.match(refusal(many(PRODUCE_RECORDS_MAX + 1)).message, /more than 100000 records/)
})

test('a long unknown name does not fill the answer', () => {
  const error = refusal(`{"${'x'.repeat(100_000)}":1}`)
  assert.ok(error.message.length < 400)
  assert.ok(refusal(`{"records":[{"key":[${'1,'.repeat(100_000)}1]}]}`).message.length < 400)
})

const LINE =
  '{"topic":"t","partition":3,"offset":42,"timestamp":"2026-11-21T02:00:00.123Z","timestamp_type":"CreateTime",' +
  '"key":"k","value":"AAE=","key_encoding":"string","value_encoding":"base64","value_was":"json","headers":[{"name":"a","value":"x"}]}'

test('a line of an export is a record; its partition counts when it is wanted', () => {
  const bytes = Buffer.from(`xx${LINE}\n{`)
  const record = parseRecordLine(bytes, 2, 2 + LINE.length, { keepPartition: true })
  assert.deepEqual([textOf(storedKey(record)), storedValue(record), record.partition], ['k', Buffer.of(0, 1), 3])
  assert.equal(record.timestamp, Date.UTC(2026, 10, 21, 2, 0, 0, 123))
  assert.equal(record.headers.length, 1)
  assert.equal(parseRecordLine(bytes, 2, 2 + LINE.length, { keepPartition: false }).partition, -1)
})

test('a line is refused as a body is, without an index', () => {
  const line = (text: string) =>
    failure(() => parseRecordLine(Buffer.from(text), 0, Buffer.byteLength(text), { keepPartition: false }))
  assert.deepEqual(line('{"vaule":1}').details, { member: 'vaule' })
  assert.match(line('7').message, /^the line must be an object, not a number$/)
  assert.equal(line('{"value":1} {"value":2}').code, 'invalid_request')
  assert.equal(line('{"value":1').code, 'invalid_request')
  assert.equal(line('').code, 'invalid_request')
})

test('no truncation and no changed byte gives anything but records or a TailraceError', () => {
  const body = Buffer.from(
    `{"key_encoding":"string","records":[${LINE.replace(/"(topic|offset|timestamp_type|value_was)":("[^"]*"|\d+),/g, '')},` +
      '{"key":"\\u00e9","value":{"a":[1.5e3,null,"\\ud83d\\ude00"]},"headers":null}, {"value":-1,"partition":0,"timestamp":5}],"value_encoding":null}',
  )
  assert.equal(parseProduceBody(body).length, 3)
  for (let end = 0; end < body.length; end++) {
    assert.equal(refusal(body.subarray(0, end)).code, 'invalid_request')
    const line = Buffer.from(LINE)
    if (end < line.length) failure(() => parseRecordLine(line, 0, end, { keepPartition: true }))
  }
  fc.assert(
    fc.property(fc.nat(body.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
      const changed = Buffer.from(body)
      changed[at] = byte
      try {
        parseProduceBody(changed)
      } catch (error) {
        assert.ok(error instanceof TailraceError, `${error}`)
        assert.ok(error.code === 'invalid_request' || error.code === 'invalid_record')
      }
    }),
    { numRuns: 3000 },
  )
})

test('whatever JSON comes, it is taken or refused', () => {
  fc.assert(
    fc.property(fc.json(), (json) => {
      for (const body of [json, `{"records":${json}}`, `{"records":[${json}]}`]) {
        try {
          parseProduceBody(Buffer.from(body))
        } catch (error) {
          assert.ok(error instanceof TailraceError && error.code === 'invalid_record', `${error}`)
        }
      }
    }),
  )
})
