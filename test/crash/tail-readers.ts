// Those who tail while their connections are cut and the server is killed: by WebSocket and by event streams. Each connects
// again with its last cursor, for as long as the history goes on; what comes goes to its view.

import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { get } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { checkEvent } from '../support/event-schemas.ts'
import { checkFrame } from '../support/frames.ts'
import type { Random } from '../support/random.ts'
import type { SeenRecord } from './kill-ledger.ts'
import type { TailView } from './tail-view.ts'

export interface TailReaderParts {
  readonly view: TailView
  readonly random: Random
  readonly topic: string
  readonly port: number
  /** It has ended a connection by itself. */
  onCut(): void
}

/** What a frame or an event holds, as far as it is looked at. */
interface Told {
  readonly type: string
  readonly cursor?: string
  readonly records?: readonly SeenRecord[]
  readonly partition?: number
  readonly from?: number
  readonly to?: number
}

const AWAY_MS_MAX = 800
const REFUSED_PAUSE_MS = 20

export class TailReading {
  readonly view: TailView
  readonly #parts: TailReaderParts
  readonly #connect: (parts: TailReaderParts, isOver: () => boolean) => Promise<void>
  #isOver = false
  #fault: unknown
  #done: Promise<void> = Promise.resolve()

  constructor(kind: 'websocket' | 'events', parts: TailReaderParts) {
    this.view = parts.view
    this.#parts = parts
    this.#connect = kind === 'websocket' ? overWebSocket : overEvents
  }

  start(): void {
    this.#done = this.#run()
  }

  /** What it has seen against the promises. */
  check(): void {
    if (this.#fault !== undefined) throw this.#fault
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#done
    this.check()
  }

  async #run(): Promise<void> {
    const { random, view } = this.#parts
    while (!this.#isOver) {
      view.begin()
      try {
        await this.#connect(this.#parts, () => this.#isOver)
      } catch (error) {
        this.#fault = error
        return
      }
      const isAway = random.chance(0.1)
      if (!this.#isOver) await delay(isAway ? random.below(AWAY_MS_MAX) : random.below(REFUSED_PAUSE_MS))
    }
  }
}

/** Ends a connection of its own after so many frames or events; the wire cuts it otherwise. */
function framesMax(random: Random): number {
  return random.chance(0.3) ? 1 + random.below(60) : Number.POSITIVE_INFINITY
}

/** Resolves when the connection is over, rejects with what must not be. */
function overWebSocket({ view, random, topic, port, onCut }: TailReaderParts, isOver: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/ws?heartbeat_ms=1000`, 'events.v1.json')
    const credit = random.chance(0.3) ? { records: -1 } : { records: 50 + random.below(400), bytes: 65_536 }
    let left = framesMax(random)
    const fail = (error: unknown) => {
      reject(error)
      socket.terminate()
    }
    socket.on('error', () => {})
    socket.on('close', () => {
      clearInterval(watching)
      resolve()
    })
    const watching = setInterval(() => {
      if (isOver()) socket.terminate()
    }, 10)
    const send = (frame: object) => socket.send(JSON.stringify(frame), () => {})
    const take = (text: string) => {
      const told = JSON.parse(text) as Told
      checkFrame('server', told)
      if (told.type === 'hello') send(subscription(view, topic, credit, random))
      else takeTold(view, told)
      if (told.type === 'records' && credit.bytes !== undefined) {
        send({ type: 'credit', sub: 'a', records: told.records?.length, bytes: text.length })
      }
      left--
      if (left > 0) return
      onCut()
      if (random.chance(0.5)) socket.close(1000)
      else socket.terminate()
    }
    socket.on('message', (data) => {
      // what comes behind a close that is under way was not taken
      if (left <= 0) return
      try {
        take(String(data))
      } catch (error) {
        fail(error)
      }
    })
  })
}

function subscription(view: TailView, topic: string, credit: object, random: Random): object {
  return {
    type: 'subscribe',
    id: 1,
    sub: 'a',
    topics: [topic],
    from: view.cursor === undefined ? 'earliest' : `cursor:${view.cursor}`,
    on_gap: 'earliest',
    value_format: 'string',
    credit,
    batch: { records: 1 + random.below(500), wait_ms: random.below(3) },
    ...(view.key === undefined ? {} : { filter: { key: view.key } }),
  }
}

function takeTold(view: TailView, told: Told): void {
  const { type, records = [], partition, from, to, cursor } = told
  if (type === 'records') for (const record of records) view.take(record)
  else if (type === 'gap') view.gap({ partition: Number(partition), from: Number(from), to: Number(to) })
  else assert.ok(['ok', 'progress', 'draining'].includes(type), `${view.name} was told ${JSON.stringify(told)}`)
  if (cursor !== undefined) view.stand(cursor)
}

/** As overWebSocket. */
function overEvents(parts: TailReaderParts, isOver: () => boolean): Promise<void> {
  const { view, random, topic, port } = parts
  return new Promise((resolve, reject) => {
    const byHeader = random.chance(0.5)
    const { cursor, key } = view
    const from = cursor === undefined ? 'earliest' : `cursor:${cursor}`
    const filter = key === undefined ? '' : `&key=${key}`
    const path = `/v1/topics/${topic}/events?heartbeat_ms=1000&value_format=string&from=${byHeader && cursor ? 'latest' : from}${filter}`
    const headers = { accept: 'text/event-stream', ...(byHeader && cursor ? { 'last-event-id': cursor } : {}) }
    const request = get({ host: '127.0.0.1', port, path, headers, agent: false })
    const watching = setInterval(() => {
      if (isOver()) request.destroy()
    }, 10)
    const over = () => {
      clearInterval(watching)
      resolve()
    }
    const fail = (error: unknown) => {
      reject(error)
      request.destroy()
    }
    request.on('error', over)
    request.on('close', over)
    request.on('response', (response) => {
      if (response.statusCode === 200) readEvents(response, parts, fail, () => request.destroy())
      else if (response.statusCode === 503) response.resume()
      else fail(new Error(`${view.name} got status ${response.statusCode} for ${path}`))
    })
  })
}

function readEvents(
  response: IncomingMessage,
  { view, random, onCut }: TailReaderParts,
  fail: (error: unknown) => void,
  cut: () => void,
): void {
  let text = ''
  let left = framesMax(random)
  response.on('error', () => {})
  response.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    const events = text.split('\n\n')
    text = events.pop() as string
    try {
      for (const event of events) {
        if (left <= 0) return
        takeEvent(view, event)
        left--
        if (left > 0) continue
        onCut()
        cut()
      }
    } catch (error) {
      fail(error)
    }
  })
}

function takeEvent(view: TailView, event: string): void {
  const fields = new Map<string, string>()
  for (const line of event.split('\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).replace(/^ /, ''))
  }
  const data = fields.get('data')
  const cursor = fields.get('id')
  if (data === undefined) return
  const name = fields.get('event') ?? 'message'
  const told = JSON.parse(data) as Told & SeenRecord
  checkEvent(name, told)
  if (name === 'message') view.take(told)
  else if (name === 'gap') takeTold(view, { ...told, type: 'gap' })
  else assert.ok(['progress', 'end'].includes(name), `${view.name} was told ${event}`)
  if (cursor !== undefined) view.stand(cursor)
}
