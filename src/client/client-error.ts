// What went wrong with a call: the server's problem, or no answer that could be understood. Codes are compared, never
// messages.

export interface ClientFailure {
  /** 0: no answer came. */
  readonly status: number
  readonly code: string
  readonly message: string
  /** The same request may succeed later. */
  readonly retryable: boolean
  /** What the server asked to wait before that. */
  readonly retryAfterMs?: number | undefined
  readonly details?: Readonly<Record<string, unknown>>
  /** Of a produce that failed in some partition: what was stored, record by record. */
  readonly results?: readonly unknown[] | undefined
  readonly cause?: unknown
}

export class TailraceClientError extends Error {
  readonly status: number
  readonly code: string
  readonly retryable: boolean
  readonly retryAfterMs: number | undefined
  readonly details: Readonly<Record<string, unknown>>
  readonly results: readonly unknown[] | undefined

  constructor(failure: ClientFailure) {
    super(failure.message, failure.cause === undefined ? undefined : { cause: failure.cause })
    this.name = 'TailraceClientError'
    this.status = failure.status
    this.code = failure.code
    this.retryable = failure.retryable
    this.retryAfterMs = failure.retryAfterMs
    this.details = failure.details ?? {}
    this.results = failure.results
  }
}

/** An answer that is no success, as an error. Its body is a problem, unless something between here and there spoke. */
export function errorOfReply(status: number, headers: Headers, body: string): TailraceClientError {
  const retryAfterMs = parseRetryAfter(headers.get('retry-after'))
  const problem = parseProblem(headers.get('content-type') ?? '', body)
  if (problem === undefined) {
    const excerpt = body.trim().replace(/\s+/g, ' ').slice(0, 200)
    return new TailraceClientError({
      status,
      code: 'unexpected_reply',
      message: `the server answered ${status}${excerpt === '' ? '' : `: ${excerpt}`}`,
      retryable: mayPass(status),
      retryAfterMs,
    })
  }
  const { error_code: errorCode, message } = problem
  // the schema registry's form
  if (typeof errorCode === 'number' && typeof message === 'string') {
    return new TailraceClientError({
      status,
      code: String(errorCode),
      message,
      retryable: mayPass(status),
      retryAfterMs,
    })
  }
  const { code, detail, title, retryable, details, results } = problem
  return new TailraceClientError({
    status,
    code: textOr(code, 'unexpected_reply'),
    message: textOr(detail, textOr(title, `the server answered ${status}`)),
    retryable: retryable === true,
    retryAfterMs,
    details: isObject(details) ? details : {},
    results: Array.isArray(results) ? results : undefined,
  })
}

/** Where nothing but the status tells. */
function mayPass(status: number): boolean {
  return status === 429 || (status >= 502 && status <= 504)
}

/** No answer at all. */
export function unreachable(url: string, cause: unknown): TailraceClientError {
  const reason = reasonOf(cause)
  return new TailraceClientError({
    status: 0,
    code: 'unreachable',
    message: `no answer from ${url} (${reason})`,
    retryable: true,
    cause,
  })
}

/** The connection was lost after the head of the reply. */
export function brokenOff(url: string, cause: unknown): TailraceClientError {
  return new TailraceClientError({
    status: 0,
    code: 'broken_off',
    message: `the answer from ${url} broke off (${reasonOf(cause)})`,
    retryable: true,
    cause,
  })
}

/** Fetch says `fetch failed` and hides why in a cause, or in several. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause } = error
  if (cause instanceof AggregateError && cause.errors.length > 0) return reasonOf(cause.errors[0])
  return cause instanceof Error ? reasonOf(cause) : error.message || error.name
}

function parseProblem(contentType: string, body: string): Record<string, unknown> | undefined {
  if (!/^application\/(problem\+)?json\b/i.test(contentType)) return undefined
  try {
    const problem: unknown = JSON.parse(body)
    return isObject(problem) ? problem : undefined
  } catch {
    // Not JSON after all: told as the text that it is.
    return undefined
  }
}

/** Seconds, as Tailrace writes it; the form with a date is passed over. */
function parseRetryAfter(text: string | null): number | undefined {
  return text !== null && /^\d{1,6}$/.test(text) ? Number(text) * 1000 : undefined
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function textOr(value: unknown, otherwise: string): string {
  return typeof value === 'string' && value !== '' ? value : otherwise
}
