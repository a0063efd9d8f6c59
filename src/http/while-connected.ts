// A wait on a client's behalf: it ends when the client goes away or the server is closing.

import type { FastifyReply } from 'fastify'
import type { Closing } from './closing.ts'

export async function whileConnected<Result>(
  reply: FastifyReply,
  closing: Closing,
  wait: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const over = new AbortController()
  const abort = () => over.abort()
  const ignoreClosing = closing.onBegin(abort)
  if (reply.raw.closed || reply.raw.destroyed) abort()
  else reply.raw.once('close', abort)
  try {
    return await wait(over.signal)
  } finally {
    ignoreClosing()
    reply.raw.off('close', abort)
  }
}
