// Requests by route and class of status, as plain numbers: /metrics shows them. A route is its pattern, never its path,
// so that their number is bounded.

export interface RouteTraffic {
  readonly method: string
  readonly route: string
  /** Replies of 1xx to 5xx, at 0 to 4. */
  readonly byStatusClass: [number, number, number, number, number]
}

export class HttpTraffic {
  readonly #routes = new Map<string, RouteTraffic>()

  /** The counters of one route, made on first use; a hot path keeps them. */
  of(method: string, route: string): RouteTraffic {
    const key = `${method} ${route}`
    let traffic = this.#routes.get(key)
    if (traffic === undefined) {
      traffic = { method, route, byStatusClass: [0, 0, 0, 0, 0] }
      this.#routes.set(key, traffic)
    }
    return traffic
  }

  routes(): Iterable<RouteTraffic> {
    return this.#routes.values()
  }
}

export function countReply(traffic: RouteTraffic, status: number): void {
  const at = Math.trunc(status / 100) - 1
  if (at >= 0 && at <= 4) (traffic.byStatusClass[at] as number)++
}
