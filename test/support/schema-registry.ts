// Words for tests of the Schema Registry API: registering, and the form of failures.

import assert from 'node:assert/strict'
import { after, before } from 'node:test'
import type { TestServer } from './http.ts'
import { startServer } from './http.ts'
import type { TestReply } from './http-send.ts'

export const V1_TYPE = 'application/vnd.schemaregistry.v1+json'

/** One server for all tests of a file: each has subjects of its own. */
export function registryOfFile(set: Readonly<Record<string, string>> = {}): {
  readonly server: TestServer
  readonly calls: RegistryCalls
} {
  const cleanUps: (() => Promise<void> | void)[] = []
  const given = {} as { server: TestServer; calls: RegistryCalls }
  before(async () => {
    given.server = await startServer({ after: (cleanUp) => void cleanUps.push(cleanUp) }, { set })
    given.calls = new RegistryCalls(given.server)
  })
  after(async () => {
    for (const cleanUp of cleanUps) await cleanUp()
  })
  return given
}

/** An Avro record with fields, each with its type: `recordOf('R', { a: 'int' })`; `[type, default]` for one with a default. */
export function recordOf(name: string, fields: Readonly<Record<string, unknown>>): string {
  const list = Object.entries(fields).map(([field, type]) => {
    return Array.isArray(type) ? { name: field, type: type[0], default: type[1] } : { name: field, type }
  })
  return JSON.stringify({ type: 'record', name, fields: list })
}

export class RegistryCalls {
  readonly #server: Pick<TestServer, 'request'>

  constructor(server: Pick<TestServer, 'request'>) {
    this.#server = server
  }

  get(path: string): Promise<TestReply> {
    return this.#server.request('GET', path)
  }

  post(path: string, body: object): Promise<TestReply> {
    return this.#server.request('POST', path, { body })
  }

  put(path: string, body: object): Promise<TestReply> {
    return this.#server.request('PUT', path, { body })
  }

  delete(path: string): Promise<TestReply> {
    return this.#server.request('DELETE', path)
  }

  /** What a GET gives, which must succeed. */
  async read(path: string) {
    return okay(await this.get(path))
  }

  /** The reply of a registration, which must succeed. */
  async register(subject: string, schema: string, more: object = {}) {
    return okay(await this.post(`/subjects/${encodeURIComponent(subject)}/versions`, { schema, ...more }))
  }

  async lookup(subject: string, schema: string, more: object = {}, query = ''): Promise<TestReply> {
    return await this.post(`/subjects/${encodeURIComponent(subject)}${query}`, { schema, ...more })
  }
}

/** The id of a schema that must be taken: its text, or what is its JSON. */
export async function register(
  server: Pick<TestServer, 'request'>,
  subject: string,
  schema: unknown,
  schemaType = 'AVRO',
): Promise<number> {
  const text = typeof schema === 'string' ? schema : JSON.stringify(schema)
  return (await new RegistryCalls(server).register(subject, text, { schemaType })).id
}

export function okay(reply: TestReply) {
  assert.equal(reply.status, 200, about(reply))
  return reply.json()
}

/** The status, the number in the body, and something of the text. */
export function checkRefused(reply: TestReply, errorCode: number, message?: string | RegExp): void {
  const failure = reply.json()
  assert.deepEqual(Object.keys(failure), ['error_code', 'message'], about(reply))
  assert.equal(failure.error_code, errorCode, about(reply))
  assert.equal(reply.status, errorCode < 1000 ? errorCode : Math.trunc(errorCode / 100), about(reply))
  if (typeof message === 'string') assert.equal(failure.message, message)
  else if (message !== undefined) assert.match(failure.message, message)
}

function about(reply: TestReply): string {
  return `${reply.method} ${reply.url} -> ${reply.status} ${reply.text().slice(0, 500)}`
}
