// Who asks, and under which id: request ids are taken from X-Request-Id when they are safe to echo, else made here.
// A Caller is made for every request, so that nothing in it is worked out before somebody reads it.

import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { FastifyRequest } from 'fastify'
import type { Clock } from '../kernel/clock.ts'
import type { Caller } from '../service/caller.ts'
import { ANONYMOUS } from '../service/caller.ts'

/** Who asks, for what outlives its request and shall not keep it. */
export function clientOf(request: IncomingMessage): Omit<Caller, 'requestId'> {
  return { principal: ANONYMOUS, clientId: clientIdOf(request), host: request.socket.remoteAddress ?? '' }
}

function clientIdOf({ headers }: IncomingMessage): string {
  const named = headers['x-client-id']
  return typeof named === 'string' && SAFE_ID.test(named) ? named : ''
}

/** The caller of a request. A client names itself with X-Client-Id. */
export function callerOf(request: FastifyRequest): Caller {
  return new RequestCaller(request)
}

class RequestCaller implements Caller {
  readonly #request: FastifyRequest

  constructor(request: FastifyRequest) {
    this.#request = request
  }

  get principal(): string {
    return ANONYMOUS
  }

  get clientId(): string {
    return clientIdOf(this.#request.raw)
  }

  get host(): string {
    return this.#request.raw.socket.remoteAddress ?? ''
  }

  get requestId(): string {
    return this.#request.id
  }
}

/** At most 128 characters that mean nothing to a log, a header or a shell. */
const SAFE_ID = /^[A-Za-z0-9._~:@/+=-]{1,128}$/

const HEX3 = Array.from({ length: 4096 }, (_, number) => number.toString(16).padStart(3, '0'))

/**
 * Ids for requests: the client's own X-Request-Id, else a UUIDv7. Of a made one, the time's 48 bits are written anew
 * once a millisecond and the random 62 bits once in 4,096 ids, between them stands a counter: one concatenation an id,
 * unique and in order.
 */
export function requestIds(clock: Clock): (request: IncomingMessage) => string {
  let timeMs = -1
  let time = ''
  let count = 4095
  let random = ''
  return (request) => {
    const given = request.headers['x-request-id']
    if (given !== undefined && typeof given === 'string' && SAFE_ID.test(given)) return given
    const now = clock.now()
    if (now !== timeMs) {
      timeMs = now
      const hex = Math.max(0, now).toString(16).padStart(12, '0')
      time = `${hex.slice(0, 8)}-${hex.slice(8)}-7`
    }
    count = (count + 1) & 4095
    if (count === 0) random = randomPart()
    return `${time}${HEX3[count]}${random}`
  }
}

function randomPart(): string {
  const hex = randomBytes(8).toString('hex')
  const variant = '89ab'[Number.parseInt(hex.slice(0, 1), 16) & 3]
  return `-${variant}${hex.slice(1, 4)}-${hex.slice(4)}`
}
