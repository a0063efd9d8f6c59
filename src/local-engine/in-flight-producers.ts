// Which topics have appends of named producers under way, so that a topic can grow between them: growth waits for those
// in flight and turns new ones away while it is recorded.

interface TopicFlights {
  count: number
  held: boolean
  landed: (() => void) | undefined
}

export class InFlightProducers {
  readonly #topics = new Map<string, TopicFlights>()

  isHeld(topicId: string): boolean {
    return this.#topics.get(topicId)?.held ?? false
  }

  async during<Result>(topicId: string, work: Promise<Result>): Promise<Result> {
    const flights = this.#of(topicId)
    flights.count++
    try {
      return await work
    } finally {
      flights.count--
      if (flights.count === 0) {
        flights.landed?.()
        if (!flights.held) this.#topics.delete(topicId)
      }
    }
  }

  /** Runs work while no append is in flight and none may begin. One at a time for a topic. */
  async whileNone<Result>(topicId: string, work: () => Promise<Result>): Promise<Result> {
    const flights = this.#of(topicId)
    flights.held = true
    try {
      if (flights.count > 0) {
        await new Promise<void>((resolve) => {
          flights.landed = resolve
        })
      }
      return await work()
    } finally {
      this.#topics.delete(topicId)
    }
  }

  #of(topicId: string): TopicFlights {
    let flights = this.#topics.get(topicId)
    if (flights === undefined) {
      flights = { count: 0, held: false, landed: undefined }
      this.#topics.set(topicId, flights)
    }
    return flights
  }
}
