// GET /v1/ws: the way from an HTTP request to a WebSocket. A request that may not become one stays an ordinary request and
// is refused by the route, as every other is: which one may says isUpgrade, which the HTTP server asks before it lets go of a
// request. The library that speaks WebSocket, and the schemas of frames, are loaded when the first one comes. Of a request
// that has become a socket nothing is kept: there may be thousands that wait.

import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { WebSocketServer } from 'ws'
import { TailraceError } from '../../kernel/errors.ts'
import {
  LIVE_CONNECTIONS_MAX,
  LIVE_HEARTBEAT_MS_DEFAULT,
  LIVE_HEARTBEAT_MS_MAX,
  LIVE_HEARTBEAT_MS_MIN,
  WS_FRAME_BYTES_MAX,
} from '../../kernel/limits.ts'
import type { Caller } from '../../service/caller.ts'
import type { HttpFloor } from '../http-floor.ts'
import { countReply } from '../http-traffic.ts'
import { checkOrigin } from '../origin.ts'
import { clientOf, requestIds } from '../request-caller.ts'
import { RequestQuery } from '../request-query.ts'
import type { UnansweredRequests } from '../unanswered-requests.ts'
import { FrameTurns } from './frame-turns.ts'
import { FrameReader } from './frames-in.ts'
import { RecordFrames } from './record-frames.ts'
import { Session } from './session.ts'

const PROTOCOL = 'events.v1.json'
const VERSION = '13'
const PATH = /^\/v1\/ws\/?(\?|$)/
const KEY = /^[+/0-9A-Za-z]{22}==$/

/** Whether the request becomes a WebSocket. Behind one that is not answered yet, that one's reply would go out in its midst. */
export function isUpgrade(request: IncomingMessage, floor: HttpFloor, unanswered: UnansweredRequests): boolean {
  if (request.method !== 'GET' || !PATH.test(request.url ?? '') || unanswered.has(request.socket)) return false
  try {
    checkUpgrade(request, floor)
    return true
  } catch (error) {
    if (error instanceof TailraceError) return false
    throw error
  }
}

export function webSocketRoutes(app: FastifyInstance, floor: HttpFloor): void {
  const sockets = new Sockets(floor, requestIds(floor.clock))
  const traffic = floor.traffic.of('GET', `${app.prefix}/ws`)
  app.get('/ws', async (request) => {
    checkUpgrade(request.raw, floor)
    throw upgradeRequired(
      'a WebSocket is opened with Upgrade: websocket, behind no request that is still being answered',
    )
  })
  app.server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    countReply(traffic, 101)
    const destroy = () => socket.destroy()
    socket.on('error', destroy)
    sockets.open(request, socket, head).then(() => socket.off('error', destroy), destroy)
  })
}

/** invalid_request, upgrade_required, origin_not_allowed, overloaded, shutting_down; else what the request asks for. */
function checkUpgrade(request: IncomingMessage, floor: HttpFloor): { readonly heartbeatMs: number } {
  const { headers } = request
  const heartbeatMs = heartbeatOf(request)
  if (headers.upgrade?.toLowerCase() !== 'websocket')
    throw upgradeRequired('a WebSocket is opened with Upgrade: websocket')
  if (request.httpVersion !== '1.1') throw upgradeRequired('WebSockets are opened by HTTP/1.1')
  if (headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0')
    throw invalid('the request has a body, which is none of a WebSocket')
  if (headers['sec-websocket-version'] !== VERSION) throw upgradeRequired('WebSockets are spoken here in version 13')
  if (!KEY.test(headers['sec-websocket-key'] ?? '')) throw invalid('Sec-WebSocket-Key is not 16 bytes of base64')
  // who offers none is told nothing of it, and speaks the one that there is
  const protocols = headers['sec-websocket-protocol']?.split(',').map((name) => name.trim())
  if (protocols !== undefined && !protocols.includes(PROTOCOL)) throw wrongProtocol(protocols)
  checkOrigin(headers, floor.options, true)
  if (floor.closing.hasBegun) throw new TailraceError('shutting_down', 'the server is shutting down')
  if (floor.live.count >= LIVE_CONNECTIONS_MAX) {
    throw new TailraceError(
      'overloaded',
      `${LIVE_CONNECTIONS_MAX} live connections are open, which is as many as there may be`,
    )
  }
  return { heartbeatMs }
}

function heartbeatOf({ url = '' }: IncomingMessage): number {
  const [, query = ''] = url.split('?', 2)
  const values: Record<string, string | string[]> = Object.create(null)
  for (const [name, value] of new URLSearchParams(query)) {
    const before = Object.hasOwn(values, name) ? values[name] : undefined
    values[name] = before === undefined ? value : [before, value].flat()
  }
  const range = { min: LIVE_HEARTBEAT_MS_MIN, max: LIVE_HEARTBEAT_MS_MAX }
  const known = new RequestQuery({ query: values }, ['heartbeat_ms'])
  return known.integer('heartbeat_ms', range) ?? LIVE_HEARTBEAT_MS_DEFAULT
}

class Sockets {
  readonly #floor: HttpFloor
  readonly #requestId: (request: IncomingMessage) => string
  readonly #frames = new RecordFrames()
  readonly #unfinished = { bytes: 0 }
  readonly #turns: FrameTurns
  #parts: Promise<{ readonly server: WebSocketServer; readonly reader: FrameReader }> | undefined

  constructor(floor: HttpFloor, requestId: (request: IncomingMessage) => string) {
    this.#floor = floor
    this.#turns = new FrameTurns(floor.clock)
    this.#requestId = requestId
  }

  async open(request: IncomingMessage, connection: Socket, head: Buffer): Promise<void> {
    const { heartbeatMs } = checkUpgrade(request, this.#floor)
    const caller: Caller = { ...clientOf(request), requestId: this.#requestId(request) }
    this.#parts ??= loadParts()
    const { server, reader } = await this.#parts
    if (this.#floor.closing.hasBegun) {
      connection.destroy()
      return
    }
    server.handleUpgrade(request, connection, head, (socket) => {
      new Session({
        socket,
        connection,
        unfinished: this.#unfinished,
        floor: this.#floor,
        caller,
        frames: this.#frames,
        reader,
        turns: this.#turns,
        heartbeatMs,
      })
    })
  }
}

async function loadParts(): Promise<{ readonly server: WebSocketServer; readonly reader: FrameReader }> {
  const [{ WebSocketServer }, reader] = await Promise.all([import('ws'), FrameReader.load()])
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    // A frame that is compressed for one socket cannot be shared with others.
    perMessageDeflate: false,
    autoPong: false,
    maxPayload: WS_FRAME_BYTES_MAX,
    handleProtocols: () => PROTOCOL,
  })
  return { server, reader }
}

function upgradeRequired(detail: string): TailraceError {
  return new TailraceError('upgrade_required', detail, { version: VERSION, protocol: PROTOCOL })
}

function invalid(detail: string): TailraceError {
  return new TailraceError('invalid_request', detail)
}

function wrongProtocol(asked: readonly string[]): TailraceError {
  const found = asked.join(', ').slice(0, 100)
  const detail = `Sec-WebSocket-Protocol is ${JSON.stringify(found)}; ${PROTOCOL} is allowed, or none`
  return new TailraceError('invalid_request', detail, { allowed: [PROTOCOL] })
}
