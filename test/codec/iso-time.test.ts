import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseIsoTime, parseIsoTimeAt } from '../../src/codec/iso-time.ts'

function parse(text: string): number | undefined {
  const bytes = Buffer.from(`x${text}x`)
  const at = parseIsoTimeAt(bytes, 1, bytes.length - 1)
  assert.equal(at, parseIsoTime(text), 'text and bytes mean the same')
  return at
}

test('reads every time that Date writes', () => {
  fc.assert(
    fc.property(fc.integer({ min: -8.64e15, max: 8.64e15 }), (ms) => {
      assert.equal(parse(new Date(ms).toISOString()), ms)
    }),
    { numRuns: 1000 },
  )
  for (const text of [
    '2024-02-29T00:00:00.000Z',
    '2000-02-29T23:59:59.999Z',
    '0000-03-01T00:00:00.000Z',
    '0099-12-31T00:00:00.000Z',
  ]) {
    assert.equal(parse(text), Date.parse(text))
  }
})

test('reads zones, shorter times and finer digits', () => {
  const ms = Date.UTC(2026, 10, 21, 2)
  const texts = [
    '2026-11-21T02:00Z',
    '2026-11-21T02:00:00z',
    '2026-11-21t02:00:00Z',
    '2026-11-21T03:00:00+01:00',
    '2026-11-20T20:30:00-0530',
  ]
  for (const text of texts) assert.equal(parse(text), ms, text)
  assert.equal(parse('2026-11-21T12:00:00+10'), ms)
  assert.equal(parse('2026-11-21T02:00:00.1Z'), ms + 100)
  assert.equal(parse('2026-11-21T02:00:00,123999999Z'), ms + 123)
})

test('refuses what names no moment', () => {
  for (const text of [
    '',
    '2026',
    '2026-11-21',
    '2026-11-21T02:00:00',
    '2026-11-21 02:00:00Z',
    '2026-13-01T00:00:00.000Z',
    '2026-00-01T00:00:00.000Z',
    '2026-02-30T00:00:00.000Z',
    '2026-02-29T00:00:00.000Z',
    '2100-02-29T00:00:00.000Z',
    '2026-04-31T00:00:00.000Z',
    '2026-01-00T00:00:00.000Z',
    '2026-01-01T24:00:00.000Z',
    '2026-01-01T00:60:00.000Z',
    '2026-01-01T00:00:60.000Z',
    '2026-01-01T00:00:00.00aZ',
    '2026-01-01T00:00:00+24:00',
    '+999999-01-01T00:00:00Z',
    '1795226400123',
  ]) {
    assert.equal(parse(text), undefined, text)
  }
})
