import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TailraceError } from '../../src/kernel/errors.ts'
import { CURSOR_BYTES_MAX, OFFSET_MAX } from '../../src/kernel/limits.ts'
import type { Cursor } from '../../src/service/read/cursor.ts'
import { decodeCursor, encodeCursor } from '../../src/service/read/cursor.ts'

const offset = fc.oneof(
  fc.nat(),
  fc.integer({ min: 0, max: OFFSET_MAX }),
  fc.constantFrom(0, 63, 64, 127, 128, OFFSET_MAX),
)

const plain = { noNullPrototype: true }

const wholeTopic = fc.record(
  {
    topicId: fc.uuid(),
    whole: fc.constant(true),
    partitions: fc
      .array(offset, { maxLength: 40 })
      .map((offsets) => offsets.map((nextOffset, partition) => ({ partition, nextOffset }))),
  },
  plain,
)

const someOfATopic = fc.record(
  {
    topicId: fc.uuid(),
    whole: fc.constant(false),
    partitions: fc
      .uniqueArray(fc.tuple(fc.integer({ min: 0, max: 9_999 }), offset), { maxLength: 40, selector: ([one]) => one })
      .map((pairs) =>
        pairs.sort(([left], [right]) => left - right).map(([partition, nextOffset]) => ({ partition, nextOffset })),
      ),
  },
  plain,
)

const cursors: fc.Arbitrary<Cursor> = fc.record(
  {
    topics: fc.array(fc.oneof(wholeTopic, someOfATopic), { maxLength: 4 }),
    turn: fc.nat({ max: 1_000 }),
  },
  plain,
)

const isRefused = (error: unknown) => error instanceof TailraceError && error.code === 'invalid_cursor'

test('a cursor comes back as it went, over one topic and over several', () => {
  fc.assert(fc.property(cursors, (cursor) => assert.deepEqual(decodeCursor(encodeCursor(cursor)), cursor)))
})

test('a cursor is safe in a query string and in a header', () => {
  fc.assert(fc.property(cursors, (cursor) => assert.match(encodeCursor(cursor), /^[A-Za-z0-9_-]+$/)))
})

test('a cursor with any one character changed is refused', () => {
  const characters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ %.~é'
  fc.assert(
    fc.property(cursors, fc.nat(), fc.constantFrom(...characters), (cursor, place, character) => {
      const text = encodeCursor(cursor)
      const at = place % text.length
      const mangled = text.slice(0, at) + character + text.slice(at + 1)
      if (mangled !== text) assert.throws(() => decodeCursor(mangled), isRefused)
    }),
    { numRuns: 2_000 },
  )
})

test('a cursor cut at any place, or with anything after it, is refused', () => {
  fc.assert(
    fc.property(cursors, fc.string({ minLength: 1 }), (cursor, more) => {
      const text = encodeCursor(cursor)
      for (let end = 0; end < text.length; end++) assert.throws(() => decodeCursor(text.slice(0, end)), isRefused)
      assert.throws(() => decodeCursor(text + more), isRefused)
    }),
    { numRuns: 20 },
  )
})

test('any text at all is refused as no cursor', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.base64String()), (text) => assert.throws(() => decodeCursor(text), isRefused)),
  )
})

test('hundreds of busy partitions fit into a cursor, and too many are refused with what to do', () => {
  const over = (count: number): Cursor => ({
    turn: count - 1,
    topics: [
      {
        topicId: '01234567-89ab-cdef-0123-456789abcdef',
        whole: true,
        partitions: Array.from({ length: count }, (_, partition) => {
          return { partition, nextOffset: 1_000_000 + ((partition * 7919) % 10_000) }
        }),
      },
    ],
  })
  assert.ok(encodeCursor(over(1_000)).length <= CURSOR_BYTES_MAX)
  assert.throws(
    () => encodeCursor(over(10_000)),
    (error) => error instanceof TailraceError && error.code === 'invalid_request' && /name fewer/.test(error.message),
  )
})
