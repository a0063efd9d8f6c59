// F4: which stored values were found to be JSON already, so that a value is checked for its first reader and spliced
// unchecked for all that follow. What makes it right: an offset never names another record, and the log verifies the
// bytes of every read. (An engine that may lose what it has shown must not be read with this.) Kept in memory as ranges of
// offsets; what is forgotten is checked again.

import { partitionKey } from '../engine/partition-key.ts'
import { KNOWN_JSON_PARTITIONS_MAX, KNOWN_JSON_RANGES_MAX } from '../kernel/limits.ts'

export class KnownJson {
  // insertion order is the order of first use; the oldest gives way
  readonly #partitions = new Map<string, JsonRanges>()

  /** Of one partition of one incarnation of a topic. */
  of(topicId: string, partition: number): JsonRanges {
    const key = partitionKey(topicId, partition)
    let ranges = this.#partitions.get(key)
    if (ranges === undefined) {
      ranges = new JsonRanges()
      this.#partitions.set(key, ranges)
      if (this.#partitions.size > KNOWN_JSON_PARTITIONS_MAX) {
        const [oldest] = this.#partitions.keys()
        this.#partitions.delete(oldest as string)
      }
    }
    return ranges
  }
}

/** Offsets [from, to) whose values are JSON or null, ascending and apart. */
export class JsonRanges {
  readonly #ranges: { from: number; to: number }[] = []

  /** Whether the offset is known, and up to which offset, not included, that answer holds. */
  locate(offset: number): { readonly isKnown: boolean; readonly until: number } {
    const at = this.#firstEndingAfter(offset)
    const range = this.#ranges[at]
    if (range === undefined) return { isKnown: false, until: Number.POSITIVE_INFINITY }
    return range.from <= offset ? { isKnown: true, until: range.to } : { isKnown: false, until: range.from }
  }

  add(from: number, to: number): void {
    if (from >= to) return
    // ranges that touch or overlap become one
    const at = this.#firstEndingAfter(from - 1)
    let next = at
    const merged = { from, to }
    for (; next < this.#ranges.length; next++) {
      const range = this.#ranges[next] as { from: number; to: number }
      if (range.from > to) break
      merged.from = Math.min(merged.from, range.from)
      merged.to = Math.max(merged.to, range.to)
    }
    this.#ranges.splice(at, next - at, merged)
    if (this.#ranges.length > KNOWN_JSON_RANGES_MAX) this.#dropShortest()
  }

  #firstEndingAfter(offset: number): number {
    let low = 0
    let high = this.#ranges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#ranges[middle] as { to: number }).to > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  #dropShortest(): void {
    let shortest = 0
    const length = (at: number) => {
      const { from, to } = this.#ranges[at] as { from: number; to: number }
      return to - from
    }
    for (let at = 1; at < this.#ranges.length; at++) if (length(at) < length(shortest)) shortest = at
    this.#ranges.splice(shortest, 1)
  }
}

/** One reader's way along partitions: asks what is known of each record's value, and passes on what it finds itself. */
export class JsonWalk {
  #ranges: JsonRanges | undefined
  /** Offsets [from, to) for which `isKnown` is the answer of #ranges. */
  readonly #span = { isKnown: false, from: 0, to: 0 }
  /** Offsets [from, to) whose values were found to be JSON or null, one after the other, not passed on yet. */
  #foundFrom = 0
  #foundTo = 0

  /** The records that follow are of this partition. */
  begin(ranges: JsonRanges | undefined): void {
    if (ranges === this.#ranges) return
    this.end()
    this.#ranges = ranges
    this.#span.from = 0
    this.#span.to = 0
  }

  isKnown(offset: number): boolean {
    const span = this.#span
    if (offset < span.from || offset >= span.to) this.#locate(offset)
    return span.isKnown
  }

  #locate(offset: number): void {
    const { isKnown, until } = this.#ranges?.locate(offset) ?? { isKnown: false, until: Number.POSITIVE_INFINITY }
    this.#span.isKnown = isKnown
    this.#span.from = offset
    this.#span.to = until
  }

  /** The value of this record is JSON, or null. */
  found(offset: number): void {
    if (offset !== this.#foundTo) {
      this.#ranges?.add(this.#foundFrom, this.#foundTo)
      this.#foundFrom = offset
    }
    this.#foundTo = offset + 1
  }

  /** Nothing follows: what was found is passed on to other readers. */
  end(): void {
    this.#ranges?.add(this.#foundFrom, this.#foundTo)
    this.#foundFrom = 0
    this.#foundTo = 0
  }
}
