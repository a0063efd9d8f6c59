// The checker's side of the wire: kept connections, and for each request either an answer or the certainty that there is
// none (Cut). Nothing is repeated here.

import type { IncomingHttpHeaders } from 'node:http'
import { Agent, request as httpRequest } from 'node:http'

/** No whole answer came: the server may have done what it was asked, or not. */
export class Cut extends Error {}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: the checker looks into replies of many shapes
  json(): any
}

export interface KillRequest {
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** The connection is closed as soon as the request is on its way. */
  readonly hangUp?: boolean
}

export class KillClient {
  readonly #agent = new Agent({ keepAlive: true })
  readonly #port: number
  readonly #waiting: { readonly answers: number; readonly reached: () => void; readonly fail: (cut: Cut) => void }[] =
    []
  #answers = 0

  constructor(port: number) {
    this.#port = port
  }

  /** Rejects with Cut. */
  request(method: string, path: string, options: KillRequest = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const cut = (error: unknown) => reject(new Cut(`${method} ${path.slice(0, 100)} was cut`, { cause: error }))
      const { body, headers = {}, hangUp = false } = options
      const ofBody: Record<string, string> =
        body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }
      const outgoing = httpRequest(
        { host: '127.0.0.1', port: this.#port, method, path, agent: this.#agent, headers: { ...ofBody, ...headers } },
        (incoming) => {
          const chunks: Buffer[] = []
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
          incoming.on('error', cut)
          incoming.on('end', () => {
            if (!incoming.complete) return cut('half an answer')
            const text = Buffer.concat(chunks).toString()
            resolve({
              status: incoming.statusCode ?? 0,
              headers: incoming.headers,
              text,
              json: () => JSON.parse(text),
            })
            this.#count()
          })
        },
      )
      outgoing.on('error', cut)
      // After an answer this comes too late to mean anything.
      outgoing.on('close', () => cut('closed'))
      outgoing.end(body, () => {
        if (hangUp) outgoing.destroy()
      })
    })
  }

  /** Resolves when so many more requests are answered; rejects with Cut when there will be no more. */
  answered(count: number): Promise<void> {
    return new Promise((reached, fail) => this.#waiting.push({ answers: this.#answers + count, reached, fail }))
  }

  /** Once the server is gone. */
  close(): void {
    this.#agent.destroy()
    for (const { fail } of this.#waiting) fail(new Cut('the server is gone'))
  }

  #count(): void {
    this.#answers++
    for (const { answers, reached } of this.#waiting) if (this.#answers === answers) reached()
  }
}
