// The records and the request bytes that the bench sends: values are JSON objects of exactly 100 bytes, all different,
// made from a counter, so that every run and every server gets the same.

export const VALUE_BYTES = 100
const KEY_COUNT = 10_000

/** 100 bytes each: integers, a fraction, a boolean and text, as events tend to have. */
export function jsonValues(count: number): string[] {
  return Array.from({ length: count }, (_, index) => jsonValue(index))
}

function jsonValue(index: number): string {
  const known = `{"id":${index},"user":"user-${index % 997}","amount":${(index % 5_000) / 4},"paid":${index % 3 === 0},"note":"`
  const fill = VALUE_BYTES - known.length - 2
  return `${known}${'The quick brown fox jumps over the lazy dog. '.repeat(2).slice(0, fill)}"}`
}

export interface ProduceShape {
  readonly recordsPerRequest: number
  readonly keyed: boolean
  /** Every record of request r names partition r modulo this; left out: the server partitions. */
  readonly partitionCount?: number
  /** JSON in front of the records: `"value_encoding":"avro",`. */
  readonly members?: string
}

/** JSON bodies of `POST /v1/topics/{topic}/records`. */
export function produceBodies(shape: ProduceShape, count: number): string[] {
  const { recordsPerRequest } = shape
  const values = jsonValues(count * recordsPerRequest)
  return Array.from({ length: count }, (_, request) => {
    const first = request * recordsPerRequest
    const records = values.slice(first, first + recordsPerRequest).map((value, index) => {
      const key = shape.keyed ? `"key":"user-${(first + index) % KEY_COUNT}",` : ''
      const partition = shape.partitionCount ? `"partition":${request % shape.partitionCount},` : ''
      return `{${partition}${key}"value":${value}}`
    })
    return `{${shape.members ?? ''}"records":[${records.join(',')}]}`
  })
}

/** The same values as the peer takes them: a JSON array of values, no keys. */
export function peerBodies(recordsPerRequest: number, count: number): string[] {
  const values = jsonValues(count * recordsPerRequest)
  return Array.from({ length: count }, (_, request) => {
    const first = request * recordsPerRequest
    return `[${values.slice(first, first + recordsPerRequest).join(',')}]`
  })
}

export function postRequest(path: string, body: string, headers: Readonly<Record<string, string>> = {}): Buffer {
  const bytes = Buffer.from(body)
  const more = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n${more.join('')}Content-Length: ${bytes.length}\r\n\r\n`
  return Buffer.concat([Buffer.from(head), bytes])
}

export function getRequest(path: string): Buffer {
  return Buffer.from(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n`)
}
