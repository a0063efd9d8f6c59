// Words for tests of the REST Proxy v2 API: its media types, its requests, what it stored, and the form of its failures.

import assert from 'node:assert/strict'
import type { TestServer } from './http.ts'
import type { TestReply } from './http-send.ts'

export const V2 = 'application/vnd.kafka.v2+json'
export const V2_JSON = 'application/vnd.kafka.json.v2+json'
export const V2_BINARY = 'application/vnd.kafka.binary.v2+json'

export function postJson(server: TestServer, path: string, body: string | object): Promise<TestReply> {
  return server.post(path, body, { 'content-type': V2_JSON })
}

export function postBinary(server: TestServer, path: string, body: string | object): Promise<TestReply> {
  return server.post(path, body, { 'content-type': V2_BINARY })
}

/** A result as it stands in a reply. */
export const taken = (partition: number, offset: number) => ({ partition, offset, error_code: null, error: null })

export interface StoredBytes {
  readonly key: string | null
  readonly value: string | null
}

/** What lies in a partition, as text of one character a byte where it is no ASCII. */
export async function storedIn(server: TestServer, topic: string, partition = 0): Promise<StoredBytes[]> {
  const path = `/topics/${topic}/partitions/${partition}/records?offset=0&timeout=0&max_bytes=67108864`
  const reply = await server.get(path, { accept: V2_BINARY })
  assert.equal(reply.status, 200, reply.text())
  const records = reply.json() as { key: string | null; value: string | null }[]
  const bytesOf = (base64: string | null) => (base64 === null ? null : Buffer.from(base64, 'base64').toString('latin1'))
  return records.map(({ key, value }) => ({ key: bytesOf(key), value: bytesOf(value) }))
}

/** Holds a reply against what every failure of the API looks like. */
export function checkFailure(reply: TestReply, errorCode: number, message?: string | RegExp): void {
  const about = `${reply.method} ${reply.url} -> ${reply.status} ${reply.text().slice(0, 300)}`
  checkForm(reply)
  const failure = reply.json()
  assert.equal(failure.error_code, errorCode, about)
  if (typeof message === 'string') assert.equal(failure.message, message, about)
  else if (message !== undefined) assert.match(failure.message, message, about)
}

/** No 500; a failure is a number that fits its status, and a text. 406 says nothing. */
export function checkForm(reply: TestReply): void {
  const about = `${reply.method} ${reply.url} -> ${reply.status} ${reply.text().slice(0, 300)}`
  assert.ok(reply.headers['x-request-id'], about)
  assert.notEqual(reply.status, 500, about)
  if (reply.status < 400 || reply.method === 'HEAD') return
  if (reply.status === 406) {
    assert.equal(reply.body.length, 0, about)
    assert.equal(reply.headers['content-type'], undefined, about)
    return
  }
  const failure = reply.json()
  // A refused produce request tells its errors record by record.
  if (reply.status === 403 && failure.offsets !== undefined) return
  assert.deepEqual(Object.keys(failure), ['error_code', 'message'], about)
  const { error_code: errorCode, message } = failure
  assert.equal(errorCode < 1000 ? errorCode : Math.trunc(errorCode / 100), reply.status, about)
  assert.ok(typeof message === 'string' && message.length > 0, about)
  assert.doesNotMatch(message, /node:|\.ts\b|at Object|Error:/, about)
}
