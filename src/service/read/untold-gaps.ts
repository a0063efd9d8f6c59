// Records that were removed before a group got them, until one of its workers is told: the read that meets a gap may have
// nothing to give, and its reply may get lost.

import { partitionKey } from '../../engine/partition-key.ts'
import type { Gap } from './page.ts'

export class UntoldGaps {
  readonly #byPlace = new Map<string, readonly Gap[]>()

  /** One that touches what is untold already is told with it. */
  add(gap: Gap): void {
    let { from, to } = gap
    const place = partitionKey(gap.topic, gap.partition)
    const apart = (this.#byPlace.get(place) ?? []).filter((known) => {
      if (known.to < from || known.from > to) return true
      from = Math.min(from, known.from)
      to = Math.max(to, known.to)
      return false
    })
    this.#byPlace.set(place, [...apart, { ...gap, from, to }])
  }

  /** Those of some topics: they count as told. */
  take(isWanted: (topic: string) => boolean): readonly Gap[] {
    const taken: Gap[] = []
    for (const [place, gaps] of this.#byPlace) {
      if (!gaps.every(({ topic }) => isWanted(topic))) continue
      taken.push(...gaps)
      this.#byPlace.delete(place)
    }
    return taken
  }

  forget({ topic, partition }: Pick<Gap, 'topic' | 'partition'>): void {
    this.#byPlace.delete(partitionKey(topic, partition))
  }
}
