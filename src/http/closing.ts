// The server's closing, for all who must learn of it: thousands of waiting reads come and go, so they stand in a set (an
// AbortSignal looks through all its listeners whenever one comes or goes).

export class Closing {
  readonly #listeners = new Set<() => void>()
  #hasBegun = false

  get hasBegun(): boolean {
    return this.#hasBegun
  }

  /** Calls back once, when closing begins, or now if it has begun. Returns the function that ends it; each call needs a function of its own. */
  onBegin(listener: () => void): () => void {
    if (this.#hasBegun) listener()
    else this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  begin(): void {
    this.#hasBegun = true
    const listeners = [...this.#listeners]
    this.#listeners.clear()
    for (const listener of listeners) listener()
  }
}
