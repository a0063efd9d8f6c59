// Work of which only so many pieces are under way at once. The others wait, in the order in which they came;
// whoever asks bounds how many.

export class Slots {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      // the slot goes to the next, or back
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}
