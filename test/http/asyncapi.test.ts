// asyncapi.yaml, schemas/frames.json, and the server's own tables of frames and close codes say the same.

import assert from 'node:assert/strict'
import { basename } from 'node:path'
import { test } from 'node:test'
import { CLOSE } from '../../src/http/websocket/close-codes.ts'
import { FRAME_TYPES } from '../../src/http/websocket/frames-in.ts'
import {
  AUTO_COMMIT_MS_MAX,
  AUTO_COMMIT_MS_MIN,
  GROUP_TAIL_RELEASE_MS_MAX,
  LEASE_MS_MAX,
  LEASE_MS_MIN,
  LIVE_HEARTBEAT_MS_MAX,
  LIVE_HEARTBEAT_MS_MIN,
  MAX_ATTEMPTS_MAX,
  PATTERN_CHARS_MAX,
  TAIL_BATCH_WAIT_MS_MAX,
  TAIL_CHUNK_RECORDS_MAX,
  TAIL_TOPICS_MAX,
  WS_NAME_CHARS_MAX,
} from '../../src/kernel/limits.ts'
import { checkEvent, eventMessages } from '../support/event-schemas.ts'
import { asyncApi, checkFrame, frameMessages, frameSchemas, frameTypes } from '../support/frames.ts'

test('every frame that the server takes is described, and no other', () => {
  assert.deepEqual([...frameTypes.client].sort(), [...FRAME_TYPES].sort())
})

test('every schema of a frame is a message of asyncapi.yaml under its type', () => {
  const typeOf = new Map(
    Object.entries(frameSchemas.components.schemas).flatMap(([name, { properties }]) => {
      const type = properties?.type?.const
      return type === undefined ? [] : [[name, type] as const]
    }),
  )
  const described = frameMessages.map(([type, { payload }]) => [type, basename(payload.$ref)])
  assert.deepEqual(described.map(([type, name]) => [name, type]).sort(), [...typeOf].sort())
  assert.deepEqual([...frameTypes.client, ...frameTypes.server].sort(), [...typeOf.values()].sort())
})

test('the examples fit their schemas', () => {
  for (const [type, { examples }] of frameMessages) {
    assert.ok(examples.length > 0, type)
    const sender = frameTypes.client.has(type) ? 'client' : 'server'
    for (const { payload } of examples) checkFrame(sender, payload as { type: string })
  }
  assert.equal(eventMessages.length, 6)
  for (const { name, examples } of eventMessages) {
    for (const { payload } of examples) checkEvent(name, payload)
  }
})

test('every close code of the server is described', () => {
  const { description } = asyncApi.info
  for (const [name, code] of Object.entries(CLOSE)) assert.match(description, new RegExp(`\\b${code}\\b`), name)
})

test('what a subscription may be asked for has its bounds', () => {
  const checkSubscribe = (members: object) => {
    const frame = { type: 'subscribe', sub: 'a', ...members }
    checkFrame('client', frame)
  }
  const topics = (count: number) => ({ topics: Array.from({ length: count }, (_, at) => `t${at}`) })
  const bounds: readonly (readonly [good: object, bad: object])[] = [
    [topics(TAIL_TOPICS_MAX), topics(TAIL_TOPICS_MAX + 1)],
    [{ batch: { wait_ms: TAIL_BATCH_WAIT_MS_MAX } }, { batch: { wait_ms: TAIL_BATCH_WAIT_MS_MAX + 1 } }],
    [{ batch: { records: TAIL_CHUNK_RECORDS_MAX } }, { batch: { records: TAIL_CHUNK_RECORDS_MAX + 1 } }],
    [{ heartbeat_ms: LIVE_HEARTBEAT_MS_MAX }, { heartbeat_ms: LIVE_HEARTBEAT_MS_MAX + 1 }],
    [{ heartbeat_ms: LIVE_HEARTBEAT_MS_MIN }, { heartbeat_ms: LIVE_HEARTBEAT_MS_MIN - 1 }],
    [{ pattern: 'x'.repeat(PATTERN_CHARS_MAX) }, { pattern: 'x'.repeat(PATTERN_CHARS_MAX + 1) }],
    [{ sub: 'x'.repeat(WS_NAME_CHARS_MAX) }, { sub: 'x'.repeat(WS_NAME_CHARS_MAX + 1) }],
    [{ id: 'x'.repeat(WS_NAME_CHARS_MAX) }, { id: 'x'.repeat(WS_NAME_CHARS_MAX + 1) }],
  ]
  for (const [good, bad] of bounds) {
    checkSubscribe(good)
    assert.throws(() => checkSubscribe(bad), JSON.stringify(bad).slice(0, 100))
  }
})

test('what a group or a work queue may be asked for has its bounds', () => {
  const bounds: Readonly<Record<string, readonly [min: number, max: number]>> = {
    release_ms: [0, GROUP_TAIL_RELEASE_MS_MAX],
    auto_commit_ms: [AUTO_COMMIT_MS_MIN, AUTO_COMMIT_MS_MAX],
    lease_ms: [LEASE_MS_MIN, LEASE_MS_MAX],
    max_attempts: [1, MAX_ATTEMPTS_MAX],
  }
  const subscribe = { type: 'subscribe', sub: 'a' }
  for (const [member, [min, max]] of Object.entries(bounds)) {
    for (const value of [min, max]) checkFrame('client', { ...subscribe, [member]: value })
    for (const value of [min - 1, max + 1]) {
      assert.throws(() => checkFrame('client', { ...subscribe, [member]: value }), member)
    }
  }
})
