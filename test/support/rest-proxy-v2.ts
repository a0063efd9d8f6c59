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
  // the one number whose status is another
  const status = errorCode === 40001 ? 422 : Math.trunc(errorCode / 100)
  assert.equal(errorCode < 1000 ? errorCode : status, reply.status, about)
  assert.ok(typeof message === 'string' && message.length > 0, about)
  assert.doesNotMatch(message, /node:|\.ts\b|at Object|Error:/, about)
}

/** One consumer over HTTP, as a client speaks to it: every call is answered as it should be, or told what it was answered. */
export interface TestConsumer {
  readonly path: string
  call(method: string, path: string, body?: string | object): Promise<TestReply>
  subscribe(...topics: string[]): Promise<void>
  assign(...partitions: readonly PartitionName[]): Promise<void>
  /** One read, whose reply is 200. */
  records(query?: string): Promise<TestRecord[]>
  /** One read, whatever it brings. */
  read(query?: string, accept?: string): Promise<TestReply>
  /** Reads until there are so many, and no more; fails when reads bring nothing ten times. */
  readAll(count: number, query?: string): Promise<TestRecord[]>
  commit(body?: object): Promise<void>
  committed(...partitions: readonly PartitionName[]): Promise<readonly object[]>
  delete(): Promise<void>
}

export type PartitionName = readonly [topic: string, partition: number]

export interface TestRecord {
  readonly topic: string
  readonly key: unknown
  // biome-ignore lint/suspicious/noExplicitAny: whatever a test has produced
  readonly value: any
  readonly partition: number
  readonly offset: number
}

/** In this process or in one of its own. */
export type ConsumersServer = Pick<TestServer, 'url' | 'request'>

/** Made there, unless it is there already (`isThere`). */
export async function openConsumer(
  server: ConsumersServer,
  group: string,
  config: Readonly<Record<string, unknown>> & { readonly name: string },
  { isThere = false } = {},
): Promise<TestConsumer> {
  const path = `/consumers/${encodeURIComponent(group)}/instances/${encodeURIComponent(config.name)}`
  if (!isThere) {
    const headers = { 'content-type': V2 }
    const made = await server.request('POST', `/consumers/${encodeURIComponent(group)}`, { headers, body: config })
    checkStatus(made, 200)
    assert.deepEqual(made.json(), { instance_id: config.name, base_uri: `${server.url}${path}` })
  }
  const accept = config['format'] === 'json' ? V2_JSON : V2_BINARY
  const names = (partitions: readonly PartitionName[]) => partitions.map(([topic, partition]) => ({ topic, partition }))
  const call: TestConsumer['call'] = (method, rest, body) =>
    server.request(method, path + rest, { headers: { 'content-type': V2 }, ...(body === undefined ? {} : { body }) })
  const consumer: TestConsumer = {
    path,
    call,
    async subscribe(...topics) {
      checkStatus(await call('POST', '/subscription', { topics }), 204)
    },
    async assign(...partitions) {
      checkStatus(await call('POST', '/assignments', { partitions: names(partitions) }), 204)
    },
    read: (query = '', wanted = accept) =>
      server.request('GET', `${path}/records${query}`, { headers: { accept: wanted } }),
    async records(query) {
      const reply = await consumer.read(query)
      checkStatus(reply, 200)
      return reply.json()
    },
    async readAll(count, query) {
      const all: TestRecord[] = []
      for (let empty = 0; all.length < count; ) {
        const records = await consumer.records(query)
        all.push(...records)
        empty = records.length === 0 ? empty + 1 : 0
        assert.ok(empty < 10, `${all.length} of ${count} records came`)
      }
      assert.equal(all.length, count)
      return all
    },
    async commit(body) {
      const reply = await call('POST', '/offsets', body)
      checkStatus(reply, 200)
      assert.equal(reply.text(), '[]\n')
    },
    async committed(...partitions) {
      const reply = await call('GET', '/offsets', { partitions: names(partitions) })
      checkStatus(reply, 200)
      return reply.json().offsets
    },
    async delete() {
      checkStatus(await call('DELETE', ''), 204)
    },
  }
  return consumer
}

export function checkStatus(reply: TestReply, status: number): void {
  assert.equal(reply.status, status, `${reply.method} ${reply.url} -> ${reply.status} ${reply.text().slice(0, 500)}`)
  if (status === 204) assert.equal(reply.body.length, 0)
}
