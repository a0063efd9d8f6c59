// Maximum matching in a bipartite graph, by augmenting paths.

/** `fits`: for each on the left, whom it fits on the right. Gives for each on the left its partner, or -1. */
export function matchMost(fits: readonly (readonly number[])[]): number[] {
  const leftOf = new Map<number, number>()
  for (const left of fits.keys()) augment(fits, left, leftOf, new Set())
  const matched = fits.map(() => -1)
  for (const [right, left] of leftOf) matched[left] = right
  return matched
}

/** Finds a partner for one more, moving others where that helps. */
function augment(
  fits: readonly (readonly number[])[],
  left: number,
  leftOf: Map<number, number>,
  seen: Set<number>,
): boolean {
  for (const right of fits[left] ?? []) {
    if (seen.has(right)) continue
    seen.add(right)
    const present = leftOf.get(right)
    if (present !== undefined && !augment(fits, present, leftOf, seen)) continue
    leftOf.set(right, left)
    return true
  }
  return false
}
