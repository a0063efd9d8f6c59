// What changed between two texts, in the form of `diff -u`.

/** Lines around a change that are shown too. */
const CONTEXT_LINES = 3

/** Pairs of lines that are compared: beyond, all that differs is shown as gone and come. */
const PAIRS_MAX = 4_000_000

interface Side {
  readonly name: string
  readonly lines: readonly string[]
}

interface Line {
  readonly sign: ' ' | '-' | '+'
  readonly text: string
  /** Lines of each text before this one. */
  readonly before: number
  readonly after: number
}

/** '' where nothing changed. */
export function unifiedDiff(from: Side, to: Side): string {
  const lines = diffLines(from.lines, to.lines)
  const hunks = hunksOf(lines)
  if (hunks.length === 0) return ''
  return [`--- ${from.name}`, `+++ ${to.name}`, ...hunks.flatMap(renderHunk)].map((line) => `${line}\n`).join('')
}

function diffLines(from: readonly string[], to: readonly string[]): readonly Line[] {
  const shorter = Math.min(from.length, to.length)
  let start = 0
  while (start < shorter && from[start] === to[start]) start += 1
  let same = 0
  while (same < shorter - start && from.at(-1 - same) === to.at(-1 - same)) same += 1
  const signs = [
    ...Array<Line['sign']>(start).fill(' '),
    ...signsBetween(from.slice(start, from.length - same), to.slice(start, to.length - same)),
    ...Array<Line['sign']>(same).fill(' '),
  ]
  let [before, after] = [0, 0]
  return signs.map((sign) => {
    const line = { sign, text: (sign === '+' ? to[after] : from[before]) as string, before, after }
    if (sign !== '+') before += 1
    if (sign !== '-') after += 1
    return line
  })
}

function signsBetween(from: readonly string[], to: readonly string[]): readonly Line['sign'][] {
  const common = commonLengths(from, to)
  const signs: Line['sign'][] = []
  let [row, column] = [0, 0]
  while (row < from.length || column < to.length) {
    const isWithinBoth = row < from.length && column < to.length
    if (isWithinBoth && from[row] === to[column]) signs.push(' ')
    else if (column >= to.length || (isWithinBoth && common(row + 1, column) >= common(row, column + 1)))
      signs.push('-')
    else signs.push('+')
    if (signs.at(-1) !== '+') row += 1
    if (signs.at(-1) !== '-') column += 1
  }
  return signs
}

/** How many lines the rests of both texts have in common, in order. */
function commonLengths(from: readonly string[], to: readonly string[]): (row: number, column: number) => number {
  if (from.length * to.length > PAIRS_MAX) return () => 0
  const width = to.length + 1
  const lengths = new Uint32Array((from.length + 1) * width)
  for (let row = from.length - 1; row >= 0; row -= 1) {
    for (let column = to.length - 1; column >= 0; column -= 1) {
      const below = lengths[(row + 1) * width + column] as number
      const right = lengths[row * width + column + 1] as number
      const isCommon = from[row] === to[column]
      lengths[row * width + column] = isCommon
        ? (lengths[(row + 1) * width + column + 1] as number) + 1
        : Math.max(below, right)
    }
  }
  return (row, column) => lengths[row * width + column] ?? 0
}

/** Changes with their context; those that touch are one. */
function hunksOf(lines: readonly Line[]): readonly (readonly Line[])[] {
  const hunks: Line[][] = []
  let end = 0
  for (const [at, { sign }] of lines.entries()) {
    if (sign === ' ') continue
    const start = Math.max(at - CONTEXT_LINES, 0)
    if (start > end || hunks.length === 0) hunks.push([])
    const from = hunks.at(-1)?.length === 0 ? start : end
    end = Math.min(at + 1 + CONTEXT_LINES, lines.length)
    hunks.at(-1)?.push(...lines.slice(from, end))
  }
  return hunks
}

function renderHunk(hunk: readonly Line[]): readonly string[] {
  const [{ before, after }] = hunk as [Line]
  const range = (start: number, sign: '-' | '+') => {
    const count = hunk.filter((line) => line.sign === ' ' || line.sign === sign).length
    return `${sign}${count === 0 ? start : start + 1},${count}`
  }
  return [`@@ ${range(before, '-')} ${range(after, '+')} @@`, ...hunk.map(({ sign, text }) => sign + text)]
}
