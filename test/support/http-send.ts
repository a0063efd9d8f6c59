// One HTTP request of a test, as node:http sends it, and its reply with all its bytes.

import type { IncomingHttpHeaders } from 'node:http'
import { request as httpRequest } from 'node:http'

export interface TestReply {
  readonly method: string
  readonly url: string
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  text(): string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into replies whose shape openapi.yaml has vouched for
  json(): any
}

export interface TestRequest {
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer | object
}

/** node:http as it is: fetch would tidy paths and headers up. */
export function send(
  port: number,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: string | Buffer | undefined,
): Promise<TestReply> {
  return new Promise((resolve, reject) => {
    const length: Record<string, string> =
      body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    const options = { host: '127.0.0.1', port, method, path, headers: { ...length, ...headers }, agent: false }
    const outgoing = httpRequest(options, (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('error', reject)
      incoming.on('end', () => {
        const bytes = Buffer.concat(chunks)
        resolve({
          method,
          url: path,
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          body: bytes,
          text: () => bytes.toString(),
          json: () => JSON.parse(bytes.toString()),
        })
      })
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}
