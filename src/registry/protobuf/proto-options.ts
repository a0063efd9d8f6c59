// Options in one form for all that mean the same: by their names, custom ones in full and as one value each, numbers with
// their digits alone.

import { DECIMAL_DIGITS_MAX, PROTOBUF_DEPTH_MAX } from '../../kernel/limits.ts'
import type { ProtoOption, ProtoValue } from './proto-file.ts'
import type { ProtoExtension } from './proto-scope.ts'

/** By the name in an option's parentheses; undefined: it is not there. */
export type FindExtension = (name: string) => ProtoExtension | undefined

export function normalOptions(options: readonly ProtoOption[], find: FindExtension): ProtoOption[] {
  const named = options.map((option) => namedOption(option, find))
  const byName = Map.groupBy(named, ({ name }) => name)
  return [...byName]
    .sort(([left], [right]) => compareText(bareName(left), bareName(right)) || compareText(left, right))
    .flatMap(([name, all]) => (all[0]?.isOne ? [{ name, value: joined(all) }] : all))
    .map(({ name, value }) => ({ name, value: normalValue(value, find) }))
}

/** A value, and where in what the option stands for it is set: the names of members. */
interface Placed {
  readonly path: readonly string[]
  readonly value: ProtoValue
}

interface NamedOption extends ProtoOption, Placed {
  /** All that are set by this name are parts of one value. */
  readonly isOne: boolean
}

/** `(my.opt).part.other`, where my.opt is known; as it is where it is not, or cannot have parts. */
function namedOption(option: ProtoOption, find: FindExtension): NamedOption {
  const [, written, rest = ''] = /^\(([^)]*)\)(.*)$/s.exec(option.name) ?? []
  const extension = written === undefined ? undefined : find(written)
  const isRepeated = extension?.field.label === 'repeated'
  const path = [...rest.matchAll(/\(([^)]*)\)|[^.()]+/g)].map(([member, name]) =>
    name === undefined ? member : `[${name}]`,
  )
  const isReadable = path.length <= (isRepeated ? 0 : PROTOBUF_DEPTH_MAX)
  if (extension === undefined || !isReadable) return { ...option, path: [], isOne: false }
  return { name: `(${extension.fullName})`, value: option.value, path, isOne: !isRepeated }
}

/** One value of all its parts. */
function joined(parts: readonly Placed[]): ProtoValue {
  const whole = parts.filter(({ path }) => path.length === 0).map(({ value }) => value)
  const byMember = Map.groupBy(
    parts.filter(({ path }) => path.length > 0),
    ({ path }) => path[0] as string,
  )
  if (byMember.size === 0) return whole.length === 1 ? (whole[0] as ProtoValue) : { kind: 'list', items: whole }
  const members = [...byMember].map(([name, inner]) => {
    return {
      name,
      value: joined(inner.map(({ path, value }) => ({ path: path.slice(1), value }))),
    }
  })
  const given = whole.flatMap((value) => (value.kind === 'aggregate' ? value.members : []))
  return { kind: 'aggregate', members: [...given, ...members] }
}

function normalValue(value: ProtoValue, find: FindExtension): ProtoValue {
  switch (value.kind) {
    case 'word':
      return { kind: 'word', text: normalWord(value.text) }
    case 'string':
      return value
    case 'list':
      return { kind: 'list', items: value.items.map((item) => normalValue(item, find)) }
    case 'aggregate':
      return { kind: 'aggregate', members: normalMembers(value.members, find) }
  }
}

/** A member of several values is a list, whether it was written as one or again and again. */
function normalMembers(members: readonly ProtoOption[], find: FindExtension): ProtoOption[] {
  const byName = Map.groupBy(members, ({ name }) => memberName(name, find))
  return [...byName]
    .sort(([left], [right]) => compareText(left, right))
    .flatMap(([name, all]): ProtoOption[] => {
      const values = all.flatMap(({ value }) => (value.kind === 'list' ? value.items : [value]))
      const items = values.map((value) => normalValue(value, find))
      const [first] = items
      if (first === undefined) return []
      return [{ name, value: items.length === 1 ? first : { kind: 'list', items } }]
    })
}

function memberName(name: string, find: FindExtension): string {
  const extension = name.startsWith('[') ? find(name.slice(1, -1)) : undefined
  return extension === undefined ? name : `[${extension.fullName}]`
}

/** A number as it would be written without thinking of it; a name as it is. */
function normalWord(text: string): string {
  const [, sign = '', digits = ''] = /^(-?)([\d.].*)$/.exec(text) ?? []
  if (digits === '' || digits.length > DECIMAL_DIGITS_MAX) return text
  if (/^0[0-7]+$/.test(digits)) return sign + BigInt(`0o${digits}`)
  if (/^(0[xX][\da-fA-F]+|\d+)$/.test(digits)) return sign + BigInt(digits)
  const number = Number(digits.replace(/[fF]$/, ''))
  return Number.isFinite(number) ? sign + number : text
}

function bareName(name: string): string {
  return name.replace(/[()]/g, '')
}

export function compareText(left: string, right: string): number {
  if (left === right) return 0
  return left < right ? -1 : 1
}
