// The scanner takes what JSON.parse takes and nothing else, apart from depth; it never reads past the range it is given.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  describeJsonFault,
  skipJsonString,
  skipJsonValue,
  skipPlainString,
  skipWhitespace,
} from '../../src/kernel/json-scanner.ts'
import { compactJson, isJson } from '../../src/kernel/json-text.ts'
import { JSON_DEPTH_MAX } from '../../src/kernel/limits.ts'

/** Where the text stands among bytes that would carry it on, were they read. */
function placed(text: string | Uint8Array): { bytes: Buffer; start: number; end: number } {
  const middle = Buffer.from(text as string)
  const bytes = Buffer.concat([Buffer.from('["'), middle, Buffer.from('0"]}e1')])
  return { bytes, start: 2, end: 2 + middle.length }
}

function accepts(text: string | Uint8Array): boolean {
  const { bytes, start, end } = placed(text)
  return isJson(bytes, start, end)
}

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function faultOf(text: string) {
  const bytes = Buffer.from(text)
  const valueEnd = skipJsonValue(bytes, 0, bytes.length)
  assert.ok(valueEnd < 0, `${text} is refused`)
  return describeJsonFault(bytes, 0, bytes.length, valueEnd)
}

const GOOD = [
  '0',
  '-0',
  '10',
  '-12.5e+10',
  '1E5',
  '1e-5',
  '0.0',
  '12345678901234567890123',
  '1e999',
  'true',
  'false',
  'null',
  '""',
  '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9"',
  '"\\ud800"',
  '"\\uDC00\\uD800"',
  '"é€😀\u007f\u2028"',
  '[]',
  '{}',
  '[ ]',
  '{ }',
  ' \t\r\n[ 1 , 2 ]\n',
  '{"a":1,"a":2,"":{}}',
  '[[[]],{"b":[{}]}]',
  '{ "a" : [ true , null ] , "b" : -1 }',
]

const BAD = [
  '',
  ' ',
  '01',
  '-',
  '-a',
  '+1',
  '.5',
  '1.',
  '1.e5',
  '1e',
  '1e+',
  '0x10',
  '00',
  '-01',
  '1_0',
  'NaN',
  'Infinity',
  'tru',
  'truee',
  'True',
  'nul',
  "'a'",
  '"',
  '"a',
  '"\\"',
  '"\\x"',
  '"\\u12"',
  '"\\u12g4"',
  '"\\U0041"',
  '"a\nb"',
  '"a\tb"',
  '"\u0000"',
  '"\u001f"',
  '[',
  ']',
  '[1',
  '[1,',
  '[1,]',
  '[,1]',
  '[1 2]',
  '[1}',
  '{',
  '}',
  '{"a"',
  '{"a":',
  '{"a":1',
  '{"a":1,',
  '{"a":1,}',
  '{,"a":1}',
  '{"a" 1}',
  '{a:1}',
  '{1:1}',
  '{"a":1]',
  '{"a":1 "b":2}',
  '1 2',
  '[] []',
  '// x\n1',
  '/* x */1',
  '\ufeff1',
  '\u00a01',
  '\u000b1',
  '\f1',
]

test('takes every kind of value', () => {
  for (const text of GOOD) {
    assert.ok(parses(text), `${text} is JSON`)
    assert.ok(accepts(text), text)
  }
})

test('refuses what is nearly JSON', () => {
  for (const text of BAD) {
    assert.ok(!parses(text), `${text} is no JSON`)
    assert.ok(!accepts(text), JSON.stringify(text))
  }
})

test('ends a value where it ends, whatever follows', () => {
  const ends: [string, number][] = [
    ['1,2', 1],
    ['  "a" , ', 5],
    ['{"a":[1]}}', 9],
    ['null]', 4],
    ['-1.5e3 x', 6],
    ['[][]', 2],
  ]
  for (const [text, end] of ends) assert.equal(skipJsonValue(Buffer.from(text), 0, text.length), end, text)
})

