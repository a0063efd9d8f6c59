// The partitions of one disk write and sync in rounds: all that have something take part in a round at the same time,
// and while it lasts all others gather. Their syncs share the file system's journal and the disk's cache flush, and a
// partition that waits for the round to end comes with a larger group, so that many partitions cost little more than one.

export class CommitRounds {
  #taking = 0
  #waiting: (() => void)[] = []

  /** Resolves when the caller's turn has come: at once, or with the next round. It must call leave() afterwards. */
  enter(): Promise<void> | undefined {
    if (this.#taking === 0 && this.#waiting.length === 0) {
      this.#taking = 1
      return undefined
    }
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  leave(): void {
    this.#taking--
    if (this.#taking > 0 || this.#waiting.length === 0) return
    // what this turn of the event loop still brings may take part
    this.#taking = 1
    setImmediate(() => this.#begin())
  }

  #begin(): void {
    const waiting = this.#waiting
    this.#waiting = []
    this.#taking = waiting.length
    for (const enter of waiting) enter()
  }
}
