// "Did you mean …?": the known name that a mistyped one most likely stands for. Used where people write names: topic
// configs, server options, flags.

/** The known name with the fewest typing slips from `name`; undefined when none is near enough to be meant. */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  const asked = name.toLowerCase().slice(0, NAME_CHARS_COMPARED_MAX)
  let nearest: string | undefined
  let fewest = Math.max(2, Math.floor(asked.length / 3)) + 1
  for (const candidate of known) {
    if (Math.abs(candidate.length - asked.length) >= fewest) continue
    const slips = typingSlips(asked, candidate.toLowerCase())
    if (slips < fewest) {
      fewest = slips
      nearest = candidate
    }
  }
  return nearest
}

/** A name may come from a request: the work for it is bounded, and no known name is longer. */
const NAME_CHARS_COMPARED_MAX = 100

/**
 * Damerau-Levenshtein distance (optimal string alignment): letters left out, put in, replaced, or two neighbours
 * swapped. `retnetion.ms` is 1 from `retention.ms`.
 */
export function typingSlips(left: string, right: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: right.length + 1 }, (_, column) => column)
  for (let row = 1; row <= left.length; row++) {
    const current = [row]
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1]
      let slips = Math.min(at(last, column) + 1, at(current, column - 1) + 1, at(last, column - 1) + (same ? 0 : 1))
      const swapped =
        row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1]
      if (swapped) slips = Math.min(slips, at(beforeLast, column - 2) + 1)
      current.push(slips)
    }
    beforeLast = last
    last = current
  }
  return at(last, right.length)
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY
}