test('agrees with JSON.parse on random JSON and on its every truncation', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), fc.constantFrom(0, 1, 3), (text, indent) => {
      const spaced = JSON.stringify(JSON.parse(text), undefined, indent)
      for (const whole of [text, spaced]) {
        assert.ok(accepts(whole))
        const bytes = Buffer.from(whole)
        for (let end = 0; end < bytes.length; end++) {
          const cut = bytes.subarray(0, end)
          assert.equal(accepts(cut), parses(cut.toString()), cut.toString())
        }
      }
    }),
    { numRuns: 200 },
  )
})

test('agrees with JSON.parse on JSON with one byte changed, left out or put in', () => {
  const odd = fc.constantFrom(...Buffer.from('{}[]",:\\/ \n\t0123456789.eE+-utfnrabcdx\u0001\u007f'))
  fc.assert(
    fc.property(fc.json({ maxDepth: 4 }), fc.nat(), odd, fc.constantFrom(-1, 0, 1), (text, where, byte, change) => {
      const bytes = Buffer.from(text, 'latin1').filter((each) => each < 0x80)
      const at = where % (bytes.length + 1)
      const after = bytes.subarray(at + (change === 1 ? 0 : 1))
      const changed = Buffer.concat([bytes.subarray(0, at), change === -1 ? Buffer.alloc(0) : Buffer.of(byte), after])
      assert.equal(accepts(changed), parses(changed.toString()), changed.toString())
    }),
    { numRuns: 5000 },
  )
})

test('agrees with JSON.parse on everything that may be a number', () => {
  const letters = fc.array(fc.constantFrom('0', '1', '9', '.', 'e', 'E', '+', '-', ' '), { maxLength: 8 })
  fc.assert(
    fc.property(letters, (chars) => {
      const text = chars.join('')
      assert.equal(accepts(text), parses(text), text)
    }),
    { numRuns: 5000 },
  )
})

test('agrees with JSON.parse on everything that may be a string', () => {
  const pieces = fc.constantFrom(
    '"',
    '\\',
    '\\u',
    '\\n',
    '\\/',
    'u',
    'd',
    '8',
    '0',
    'G',
    'é',
    '😀',
    '\n',
    '\u0000',
    ' ',
  )
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 8 }), (chars) => {
      const text = `"${chars.join('')}"`
      assert.equal(accepts(text), parses(text), text)
    }),
    { numRuns: 5000 },
  )
})

test('agrees with JSON.parse on every short text of brackets, commas and colons', () => {
  const letters = ['{', '}', '[', ']', ',', ':', '"a"', '1']
  let texts = ['']
  for (let length = 1; length <= 5; length++) {
    texts = texts.flatMap((text) => letters.map((letter) => text + letter))
    for (const text of texts) if (accepts(text) !== parses(text)) assert.fail(text)
  }
})

test('takes no JSON that is not UTF-8', () => {
  const cut = Buffer.from('"é"')
  assert.ok(accepts(cut))
  assert.ok(!accepts(Buffer.of(0x22, 0xc3, 0x22)))
  assert.ok(!accepts(Buffer.of(0x22, 0xed, 0xa0, 0x80, 0x22)), 'a surrogate as three bytes')
  assert.ok(!accepts(Buffer.of(0x22, 0xc0, 0xaf, 0x22)), 'an overlong form')
  assert.ok(!accepts(Buffer.of(0xff)))
})

test('counts brackets up to the bound and does not recurse', () => {
  const nested = (open: string, close: string, depth: number) => open.repeat(depth) + close.repeat(depth)
  assert.ok(accepts(nested('[', ']', JSON_DEPTH_MAX)))
  assert.ok(accepts(`${nested('{"a":', '}', JSON_DEPTH_MAX - 1).replace('}', '{}}')}`))
  assert.ok(!accepts(nested('[', ']', JSON_DEPTH_MAX + 1)))
  assert.ok(!accepts(`[${'[1,'.repeat(JSON_DEPTH_MAX)}`))
  const bomb = Buffer.alloc(8 * 1024 * 1024, '[')
  const fault = describeJsonFault(bomb, 0, bomb.length, skipJsonValue(bomb, 0, bomb.length))
  assert.equal(fault.position, JSON_DEPTH_MAX)
  assert.match(fault.expected, /at most 500 levels/)
  const depth = JSON_DEPTH_MAX - 2
  assert.ok(accepts(`${'[{"a":[2]},'.repeat(depth)}0${']'.repeat(depth)}`), 'what is closed counts no more')
})

