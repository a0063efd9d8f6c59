// A5: an append on its way to its partition's log: what the topic's config refuses is refused, what it wants compressed
// goes through a line (append-lines.ts). What must hold: nothing of an append that is refused here is stored; while a topic
// grows none of a named producer's is under way.

import type { Acks, BatchAppended, Topic } from '../engine/engine.ts'
import { storedCodec } from '../engine/stored-codec.ts'
import { asTailraceError, TailraceError } from '../kernel/errors.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import { findKeylessRecord } from '../record/batch-check.ts'
import type { SealedBatch } from '../record/record-batch.ts'
import { AppendLines } from './append-lines.ts'
import type { InFlightProducers } from './in-flight-producers.ts'
import type { TopicLogs } from './topic-logs.ts'

type Appended = Promise<readonly BatchAppended[]>

/** Where an append goes: the topic as it is at the time of the call. */
interface Place {
  readonly topic: Topic
  readonly partition: number
  readonly log: PartitionLog
}

export class PartitionAppender {
  readonly #logs: TopicLogs
  readonly #inFlight: InFlightProducers
  readonly #lines = new AppendLines()

  constructor({ logs, inFlight }: { readonly logs: TopicLogs; readonly inFlight: InFlightProducers }) {
    this.#logs = logs
    this.#inFlight = inFlight
  }

  append(topic: Topic, partition: number, batches: readonly SealedBatch[], acks: Acks): Appended {
    let place: Place
    try {
      place = this.#place(topic, partition, batches)
    } catch (error) {
      return Promise.reject(asTailraceError(error))
    }
    if (!batches.some((batch) => batch.header.producerId >= 0n)) return this.#store(place, batches, acks)
    if (topic.partitionCount !== place.topic.partitionCount || this.#inFlight.isHeld(topic.id)) {
      return Promise.reject(
        new TailraceError('request_cancelled', `topic ${topic.name} has grown: place the request again`),
      )
    }
    return this.#inFlight.during(topic.id, this.#store(place, batches, acks))
  }

  #place(topic: Topic, partition: number, batches: readonly SealedBatch[]): Place {
    const current = this.#logs.current(topic)
    const log = this.#logs.get(current, partition)
    if (current.config.cleanupPolicy.compact) checkKeys(current, partition, batches)
    return { topic: current, partition, log }
  }

  #store({ topic, partition, log }: Place, batches: readonly SealedBatch[], acks: Acks): Appended {
    const { maxMessageBytes } = topic.config
    const codec = storedCodec(topic.config)
    const handOn = (stored: readonly SealedBatch[]) => {
      const tooLarge = stored.find((batch) => batch.bytes.length > maxMessageBytes)
      if (tooLarge !== undefined) return Promise.reject(batchTooLarge(topic, partition, tooLarge))
      return log.append(stored, acks)
    }
    if (codec === undefined && !this.#lines.has(log)) return handOn(batches)
    return this.#lines.append(log, {
      batches,
      codec,
      maxMessageBytes,
      acks,
      handOn: (stored) => {
        const gone = this.#logs.whyGone(topic)
        return gone === undefined ? handOn(stored) : Promise.reject(gone)
      },
    })
  }

  /** Resolves when all that waits to be compressed now was handed on to its log. */
  idle(): Promise<void> {
    return this.#lines.idle()
  }
}

/** A record without a key could never be overtaken by another. */
function checkKeys(topic: Topic, partition: number, batches: readonly SealedBatch[]): void {
  for (const [batch, sealed] of batches.entries()) {
    const record = findKeylessRecord(sealed)
    if (record < 0) continue
    throw new TailraceError(
      'invalid_record',
      `Compacted topic cannot accept message without key in topic partition ${topic.name}-${partition}: record ${record} of the batch has none`,
      { topic: topic.name, partition, batch, record },
    )
  }
}

function batchTooLarge(topic: Topic, partition: number, batch: SealedBatch): TailraceError {
  const limit = topic.config.maxMessageBytes
  return new TailraceError(
    'message_too_large',
    `a batch of ${batch.bytes.length} bytes for partition ${partition} of ${topic.name} is over max.message.bytes ${limit}`,
    { partition, size_bytes: batch.bytes.length, limit_bytes: limit },
  )
}
