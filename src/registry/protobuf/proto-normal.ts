// .proto files in one form for all that mean the same: names in full, parts by their numbers. Messages keep their order, which
// is part of what is written with them.

import type {
  ProtoEnum,
  ProtoExtend,
  ProtoField,
  ProtoFile,
  ProtoMessage,
  ProtoOption,
  ProtoRange,
  ProtoReserved,
} from './proto-file.ts'
import { SCALAR_TYPES } from './proto-file.ts'
import { compareText, normalOptions } from './proto-options.ts'
import type { ProtoScope } from './proto-scope.ts'

export function normalizeProto(scope: ProtoScope): ProtoFile {
  return new Normalizer(scope).file()
}

class Normalizer {
  readonly #scope: ProtoScope

  constructor(scope: ProtoScope) {
    this.#scope = scope
  }

  file(): ProtoFile {
    const { file } = this.#scope
    const within = file.packageName
    const imports = new Map(file.imports.map((one) => [`${one.kind} ${one.path}`, one]))
    return {
      ...file,
      syntax: file.syntax === 'proto3' ? 'proto3' : undefined,
      imports: [...imports.values()].sort((left, right) => compareText(left.path, right.path)),
      options: this.#options(file.options, within),
      messages: file.messages.map((message) => this.#message(message, within)),
      enums: file.enums.map((one) => this.#enum(one, within)),
      extends: this.#extends(file.extends, within),
      services: file.services.map((service) => ({
        ...service,
        options: this.#options(service.options, within),
        methods: service.methods.map((method) => ({
          ...method,
          request: this.#type(method.request, within),
          response: this.#type(method.response, within),
          options: this.#options(method.options, within),
        })),
      })),
    }
  }

  #message(message: ProtoMessage, outer: string): ProtoMessage {
    const within = outer === '' ? message.name : `${outer}.${message.name}`
    const fields = message.fields.map((field) => this.#field(field, within)).sort(byNumber)
    const lowest = new Map<string | undefined, number>()
    for (const { oneof, number } of fields) if (!lowest.has(oneof)) lowest.set(oneof, number)
    return {
      name: message.name,
      fields,
      oneofs: message.oneofs
        .filter(({ name }) => lowest.has(name))
        .map(({ name, options }) => ({ name, options: this.#options(options, within) }))
        .sort((left, right) => (lowest.get(left.name) as number) - (lowest.get(right.name) as number)),
      reserved: singleReserved(message.reserved),
      extensions: message.extensions
        .flatMap(({ ranges, options }) =>
          ranges.map((range) => ({ ranges: [range], options: this.#options(options, within) })),
        )
        .sort((left, right) => compareRanges(left.ranges[0] as ProtoRange, right.ranges[0] as ProtoRange)),
      extends: this.#extends(message.extends, within),
      messages: message.messages.map((one) => this.#message(one, within)),
      enums: message.enums.map((one) => this.#enum(one, within)),
      options: this.#options(message.options, within),
    }
  }

  #field(field: ProtoField, within: string): ProtoField {
    return {
      ...field,
      type: field.group === undefined ? this.#type(field.type, within) : field.type,
      options: this.#options(field.options, within),
      group: field.group === undefined ? undefined : this.#message(field.group, within),
    }
  }

  #extends(all: readonly ProtoExtend[], within: string): ProtoExtend[] {
    const byType = Map.groupBy(all, ({ type }) => this.#type(type, within))
    return [...byType]
      .sort(([left], [right]) => compareText(left, right))
      .map(([type, blocks]) => ({
        type,
        fields: blocks
          .flatMap(({ fields }) => fields)
          .map((field) => this.#field(field, within))
          .sort(byNumber),
      }))
  }

  #enum({ name, values, reserved, options }: ProtoEnum, within: string): ProtoEnum {
    return {
      name,
      values: values
        .map((value) => ({ ...value, options: this.#options(value.options, within) }))
        .sort((left, right) => left.number - right.number || compareText(left.name, right.name)),
      reserved: singleReserved(reserved),
      options: this.#options(options, within),
    }
  }

  #options(options: readonly ProtoOption[], within: string): ProtoOption[] {
    return normalOptions(options, (name) => this.#scope.resolveExtension(name, within))
  }

  #type(name: string, within: string): string {
    if (SCALAR_TYPES.has(name)) return name
    const symbol = this.#scope.resolve(name, within)
    return symbol === undefined ? name : `.${symbol.fullName}`
  }
}

/** A statement for each range and name: the ranges first. */
function singleReserved(statements: readonly ProtoReserved[]): ProtoReserved[] {
  const ranges = statements.flatMap((one) => one.ranges).sort(compareRanges)
  const names = statements.flatMap((one) => one.names).sort(compareText)
  return [
    ...ranges.map((range) => ({ ranges: [range], names: [] })),
    ...names.map((name) => ({ ranges: [], names: [name] })),
  ]
}

function byNumber(left: { readonly number: number }, right: { readonly number: number }): number {
  return left.number - right.number
}

function compareRanges(left: ProtoRange, right: ProtoRange): number {
  return left.from - right.from
}
