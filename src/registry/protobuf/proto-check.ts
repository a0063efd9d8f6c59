// What a .proto file may say, beyond its grammar: numbers and names that are free, types that are there.

import { invalid } from '../invalid-schema.ts'
import type {
  ProtoEnum,
  ProtoField,
  ProtoFile,
  ProtoMessage,
  ProtoOption,
  ProtoRange,
  ProtoReserved,
} from './proto-file.ts'
import { FIELD_NUMBER_MAX, isTrue, jsonNameOf, mapEntryName, optionOf, SCALAR_TYPES } from './proto-file.ts'
import type { ProtoScope } from './proto-scope.ts'
import { unresolved } from './proto-scope.ts'

/** invalid_schema, naming the message or enum. */
export function checkProto(scope: ProtoScope): void {
  const { file } = scope
  const within = file.packageName
  for (const message of file.messages) checkMessage(scope, message, within)
  for (const one of file.enums) checkEnum(file, one)
  for (const { type, fields } of file.extends) checkExtend(scope, type, fields, within)
  for (const { methods } of file.services) {
    for (const { request, response } of methods) {
      for (const type of [request, response])
        if (scope.resolve(type, within)?.kind !== 'message') throw unresolved(type)
    }
  }
}

function checkMessage(scope: ProtoScope, message: ProtoMessage, outer: string): void {
  const within = outer === '' ? message.name : `${outer}.${message.name}`
  const numbers = new Set<number>()
  const names = new Set<string>()
  const reserved = reservedOf(message.reserved)
  for (const field of message.fields) {
    const { name, number } = field
    const where = `field ${name} of ${within}`
    checkNumber(number, where)
    if (numbers.has(number)) throw invalid(`${where}: the number ${number} is taken already`)
    if (names.has(name)) throw invalid(`${where}: there is a field of that name already`)
    if (reserved.numbers.some((range) => isIn(range, number)))
      throw invalid(`${where}: the number ${number} is reserved`)
    if (reserved.names.has(name)) throw invalid(`${where}: the name is reserved`)
    if (message.extensions.some(({ ranges }) => ranges.some((range) => isIn(range, number)))) {
      throw invalid(`${where}: the number ${number} is kept for extensions`)
    }
    numbers.add(number)
    names.add(name)
    checkField(scope, field, within)
  }
  checkJsonNames(scope.file, message, within)
  for (const { name } of message.oneofs) {
    if (names.has(name)) throw invalid(`oneof ${name} of ${within}: there is a field of that name`)
    if (!message.fields.some(({ oneof }) => oneof === name)) throw invalid(`oneof ${name} of ${within} has no field`)
    names.add(name)
  }
  const entries = new Set(
    message.fields.flatMap(({ mapKey, name }) => (mapKey === undefined ? [] : [mapEntryName(name)])),
  )
  for (const one of message.messages) {
    if (entries.has(one.name)) throw invalid(`message ${one.name} of ${within} has the name of a map's entries`)
    checkMessage(scope, one, within)
  }
  for (const one of message.enums) checkEnum(scope.file, one)
  for (const { type, fields } of message.extends) checkExtend(scope, type, fields, within)
}

/** In JSON one of two that share a name would take the other's place. */
function checkJsonNames({ syntax, edition, options }: ProtoFile, message: ProtoMessage, within: string): void {
  // proto2 may be written without a thought of JSON, and an edition says so
  const isLax = edition === undefined ? syntax !== 'proto3' : isLaxAboutJson([...options, ...message.options])
  const taken = new Map<string, string>()
  for (const field of message.fields) {
    const given = optionOf(field.options, 'json_name')
    const name = given?.kind === 'string' ? given.bytes.toString() : isLax ? field.name : jsonNameOf(field.name)
    const other = taken.get(name)
    if (other !== undefined)
      throw invalid(`field ${field.name} of ${within}: in JSON it has the name of the field ${other}, ${name}`)
    taken.set(name, field.name)
  }
}

function isLaxAboutJson(options: readonly ProtoOption[]): boolean {
  const value = optionOf(options, 'features.json_format')
  return value?.kind === 'word' && value.text === 'LEGACY_BEST_EFFORT'
}

function checkField(scope: ProtoScope, field: ProtoField, within: string): void {
  const { type, label, group, options } = field
  const isProto3 = scope.file.syntax === 'proto3'
  const where = `field ${field.name} of ${within}`
  if (group !== undefined) {
    if (isProto3) throw invalid(`${where}: proto3 has no groups`)
    checkMessage(scope, group, within)
    return
  }
  if (isProto3 && label === 'required') throw invalid(`${where}: proto3 has no required fields`)
  if (isProto3 && optionOf(options, 'default') !== undefined) throw invalid(`${where}: proto3 has no defaults`)
  if (!SCALAR_TYPES.has(type) && scope.resolve(type, within) === undefined) throw unresolved(type)
}

function checkExtend(scope: ProtoScope, type: string, fields: readonly ProtoField[], within: string): void {
  if (scope.resolve(type, within)?.kind !== 'message') throw unresolved(type)
  for (const field of fields) {
    checkNumber(field.number, `extension ${field.name}`)
    checkField(scope, field, within)
  }
}

function checkEnum({ syntax }: ProtoFile, { name, values, reserved, options }: ProtoEnum): void {
  const isAliased = isTrue(optionOf(options, 'allow_alias'))
  const numbers = new Set<number>()
  const names = new Set<string>()
  const kept = reservedOf(reserved)
  if (values.length === 0) throw invalid(`enum ${name} has no values`)
  if (syntax === 'proto3' && values[0]?.number !== 0)
    throw invalid(`enum ${name}: the first value of a proto3 enum is 0`)
  for (const value of values) {
    const where = `value ${value.name} of enum ${name}`
    if (names.has(value.name)) throw invalid(`${where}: there is a value of that name already`)
    if (numbers.has(value.number) && !isAliased) {
      throw invalid(`${where}: the number ${value.number} is taken already; with option allow_alias = true it may be`)
    }
    if (kept.numbers.some((range) => isIn(range, value.number))) throw invalid(`${where}: the number is reserved`)
    if (kept.names.has(value.name)) throw invalid(`${where}: the name is reserved`)
    numbers.add(value.number)
    names.add(value.name)
  }
}

function checkNumber(number: number, where: string): void {
  if (number < 1 || number > FIELD_NUMBER_MAX)
    throw invalid(`${where}: numbers go from 1 to ${FIELD_NUMBER_MAX}, not ${number}`)
  if (number >= 19_000 && number <= 19_999) throw invalid(`${where}: the numbers 19000 to 19999 are Protobuf's own`)
}

function reservedOf(statements: readonly ProtoReserved[]) {
  return {
    numbers: statements.flatMap(({ ranges }) => ranges),
    names: new Set(statements.flatMap(({ names }) => names)),
  }
}

function isIn({ from, to }: ProtoRange, number: number): boolean {
  return number >= from && (to === 'max' || number <= to)
}
