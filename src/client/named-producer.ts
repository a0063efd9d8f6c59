// A producer that names itself, so that a request which got no clear answer may be sent again: its records are stored
// once. It sends one request at a time, in the order of the calls; each topic has its own count of requests.
//
// A refusal of the content stores nothing and uses up no number. After a failure that leaves open whether something was
// stored, and that outlasted all attempts, the producer gives up that topic: what came next could be taken for a repeat.
// A server that has forgotten a long silent producer is sent the request as the first of a new count.

import type { Clock } from '../kernel/clock.ts'
import { SerialQueue } from '../kernel/serial-queue.ts'
import type { Acks, ProduceResponse } from './api.ts'
import type { TailraceClient } from './client.ts'
import { TailraceClientError } from './client-error.ts'

export interface NamedProducerOptions {
  readonly client: TailraceClient
  readonly clock: Clock
  readonly id: string
  /** Higher than that of every earlier producer of this name. */
  readonly epoch: number
  /** How long one request is tried in all. */
  readonly deliveryTimeoutMs?: number
  /** Told before each repeat. */
  readonly onRetry?: (failure: TailraceClientError, delayMs: number) => void
}

const DELIVERY_TIMEOUT_MS_DEFAULT = 120_000
const BACKOFF_MS_MIN = 100
const BACKOFF_MS_MAX = 5_000

interface TopicState {
  readonly queue: SerialQueue
  nextSequence: number
  /** Why nothing more can be sent. */
  lost: TailraceClientError | undefined
}

export class NamedProducer {
  readonly #options: NamedProducerOptions
  readonly #topics = new Map<string, TopicState>()

  constructor(options: NamedProducerOptions) {
    this.#options = options
  }

  /** The body as client.produceJson takes it. */
  produceJson(
    topic: string,
    body: string | Uint8Array,
    options: { readonly acks?: Acks | undefined; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<ProduceResponse> {
    const state = this.#stateOf(topic)
    return state.queue.run(async () => {
      if (state.lost !== undefined) throw state.lost
      try {
        const response = await this.#deliver(topic, body, state, options)
        state.nextSequence++
        return response
      } catch (error) {
        if (!(error instanceof TailraceClientError) || error.retryable) state.lost = unclear(topic, error)
        throw error
      }
    })
  }

  #stateOf(topic: string): TopicState {
    let state = this.#topics.get(topic)
    if (state === undefined) {
      state = { queue: new SerialQueue(), nextSequence: 0, lost: undefined }
      this.#topics.set(topic, state)
    }
    return state
  }

  async #deliver(
    topic: string,
    body: string | Uint8Array,
    state: TopicState,
    options: { readonly acks?: Acks | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<ProduceResponse> {
    const { client, clock, id, epoch, deliveryTimeoutMs = DELIVERY_TIMEOUT_MS_DEFAULT, onRetry } = this.#options
    const deadline = clock.monotonic() + deliveryTimeoutMs
    let isFirst = true
    for (let backoffMs = BACKOFF_MS_MIN; ; backoffMs = Math.min(backoffMs * 2, BACKOFF_MS_MAX)) {
      const { nextSequence: sequence } = state
      try {
        return await client.produceJson(topic, body, { ...options, producer: { id, epoch, sequence } })
      } catch (error) {
        if (isFirst && sequence > 0 && isForgotten(error)) {
          state.nextSequence = 0
          continue
        }
        isFirst = false
        if (!(error instanceof TailraceClientError) || !error.retryable) throw error
        const delayMs = Math.max(backoffMs, error.retryAfterMs ?? 0)
        if (clock.monotonic() + delayMs > deadline) throw error
        onRetry?.(error, delayMs)
        await pause(clock, delayMs, options.signal)
      }
    }
  }
}

/** Not to be asked of a repeat: its first attempt may have been stored. */
function isForgotten(error: unknown): boolean {
  if (!(error instanceof TailraceClientError)) return false
  return error.code === 'out_of_order_sequence_number' && error.details['expected'] === 0
}

function unclear(topic: string, cause: unknown): TailraceClientError {
  return new TailraceClientError({
    status: 0,
    code: 'producer_lost',
    message: `an earlier request to ${topic} had no clear end: begin again with a higher epoch`,
    retryable: false,
    cause,
  })
}

function pause(clock: Clock, delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      timer.cancel()
      reject(signal?.reason)
    }
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', abort)
      resolve()
    })
    if (signal?.aborted) abort()
    else signal?.addEventListener('abort', abort, { once: true })
  })
}
