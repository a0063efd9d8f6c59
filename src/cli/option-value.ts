// Values of options as commander hands them over, checked where they are read: a wrong one is a usage error that names
// the option.

import { InvalidArgumentError } from 'commander'
import { POSITION_LAST_RECORDS_MAX } from '../kernel/limits.ts'

/** A whole number in a range. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^[-+]?\d{1,16}$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    const from = min === -Number.MAX_SAFE_INTEGER ? '' : ` from ${min}${max === Number.MAX_SAFE_INTEGER ? ' on' : ''}`
    const to = max === Number.MAX_SAFE_INTEGER ? '' : ` to ${max}`
    throw new InvalidArgumentError(`A whole number${from}${to} is needed.`)
  }
}

/** As coreutils' tail counts: N or -N, the last so many; +N, from the Nth on. */
export function lineCount(text: string): { readonly count: number; readonly isFirst: boolean } {
  const [, sign, digits] = /^([-+]?)(\d{1,15})$/.exec(text) ?? []
  const isFirst = sign === '+'
  const count = Number(digits)
  if (isFirst ? count >= 1 : count <= POSITION_LAST_RECORDS_MAX) return { count, isFirst }
  throw new InvalidArgumentError(
    `N is the last N, up to ${POSITION_LAST_RECORDS_MAX}; +N is all from the Nth on, however many those are.`,
  )
}

/** Every use of the option adds to a list. */
export function repeated(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text]
}

/** Numbers of partitions: each use adds one, or several with commas between. */
export function partitionNumbers(text: string, before: readonly number[] | undefined): readonly number[] {
  const parse = wholeNumber(0, 2 ** 31 - 1)
  return [...(before ?? []), ...text.split(',').map(parse)]
}

/** Each use adds one name=value. */
export function nameValue(
  text: string,
  before: readonly (readonly [name: string, value: string])[] | undefined,
): readonly (readonly [name: string, value: string])[] {
  const equals = text.indexOf('=')
  if (equals < 1) throw new InvalidArgumentError('It has the form name=value.')
  return [...(before ?? []), [text.slice(0, equals).trim(), text.slice(equals + 1)] as const]
}

export interface TopicPartitions {
  readonly topic: string
  /** undefined: all. */
  readonly partitions: readonly number[] | undefined
}

/** Each use adds one: `topic`, or `topic:0,1`. */
export function topicsWithPartitions(
  text: string,
  before: readonly TopicPartitions[] | undefined,
): readonly TopicPartitions[] {
  const colon = text.indexOf(':')
  const one =
    colon < 0
      ? { topic: text, partitions: undefined }
      : { topic: text.slice(0, colon), partitions: partitionNumbers(text.slice(colon + 1), undefined) }
  return [...(before ?? []), one]
}

/** One of a list of names in capitals, in any letter case. */
export function oneOf<Name extends string>(names: readonly Name[]): (text: string) => Name {
  return (text) => {
    const name = names.find((one) => one === text.toUpperCase().replaceAll('-', '_'))
    if (name === undefined) throw new InvalidArgumentError(`Allowed choices are ${names.join(', ')}.`)
    return name
  }
}

/** A version of a subject: its number, or the last one. */
export function schemaVersion(text: string): number | 'latest' {
  if (text === 'latest') return text
  if (/^\d{1,10}$/.test(text) && Number(text) >= 1 && Number(text) < 2 ** 31) return Number(text)
  throw new InvalidArgumentError('A whole number from 1 to 2147483647, or latest, is needed.')
}

export interface NamedReference {
  readonly name: string
  readonly subject: string
  /** undefined: the last. */
  readonly version: number | undefined
}

/** Each use adds one: `name=subject`, or `name=subject:version`. */
export function schemaReferences(
  text: string,
  before: readonly NamedReference[] | undefined,
): readonly NamedReference[] {
  const match = /^(?<name>.+)=(?<subject>[^=]+?)(?::(?<version>\d{1,9}))?$/.exec(text)
  if (match?.groups === undefined) throw new InvalidArgumentError('It has the form name=subject:version.')
  const { name = '', subject = '', version } = match.groups
  return [...(before ?? []), { name, subject, version: version === undefined ? undefined : Number(version) }]
}
