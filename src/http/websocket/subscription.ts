// What a session asks of a subscription, whatever stands behind it: a free tail, a member of a group, a worker at a shared
// queue. The session calls one verb of it at a time, in the order in which the client's commands came; what a verb
// gives are the members of the `ok` that answers the command, what it throws is told in an `error`. Types only.

import type { HttpFloor } from '../http-floor.ts'
import type { AckFrame, CommitFrame, CreditFrame, SeekFrame, SubscribeFrame } from './frames-in.ts'
import type { SubscriptionOutput } from './subscription-output.ts'

/**
 * left: its client has closed the socket, and said that it is done (1000). away: one of the two has closed it, and the
 * client may come again. lost: nobody has said anything.
 */
export type SubscriptionEnd = 'unsubscribed' | 'left' | 'away' | 'lost'

export interface Subscription {
  /** What its subscribe is answered with; called once, before any of its frames leaves. */
  begun(): Promise<object> | object
  credit(frame: CreditFrame): void
  pause(): void
  resume(): void
  /** `signal`: the socket has gone. */
  seek(frame: SeekFrame, signal: AbortSignal): Promise<object>
  commit(frame: CommitFrame): Promise<object>
  ack(frame: AckFrame): Promise<object>
  /** Its client has nothing more to commit of what was revoked. */
  release(): object
  /** The socket takes more again, after output.hasRoom() was false. */
  wake(): void
  /** Nothing of it was sent for a heartbeat: it is told where it stands. */
  heartbeat(): void
  /**
   * Nothing of it is sent any more. Gives the members of the `end` that an unsubscribe is followed by.
   */
  close(why: SubscriptionEnd): Promise<object> | object
}

/** What it throws answers the subscribe. `signal`: the socket has gone. */
export type OpenSubscription = (
  floor: HttpFloor,
  frame: SubscribeFrame,
  output: SubscriptionOutput,
  signal: AbortSignal,
) => Promise<Subscription>
