// The few calls of Tailrace's v1 API that the bench makes outside the measured windows.

import type { RunningServer } from './bench-context.ts'

interface TopicDescription {
  readonly partitions: readonly {
    readonly start_offset: number
    readonly end_offset: number
    readonly size_bytes: number
  }[]
}

export interface Page {
  readonly records: readonly { readonly partition: number; readonly offset: number }[]
  readonly cursor: string
}

export async function createTopic(
  server: RunningServer,
  name: string,
  partitions: number,
  configs: Readonly<Record<string, string>> = {},
): Promise<void> {
  await call(server, 'POST', '/v1/topics', 201, { name, partitions, configs })
}

export async function storedCount(server: RunningServer, topic: string): Promise<number> {
  const { partitions } = await describeTopic(server, topic)
  return partitions.reduce((total, { start_offset, end_offset }) => total + end_offset - start_offset, 0)
}

export async function storedBytes(server: RunningServer, topic: string): Promise<number> {
  const { partitions } = await describeTopic(server, topic)
  return partitions.reduce((total, { size_bytes }) => total + size_bytes, 0)
}

/** After every measured produce: what was acknowledged must be there, and nothing else. */
export async function expectStored(server: RunningServer, topic: string, recordCount: number): Promise<void> {
  const stored = await storedCount(server, topic)
  if (stored !== recordCount)
    throw new Error(`${recordCount} records of ${topic} were acknowledged and ${stored} are there`)
}

export async function readPage(server: RunningServer, path: string): Promise<{ page: Page; bodyBytes: number }> {
  const body = await call(server, 'GET', path, 200)
  return { page: JSON.parse(body) as Page, bodyBytes: Buffer.byteLength(body) }
}

export async function describeTopic(server: RunningServer, topic: string): Promise<TopicDescription> {
  return JSON.parse(await call(server, 'GET', `/v1/topics/${topic}`, 200)) as TopicDescription
}

/** A call by URL that is to succeed; gives what it was answered, undefined where that is nothing. */
export async function callJson(method: string, url: string, body?: object): Promise<unknown> {
  const response = await fetch(url, {
    method,
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${url} got ${response.status}: ${text.slice(0, 500)}`)
  return text === '' ? undefined : JSON.parse(text)
}

async function call(
  server: RunningServer,
  method: string,
  path: string,
  status: number,
  body?: object,
): Promise<string> {
  const response = await fetch(server.url + path, {
    method,
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })
  const text = await response.text()
  if (response.status !== status) throw new Error(`${method} ${path} got ${response.status}: ${text.slice(0, 500)}`)
  return text
}
