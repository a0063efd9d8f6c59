// Query and path parameters: each name is known to its route, each value is checked, a repeated one is refused where one
// is meant. A mistyped name must not be overlooked: `form=earliest` would read from somewhere else without a word.

import type { FastifyRequest } from 'fastify'
import { TailraceError } from '../kernel/errors.ts'
import { nearestName } from '../kernel/nearest-name.ts'

export class RequestQuery {
  readonly #values: Readonly<Record<string, string | string[] | undefined>>

  /** invalid_request when the query holds a name that is not in `known`, nor among `own`, which name themselves. */
  constructor(request: Pick<FastifyRequest, 'query'>, known: readonly string[], own: readonly string[] = []) {
    this.#values = request.query as Record<string, string | string[]>
    for (const name of Object.keys(this.#values)) {
      if (!known.includes(name) && !own.includes(name)) throw unknownParameter(name, known)
    }
  }

  /** Those that are given. */
  names(): readonly string[] {
    return Object.keys(this.#values)
  }

  text(name: string): string | undefined {
    const value = this.#values[name]
    if (Array.isArray(value)) throw invalid(name, 'is given more than once')
    return value
  }

  /** Every value of a parameter that may be repeated. */
  texts(name: string): readonly string[] {
    const value = this.#values[name]
    if (value === undefined) return []
    return Array.isArray(value) ? value : [value]
  }

  integer(name: string, range: { readonly min: number; readonly max: number }): number | undefined {
    const text = this.text(name)
    return text === undefined ? undefined : parseInteger(name, text, range)
  }

  oneOf<Value extends string>(name: string, allowed: readonly Value[]): Value | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const value = allowed.find((candidate) => candidate === text)
    if (value === undefined)
      throw invalid(name, `is ${shown(text)}; one of ${allowed.join(', ')} is allowed`, { allowed })
    return value
  }

  flag(name: string): boolean {
    return this.oneOf(name, ['true', 'false']) === 'true'
  }
}

/** A path parameter, percent-decoded. */
export function pathText(request: FastifyRequest, name: string): string {
  return (request.params as Record<string, string | undefined>)[name] ?? ''
}

export function pathInteger(
  request: FastifyRequest,
  name: string,
  range: { readonly min: number; readonly max: number },
): number {
  return parseInteger(name, pathText(request, name), range)
}

export function parseInteger(
  name: string,
  text: string,
  { min, max }: { readonly min: number; readonly max: number },
): number {
  const value = /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw invalid(name, `is ${shown(text)}; an integer from ${min} to ${max} is allowed`, { min, max })
}

function unknownParameter(name: string, known: readonly string[]): TailraceError {
  const nearest = nearestName(name, known)
  const hint = nearest === undefined ? `known here: ${known.join(', ') || 'none'}` : `did you mean ${nearest}?`
  return new TailraceError('invalid_request', `query parameter ${shown(name)} is not known here; ${hint}`, {
    parameter: name.slice(0, 100),
    allowed: known,
  })
}

function invalid(parameter: string, fault: string, details: object = {}): TailraceError {
  return new TailraceError('invalid_request', `parameter ${parameter} ${fault}`, { parameter, ...details })
}

function shown(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
}
