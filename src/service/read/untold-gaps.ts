// Records that were removed before a group got them, until one of its workers is told: the read that meets a gap may have
// nothing to give, and its reply may get lost.

import type { Gap } from './page.ts'

/** By places, which are the caller's. */
export class UntoldGaps<Place> {
  readonly #byPlace = new Map<Place, readonly Gap[]>()

  /** One that touches what is untold already is told with it. */
  add(place: Place, gap: Gap): void {
    let { from, to } = gap
    const apart = (this.#byPlace.get(place) ?? []).filter((known) => {
      if (known.to < from || known.from > to) return true
      from = Math.min(from, known.from)
      to = Math.max(to, known.to)
      return false
    })
    this.#byPlace.set(place, [...apart, { ...gap, from, to }])
  }

  /** Those of some places: they count as told. */
  take(isWanted: (place: Place) => boolean): ReadonlyMap<Place, readonly Gap[]> {
    const taken = new Map([...this.#byPlace].filter(([place]) => isWanted(place)))
    for (const place of taken.keys()) this.#byPlace.delete(place)
    return taken
  }

  forget(place: Place): void {
    this.#byPlace.delete(place)
  }
}
