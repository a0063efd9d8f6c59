// A subscription that is a worker of a shared group: it is given single records, and says of each what became of it.

import { TailraceError } from '../../kernel/errors.ts'
import { LEASE_MS_DEFAULT, MAX_ATTEMPTS_DEFAULT, SHARED_POLL_RECORDS_MAX } from '../../kernel/limits.ts'
import type { QueueTail } from '../../service/group-tails/group-tail.ts'
import { ofItsKind } from '../group-kind.ts'
import type { AckFrame, CreditFrame } from './frames-in.ts'
import { WorkerRecordsForm } from './record-frames.ts'
import { groupOf, recordFormats, refuseMembers, SUBSCRIBE_OTHERWISE, startOf, topicsOf } from './subscribe-words.ts'
import type { OpenSubscription, Subscription, SubscriptionEnd } from './subscription.ts'
import type { SubscriptionOutput } from './subscription-output.ts'
import { TailOutput } from './tail-output.ts'

export const openQueueSubscription: OpenSubscription = async (floor, frame, output, signal) => {
  refuseMembers(frame, NOT_OF_QUEUES, 'group or tail')
  const now = () => floor.clock.now()
  const reader = new QueueOutput(output, frame.credit, now)
  const opening = floor.services.groupTails.openQueue({
    caller: output.caller,
    groupId: groupOf(frame),
    member: frame.member ?? '',
    subscription: topicsOf(frame),
    from: startOf(frame),
    leaseMs: frame.lease_ms ?? LEASE_MS_DEFAULT,
    maxAttempts: frame.max_attempts ?? MAX_ATTEMPTS_DEFAULT,
    batchRecords: frame.batch?.records ?? SHARED_POLL_RECORDS_MAX,
    form: new WorkerRecordsForm(recordFormats(floor, frame), floor),
    reader,
    signal,
  })
  const tail = await ofItsKind(opening, SUBSCRIBE_OTHERWISE)
  return new QueueSubscription(output, reader, tail, now)
}

const NOT_OF_QUEUES = [
  'instance',
  'session_timeout_ms',
  'release_ms',
  'auto_commit_ms',
  'until',
  'filter',
  'on_gap',
  'overflow',
] as const

class QueueOutput extends TailOutput {
  /** The answer to its subscribe is not out yet: what it is given by then stands behind that. */
  isOpening = true

  override room() {
    return this.isOpening && !this.isPaused ? this.credit : super.room()
  }
}

class QueueSubscription implements Subscription {
  readonly #output: SubscriptionOutput
  readonly #reader: QueueOutput
  readonly #worker: QueueTail
  /** Wall clock. */
  readonly #now: () => number

  constructor(output: SubscriptionOutput, reader: QueueOutput, worker: QueueTail, now: () => number) {
    this.#output = output
    this.#now = now
    this.#reader = reader
    this.#worker = worker
  }

  begun(): object {
    this.#reader.isOpening = false
    return {}
  }

  credit(frame: CreditFrame): void {
    this.#reader.credit.add(frame)
    this.#worker.wake()
  }

  pause(): void {
    this.#reader.isPaused = true
    this.#worker.wake()
  }

  resume(): void {
    this.#reader.isPaused = false
    this.#worker.wake()
  }

  async ack({ outcome, records }: AckFrame): Promise<object> {
    const acked = await this.#worker.ack(outcome, records)
    const { accepted, released, rejected, extended, deadLettered, deadLettersWaiting } = acked
    const counts = { accepted, released, rejected, extended, dead_lettered: deadLettered }
    return deadLettersWaiting === 0 ? counts : { ...counts, dead_letters_waiting: deadLettersWaiting }
  }

  seek(): Promise<object> {
    throw notOfQueues('a worker is given what nobody else has: it cannot seek')
  }

  commit(): Promise<object> {
    throw notOfQueues('a worker acks records; there is nothing else to commit')
  }

  release(): object {
    throw notOfQueues('nothing is revoked from a worker: it releases records with ack')
  }

  wake(): void {
    this.#worker.wake()
  }

  heartbeat(): void {
    this.#output.send('progress', {
      open_records: this.#worker.openRecords,
      credit: this.#reader.credit.shown(),
      time: new Date(this.#now()).toISOString(),
    })
  }

  async close(why: SubscriptionEnd): Promise<object> {
    await this.#worker.close(why === 'lost')
    return {}
  }
}

function notOfQueues(message: string): TailraceError {
  return new TailraceError('invalid_request', message)
}
