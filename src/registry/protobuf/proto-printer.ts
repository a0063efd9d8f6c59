// .proto files as they are stored: no comments, each kind of part by itself, the parts of a kind in their order.

import type {
  ProtoEnum,
  ProtoExtend,
  ProtoExtensions,
  ProtoField,
  ProtoFile,
  ProtoMessage,
  ProtoOneof,
  ProtoOption,
  ProtoRange,
  ProtoReserved,
  ProtoService,
  ProtoValue,
} from './proto-file.ts'

export function printProto(file: ProtoFile): string {
  const head = [
    ...(file.syntax === undefined ? [] : [`syntax = "${file.syntax}";`]),
    ...(file.edition === undefined ? [] : [`edition = "${file.edition}";`]),
    ...(file.packageName === '' ? [] : [`package ${file.packageName};`]),
  ]
  const imports = (kind: 'plain' | 'public' | 'weak', word: string) =>
    file.imports.filter((one) => one.kind === kind).map(({ path }) => `import ${word}${quoted(Buffer.from(path))};`)
  const groups = [
    [...imports('plain', ''), ...imports('weak', 'weak '), ...imports('public', 'public ')],
    file.options.map(optionStatement),
    [...file.messages.map(printMessage), ...file.enums.map(printEnum)],
    file.extends.map(printExtend),
    file.services.map(printService),
  ]
  return `${head.map((line) => `${line}\n`).join('')}${grouped(groups)}`
}

/** A line's end before each group that has something. */
function grouped(groups: readonly (readonly string[])[]): string {
  return groups
    .filter((group) => group.length > 0)
    .map((group) => `\n${group.map((part) => `${part}\n`).join('')}`)
    .join('')
}

function printMessage(message: ProtoMessage): string {
  return `message ${message.name} ${messageBody(message)}`
}

function messageBody(message: ProtoMessage): string {
  const byOneof = Map.groupBy(message.fields, ({ oneof }) => oneof)
  const own = byOneof.get(undefined) ?? []
  return block(
    grouped([
      message.reserved.map(printReserved),
      message.options.map(optionStatement),
      own.filter(({ group }) => group === undefined).map(printField),
      message.oneofs.map((oneof) => printOneof(oneof, byOneof.get(oneof.name) ?? [])),
      own.filter(({ group }) => group !== undefined).map(printField),
      message.extensions.map(printExtensions),
      message.extends.map(printExtend),
      [...message.messages.map(printMessage), ...message.enums.map(printEnum)],
    ]),
  )
}

function printOneof({ name, options }: ProtoOneof, fields: readonly ProtoField[]): string {
  return `oneof ${name} ${block(lines([...options.map(optionStatement), ...fields.map(printField)]))}`
}

function printField(field: ProtoField): string {
  const label = field.label === undefined ? '' : `${field.label} `
  if (field.group !== undefined) {
    return `${label}group ${field.type} = ${field.number}${bracketed(field.options)} ${messageBody(field.group)}`
  }
  const type = field.mapKey === undefined ? field.type : `map<${field.mapKey}, ${field.type}>`
  return `${label}${type} ${field.name} = ${field.number}${bracketed(specialLast(field.options))};`
}

/** default and json_name come last. */
function specialLast(options: readonly ProtoOption[]): readonly ProtoOption[] {
  const isSpecial = ({ name }: ProtoOption) => name === 'default' || name === 'json_name'
  return [
    ...options.filter((option) => !isSpecial(option)),
    ...options.filter(({ name }) => name === 'default'),
    ...options.filter(({ name }) => name === 'json_name'),
  ]
}

function bracketed(options: readonly ProtoOption[]): string {
  const [first, ...others] = options
  if (first === undefined) return ''
  if (others.length === 0) return ` [${printOption(first)}]`
  return ` [\n${indented(options.map(printOption).join(',\n'))}\n]`
}

function printEnum({ name, values, reserved, options }: ProtoEnum): string {
  const parts = [
    ...reserved.map(printReserved),
    ...options.map(optionStatement),
    ...values.map((value) => `${value.name} = ${value.number}${bracketed(value.options)};`),
  ]
  return `enum ${name} ${block(lines(parts))}`
}

function printReserved({ ranges, names }: ProtoReserved): string {
  const parts = names.length > 0 ? names.map((name) => quoted(Buffer.from(name))) : ranges.map(printRange)
  return `reserved ${parts.join(', ')};`
}

function printExtensions({ ranges, options }: ProtoExtensions): string {
  return `extensions ${ranges.map(printRange).join(', ')}${bracketed(options)};`
}

function printRange({ from, to }: ProtoRange): string {
  return from === to ? String(from) : `${from} to ${to}`
}

function printExtend({ type, fields }: ProtoExtend): string {
  return `extend ${type} ${block(lines(fields.map(printField)))}`
}

function printService({ name, options, methods }: ProtoService): string {
  const printed = methods.map((method) => {
    const request = `${method.isRequestStream ? 'stream ' : ''}${method.request}`
    const response = `${method.isResponseStream ? 'stream ' : ''}${method.response}`
    const head = `rpc ${method.name} (${request}) returns (${response})`
    return method.options.length === 0 ? `${head};` : `${head} ${block(lines(method.options.map(optionStatement)))};`
  })
  return `service ${name} ${block(lines([...options.map(optionStatement), ...printed]))}`
}

function optionStatement(option: ProtoOption): string {
  return `option ${printOption(option)};`
}

function printOption({ name, value }: ProtoOption): string {
  return `${name} = ${printValue(value)}`
}

function printValue(value: ProtoValue): string {
  switch (value.kind) {
    case 'word':
      return value.text
    case 'string':
      return quoted(value.bytes)
    case 'list':
      if (value.items.length === 0) return '[]'
      return `[\n${indented(value.items.map(printValue).join(',\n'))}\n]`
    case 'aggregate':
      if (value.members.length === 0) return '{}'
      return `{\n${indented(value.members.map((member) => `${member.name}: ${printValue(member.value)}`).join(',\n'))}\n}`
  }
}

function lines(parts: readonly string[]): string {
  return parts.length === 0 ? '' : `\n${parts.map((part) => `${part}\n`).join('')}`
}

/** What is in it begins with a line's end and ends with one. */
function block(inner: string): string {
  return inner === '' ? '{}' : `{${indented(inner)}}`
}

function indented(text: string): string {
  return text.replace(/^(?=[^\n])/gm, '  ')
}

const ESCAPES: Readonly<Record<number, string>> = {
  7: '\\a',
  8: '\\b',
  9: '\\t',
  10: '\\n',
  11: '\\v',
  12: '\\f',
  13: '\\r',
  34: '\\"',
  92: '\\\\',
}

/** What is no UTF-8 and no printable character is escaped. */
function quoted(bytes: Buffer): string {
  const text = bytes.toString()
  const isText = Buffer.from(text).equals(bytes)
  const escaped = (code: number) => ESCAPES[code] ?? `\\${code.toString(8).padStart(3, '0')}`
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is escaped
  if (isText) return `"${text.replace(/["\\\x00-\x1f\x7f]/g, (character) => escaped(character.charCodeAt(0)))}"`
  const parts = [...bytes].map((byte) =>
    byte >= 0x20 && byte < 0x7f && byte !== 34 && byte !== 92 ? String.fromCharCode(byte) : escaped(byte),
  )
  return `"${parts.join('')}"`
}
