// What tails give, as text: an encoder that writes records as words, and a reader that keeps all it is told.

import type { TailraceError } from '../../src/kernel/errors.ts'
import type { RecordReader } from '../../src/record/batch-reader.ts'
import type { GroupTailReader, QueueForm } from '../../src/service/group-tails/group-tail.ts'
import type { OwnedPartition } from '../../src/service/groups/group-member.ts'
import type { TopicOffset } from '../../src/service/read/partition-offset.ts'
import type { TailChunk, TailEnd, TailGap, TailProgress } from '../../src/service/tail/tail.ts'

/** A record is `topic-partition:offset=value`, of a work queue with `*attempts`. */
export const WORDS: QueueForm = {
  key: 'words',
  newEncoder: () => {
    const words: string[] = []
    let place = ''
    let attempts = 0
    let size = 0
    return {
      get size() {
        return size
      },
      begin(topic: string, partition: number) {
        place = `${topic}-${partition}`
      },
      attempt(count: number) {
        attempts = count
      },
      write({ offset, bytes, valueStart, valueEnd }: RecordReader) {
        const value = valueStart < 0 ? '' : bytes.toString('utf8', valueStart, valueEnd)
        const word = `${place}:${offset}=${value}${attempts === 0 ? '' : `*${attempts}`}`
        size += word.length + 1
        words.push(word)
      },
      finish: () => Buffer.from(words.join(' ')),
    }
  },
}

export class TailGiven implements GroupTailReader {
  /** All that was given, in order. */
  readonly records: string[] = []
  /** What else was told, with `N records` in between. */
  readonly events: string[] = []
  readonly chunks: TailChunk[] = []
  readonly failures: TailraceError[] = []
  readonly faults: TailraceError[] = []
  /** Of each progress that was told. */
  readonly caughtUp: boolean[] = []
  /** How many records were given when the end was reached first. */
  caughtUpAfter: number | undefined
  /** Left to be given. */
  credit = Number.POSITIVE_INFINITY
  /** Called when something was given. */
  onTake: (chunk: TailChunk) => void = () => undefined

  room() {
    return { records: this.credit, bytes: this.credit > 0 ? 1_000_000 : 0 }
  }

  take(chunk: TailChunk): void {
    const words = chunk.body.toString().split(' ')
    this.credit -= words.length
    this.records.push(...words)
    this.chunks.push(chunk)
    this.events.push(`${chunk.recordCount} records`)
    this.onTake(chunk)
  }

  gap({ topic, partition, from, to, reason }: TailGap): void {
    this.events.push(`gap ${topic}-${partition} ${from} to ${to} ${reason}`)
  }

  progress({ caughtUp }: TailProgress): void {
    this.caughtUp.push(caughtUp)
    if (caughtUp) this.caughtUpAfter ??= this.records.length
  }

  fault({ error }: { readonly error: TailraceError }): void {
    this.faults.push(error)
  }

  end(reason: TailEnd): void {
    this.events.push(`end ${reason}`)
  }

  fail(error: TailraceError): void {
    this.failures.push(error)
    this.events.push(`fail ${error.code}`)
  }

  assigned(partitions: readonly TopicOffset[]): void {
    const places = partitions.map(({ topic, partition, offset }) => `${topic.name}-${partition}@${offset}`)
    this.events.push(`assigned ${places.join(' ')}`)
  }

  revoked(partitions: readonly OwnedPartition[], deadlineMs: number): void {
    const names = partitions.map(({ topic, partition }) => `${topic.name}-${partition}`)
    this.events.push(`revoked ${names.join(' ')} ${deadlineMs}`)
  }

  get cursor(): string {
    return this.chunks.at(-1)?.cursor ?? ''
  }
}
