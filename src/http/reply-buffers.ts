// Memory for large replies, used again: a page of a few hundred kilobytes is written into memory that is warm, in place of
// fresh pages from the system for every request. A writer comes back when its bytes have left; what is lost on the way
// (a client that went) is simply collected.

import type { ServerResponse } from 'node:http'
import { ByteWriter } from '../kernel/byte-writer.ts'
import { REPLY_BUFFER_BYTES_KEPT_MAX, REPLY_BUFFERS_KEPT_MAX } from '../kernel/limits.ts'
import { releaseBytes } from '../kernel/release-bytes.ts'

const CAPACITY_BYTES = 64 * 1024

export class ReplyBuffers {
  readonly #idle: ByteWriter[] = []
  readonly #lent = new WeakMap<ServerResponse, ByteWriter>()

  take(): ByteWriter {
    return this.#idle.pop() ?? new ByteWriter(CAPACITY_BYTES)
  }

  /** Nobody may look at the writer's bytes any more. */
  giveBack(writer: ByteWriter): void {
    if (this.#idle.length >= REPLY_BUFFERS_KEPT_MAX || writer.bytes.length > REPLY_BUFFER_BYTES_KEPT_MAX) {
      releaseBytes(writer.bytes)
      return
    }
    writer.reset()
    this.#idle.push(writer)
  }

  /** Gives the writer back when the reply that holds its bytes is with the operating system. */
  giveBackAfter(response: ServerResponse, writer: ByteWriter): void {
    this.#lent.set(response, writer)
    response.once('close', () => {
      if (response.writableFinished) this.giveBackOf(response)
    })
  }

  /** The reply is another one, or has gone out: nobody looks at the bytes of the writer that was lent for it. */
  giveBackOf(response: ServerResponse): void {
    const writer = this.#lent.get(response)
    if (writer === undefined) return
    this.#lent.delete(response)
    this.giveBack(writer)
  }
}
