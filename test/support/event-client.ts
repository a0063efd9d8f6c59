// A reader of Server-Sent Events, by the rules of the HTML standard, for tests: it gives each event as it comes, and knows
// what an EventSource would come again with.

import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { request as httpRequest } from 'node:http'
import { createGunzip } from 'node:zlib'
import { checkEvent } from './event-schemas.ts'

export interface SentEvent {
  /** 'message' for those without a name: records. */
  readonly name: string
  /** Of this event or the last that had one. */
  readonly id: string
  // biome-ignore lint/suspicious/noExplicitAny: its schema has vouched for it
  readonly data: any
}

export class EventClient {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** What came, as text. */
  text = ''
  /** What an EventSource comes again with. */
  lastEventId = ''
  retryMs = 0
  readonly comments: string[] = []
  /** Resolves when the stream has ended; true: as it should, not torn. */
  readonly ended: Promise<boolean>
  readonly #request: ClientRequest
  readonly #reply: IncomingMessage
  readonly #events: SentEvent[] = []
  #waiting: (() => void) | undefined
  #hasEnded = false
  #rest = ''
  #name = ''
  #idGiven = ''
  #data: string[] = []

  private constructor(request: ClientRequest, reply: IncomingMessage) {
    this.#request = request
    this.#reply = reply
    this.status = reply.statusCode ?? 0
    this.headers = reply.headers
    const bytes = reply.headers['content-encoding'] === 'gzip' ? reply.pipe(createGunzip()) : reply
    bytes.setEncoding('utf8').on('data', (text: string) => this.#read(text))
    bytes.on('error', () => {})
    reply.on('error', () => {})
    this.ended = new Promise((resolve) => {
      reply.once('close', () => {
        this.#hasEnded = true
        this.#waiting?.()
        resolve(reply.complete)
      })
    })
  }

  /** Resolves with the head. */
  static open(
    server: { readonly port: number },
    path: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<EventClient> {
    return new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port: server.port, path, headers, agent: false }
      const outgoing = httpRequest(options, (reply) => resolve(new EventClient(outgoing, reply)))
      outgoing.on('error', reject)
      outgoing.end()
    })
  }

  /** The next event; rejects when the stream ends before. */
  async next(): Promise<SentEvent> {
    for (;;) {
      const event = this.#events.shift()
      if (event !== undefined) return event
      if (this.#hasEnded) throw new Error(`the stream ended after:\n${this.text.slice(-2_000)}`)
      await new Promise<void>((resolve) => {
        this.#waiting = resolve
      })
    }
  }

  /** The next of that name; those before are passed over. */
  async nextNamed(name: string): Promise<SentEvent> {
    for (;;) {
      const event = await this.next()
      if (event.name === name) return event
    }
  }

  /** So many records, whatever comes between. */
  async records(count: number): Promise<SentEvent[]> {
    const records: SentEvent[] = []
    while (records.length < count) records.push(await this.nextNamed('message'))
    return records
  }

  /** All that comes until the end. */
  async rest(): Promise<SentEvent[]> {
    await this.ended
    return this.#events.splice(0)
  }

  /** Takes nothing from the socket any more. */
  pause(): void {
    this.#reply.pause()
  }

  resume(): void {
    this.#reply.resume()
  }

  close(): void {
    this.#request.destroy()
  }

  #read(text: string): void {
    this.text += text
    if (!this.headers['content-type']?.startsWith('text/event-stream')) return
    const lines = (this.#rest + text).split(/\r\n|\r|\n/)
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#readLine(line)
    this.#waiting?.()
  }

  #readLine(line: string): void {
    if (line === '') {
      this.#dispatch()
      return
    }
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === '') this.comments.push(value)
    else if (field === 'event') this.#name = value
    else if (field === 'data') this.#data.push(value)
    else if (field === 'id') this.#idGiven = value
    else if (field === 'retry') this.retryMs = Number(value)
    else throw new Error(`'${field}' is no field of an event`)
  }

  #dispatch(): void {
    this.lastEventId = this.#idGiven
    if (this.#data.length > 0) {
      const event = { name: this.#name || 'message', id: this.lastEventId, data: JSON.parse(this.#data.join('\n')) }
      checkEvent(event.name, event.data)
      this.#events.push(event)
    }
    this.#name = ''
    this.#data = []
  }
}
