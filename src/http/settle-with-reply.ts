// What a reply gives counts as given when all of it went out: the connection tells.

import type { FastifyReply } from 'fastify'

/** Tells, when the reply is over, whether it went out. One that something else took the place of, on its way, did not. */
export function settleWithReply({ raw }: FastifyReply, status: number, settle: (isDelivered: boolean) => void): void {
  const over = () => settle(raw.writableFinished && raw.statusCode === status)
  if (raw.closed || raw.destroyed) over()
  else raw.once('close', over)
}
