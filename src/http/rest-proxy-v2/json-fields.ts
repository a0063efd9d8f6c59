// Small request bodies of the REST Proxy v2 API, member by member: a name that is not known is refused in the proxy's words,
// a number or a boolean is taken where text is meant and the other way round, as its parser does, and null is not given.

import { OFFSET_MAX } from '../../kernel/limits.ts'
import { nearestName } from '../../kernel/nearest-name.ts'
import { parseJson } from '../json-body.ts'
import { restProxyFailure } from './failure.ts'

export class JsonFields {
  readonly #values: Readonly<Record<string, unknown>>
  /** For messages: what stands in front of a member's name. */
  readonly #place: string

  /** 400 unless it is an object, 422 if it has a member of another name. */
  constructor(value: unknown, known: readonly string[], place = '') {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw restProxyFailure(
        place === '' ? 400 : 422,
        `${place === '' ? 'the request body' : place} must be a JSON object`,
      )
    }
    this.#values = value as Record<string, unknown>
    this.#place = place === '' ? '' : `${place}.`
    const unknown = Object.keys(value).find((name) => !known.includes(name))
    if (unknown !== undefined) throw unrecognized(unknown, known)
  }

  has(name: string): boolean {
    return this.#values[name] !== undefined && this.#values[name] !== null
  }

  text(name: string): string | undefined {
    const value = this.#values[name]
    if (value === undefined || value === null) return undefined
    if (typeof value === 'object') throw this.fault(name, 'must be text')
    return String(value)
  }

  integer(name: string, { min, max }: { readonly min: number; readonly max: number }): number | undefined {
    const value = this.#values[name]
    if (value === undefined || value === null) return undefined
    const number = typeof value === 'string' && /^-?\d{1,16}$/.test(value) ? Number(value) : value
    if (typeof number === 'number' && Number.isSafeInteger(number) && number >= min && number <= max) return number
    throw this.fault(name, `must be a whole number from ${min} to ${max}`)
  }

  /** Anything; undefined for null. */
  value(name: string): unknown {
    return this.#values[name] ?? undefined
  }

  /** Undefined when it is not given. */
  list<Item>(name: string, max: number, parse: (item: unknown, place: string) => Item): readonly Item[] | undefined {
    const value = this.#values[name]
    if (value === undefined || value === null) return undefined
    if (!Array.isArray(value)) throw this.fault(name, 'must be an array')
    if (value.length > max) throw this.fault(name, `has ${value.length} entries; ${max} is the most`)
    return value.map((item, at) => parse(item, `${this.#place}${name}[${at}]`))
  }

  fault(name: string, reason: string) {
    return restProxyFailure(422, `${this.#place}${name} ${reason}`)
  }

  missing(name: string) {
    return this.fault(name, 'must not be null')
  }
}

function unrecognized(name: string, known: readonly string[]) {
  const nearest = nearestName(name, known)
  const hint = nearest === undefined ? `allowed are ${known.join(', ')}` : `did you mean ${nearest}?`
  return restProxyFailure(422, `Unrecognized field: ${name.slice(0, 100)}; ${hint}`)
}

/** Undefined when there is no body, or null. */
export function jsonOf(bytes: Buffer): unknown {
  return bytes.length === 0 ? undefined : (parseJson(bytes) ?? undefined)
}

export const OFFSETS = { min: 0, max: OFFSET_MAX - 1 }
export const PARTITIONS = { min: 0, max: 2 ** 31 - 1 }