test('says where it goes wrong, and what was expected there', () => {
  const cases: [string, number, number, string, string][] = [
    ['', 1, 1, 'a value', 'the end'],
    ['{"a":1\n "b":2}', 2, 2, ', or }', `'"'`],
    ['[1,\r\n\t2,]', 2, 4, 'a value', '"]"'],
    ['["é😀", x]', 1, 8, 'a value', '"x"'],
    ['[1 2]', 1, 4, ', or ]', '"2"'],
    ['{1:2}', 1, 2, 'a member name in double quotes or }', '"1"'],
    ['{"a":1,}', 1, 8, 'a member name in double quotes', '"}"'],
    ['{"a"}', 1, 5, ':', '"}"'],
    ['"a\u0001"', 1, 3, 'no raw control character in a string', 'the byte 0x01'],
    ['"\\x"', 1, 3, 'one of the escapes \\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX', '"x"'],
    ['"\\u12', 1, 6, 'four hexadecimal digits after \\u', 'the end'],
    ['-x', 1, 2, 'a digit', '"x"'],
    ['nulL', 1, 1, 'true, false or null', '"n"'],
    ['"abc', 1, 5, 'a closing double quote', 'the end'],
    ['[', 1, 2, 'a value or ]', 'the end'],
    ['\ufeff1', 1, 1, 'a value', 'a byte order mark'],
  ]
  for (const [text, line, column, expected, found] of cases) {
    const fault = faultOf(text)
    assert.deepEqual([fault.line, fault.column, fault.expected, fault.found], [line, column, expected, found], text)
  }
})

test('a string without escapes is told from one with them', () => {
  const skip = (text: string) => skipPlainString(Buffer.from(text), 0, Buffer.byteLength(text))
  assert.equal(skip('"abé"x'), 6)
  assert.equal(skip('"a\\nb"'), 0)
  assert.ok(skip('"a\nb"') < 0)
  assert.ok(skip('"ab') < 0)
  assert.equal(skipJsonString(Buffer.from('"a\\nb"x'), 0, 7), 6)
})

test('white space is blank, tab and line ends, and nothing else', () => {
  for (let byte = 0; byte < 256; byte++) {
    const expected = byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d ? 1 : 0
    assert.equal(skipWhitespace(Buffer.of(byte), 0, 1), expected)
  }
})

test('compact JSON has no white space outside strings, and is the same JSON to the digit', () => {
  const compact = (text: string) => {
    const { bytes, start, end } = placed(text)
    return Buffer.from(compactJson(bytes, start, end)).toString()
  }
  assert.equal(
    compact(' { "a b" : [ 1.0 , 1e5 ,\r\n\t"x \\" y" ] , "a b" : null } \n'),
    '{"a b":[1.0,1e5,"x \\" y"],"a b":null}',
  )
  assert.equal(compact('12345678901234567890'), '12345678901234567890')
  const bytes = Buffer.from('xx{"a":" "}xx')
  const same = compactJson(bytes, 2, 11)
  assert.equal(same.buffer, bytes.buffer, 'nothing is copied when there is nothing to remove')
  fc.assert(
    fc.property(fc.json(), fc.constantFrom(1, 4, '\t', '\r\n'), (text, indent) => {
      const dense = JSON.stringify(JSON.parse(text))
      assert.equal(compact(JSON.stringify(JSON.parse(text), undefined, indent as number)), dense)
    }),
  )
})
