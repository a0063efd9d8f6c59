// A name that a socket's client has given to a subscription: the commands to it, one after the other in their order, from
// the subscribe on until nobody has that name any more.

import { asTailraceError, TailraceError } from '../../kernel/errors.ts'
import { LIVE_SWEEP_MS } from '../../kernel/limits.ts'
import type { HttpFloor } from '../http-floor.ts'
import type { FrameId, SubscribeFrame, SubscriptionFrame } from './frames-in.ts'
import { openGroupSubscription } from './group-subscription.ts'
import { openQueueSubscription } from './queue-subscription.ts'
import { modeOf, strayWarnings } from './subscribe-words.ts'
import type { OpenSubscription, Subscription, SubscriptionEnd } from './subscription.ts'
import type { SubscriptionOwner } from './subscription-output.ts'
import { SubscriptionOutput } from './subscription-output.ts'
import { openTailSubscription } from './tail-subscription.ts'

export interface SlotOwner extends SubscriptionOwner {
  answer(id: FrameId | undefined, members: object): void
  refuse(id: FrameId | undefined, sub: string | undefined, failure: TailraceError): void
  /** What of a frame is passed over. */
  warningsOf(frame: SubscribeFrame): readonly string[]
}

const OPEN: Readonly<Record<NonNullable<SubscribeFrame['mode']>, OpenSubscription>> = {
  tail: openTailSubscription,
  group: openGroupSubscription,
  shared: openQueueSubscription,
}

export class SubscriptionSlot {
  readonly #name: string
  readonly #floor: HttpFloor
  readonly #owner: SlotOwner
  readonly #onFree: () => void
  #subscription: Subscription | undefined
  #output: SubscriptionOutput | undefined
  #heartbeatMs: number | undefined
  /** Of the last command that is not done yet. */
  #last: Promise<void> | undefined
  /** Aborted when the socket has gone. */
  readonly #gone = new AbortController()
  #lost: SubscriptionEnd | undefined

  constructor(name: string, floor: HttpFloor, owner: SlotOwner, onFree: () => void) {
    this.#name = name
    this.#floor = floor
    this.#owner = owner
    this.#onFree = onFree
  }

  /** undefined: it is done; else resolves when it is. Never rejects. */
  take(frame: SubscriptionFrame): Promise<void> | undefined {
    const done = this.#last === undefined ? this.#do(frame) : this.#last.then(() => this.#do(frame))
    if (done === undefined) return undefined
    this.#last = done
    void done.then(() => {
      if (this.#last !== done) return
      this.#last = undefined
      this.#freeIfUnused()
    })
    return done
  }

  wake(): void {
    this.#subscription?.wake()
  }

  /** It has ended by itself. */
  ended(): void {
    this.#subscription = undefined
    // What it has said before its subscribe was answered follows that answer.
    if (this.#output?.hasBegun) this.#output = undefined
    this.#freeIfUnused()
  }

  heartbeat(now: number, heartbeatMs: number): void {
    if (this.#output?.isSilent(now, this.#heartbeatMs ?? heartbeatMs, LIVE_SWEEP_MS)) this.#subscription?.heartbeat()
  }

  /** The socket has gone. */
  lose(why: SubscriptionEnd): void {
    this.#lost = why
    this.#gone.abort()
    void this.#close(why).catch(() => undefined)
  }

  async #close(why: SubscriptionEnd): Promise<object> {
    const subscription = this.#subscription
    this.#subscription = undefined
    this.#output = undefined
    return (await subscription?.close(why)) ?? {}
  }

  #freeIfUnused(): void {
    if (this.#subscription === undefined && this.#last === undefined) this.#onFree()
  }

  /** A promise only where something must be waited for: credit is granted often. */
  #do(frame: SubscriptionFrame): Promise<void> | undefined {
    try {
      const members = this.#begin(frame)
      if (members instanceof Promise) {
        return members.then(
          (members) => this.#answer(frame, members),
          (error) => this.#refuse(frame, error),
        )
      }
      this.#answer(frame, members)
    } catch (error) {
      this.#refuse(frame, error)
    }
    return undefined
  }

  #begin(frame: SubscriptionFrame): Promise<object> | object {
    return frame.type === 'subscribe' ? this.#subscribe(frame) : this.#command(frame)
  }

  #command(frame: Exclude<SubscriptionFrame, SubscribeFrame>): Promise<object> | object {
    const subscription = this.#subscription
    if (subscription === undefined) {
      const detail = `there is no subscription '${this.#name}' on this socket`
      throw new TailraceError('subscription_not_found', detail, { sub: this.#name })
    }
    switch (frame.type) {
      case 'credit':
        subscription.credit(frame)
        return {}
      case 'pause':
        subscription.pause()
        return {}
      case 'resume':
        subscription.resume()
        return {}
      case 'seek':
        return subscription.seek(frame, this.#gone.signal)
      case 'commit':
        return subscription.commit(frame)
      case 'ack':
        return subscription.ack(frame)
      case 'release':
        return subscription.release()
      case 'unsubscribe':
        return this.#unsubscribe()
    }
  }

  async #subscribe(frame: SubscribeFrame): Promise<object> {
    if (this.#lost !== undefined) throw new TailraceError('request_cancelled', 'the socket has gone')
    if (this.#subscription !== undefined) {
      const detail = `this socket has a subscription '${this.#name}' already: unsubscribe it, or choose another name`
      throw new TailraceError('subscription_exists', detail, { sub: this.#name })
    }
    const output = new SubscriptionOutput(this.#name, this.#owner)
    const subscription = await OPEN[modeOf(frame)](this.#floor, frame, output, this.#gone.signal)
    this.#subscription = subscription
    this.#output = output
    this.#heartbeatMs = frame.heartbeat_ms
    if (this.#lost !== undefined) return await this.#close(this.#lost)
    return await subscription.begun()
  }

  async #unsubscribe(): Promise<object> {
    const output = this.#output
    output?.send('end', { reason: 'unsubscribed', ...(await this.#close('unsubscribed')) })
    return {}
  }

  #answer(frame: SubscriptionFrame, members: object): void {
    const generation = this.#output === undefined ? {} : { gen: this.#output.generation }
    const warnings = frame.type === 'subscribe' ? [...this.#owner.warningsOf(frame), ...strayWarnings(frame)] : []
    const warned = warnings.length === 0 ? {} : { warnings }
    this.#owner.answer(frame.id, { sub: this.#name, ...generation, ...members, ...warned })
    if (frame.type !== 'subscribe') return
    this.#output?.begin()
    if (this.#subscription === undefined) this.#output = undefined
    else this.#subscription.wake()
  }

  #refuse(frame: SubscriptionFrame, error: unknown): void {
    if (!(error instanceof TailraceError)) {
      this.#floor.logger.error({ error, sub: this.#name, requestId: this.#owner.caller.requestId }, 'a frame failed')
    }
    this.#owner.refuse(frame.id, this.#name, asTailraceError(error))
  }
}
