// F2: where the last reads of a partition found their batches. Whoever reads on asks for an offset within or right behind
// what an earlier read has passed, and finds its position here, without a look-up in index.db, which costs as much as
// reading twenty kilobytes. Bounded: the oldest landmark gives way. Only of bytes that are synced, which never move.

import { READ_LANDMARKS_MAX } from '../kernel/limits.ts'

/** A landmark stands about every so many bytes of a read. */
export const LANDMARK_BYTES = 4 * 1024

interface Landmark {
  readonly segmentBase: number
  readonly offset: number
  readonly position: number
  /** Offsets from `offset` to below this one lie at or behind `position`, less than about LANDMARK_BYTES away. */
  until: number
}

export class ReadLandmarks {
  readonly #landmarks: Landmark[] = []
  #oldest = 0
  #last: Landmark | undefined

  /** The landmark from which an offset is found by walking on; undefined: no read has passed it of late. */
  find(segmentBase: number, offset: number): { readonly offset: number; readonly position: number } | undefined {
    for (const landmark of this.#landmarks) {
      if (landmark.offset > offset || landmark.segmentBase !== segmentBase) continue
      if (offset < landmark.until || offset === landmark.offset) return landmark
    }
    return undefined
  }

  /** A read passes a batch at a position, or ends there: before begin() it is no continuation of the last one. */
  add(segmentBase: number, offset: number, position: number): void {
    if (this.#last !== undefined) this.#last.until = offset
    const landmark = { segmentBase, offset, position, until: offset }
    this.#last = landmark
    if (this.#landmarks.length < READ_LANDMARKS_MAX) {
      this.#landmarks.push(landmark)
    } else {
      this.#landmarks[this.#oldest] = landmark
      this.#oldest = (this.#oldest + 1) % READ_LANDMARKS_MAX
    }
  }

  begin(): void {
    this.#last = undefined
  }
}
