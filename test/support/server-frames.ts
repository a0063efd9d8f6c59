// Looks over the shoulder of the servers of this process: every frame that one of them sends, to whatever client, is held
// against its schema. The library that they send through is wrapped, since their clients are many: the test's own, the
// project's, browsers.

import assert from 'node:assert/strict'
import { WebSocket } from 'ws'
import { checkFrame } from './frames.ts'

const PROTOCOL = 'events.v1.json'

let isWatched = false
const faults: unknown[] = []
/** Of messages that are sent in pieces, those that have left. */
const begun = new WeakMap<WebSocket, Buffer[]>()
/** Many sockets are sent the same bytes. */
const checked = new WeakSet<Buffer>()

/** From the first call on. */
export function watchServerFrames(): void {
  if (isWatched) return
  isWatched = true
  const { prototype } = WebSocket
  const send = prototype.send as (this: WebSocket, data: unknown, options?: unknown, done?: unknown) => void
  prototype.send = function (this: WebSocket, data: unknown, options?: unknown, done?: unknown) {
    const isServer = (this.url as string | undefined) === undefined
    if (isServer && this.protocol === PROTOCOL) {
      watch(this, data as Buffer, (options as { readonly fin: boolean }).fin)
    }
    send.call(this, data, options, done)
  } as typeof prototype.send
}

/** Throws what was wrong with any frame. */
export function checkServerFrames(): void {
  const [fault] = faults.splice(0)
  if (fault !== undefined) throw fault
}

function watch(socket: WebSocket, piece: Buffer, isLast: boolean): void {
  const pieces = begun.get(socket) ?? []
  if (!isLast) {
    begun.set(socket, [...pieces, piece])
    return
  }
  begun.delete(socket)
  if (pieces.length === 0 && checked.has(piece)) return
  checked.add(piece)
  try {
    const frame: unknown = JSON.parse(Buffer.concat([...pieces, piece]).toString())
    assert.ok(typeof frame === 'object' && frame !== null && 'type' in frame && typeof frame.type === 'string')
    checkFrame('server', { ...frame, type: frame.type })
  } catch (error) {
    faults.push(error)
  }
}
